"""Floods: bounded lists, one answer for many repeats, and nobody's status behind somebody else's work."""

from __future__ import annotations

import asyncio

import pytest

from acestep.api.errors import BadRequest
from bridge.core.records import MAX_ENTRIES, MAX_VALUES, body_of
from bridge.doors import limits
from bridge.doors.rpc import codec
from bridge.doors.table import VERBS

LISTS = ("list", "map", "dict")


def test_every_list_of_a_method_is_bounded():
    """But the parameters of a job, whose size the core bounds as a whole."""
    free = [
        f"{verb.name}.{info.name}"
        for verb in VERBS.values()
        for info in verb.parameters
        if info.type.startswith(LISTS) and not info.max_length and info.name != "params"
    ]
    assert free == []


@pytest.mark.parametrize(
    "params",
    [
        {"seeds": list(range(MAX_ENTRIES + 1))},
        {"conditioning": {str(number): 1 for number in range(MAX_ENTRIES + 1)}},
        {"stages": [{"timesteps": [0.5] * 8000}] * 5},
    ],
    ids=["list", "map", "many lists"],
)
def test_a_request_is_bounded_as_a_whole(params):
    """Entries of each container, and values in all."""
    assert sum(map(len, params.values())) < MAX_VALUES
    with pytest.raises(BadRequest) as caught:
        body_of("render", params)
    assert caught.value.limits


async def test_too_many_subscriptions_are_refused_and_repeats_count_once(rpc, core):
    """65,000 ids at once are one short answer; the same id many times is one subscription."""
    client = await rpc()
    await client.ask("job.submit", operation="sketch", params={"hold": True}, id="a")
    for request in ({"ids": [f"j{n}" for n in range(65_000)]}, {"ids": [], "after": {f"j{n}": 0 for n in range(400)}}):
        answer = await client.ask("job.subscribe", **request)
        assert answer.error["code"] == "bad_request"
    other = await rpc()
    assert (await other.ask("job.subscribe", ids=["a"] * 200)).result == {"ids": ["a"]}
    assert len(core.hub) == 2


FLOODS = {
    "describe": ("describe", {}),
    "subscribe": ("job.subscribe", {"ids": [f"j{number}" for number in range(limits.SUBSCRIPTIONS)]}),
    "list": ("job.list", {"limit": 1000}),
    "small": ("ping", {"n": 1}),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_status_is_not_behind_a_flood(rpc, core, kind):
    """Two clients send hundreds of requests at once; a third one's status is answered when most of them still wait."""
    method, params = FLOODS[kind]
    first = await rpc()
    for number in range(limits.SUBSCRIPTIONS):
        await first.ask("job.submit", operation="sketch", params={"steps": 0}, id=f"j{number}")
    enemies = [await rpc(), await rpc()]
    answered = 0

    async def drain(enemy):
        nonlocal answered
        for _ in range(200):
            while not isinstance(await enemy.next(timeout=60), codec.Response):
                pass
            answered += 1

    body = b"".join(codec.request(number, method, params) for number in range(200))
    for enemy in enemies:
        enemy.send(body)
    drains = [asyncio.ensure_future(drain(enemy)) for enemy in enemies]
    await asyncio.sleep(0)
    assert (await first.ask("status")).error is None
    assert answered < 300
    await asyncio.gather(*drains)


async def test_answers_to_a_flood_come_all(rpc):
    """What cannot be taken at once is answered busy; nothing is left out."""
    client = await rpc()
    client.send(b"".join(codec.request(number, "ping", {"n": number}) for number in range(5000)))
    answers = [await client.next(timeout=60) for _ in range(5000)]
    assert {answer.id for answer in answers} == set(range(5000))
