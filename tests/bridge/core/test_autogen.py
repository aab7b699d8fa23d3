"""AutoGen: batches of low priority one after another, bounded, stoppable, kept over a restart."""

from __future__ import annotations

import asyncio

import pytest

from acestep.api.errors import AceError, BadRequest
from bridge.core.autogen import PRIORITY
from bridge.core.interface import JobState, Submission

QUICK = {"caption": "fake: steps=1", "length": 480}


async def ended(service, seconds: float = 60.0) -> dict:
    """The order once it has ended."""
    async with asyncio.timeout(seconds):
        while (state := service.order())["state"] == "running":
            await asyncio.sleep(0.02)
    return state


async def test_an_order_makes_its_batches_and_ends(desk):
    """One after the other, with seeds of their own, behind everything else; then it ends and says so."""
    service = (await desk()).service
    assert service.order() == {"state": "none"}
    order = Submission(operation="generate", params={**QUICK, "seed": 10, "variants": 2})
    begun = await service.start_order(order, 3, "me")
    assert begun["state"] == "running" and len(begun["jobs"]) == 1
    with pytest.raises(BadRequest, match="already running"):
        await service.start_order(order, 3, "me")
    found = await ended(service)
    assert (found["done"], found["reason"], len(found["jobs"])) == (3, "all batches are made", 3)
    views = [service.job(job) for job in found["jobs"]]
    assert {view.state for view in views} == {JobState.DONE} and {view.priority for view in views} == {PRIORITY}
    assert [view.request["stages"][0]["seeds"][0] for view in views] == [10, 11, 12]
    assert (await service.start_order(Submission(operation="generate", params=QUICK), 1, "me"))["done"] == 0
    await ended(service)


async def test_never_more_than_one_batch_waits_and_stop_takes_it_back(desk):
    """While a batch is not done no other is handed in; what is stopped stays stopped."""
    service = (await desk()).service
    await service.pause()
    begun = await service.start_order(Submission(operation="generate", params=QUICK), 10, "me")
    await asyncio.sleep(0.1)
    assert len(service.order()["jobs"]) == 1
    found = await service.stop_order()
    assert (found["state"], found["reason"], found["done"]) == ("ended", "stopped on request", 0)
    assert service.job(begun["jobs"][0]).state is JobState.CANCELLED
    assert (await service.stop_order())["reason"] == "stopped on request"


async def test_an_order_goes_on_after_a_restart(desk):
    """No batch is lost and none is made twice."""
    first = await desk()
    await first.service.pause()
    begun = await first.service.start_order(Submission(operation="generate", params=QUICK), 2, "me")
    await first.service.stop()
    second = (await desk()).service
    found = await ended(second)
    assert (found["id"], found["done"]) == (begun["id"], 2)
    assert found["jobs"] == [f"{begun['id']}-1", f"{begun['id']}-2"]
    assert len(await second.jobs(search=begun["id"])) == 2
    await second.stop()
    assert (await desk()).service.order()["reason"] == "all batches are made"


async def test_what_the_door_refuses_is_no_order(desk):
    """A wrong request is refused as any other, and nothing stands."""
    service = (await desk()).service
    for order, field in (
        (Submission(operation="generate", params={"steps": 0}), "steps"),
        (Submission(operation="generate", params={**QUICK, "seeds": [1]}), "params.seeds"),
        (Submission(operation="compose-me", params={}), None),
    ):
        with pytest.raises(AceError) as caught:
            await service.start_order(order, 3, "me")
        assert caught.value.field == field
    assert service.order() == {"state": "none"}


async def test_a_batch_that_fails_ends_the_order(desk):
    """It does not go on against a wall; the reason is told."""
    service = (await desk()).service
    failing = {**QUICK, "caption": "fake: fail=out_of_memory fail_at=0"}
    await service.start_order(Submission(operation="generate", params=failing), 5, "me")
    found = await ended(service)
    assert (found["done"], found["reason"]) == (0, "batch 1 was not made: failed")
