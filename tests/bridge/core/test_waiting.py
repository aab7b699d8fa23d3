"""The queue as clients meet it: bounds, turns, priorities, cancel, pause."""

import asyncio

import pytest

from acestep.api.errors import (
    BadRequest,
    Busy,
    UnknownJob,
)
from bridge.core.interface import EventKind, JobState


async def test_past_the_bounds_the_answer_is_busy(desk):
    """A full queue refuses at once and takes jobs again when there is room."""
    one = await desk(queue_length=3, worker_start="lazy")
    await one.service.pause()
    for number in range(3):
        await one.submit("", f"j{number}")
    with pytest.raises(Busy):
        await one.submit("", "late")
    assert (await one.submit("", "j1")).id == "j1", "a retry is answered from the table even then"
    await one.service.cancel("j0")
    await one.submit("", "late")


async def test_one_client_cannot_fill_the_queue(desk):
    """Its share is bounded; others still get in, and get their turn."""
    one = await desk(jobs_per_client=5)
    await one.service.pause()
    for number in range(5):
        await one.submit("", f"greedy{number}", client="greedy")
    with pytest.raises(Busy):
        await one.submit("", "more", client="greedy")
    await one.submit("", "modest", client="modest")
    await one.service.resume()
    await asyncio.gather(*(one.until(f"greedy{number}") for number in range(5)), one.until("modest"))
    order = sorted(await one.service.jobs(), key=lambda view: view.started)
    assert [view.id for view in order].index("modest") <= 1


async def test_priority_decides_who_goes_first(desk):
    """Out of range it is refused."""
    one = await desk()
    await one.service.pause()
    for job, priority in (("low", -1), ("normal", 0), ("high", 3)):
        await one.submit("", job, priority=priority)
    assert [one.service.job(job).position for job in ("high", "normal", "low")] == [1, 2, 3]
    await one.service.resume()
    await asyncio.gather(*(one.until(job) for job in ("low", "normal", "high")))
    started = {view.id: view.started for view in await one.service.jobs()}
    assert started["high"] < started["normal"] < started["low"]
    with pytest.raises(BadRequest):
        await one.submit("", priority=11)


async def test_cancelling_a_queued_job_ends_it_at_once(desk):
    """It never runs; a second cancel changes nothing; a done job stays done."""
    one = await desk()
    await one.submit("steps=1000 delay=0.01", "running")
    await one.submit("", "queued")
    view = await one.service.cancel("queued")
    assert view.state is JobState.CANCELLED and view.started is None
    assert (await one.service.cancel("queued")).seq == view.seq
    await one.service.cancel("running")
    await one.until("running")
    done = await one.run("", "done")
    assert (await one.service.cancel("done")).state is done.state is JobState.DONE
    with pytest.raises(UnknownJob):
        await one.service.cancel("never")


async def test_a_cancelled_running_job_leaves_no_files(desk):
    """Neither in the library nor in the staging."""
    one = await desk()
    await one.submit("steps=1000 delay=0.01", "x")
    await one.until("x", EventKind.PROGRESS)
    await one.service.cancel("x")
    assert (await one.until("x"))[-1].kind is EventKind.CANCELLED
    await one.run("", "next")
    assert [path.name for path in one.service.paths.library.iterdir()] == ["next"]
    assert list(one.service.paths.staging.iterdir()) == []


async def test_a_job_cancelled_while_it_is_stored_is_cancelled(desk):
    """Submit and cancel sent together, in this order."""
    one = await desk()
    await one.service.pause()
    submitting = asyncio.create_task(one.submit("", "x"))
    await asyncio.sleep(0)
    assert (await one.service.cancel("x")).state is JobState.CANCELLED
    await submitting


async def test_pause_resume_and_clear(desk):
    """While paused nothing starts and everything else works; clear empties the queue."""
    one = await desk()
    await one.service.pause()
    for number in range(3):
        await one.submit("", f"j{number}")
    await asyncio.sleep(0.1)
    assert one.service.status()["queue"] == {"length": 3, "running": [], "paused": True, "clients": {"me": 3}}
    assert await one.service.clear() == 3
    assert {view.state for view in await one.service.jobs()} == {JobState.CANCELLED}
    await one.submit("", "last")
    await one.service.resume()
    await one.until("last")
