"""Rights: what each method and operation asks for, and what a caller from another machine meets at the OSC door."""

from __future__ import annotations

import asyncio

import pytest

from acestep.api.errors import BadRequest
from acestep.api.rights import Right
from bridge.core.access import OWNER, Access
from bridge.core.interface import Submission
from bridge.doors.methods import METHODS
from bridge.doors.osc.allow import AllowList
from bridge.doors.osc.codec import Message
from bridge.doors.osc.grammar import parse
from bridge.doors.reference import built_in, osc_example

from .conftest import UdpPeer

STRANGER, OTHER = "127.0.0.2", "127.0.0.3"
"""Two addresses of this machine that the door below takes for other machines' of the allow list."""

FOR_ANYBODY = {
    "hello", "ping", "version", "status", "describe", "models.list", "notify", "sync", "job.submit", "job.check",
    "job.status", "job.wait", "job.rerun", "job.cancel", "job.list", "job.result", "job.subscribe", "job.unsubscribe",
}  # fmt: skip
"""What a stranger may call; everything it can learn or change there is about its own jobs, or about what there is to ask for."""

STORE = {"latents", "latent", "latent-pin", "latent-delete", "decode", "loras"}


@pytest.fixture
async def stranger(osc_door):
    """``await stranger()``: a client that the door takes for another machine; one ``host`` or the other."""
    plain = osc_door.door._allow.access
    osc_door.door._allow.access = lambda host: (
        Access(Right.ANYBODY, f"osc:{host}") if host in (STRANGER, OTHER) else plain(host)
    )
    made = []

    async def make(host=STRANGER):
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_datagram_endpoint(
            UdpPeer, local_addr=(host, 0), remote_addr=("127.0.0.1", osc_door.address["udp"])
        )
        made.append(peer)
        return peer

    yield make
    for peer in made:
        peer.transport.close()


def test_every_method_says_who_may_call_it():
    """The table holds the right of every method; what is not on the list of harmless ones is the owner's."""
    assert {name for name, method in METHODS.items() if method.right is Right.ANYBODY} == FOR_ANYBODY


def test_every_operation_says_who_may_submit_it():
    """Renders and planning are anybody's; what touches models and latents is the owner's, and so is a plug-in's by default."""
    from acestep.api import Operation

    operations = built_in().operations
    owners = {name for name, operation in operations.items() if operation.right >= Right.OWNER}
    assert owners >= STORE | {"model-info", "model-download", "model-verify", "model-remove"}
    renders = {name for name, operation in operations.items() if operation.stage or operation.preset}
    assert {"generate", "repaint", "cover", "extract"} <= renders
    assert not owners & (renders | {"render", "plan", "compose", "understand"})
    assert Operation(name="x", summary="", schema=Submission).right is Right.OWNER


@pytest.mark.parametrize(
    "method", [v for v in METHODS.values() if v.osc and v.right > Right.ANYBODY], ids=lambda method: method.osc
)
async def test_a_stranger_is_refused_what_is_the_owners(method, stranger, core):
    """Every such address answers with not_allowed, and nothing happens."""
    peer = await stranger()
    words = tuple(method.example[name] for name in method.positional if name in method.example)
    assert parse(Message(method.osc, words), None), osc_example(method)
    peer.send(
        method.osc, *(str(word) if isinstance(word, dict) else word for word in words if not isinstance(word, dict))
    )
    answer = await peer.next()
    assert answer.address == "/ace/error"
    assert answer.arguments[:2] == (method.osc, "not_allowed")
    assert not core.paused


