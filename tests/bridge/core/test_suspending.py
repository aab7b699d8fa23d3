"""Jobs that step aside: they make way for any other, keep their place and progress, and outlive workers while they get on."""

from __future__ import annotations

import asyncio

import pytest

from bridge.core.interface import EventKind, JobState, Submission


@pytest.fixture
async def hall(desk, steps_aside):
    """A core whose operation `long` steps aside."""

    async def start(**settings):
        return await desk(plugin_folder=steps_aside, **settings)

    return start


async def begin(desk, script, job="long", **params):
    """Submit a long job and wait until it has done a step."""
    await desk.service.submit(
        Submission(operation="long", params={"script": f"fake: {script}", **params}, id=job), "me"
    )
    await desk.until(job, EventKind.PROGRESS)


async def test_it_makes_way_and_continues(hall):
    """The waiting job runs at once; meanwhile the long one is suspended with its progress, then it goes on to its end."""
    desk = await hall()
    await begin(desk, "steps=40 delay=0.05")
    short = asyncio.create_task(desk.run("steps=20 delay=0.05", "short", client="another"))
    events = await desk.until("long", EventKind.SUSPENDED)
    told = events[-1].data
    view = desk.service.job("long")
    assert view.state is JobState.SUSPENDED and view.position == 1
    assert view.progress["fraction"] == told["fraction"] > 0 and told["reason"]
    assert (await short).state is JobState.DONE
    assert desk.service.job("long").state is not JobState.DONE
    rest = await desk.until("long")
    fractions = [event.data["fraction"] for event in [*events, *rest] if "fraction" in event.data]
    assert fractions == sorted(fractions)
    ended = desk.service.job("long")
    assert ended.state is JobState.DONE and ended.attempt == 1


async def test_it_can_be_told_not_to(hall):
    """With step_aside off the others wait."""
    desk = await hall()
    await begin(desk, "steps=12 delay=0.05", step_aside=False)
    short = await desk.run("steps=1", "short")
    assert short.state is JobState.DONE and desk.service.job("long").state is JobState.DONE
    assert desk.service.job("long").ended <= short.started
    assert [event.kind for event in desk.service._tracker.events("long", -1)].count(EventKind.SUSPENDED) == 0


async def test_two_of_them_do_not_push_each_other_aside(hall):
    desk = await hall()
    await begin(desk, "steps=10 delay=0.03", "first")
    await desk.service.submit(Submission(operation="long", params={"script": "fake: steps=3"}, id="second"), "me")
    events = await desk.until("second")
    assert desk.service.job("first").state is JobState.DONE
    assert EventKind.SUSPENDED not in {event.kind for event in events}


async def test_a_later_long_job_waits_behind_everything(hall):
    """Also when it came first: what does not step aside is taken before it."""
    desk = await hall()
    await desk.service.pause()
    await desk.service.submit(Submission(operation="long", params={"script": "fake: steps=2"}, id="long"), "me")
    await desk.submit("steps=1", "short", client="another", priority=-10)
    assert desk.service.job("long").position == 2
    await desk.service.resume()
    await desk.until("long")
    assert desk.service.job("short").ended <= desk.service.job("long").started


async def test_cancel_while_suspended(hall):
    desk = await hall()
    await begin(desk, "steps=200 delay=0.05")
    await desk.submit("steps=20 delay=0.05", "short")
    await desk.until("long", EventKind.SUSPENDED)
    assert (await desk.service.cancel("long")).state is JobState.CANCELLED
    await desk.until("short")
    assert desk.service.job("short").state is JobState.DONE


async def test_deaths_of_the_worker_count_from_the_last_save(hall):
    """It dies after every third step; it saves every second, so it gets to its end."""
    desk = await hall()
    await begin(desk, "steps=6 save_every=2 crash_at=3")
    await desk.until("long")
    assert desk.service.job("long").state is JobState.DONE
    assert desk.service.status()["worker"]["deaths"] == 2
    assert desk.service.status()["state"] != "degraded"


async def test_no_progress_between_two_deaths_ends_it(hall):
    desk = await hall()
    await begin(desk, "steps=9 crash_at=1")
    await desk.until("long")
    view = desk.service.job("long")
    assert view.state is JobState.FAILED and view.error["code"] == "worker_died" and view.attempt == 2


async def test_it_stays_suspended_over_a_restart(hall):
    """A daemon that stops while it is suspended finds it so, with its progress, and lets it go on."""
    desk = await hall()
    await begin(desk, "steps=30 delay=0.05")
    await desk.submit("steps=100 delay=0.05", "short")
    await desk.until("long", EventKind.SUSPENDED)
    before = desk.service.job("long").progress["fraction"]
    await desk.service.stop()
    desk = await hall()
    found = desk.service.job("long")
    assert found.state is JobState.SUSPENDED and found.progress["fraction"] == before
    await desk.service.cancel("short")
    events = await desk.until("long")
    assert desk.service.job("long").state is JobState.DONE
    assert all(event.data["fraction"] >= before for event in events if event.kind is EventKind.PROGRESS)
