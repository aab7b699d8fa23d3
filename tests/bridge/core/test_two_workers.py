"""Two workers of the real engine on the processor, with the embedded model."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from bridge.core.interface import EventKind, JobState, Submission

SONG = {"caption": "solo piano", "duration": 1.0, "steps": 2, "seed": 7}

SLOW_PACKING = """
import os, pathlib, sys, time

HERE = pathlib.Path(__file__).parent

if "acestep.worker" in sys.orig_argv:  # not in the daemon, which knows no torch
    from acestep.checkpoints import quantise

    pack = quantise.PackedLinear

    def packed(layer):
        if (HERE / "slow").exists():
            (HERE / f"packing-{os.getpid()}").touch()
            time.sleep(0.3)
        return pack(layer)

    quantise.PackedLinear, quantise.SMALLEST_MODEL = packed, 0
"""
"""Has workers quantise the embedded model too, and slowly while a file says so."""


async def test_a_cancel_is_heard_while_both_pack_their_weights(desk, tmp_path):
    """Before the next layer, so the worker lives on; and what was half packed is opened again for the next job."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "slow_packing.py").write_text(SLOW_PACKING)
    (folder / "slow").touch()
    one = await desk(
        backend="torch", devices=["cpu", "cpu"], warm="off", threads=1, int8="on", plugin_folder=str(folder)
    )
    both = {"here": "cpu:0", "there": "cpu:1"}
    for job, device in both.items():
        await one.service.submit(Submission(operation="generate", params=SONG, id=job, device=device), "me")
    while len(list(folder.glob("packing-*"))) < 2:
        assert not any(one.service.job(job).state.terminal for job in both)
        await asyncio.sleep(0.05)
    workers = [row["pid"] for row in one.service.status()["devices"]]
    assert {path.name for path in folder.glob("packing-*")} == {f"packing-{pid}" for pid in workers}
    for job in both:
        await one.service.cancel(job)
    assert [(await one.until(job))[-1].kind for job in both] == [EventKind.CANCELLED] * 2
    (folder / "slow").unlink()
    for job, device in both.items():
        again = Submission(operation="generate", params=SONG, id=f"{job}-again", device=device)
        await one.service.submit(again, "me")
    sounds = set()
    for job in both:
        await one.until(f"{job}-again")
        view = one.service.job(f"{job}-again")
        assert view.state is JobState.DONE and view.result["recipe"]["request"]["precision"] == {"nano": "float32 int8"}
        sounds.add(hashlib.sha256(Path(view.result["files"][0]["path"]).read_bytes()[-96_000:]).hexdigest())
    assert len(sounds) == 1 and [row["pid"] for row in one.service.status()["devices"]] == workers


async def test_both_make_the_same_sound_and_a_cancel_ends_its_own_job(desk):
    """The recipe of each result is free of its device, so either makes the same samples."""
    one = await desk(backend="torch", devices=["cpu", "cpu"], warm="off", threads=1)
    for job, device in (("here", "cpu:0"), ("there", "cpu:1")):
        await one.service.submit(Submission(operation="generate", params=SONG, id=job, device=device), "me")
    long = Submission(operation="generate", params={**SONG, "duration": 120.0, "steps": 50}, id="long", device="cpu:0")
    await one.service.submit(long, "me")
    await one.until("there")
    await one.until("long", EventKind.PROGRESS)
    await one.service.cancel("long")
    assert (await one.until("long"))[-1].kind is EventKind.CANCELLED
    sounds, recipes = [], []
    for job, device in (("here", "cpu:0"), ("there", "cpu:1")):
        view = one.service.job(job)
        assert view.state is JobState.DONE and view.device == device
        sounds.append(hashlib.sha256(Path(view.result["files"][0]["path"]).read_bytes()[-96_000:]).hexdigest())
        recipes.append(view.result["recipe"])
    assert sounds[0] == sounds[1] and recipes[0] == recipes[1]
    rows = one.service.status()["devices"]
    assert [row["device"] for row in rows] == ["cpu:0", "cpu:1"] and rows[0]["pid"] != rows[1]["pid"]
    assert all(row["info"]["device"] == "cpu" and row["info"]["models"] == ["nano"] for row in rows)
