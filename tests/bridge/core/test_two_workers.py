"""Two workers of the real engine on the processor, with the embedded model."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import save_file

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


@pytest.mark.long
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


HELD = """
import os, pathlib, sys, time

HERE = pathlib.Path(__file__).parent
heard = []

def hold(phase):
    if (HERE / f"hold-{phase}").exists():
        before = len(heard)
        (HERE / f"held-{phase}-{os.getpid()}").touch()
        while (HERE / f"hold-{phase}").exists() or len(heard) == before:  # a cancel is on its way for a moment
            time.sleep(0.01)

if "acestep.worker" in sys.orig_argv:  # not in the daemon, which knows no torch
    from acestep.checkpoints import load, lora
    from acestep.worker.backend import JobContext

    read, merge, tick, cancel = load.read_tensors, lora.merged_weight, JobContext.tick, JobContext.cancel

    def read_tensors(index, check):
        hold("opening")
        yield from read(index, check)

    def merged_weight(*facts):
        hold("merging")
        return merge(*facts)

    def held_tick(context, stage, step, steps, fraction):
        hold(stage)
        (HERE / f"ticks-{context.job}").open("a").write(f"{stage}\\n")
        tick(context, stage, step, steps, fraction)

    def heard_cancel(context):
        cancel(context)
        heard.append(context.job)

    load.read_tensors, lora.merged_weight = read_tensors, merged_weight
    JobContext.tick, JobContext.cancel = held_tick, heard_cancel
"""
"""Has workers wait in a phase for as long as a file says so."""

PHASES = ("opening", "merging", "encode", "repaint", "decode")


async def test_a_cancel_is_heard_in_every_phase_by_both(desk, tmp_path):
    """Both are in that phase when both are cancelled: each ends before its next step, and the workers live on."""
    folder, loras = tmp_path / "plugins", tmp_path / "home" / "loras"
    folder.mkdir()
    loras.mkdir(parents=True)
    (folder / "held.py").write_text(HELD)
    keys = [f"layers.{layer}.cross_attn.{part}" for layer in (0, 1) for part in ("o_proj", "q_proj")]
    shapes = {"lora_A": (2, 256), "lora_B": (256, 2)}
    factors = {f"{key}.{half}.weight": np.ones(shape, "f4") for key in keys for half, shape in shapes.items()}
    save_file(factors, loras / "velvet.safetensors")
    source = tmp_path / "source.wav"
    soundfile.write(source, np.random.default_rng(0).uniform(-0.1, 0.1, (96_000, 2)), 48_000)
    one = await desk(backend="torch", devices=["cpu", "cpu"], warm="off", threads=1, plugin_folder=str(folder))
    wish = {
        "caption": "piano",
        "source": str(source),
        "start_seconds": 0.5,
        "end_seconds": 1.0,
        "steps": 3,
        "lora": ["velvet"],
    }
    workers: list[int] = []

    async def begin(phase):
        names = {f"{phase}-{device[-1]}": device for device in ("cpu:0", "cpu:1")}
        for seed, (job, device) in enumerate(names.items()):
            params = {**wish, "seed": seed, "caption": phase}
            await one.service.submit(Submission(operation="repaint", params=params, id=job, device=device), "me")
        return list(names)

    for phase in PHASES:
        (folder / f"hold-{phase}").touch()
        jobs = await begin(phase)
        while len(list(folder.glob(f"held-{phase}-*"))) < 2:
            assert not any(one.service.job(job).state.terminal for job in jobs)
            await asyncio.sleep(0.02)
        await asyncio.gather(*map(one.service.cancel, jobs))
        done = {job: ticks(folder, job) for job in jobs}
        (folder / f"hold-{phase}").unlink()
        assert [(await one.until(job))[-1].kind for job in jobs] == [EventKind.CANCELLED] * 2
        for job in jobs:  # the unit that was being done may still be told, and none after it
            assert len(ticks(folder, job)) <= len(done[job]) + 1
        pids = [row["pid"] for row in one.service.status()["devices"]]
        workers = workers or pids
        assert pids == workers
    jobs = await begin("last")
    for job in jobs:
        await one.until(job)
    assert [one.service.job(job).state for job in jobs] == [JobState.DONE] * 2
    assert [row["pid"] for row in one.service.status()["devices"]] == workers


def ticks(folder: Path, job: str) -> list[str]:
    """The stages of what a job has reported, one for each unit."""
    path = folder / f"ticks-{job}"
    return path.read_text().split() if path.exists() else []
