"""Events reach a client once and in order, whatever subscriptions overlap and however often it is cut off."""

from __future__ import annotations

import asyncio

from bridge.core import events
from bridge.core.interface import EventKind, Submission
from bridge.doors.following import Follower


async def hold(core, job="a"):
    await core.submit(Submission(operation="sketch", params={"hold": True, "steps": 0}, id=job), "c")


async def settle(follower):
    async with asyncio.timeout(5):
        while follower.busy:
            await asyncio.sleep(0.005)


async def test_following_one_job_and_all_jobs_gives_each_event_once(core):
    """The subscription to all takes the others over, with what they have seen."""
    heard = []
    follower = Follower(core, "c", heard.append)
    await hold(core)
    follower.follow("a", -1)
    follower.follow("a", -1)
    await asyncio.sleep(0.01)
    follower.follow_all({})
    follower.follow_all({})
    follower.follow("a", -1)
    await core.cancel("a")
    await asyncio.sleep(0.02)
    assert [event.kind for event in heard] == [EventKind.ACCEPTED, EventKind.CANCELLED]
    follower.close()


async def test_a_reader_that_was_cut_off_goes_on_where_it_was(core, monkeypatch):
    """The core drops a subscription with too much unread; the next one begins behind the last event seen."""
    monkeypatch.setattr(events, "MAX_UNREAD", 20)
    heard = []
    follower = Follower(core, "c", heard.append)
    await hold(core)
    follower.follow("a", -1)
    await asyncio.sleep(0.01)
    for _ in range(30):
        core._publish("a", EventKind.RESULT, {})
    monkeypatch.undo()
    await core.cancel("a")
    await settle(follower)
    seqs = [event.seq for event in heard]
    assert heard[-1].kind is EventKind.CANCELLED
    assert seqs == list(range(32))


async def test_unfollowed_jobs_are_silent(core):
    """No event comes any more, and nothing is left open in the core."""
    heard = []
    follower = Follower(core, "c", heard.append)
    await hold(core)
    follower.follow("a", 0)
    await asyncio.sleep(0.01)
    follower.unfollow(["a"])
    await core.cancel("a")
    await asyncio.sleep(0.01)
    assert heard == []
    assert len(core.hub) == 0
