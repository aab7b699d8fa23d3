"""`acestep-bridge models try NAME`: ten seconds of music that anybody can make, check and report.

A daemon with a home of its own renders a fixed caption with a fixed seed, first with the model, then with the tiny checkpoint of
random weights for comparison. What comes back is measured here (`bridge.trial.measures`) and told in words and as JSON.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import soundfile

from acestep.api.errors import BadRequest
from acestep.checkpoints.catalogue import language_model
from bridge.check import Check
from bridge.client import Client
from bridge.core.models import SCRATCH, Models
from bridge.launch import FREE_PORTS, start_daemon
from bridge.paths import Paths, make_report_folder
from bridge.settings import resolve
from bridge.trial.measures import MeasuredSound, judge, measure

SECONDS = 10.0
SEED = 20_260
CAPTION = "upbeat funk with drums, electric bass, clean electric guitar and bright brass"

PATIENCE = 7200.0
"""Seconds for one run: a full-size model on a slow processor takes many minutes."""

COMPUTING = ("device", "dtype", "offload", "int8", "attention", "compile", "threads", "backend")
"""Settings of the user that decide how a model computes; the trial's daemon takes them over."""

REPORT = "report.json"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial found; written as JSON beside the sound."""

    model: str
    file: str
    checks: tuple[Check, ...]
    sound: MeasuredSound
    random: MeasuredSound
    seconds: dict[str, float]
    """Of each part of the run, and ``total`` from the request to the file."""
    digest: str
    """sha256 of the samples: equal on every machine that computes alike."""
    weights: dict[str, str]
    notes: tuple[str, ...]
    engine: dict[str, Any]
    recipe: dict[str, Any]
    system: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return all(check.held for check in self.checks)


Progress = Callable[[dict[str, Any]], None]
"""Hears of the run as events of progress tell it."""


def run_trial(name: str, out: Path, home: str = "", progress: Progress = lambda event: None) -> Trial:
    """Try the model ``name`` of the user's settings; the sound and a report lie in ``out`` afterwards.

    Raises `ModelMissing`, `BadRequest`, `OutputUnwritable`, and whatever error the job ends with.
    """
    if language_model(name):
        raise BadRequest(
            f"{name} writes codes, not sound; try a checkpoint, or use `plan` with this model", field="name"
        )
    settings = resolve({"home": home or None}).settings
    folders = [Paths.of(settings).checkpoints, *(Path(folder).expanduser() for folder in settings.checkpoints)]
    Models.of(settings, Paths.of(settings)).get(name)
    make_report_folder(out, REPORT)
    computing = {key: getattr(settings, key) for key in COMPUTING if getattr(settings, key) not in ("", None)}
    with tempfile.TemporaryDirectory(prefix="acestep-try-", ignore_cleanup_errors=True) as place:
        given = {**FREE_PORTS, "home": place, "checkpoints": [str(folder) for folder in folders], **computing}
        with start_daemon(given), Client(place) as client:
            return _try(client, name, out, progress)


def _try(client: Client, name: str, out: Path, progress: Progress) -> Trial:
    begun = time.monotonic()
    result = _render(client, name, progress)
    total = time.monotonic() - begun
    target = out / f"{Path(name).name}.wav"
    shutil.copyfile(result["files"][0]["path"], target)
    audio, rate = soundfile.read(target, dtype="float32", always_2d=True)
    other, other_rate = soundfile.read(
        _render(client, SCRATCH, progress)["files"][0]["path"], dtype="float32", always_2d=True
    )
    sound, random = measure(audio, rate), measure(other, other_rate)
    trial = Trial(
        model=result["stages"][0]["model"],
        file=str(target),
        checks=judge(sound, random, SECONDS),
        sound=sound,
        random=random,
        seconds={**result["stages"][0]["seconds"], "total": round(total, 3)},
        digest=hashlib.sha256(audio.tobytes()).hexdigest(),
        weights=result["recipe"]["weights"],
        notes=tuple(result["notes"]),
        engine=_engine(client),
        recipe=result["recipe"],
        system={"python": platform.python_version(), "platform": platform.platform(), "machine": platform.machine()},
    )
    (out / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(trial)))
    return trial


def _render(client: Client, model: str, progress: Progress) -> dict[str, Any]:
    params = {"model": model, "caption": CAPTION, "instrumental": True, "duration": SECONDS, "seed": SEED,
            "rate": 48_000, "format": "wav32f", "bpm": 110.0}  # fmt: skip
    job = client.submit("generate", params)
    client.wait(job, timeout=PATIENCE, progress=progress)
    return client.result(job)


def _engine(client: Client) -> dict[str, Any]:
    """Device, number format and the like, as the worker tells them."""
    return dict(client.status()["worker"].get("info") or {})
