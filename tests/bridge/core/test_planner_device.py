"""Planned on one device, rendered on another: one job, whose plan is stored on the way. Real workers with the fake backend."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
import soundfile

from acestep.api.errors import BadRequest, UnknownName
from bridge.core.interface import EventKind, JobState, Submission

PLANS = {"length": 480, "seed": 1, "thinking": True}


@pytest.fixture
async def pair(desk):
    """``await pair()``: a core with two devices; a second call is the next life of the same one."""

    async def start(**settings):
        return await desk(**{"devices": ["cpu", "cpu"], "worker_start": "lazy", **settings})

    return start


async def submit(one, job, script="steps=2", *, device="cpu:1", planner_device="cpu:0", operation="generate", **params):
    """Hand in a job that is planned on one device and rendered on another."""
    params = {"caption": f"fake: {script}", **PLANS, **params} if operation == "generate" else params
    asked = Submission(operation=operation, params=params, id=job, device=device, planner_device=planner_device)
    return await one.service.submit(asked, "me")


def stages(events):
    """Device and stage of what a job has told, each once."""
    told = [(event.data["device"], event.data["stage"]) for event in events if event.kind is EventKind.PROGRESS]
    return list(dict.fromkeys(told))


async def test_a_job_is_planned_on_one_device_and_rendered_on_the_other(pair):
    """Its progress never falls, it ends once, and the result has the plan; the request stays as it was accepted."""
    one = await pair()
    await submit(one, "song")
    events = await one.until("song")
    assert stages(events) == [("cpu:0", "thinking"), ("cpu:1", "generate")]
    view = one.service.job("song")
    assert view.state is JobState.DONE and (view.device, view.only_on, view.planner_on) == ("cpu:1", "cpu:1", "cpu:0")
    fractions = [event.data["fraction"] for event in events if event.kind is EventKind.PROGRESS]
    assert fractions == sorted(fractions)
    (waits,) = [event.data["reason"] for event in events if event.kind is EventKind.SUSPENDED]
    assert waits == "the plan is made; cpu:1 renders it"
    recipe = view.result["recipe"]["request"]["conditioning"]
    assert view.result["data"]["cot_text"] == recipe["cot_text"] and recipe["bpm"] == 101.0 and not recipe["thinking"]
    assert view.request["conditioning"]["thinking"] and view.request["conditioning"]["bpm"] is None


async def test_without_a_device_for_the_plan_nothing_changes(pair):
    """The device that renders plans, in one go; `auto` is no device of its own."""
    one = await pair()
    await submit(one, "song", planner_device="")
    await submit(one, "auto", planner_device="auto")
    for job in ("song", "auto"):
        events = await one.until(job)
        assert [kind for event in events if (kind := event.kind) is EventKind.SUSPENDED] == []
        assert {event.data["device"] for event in events if event.kind is EventKind.PROGRESS} == {"cpu:1"}


async def test_a_plan_is_made_while_the_device_that_renders_is_busy(pair):
    """The lanes are free of each other; a job with a plan can be cancelled while it waits, and is told so once."""
    one = await pair()
    await submit(one, "busy", "steps=2000 delay=0.01", planner_device="")
    await one.until("busy", EventKind.PROGRESS)
    for job in ("next", "unwanted"):
        await submit(one, job)
        await one.until(job, EventKind.SUSPENDED)
        assert one.service.job(job).state is JobState.SUSPENDED
    await one.service.cancel("unwanted")
    assert (await one.until("unwanted"))[-1].kind is EventKind.CANCELLED
    await one.service.cancel("busy")
    assert (await one.until("next"))[-1].kind is EventKind.DONE


async def test_a_job_that_was_planned_has_lost_no_turn(pair):
    """It comes before those of its client that were handed in after it and were waiting for that device meanwhile."""
    one = await pair()
    await submit(one, "busy", "steps=2000 delay=0.01", planner_device="")
    await one.until("busy", EventKind.PROGRESS)
    await submit(one, "first")
    await submit(one, "second", planner_device="")
    await one.until("first", EventKind.SUSPENDED)
    await one.service.cancel("busy")
    await one.until("first")
    await one.until("second")
    assert one.service.job("first").started < one.service.job("second").started


async def test_a_cancel_while_it_is_planned_ends_the_job(pair):
    """At the planner's next step; the device that would render hears nothing of it."""
    one = await pair()
    await submit(one, "song", "steps=2000 delay=0.01")
    await one.until("song", EventKind.PROGRESS)
    await one.service.cancel("song")
    events = await one.until("song")
    assert events[-1].kind is EventKind.CANCELLED and stages(events) == [("cpu:0", "thinking")]


