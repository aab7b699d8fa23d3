"""Floods: bounded lists, one answer for many repeats, and nobody's status behind somebody else's work."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from acestep.api.errors import BadRequest
from bridge.core.records import MAX_ENTRIES, MAX_VALUES, digest_of
from bridge.doors import limits
from bridge.doors.methods import METHODS
from bridge.doors.osc.allow import AllowList
from bridge.doors.osc.answers import ANSWERS
from bridge.doors.osc.door import OscDoor
from bridge.doors.osc.messages import encode
from bridge.doors.osc.sockets import OscSockets
from bridge.doors.rpc import codec

from .test_osc_door import bundle

LISTS = ("list", "map", "dict")


def test_every_list_of_a_method_is_bounded():
    """But the parameters of a job, whose size the core bounds as a whole."""
    free = [
        f"{method.name}.{info.name}"
        for method in METHODS.values()
        for info in method.parameters
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
        digest_of("render", params)
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


# Echoes and bounds of a sender over OSC


async def test_the_daemon_does_not_talk_to_itself(udp, osc_door):
    """Its own port is refused as a listener's, by whatever address of this machine."""
    peer = await udp()
    peer.send("/ace/notify", 1, osc_door.address["udp"])
    answer = await peer.next("/ace/error")
    assert answer.arguments[1:3] == ("bad_request", "port")
    assert osc_door.door.peers.registered() == 0


@pytest.mark.parametrize("address", sorted(ANSWERS))
async def test_what_a_daemon_says_is_never_answered(udp, osc_door, address):
    """Two daemons that were told of each other fall silent; so does one that hears its own words."""
    peer = await udp()
    peer.send(address, "x", 1, 2)
    peer.send("/ace/ping", 1)
    assert (await peer.next()).address == "/ace/ping"
    assert osc_door.door.counters.echoes == 1


async def test_two_daemons_that_hear_each_other_fall_silent(osc_door, dispatcher, udp):
    """Each is registered with the other: a few messages, then nothing."""
    other = OscSockets(OscDoor(dispatcher, AllowList()), "127.0.0.1", 0)
    address = await other.open()
    loop = asyncio.get_running_loop()
    sender = osc_door._datagrams[socket.AF_INET]
    sender.sendto(encode("/ace/notify", [1]), ("127.0.0.1", address["udp"]))
    back = other._datagrams[socket.AF_INET]
    back.sendto(encode("/ace/notify", [1]), ("127.0.0.1", osc_door.address["udp"]))
    await asyncio.sleep(0.3)
    seen = osc_door.door.counters.packets + other.door.counters.packets
    assert seen < 20
    await asyncio.sleep(0.3)
    assert osc_door.door.counters.packets + other.door.counters.packets == seen
    assert loop.is_running()
    await other.close()


async def test_senders_with_drafts_lock_nobody_out(osc_door, udp):
    """As many as may be and more fill a draft each; the next one fills its own and submits, and who has a job keeps its place."""
    owner = await udp()
    owner.send("/ace/op/sketch", "long", "hold", 1)
    await owner.next("/ace/accepted")
    with contextlib.ExitStack() as stack:
        for number in range(limits.OSC_PEERS + 50):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.sendto(encode("/ace/op/sketch/steps", [number % 5]), ("127.0.0.1", osc_door.address["udp"]))
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        late = await udp()
        late.send("/ace/op/sketch/steps", 2)
        late.send("/ace/op/sketch", 1)
        assert (await late.next("/ace/accepted", "/ace/rejected")).address == "/ace/accepted"
    owner.send("/ace/job/cancel", "long")
    assert (await owner.next("/ace/cancelled")).arguments[0] == "long"


async def test_dated_bundles_of_one_sender_leave_room_for_others(osc_door, udp):
    """1,100 of one sender: some wait, the rest is refused as busy; another sender's bundle is taken."""
    flood, other = await udp(), await udp()
    dated = bundle(30.0, encode("/ace/ping", [1]))
    for number in range(1100):
        flood.send_raw(dated)
        if number % 100 == 0:
            await asyncio.sleep(0.01)
    assert (await flood.next("/ace/error")).arguments[1] == "busy"
    other.send_raw(bundle(0.2, encode("/ace/ping", [7])))
    assert (await other.next()).arguments == (7,)
    assert len(osc_door.door.schedule) == limits.OSC_SENDER_SCHEDULED
