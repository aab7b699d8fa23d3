"""Tiny checkpoints of another family in their published layouts, through a real daemon: every operation over OSC."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from acestep.api.errors import ModelUnsuited
from acestep.families.ace_step_v1.tiny import build_tiny, write_all_in_one
from bridge import Client
from bridge.client.osc import OscClient

V1 = "v1-tiny"


@pytest.fixture
def house(daemon, tmp_path):
    """A daemon whose folder holds the hub's layout and ComfyUI's all-in-one file."""
    folder = tmp_path / "models"
    root = build_tiny(folder)
    write_all_in_one(root, folder / "ace_step_v1_tiny.safetensors")
    shutil.copy(root / "vocab.json", folder / "vocab.json")
    return daemon(backend="torch", model=V1, checkpoints=[folder])


@pytest.fixture
def song(tmp_path) -> Path:
    path = tmp_path / "song.wav"
    noise = np.random.default_rng(3).uniform(-0.3, 0.3, (300_000, 2))
    soundfile.write(path, noise, 48_000, subtype="PCM_16")
    return path


def test_every_operation_of_v1_runs_over_osc(house, song):
    """Generate, retake, refine, cover, repaint, extend both ways, remix and new lyrics: exact lengths, the rest bit for bit."""
    place = house.connection["osc"]
    before = soundfile.read(song, dtype="int16")[0]
    region = {"source": str(song), "start": 100_000, "end": 150_000, "returns": ["whole"], "steps": 1, "seed": 1}
    edited = {**region, "steps": 5, "source_caption": "drums", "caption": "piano"}
    asked = [
        ("generate", {"duration": 5.0, "steps": 1, "caption": "soft piano", "lyrics": "[verse]\nla la"}, 240_000),
        ("generate", {"duration": 5.0, "steps": 1, "model": "ace_step_v1_tiny", "options": ["omega=0"]}, 240_000),
        ("generate", {"duration": 5.0, "steps": 1, "variation": 0.3, "variation_seed": 8}, 240_000),
        ("repaint", region, 300_000),
        ("refine", {**region, "t_start": 0.5}, 300_000),
        ("cover", {**region, "sampler": "pingpong"}, 300_000),
        ("flow-edit", {**edited, "n_min": 0.2, "n_max": 0.4}, 300_000),
        ("flow-edit", {**edited, "lyrics": "lo lo", "source_lyrics": "la la", "n_min": 0.6, "n_max": 1.0}, 300_000),
        ("extend", {**region, "start": 290_000, "end": 330_000}, 330_000),
        ("extend", {**region, "start": -40_000, "end": 5_000}, 340_000),
    ]
    with OscClient(place["host"], place["udp"]) as osc:
        for number, (operation, request, length) in enumerate(asked):
            *events, last = osc.events(osc.submit(operation, request, id=f"job-{number}"), silence=120.0)
            assert last.address == "/ace/done", (operation, last)
            result = next(event for event in events if event.address == "/ace/result")
            made = soundfile.read(result.arguments[4], dtype="int16" if length != 240_000 else "float32")[0]
            assert len(made) == length, operation
            if length == 300_000:
                assert np.array_equal(made[:97_000], before[:97_000])
                assert np.array_equal(made[153_000:], before[153_000:])
                assert not np.array_equal(made[100_000:150_000], before[100_000:150_000]), operation
        with pytest.raises(ModelUnsuited, match=r"v1-tiny .* cannot do lego.* ACE-Step 1.5 can \(base, xl-base\)"):
            osc.submit("lego", {"source": str(song), "track": "drums"}, id="no")
    _check_what_is_told(house)


def _check_what_is_told(house):
    """The rows of `models.list` and the description of an operation for one model."""
    with Client(str(house.paths.home)) as client:
        rows = {row["name"]: row for row in client.call("models.list", {})}
        own = rows[V1]
        assert (own["family"], own["license"], own["seconds"]) == ("ace-step-v1", "Apache-2.0", [5.0, 240.0])
        assert {option["name"] for option in own["options"]} >= {"omega", "erg_lyric", "variance"}
        assert not rows["v1"]["present"] and rows["v1"]["fetch_bytes"] == 8_276_154_212
        needed = rows["v1"]["memory_bytes"]["bfloat16"]
        assert needed == 2 * (2_588_427_392 + 156_812_426 + 103_138_386 + 281_861_376), "without what takes no part"
        (row,) = client.call("describe", {"operation": "generate", "model": V1})["operations"]
        fields = {field["name"]: field for field in row["fields"]}
        assert (fields["duration"]["min"], fields["duration"]["max"]) == (5.0, 240.0)
        assert fields["sampler"]["choices"] == ["auto", "euler", "heun", "pingpong"]
        assert fields["guidance_scale"]["default"] == 15.0 and fields["steps"]["default"] == 60
        assert fields["quality"]["choices"] == ["", "fast", "quality"] and "guide" not in fields
        idle = {name for name in fields if name.startswith("planner_")} | {"cot_text", "codes_strength", "guide_from"}
        assert not idle & fields.keys(), "what serves only what it cannot do"
        names = {row["name"] for row in client.call("describe", {"model": V1})["operations"]}
        assert {"repaint", "flow-edit"} <= names and not {"lego", "extract", "complete"} & names
