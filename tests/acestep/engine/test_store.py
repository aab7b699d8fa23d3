"""The latent store: what is there, what it sounds like, and how it goes away."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from acestep.api.errors import ModelMissing, NotFound
from acestep.latents.latent_store import LatentUsage, delete_latent, find_latent, list_latents, pin_latent, trim_latents


def test_list_decode_delete(runner):
    """A stored latent is listed with its facts, decodes to the part's own samples, and is gone after a delete."""
    made, folder = runner.run(
        "generate", length=33_333, rate=44_100, caption="violet", returns=["part", "latent"], format="wav32f", steps=1
    )
    name = f"{folder.name}/generate-latent.safetensors"
    (row,) = list_latents(runner.library, "violet", 10)["latents"]
    assert (row["id"], row["model"], row["samples"], row["rate"]) == (name, "tiny", 33_333, 44_100)
    place = runner.library / "decoded"
    result = runner.engine.run("decode", {"latent": name, "format": "wav32f"}, runner.context(place))
    sounds = [soundfile.read(where / found.files[0].name)[0] for found, where in ((made, folder), (result, place))]
    assert np.array_equal(*sounds)
    assert any("random" in note for note in result.notes)
    delete_latent(runner.library, name)
    with pytest.raises(NotFound):
        find_latent(runner.library, name)
    assert (folder / made.files[0].name).is_file()


def stored(**changes) -> bytes:
    """A small latent file whose description (or, with ``end``, end of data) was changed."""
    end = changes.pop("end", 256)
    facts = {"family": "f", "codec": "c", "model": "m", "weights": "w", "frames": 1, "rate": 48_000, "channels": 2}
    metadata = {"acestep-bridge": json.dumps({**facts, "samples": 1920, **changes})}
    entry = {"dtype": "F32", "shape": [1, 1, 64], "data_offsets": [0, end]}
    header = json.dumps({"__metadata__": metadata, "latent": entry}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(256)


def nested(depth: int = 100_000) -> bytes:
    """A header of nothing but brackets."""
    return depth.to_bytes(8, "little") + b"[" * depth


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"nothing", id="no header"),
        pytest.param(nested(), id="endless nesting"),
        pytest.param(stored(checkpoint={}), id="a step without its number"),
        pytest.param(stored(checkpoint={"index": "2"}), id="a step whose number is a word"),
        pytest.param(stored(end="256"), id="an offset that is a word"),
        pytest.param(stored(end=float("inf")), id="an infinite offset"),
        pytest.param(stored(end=512), id="cut short"),
        pytest.param(stored(frames=2), id="another shape"),
    ],
)
def test_damaged_latents_are_listed_as_such(tmp_path, data):
    """One bad file does not hide the others."""
    for name, content in (("broken", data), ("whole", stored(checkpoint={"index": 2}))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.safetensors").write_bytes(content)
    rows = {row["id"]: row for row in list_latents(tmp_path, "", 10)["latents"]}
    assert rows["whole/x.safetensors"]["step"] == 3
    assert "x.safetensors" in rows["broken/x.safetensors"]["error"]


def test_a_damaged_record_names_no_job(shelf):
    """The latents beside it are then listed by their folder's name."""
    (shelf("old", 1).parent / "result.json").write_bytes(b"[" * 100_000)
    assert [row["id"] for row in list_latents(shelf.library, "", 10)["latents"]] == ["old/take.safetensors"]


@pytest.fixture
def shelf(tmp_path):
    """Latent files of 1000 bytes in a library, made so many days ago, each in a job of its own."""

    def put(name: str, days: float) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        path = folder / "take.safetensors"
        path.write_bytes(b"x" * 1000)
        (folder / "take.wav").write_bytes(b"sound")
        for one in (path, folder):
            os.utime(one, (time.time() - days * 86_400,) * 2)
        return path

    put.library = tmp_path
    return put


def test_the_oldest_latents_make_room(shelf):
    """Until the cap is met; the sound stays, and so does the date of the result, by which results are kept."""
    paths = [shelf(f"j{days}", days) for days in range(1, 5)]
    dates = [path.parent.stat().st_mtime for path in paths]
    kept = trim_latents(shelf.library, 2500)
    assert (kept.count, kept.bytes, kept.gone) == (2, 2000, ("j4/take.safetensors", "j3/take.safetensors"))
    assert [path.is_file() for path in paths] == [True, True, False, False]
    assert all((path.parent / "take.wav").is_file() for path in paths)
    assert [path.parent.stat().st_mtime for path in paths] == dates


def test_without_a_cap_all_latents_stay(shelf):
    """They are only counted."""
    shelf("old", 3650)
    assert trim_latents(shelf.library, 0) == LatentUsage(count=1, bytes=1000)


def test_pinned_and_needed_latents_stay(shelf):
    """A pin holds until it is taken off; what a waiting job reads stays too, even beyond the cap."""
    pinned, needed, plain = shelf("pinned", 9), shelf("needed", 8), shelf("plain", 7)
    assert pin_latent(shelf.library, "pinned/take.safetensors", True)["pinned"]
    assert trim_latents(shelf.library, 1, {"needed"}).gone == ("plain/take.safetensors",)
    assert pinned.is_file() and needed.is_file() and not plain.exists()
    pin_latent(shelf.library, "pinned/take.safetensors", False)
    assert trim_latents(shelf.library, 1, {"needed"}).gone == ("pinned/take.safetensors",)


def test_a_pin_is_shown_and_goes_with_its_latent(runner):
    """Listed as such; deleting the latent leaves nothing of it behind."""
    _, folder = runner.run("generate", length=20_000, rate=48_000, returns=["latent"], steps=1, caption="pinned one")
    name = f"{folder.name}/generate-latent.safetensors"
    pin_latent(runner.library, name, True)
    (row,) = list_latents(runner.library, "pinned one", 10)["latents"]
    assert row["pinned"]
    delete_latent(runner.library, name)
    assert [path.name for path in folder.iterdir()] == []


def test_decode_finds_the_latents_own_model(runner):
    """A latent of the small model is decoded by it though the default is another one, and the recipe names it."""
    made, folder = runner.run(
        "generate", model="nano", length=9_000, rate=48_000, steps=1, format="wav32f", guide="none"
    )
    name = f"{folder.name}/generate-latent.safetensors"
    place = runner.library / "decoded-by-its-own"
    result = runner.engine.run("decode", {"latent": name, "format": "wav32f"}, runner.context(place))
    sounds = [soundfile.read(where / found.files[0].name)[0] for found, where in ((made, folder), (result, place))]
    assert np.abs(np.subtract(*sounds)).max() < 1e-6, "its width is made by FFTs of other lengths"
    assert result.recipe["request"]["model"] == "nano" and result.stages[0].model == "nano"


def test_a_latent_whose_model_is_gone_says_so(runner):
    """And by what it could be decoded."""
    made, folder = runner.run("generate", length=9_000, rate=48_000, steps=1, returns=["latent"])
    path = folder / made.files[0].name
    path.write_bytes(
        path.read_bytes()
        .replace(b'\\"model\\":\\"tiny\\"', b'\\"model\\":\\"gone\\"')
        .replace(b"nano-random", b"none-random")
    )
    with pytest.raises(ModelMissing, match="made by gone, which is not here") as caught:
        runner.engine.run("decode", {"latent": f"{folder.name}/{path.name}"}, runner.context(runner.library / "x"))
    assert caught.value.field == "model"