async def test_a_stranger_sees_and_cancels_its_own_jobs_only(udp, stranger, core):
    """The owner's job is to it as if there were none, in every call that names a job; its own from any of its ports."""
    owner, peer = await udp(), await stranger()
    owner.send("/ace/op/sketch", "secret", "hold", 1, "caption", "my new song")
    await owner.next("/ace/accepted")
    for address in ("/ace/job/status", "/ace/job/result", "/ace/job/rerun", "/ace/job/cancel"):
        peer.send(address, "secret")
        answer = await peer.next("/ace/error")
        assert answer.arguments[:2] == (address, "unknown_job")
    peer.send("/ace/job/list")
    assert (await peer.next("/ace/job/list")).arguments == (0, 0)
    peer.send("/ace/op/sketch", "mine", "hold", 1)
    await peer.next("/ace/accepted")
    port, elsewhere = await stranger(), await stranger(OTHER)
    port.send("/ace/job/list")
    assert (await port.next("/ace/job/list")).arguments[:3] == (0, 1, "mine")
    elsewhere.send("/ace/job/cancel", "mine")
    assert (await elsewhere.next("/ace/error")).arguments[1] == "unknown_job"
    port.send("/ace/job/cancel", "mine")
    assert (await peer.next("/ace/cancelled")).arguments[0] == "mine"
    assert not core.job("secret").state.terminal


async def test_a_strangers_lease_brings_its_own_events_only(udp, stranger):
    """What the owner does is not told to it; what another of its ports does is."""
    owner, peer, port = await udp(), await stranger(), await stranger()
    peer.send("/ace/notify", 1)
    await peer.next("/ace/notify")
    owner.send("/ace/op/sketch", "secret", "caption", "my new song")
    await owner.until_end("secret")
    port.send("/ace/op/sketch", "mine")
    found = await peer.until_end("mine")
    assert {message.arguments[0] for message in found} == {"mine"}
    assert peer.messages.empty()


async def test_a_strangers_submit_does_not_meet_the_owners_job(udp, stranger):
    """The same id with the same request is a conflict, not a way to follow the owner's job."""
    owner, peer = await udp(), await stranger()
    owner.send("/ace/op/sketch", "take-1", "hold", 1)
    await owner.next("/ace/accepted")
    peer.send("/ace/op/sketch", "take-1", "hold", 1)
    assert (await peer.next()).arguments[:2] == ("take-1", "id_conflict")
    owner.send("/ace/job/cancel", "take-1")
    await owner.next("/ace/cancelled")
    assert peer.messages.empty()


async def test_a_stranger_learns_no_folder_of_this_machine(stranger):
    """Status says version and state; where things lie and who else works here stays out."""
    peer = await stranger()
    peer.send("/ace/status")
    first = await peer.next("/ace/status")
    keys = [first.arguments[2], *[(await peer.next("/ace/status")).arguments[2] for _ in range(first.arguments[1] - 1)]]
    assert set(keys) <= {"program", "version", "protocol", "state", "uptime", "model"}


@pytest.mark.parametrize(
    ("entries", "host", "right"),
    [
        (["192.168.1.20=owner"], "192.168.1.20", Right.OWNER),
        (["192.168.1.20=owner", "192.168.1.0/24"], "192.168.1.20", Right.OWNER),
        (["192.168.1.20=owner", "192.168.1.0/24"], "192.168.1.21", Right.ANYBODY),
        (["192.168.1.0/24 = owner"], "::ffff:192.168.1.9", Right.OWNER),
        (["fe80::/10=owner"], "fe80::1%eth0", Right.OWNER),
        ([], "127.0.0.1", Right.OWNER),
        ([], "::1", Right.OWNER),
    ],
)
def test_the_setting_marks_the_owners_addresses(entries, host, right):
    """An address or a network with =owner is the owner's; this machine always is; whoever else is listed is anybody."""
    allow = AllowList(entries)
    assert allow.admits(host)
    assert allow.access(host).right is right


@pytest.mark.parametrize(
    "entry", ["192.168.1.20=admin", "192.168.1.20=", "nonsense=owner", "=owner", "192.168.1.20=owner=x"]
)
def test_other_marks_are_refused(entry):
    """One sentence that names the setting."""
    with pytest.raises(BadRequest) as caught:
        AllowList([entry])
    assert caught.value.field == "osc_allow"


def test_jobs_belong_to_a_machine():
    """Not to a port, and not to a machine whose address begins alike."""
    access = Access(Right.ANYBODY, "osc:192.168.1.2")
    assert access.owns("osc:192.168.1.2:9000")
    assert not access.owns("osc:192.168.1.20:9000")
    assert not access.owns("rpc:osc:192.168.1.2:1")
    assert not access.owns("")
    assert Access(Right.ANYBODY, "osc:fe80::1").owns("osc:fe80::1:9000")
    assert OWNER.owns("anybody")