@pytest.mark.parametrize("stored", ["suspended", "running"])
async def test_a_daemon_that_ends_between_plan_and_render_loses_nothing_and_plans_nothing_twice(pair, tmp_path, stored):
    """Whether or not it could still store that the job waits: the plan that is rendered is the one that was made before."""
    one = await pair()
    await submit(one, "busy", "steps=2000 delay=0.01", planner_device="")
    await one.until("busy", EventKind.PROGRESS)
    await submit(one, "song")
    await one.until("song", EventKind.SUSPENDED)
    thinker = next(row["pid"] for row in one.service.status()["devices"] if row["device"] == "cpu:0")
    await one.service.cancel("busy")
    await one.service.pause()
    await one.service.stop()
    database = one.service.paths.database
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE jobs SET state = ?, ended = NULL WHERE id = 'song'", (stored,))
    two = await pair()
    events = await two.until("song")
    assert events[-1].kind is EventKind.DONE
    assert two.service.job("song").result["data"]["cot_text"] == f"fake: thought 1 of {thinker}"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT planned FROM jobs WHERE id = 'song'").fetchone() == (None,)


async def test_a_planner_that_dies_ends_the_job_as_any_worker_does(pair):
    """Once, with the reason; the next job is planned by a new one."""
    one = await pair()
    await submit(one, "song", "steps=2 crash_at=1")
    assert (await one.until("song"))[-1].kind is EventKind.FAILED
    assert one.service.job("song").error["code"] == "worker_died"
    await submit(one, "next")
    assert (await one.until("next"))[-1].kind is EventKind.DONE


@pytest.mark.parametrize(
    ("wish", "kind", "sentence"),
    [
        ({"planner_device": "gpu24"}, UnknownName, "there is no device 'gpu24' here; there is cpu:0, cpu:1"),
        ({"planner_device": "GPU 1"}, BadRequest, "planner_device: 'GPU 1' is not a device"),
        ({"thinking": False}, BadRequest, "this request plans none; set thinking"),
        ({"audio_codes": [1, 2, 3]}, BadRequest, "this request plans none"),
        ({"operation": "plan", "caption": "warm"}, BadRequest, "this request plans none"),
        ({"operation": "example", "device": ""}, BadRequest, "this request plans none"),
    ],
)
async def test_a_device_that_cannot_plan_this_is_refused_at_the_door(pair, wish, kind, sentence):
    """In one sentence that names the field; nothing is stored."""
    one = await pair()
    with pytest.raises(kind, match=sentence) as caught:
        await submit(one, "song", **wish)
    assert caught.value.field == "planner_device" and await one.service.jobs() == []


@pytest.mark.slow
@pytest.mark.long
async def test_nano_sounds_the_same_wherever_it_was_planned(pair, tmp_path):
    """The real engine with the tiny language model: on one device, on two, and with the daemon gone between plan and render."""
    from acestep.planner.tiny import build_tiny

    build_tiny(tmp_path / "models" / "acestep-5Hz-lm-tiny")
    settings = {"backend": "torch", "warm": "off", "threads": 1, "checkpoints": [str(tmp_path / "models")]}
    one = await pair(**settings)
    wish = {"caption": "solo piano", "duration": 2.0, "steps": 2, "length": None, "planner_model": "tiny"}
    await submit(one, "whole", planner_device="", **wish)
    await one.until("whole")
    await submit(one, "apart", **wish)
    await one.until("apart")
    await submit(one, "busy", planner_device="", **{**wish, "duration": 120.0, "steps": 50, "thinking": False})
    await one.until("busy", EventKind.PROGRESS)
    await submit(one, "later", **wish)
    await one.until("later", EventKind.SUSPENDED)
    await one.service.cancel("busy")
    await one.service.stop()
    two = await pair(**settings)
    assert stages(await two.until("later"))[-1][0] == "cpu:1"
    views = [two.service.job(job) for job in ("whole", "apart", "later")]
    assert [view.state for view in views] == [JobState.DONE] * 3 and views[0].result["data"]["model"] == "tiny"
    sounds = [soundfile.read(view.result["files"][0]["path"], dtype="int32")[0].tolist() for view in views]
    assert sounds[0] == sounds[1] == sounds[2]
    assert views[0].result["recipe"] == views[1].result["recipe"] == views[2].result["recipe"]
    assert views[0].result["data"] == views[1].result["data"] == views[2].result["data"]
