"""The jobs that hosts ask for, run through a daemon, and the shape of every document that comes back.

``python -m tests.daw_scripts.contract`` runs them on the real engine with the embedded model and writes ``recorded/jobs.json``, the
documents that the scripts' cores are tested with.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from acestep.api.errors import AceError
from bridge.client.sync import Client
from bridge.launch import FREE_PORTS, start_daemon

RECORDED = Path(__file__).parent / "recorded" / "jobs.json"
FOLDER = "/recorded"
"""Stands for the folders of the machine on which the documents were recorded."""

RATE = 48_000
SONG = "song.wav"
EDIT = {"start": RATE, "end": 2 * RATE, "seed": 7, "caption": "warm tape"}
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "repaint": ("repaint", {**EDIT, "seeds": [7, 9], "returns": ["patch"], "variants": 2}),
    "span": ("repaint", {**EDIT, "returns": ["span"], "span_start": 24_000, "span_end": 120_000}),
    "cover": ("cover", {**EDIT, "returns": ["patch", "latent"]}),
    "extend": ("extend", {**EDIT, "start": 2 * RATE, "end": 5 * RATE, "returns": ["patch"]}),
    "extract": ("extract", {**EDIT, "track": "drums"}),
    "add-instrument": ("lego", {**EDIT, "track": "guitar"}),
    "complete": ("complete", {**EDIT, "tracks": ["bass", "drums"]}),
    "generate": ("generate", {"length": RATE, "rate": RATE, "seeds": [7, 9], "bpm": 96.5, "variants": 2}),
    "chain": (
        "render",
        {
            "stages": [{"type": "generate", "seed": 7, "preview": True}, {"type": "refine", "seed": 8}],
            "conditioning": {"caption": "warm tape"},
            "output": {"length": RATE, "rate": RATE},
        },
    ),
    "refused": ("generate", {"length": RATE, "rate": RATE, "seed": 7, "returns": ["patch"]}),
}
"""What it is -> operation and parameters; those with a ``start`` work on a song of four seconds."""


def make_song(folder: Path) -> Path:
    """Four seconds of quiet noise."""
    path = folder / SONG
    soundfile.write(path, np.random.default_rng(3).uniform(-0.3, 0.3, (4 * RATE, 2)), RATE, subtype="PCM_24")
    return path


def run_jobs(client: Client, song: Path) -> dict[str, dict[str, Any]]:
    """Every job's document by name, with its events under ``events``; a job that is refused at the door is its error."""
    documents: dict[str, dict[str, Any]] = {}
    for name, (operation, given) in JOBS.items():
        params = {**given, "source": str(song)} if "start" in given else given
        try:
            job = client.submit(operation, params, id=f"job-{name}")
        except AceError as refused:
            documents[name] = {"refused": refused.code}
            continue
        events = list(client.events(job))
        documents[name] = {**client.job(job), "events": {event["kind"]: event["data"] for event in events}}
    return documents


FREE_MAPS = {"weights", "versions", "seconds", "limits", "heard"}
"""Maps whose keys are data: names of models, of packages, of phases, of limits, of what a sound lets be heard."""


def shape(value: Any, key: str = "") -> Any:
    """A document with every value replaced by its type; notes and free maps by the type of what they hold."""
    if isinstance(value, Mapping):
        if key in FREE_MAPS:
            return {"*": sorted({type(inner).__name__ for inner in value.values()})}
        return {name: shape(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return (
            [] if key == "notes" and all(isinstance(note, str) for note in value) else [shape(inner) for inner in value]
        )
    return "float or nothing" if key == "eta" else type(value).__name__


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two documents differ, as ``place: this, that``."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = sorted(one.keys() | other.keys())
        return [line for key in keys for line in differences(one.get(key), other.get(key), f"{place}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{place}[{index}]")]
    return [] if one == other and type(one) is type(other) else [f"{place}: {one!r}, {other!r}"]


def plain(document: Any, folder: Path) -> Any:
    """A document as it can be kept: without the machine's folders and times."""
    text = json.dumps(document).replace(str(folder), FOLDER)

    def keep(value: dict[str, Any]) -> dict[str, Any]:
        still = {"created": 1.0, "started": 2.0, "ended": 3.0, "fingerprint": ""}
        return {name: still.get(name, inner) if inner is not None else None for name, inner in value.items()}

    return json.loads(text, object_hook=keep)


def main() -> None:
    """Record the documents again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {**FREE_PORTS, "home": folder / "home", "backend": "torch", "read_roots": [folder]}
        with start_daemon(settings), Client(str(folder / "home")) as client:
            documents = plain(run_jobs(client, make_song(folder)), folder)
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps(documents, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
