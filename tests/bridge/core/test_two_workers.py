"""Two workers of the real engine on the processor, with the embedded model."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bridge.core.interface import EventKind, JobState, Submission

SONG = {"caption": "solo piano", "duration": 1.0, "steps": 2, "seed": 7}


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
