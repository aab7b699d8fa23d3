"""The RPC door over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import stat
import sys

import pytest

from acestep.api.errors import NotAllowed
from bridge.core.interface import EventKind
from bridge.daemon import with_own_token
from bridge.doors import connection as any_connection
from bridge.doors import limits
from bridge.doors.outbox import Outbox
from bridge.doors.rpc import codec
from bridge.doors.rpc.door import RpcDoor
from bridge.settings import Settings


async def test_a_job_runs_from_submit_to_done(rpc, core):
    """The answer first, then notifications named event until the end."""
    core.pace = 0.02
    client = await rpc()
    answer = await client.ask("job.submit", operation="sketch", params={"steps": 2}, id="a")
    assert answer.result == {"id": "a", "seq": 0, "position": 0, "notes": []}
    kinds = []
    while "done" not in kinds:
        event = await client.event()
        assert event["job"] == "a"
        kinds.append(event["kind"])
    assert kinds == ["progress", "result", "done"]
    assert (await client.ask("job.result", id="a")).result["result"]["files"][0]["length"] == 48_000


async def test_an_operation_is_a_method(rpc, core):
    """``op.<operation>`` takes the parameters as the map itself, id and priority beside them."""
    client = await rpc()
    assert (await client.ask("op.sketch", steps=2, id="a", priority=3)).result["id"] == "a"
    assert core.job("a").request == {"steps": 2}
    assert core.job("a").priority == 3


async def test_answers_may_come_in_any_order(rpc, core):
    """A long wait does not hold up what is asked behind it."""
    client = await rpc()
    await client.ask("hello", events=False)
    await client.ask("job.submit", operation="sketch", params={"hold": True}, id="a")
    client.send(codec.request(900, "job.wait", {"id": "a", "after": 1, "timeout": 30.0}))
    assert (await client.ask("ping", n=5)).result == {"n": 5}
    client.send(codec.request(901, "job.cancel", {"id": "a"}))
    answers = {answer.id: answer.result for answer in (await client.next(), await client.next())}
    assert answers.keys() == {900, 901}  # in whichever order: the end of the job is what both tell
    assert answers[900]["terminal"] is True
    assert [event["kind"] for event in answers[900]["events"]] == ["cancelled"]


async def test_submit_and_cancel_in_one_write_are_kept_in_order(rpc):
    """The cancel waits for the submit to be stored."""
    client = await rpc()
    submit = {"operation": "sketch", "params": {"hold": True}, "id": "a"}
    client.send(codec.request(1, "job.submit", submit) + codec.request(2, "job.cancel", {"id": "a"}))
    assert (await client.event("cancelled"))["job"] == "a"


async def test_a_client_goes_on_where_it_was(rpc, core):
    """After a reconnect, subscribe with the last seq gives what was missed, each event once."""
    first = await rpc()
    await first.ask("job.submit", operation="sketch", params={"hold": True, "steps": 3}, id="a")
    seen = (await first.event("progress"))["seq"]
    first.writer.close()
    await core.cancel("a")
    second = await rpc()
    await second.ask("job.subscribe", ids=["a"], after={"a": seen})
    event = await second.event()
    assert (event["seq"] > seen, event["kind"]) == (True, "cancelled")


async def test_all_jobs_can_be_followed(rpc):
    """Without ids every job's events come; after unsubscribe none."""
    watcher, worker = await rpc(), await rpc()
    await watcher.ask("job.subscribe")
    await worker.ask("op.sketch", id="a")
    assert (await watcher.event("done"))["job"] == "a"
    await watcher.ask("job.unsubscribe")
    await worker.ask("op.sketch", id="b")
    await worker.event("done")
    await watcher.ask("ping")
    assert watcher.messages == []


WRONG = [
    ("no.such", {}, "unknown_operation"),
    ("notify", {}, "unknown_operation"),
    ("op.unheard", {}, "unknown_operation"),
    ("op.secret", {}, "feature_disabled"),
    ("op.sketch", {"steps": 2.0}, "bad_request"),
    ("op.sketch", {"nonsense": 1}, "bad_request"),
    ("op.sketch", {"bpm": float("inf")}, "bad_request"),
    ("job.status", {}, "bad_request"),
    ("job.status", {"id": "missing"}, "unknown_job"),
    ("job.subscribe", {"ids": ["missing"]}, "unknown_job"),
    ("job.list", {"states": ["odd"]}, "bad_request"),
    ("job.wait", {"id": "a", "timeout": 1e6}, "bad_request"),
    ("upload.begin", {"name": "x", "size": 0, "sha256": "0" * 64}, "bad_request"),
    ("upload.chunk", {"id": "up-0", "offset": 0, "data": b"x"}, "not_found"),
    ("download.begin", {"id": "missing"}, "unknown_job"),
]


@pytest.mark.parametrize(("method", "params", "code"), WRONG)
async def test_errors_are_typed(rpc, method, params, code):
    """Code, sentence, retryable, field and limits; the connection goes on."""
    client = await rpc()
    error = (await client.ask(method, **params)).error
    assert error["code"] == code
    assert set(error) == {"code", "message", "retryable", "field", "limits"}
    assert (await client.ask("ping", n=1)).result == {"n": 1}


async def test_notifications_are_obeyed_and_never_answered(rpc, core):
    """Also an unknown or a wrong one."""
    client = await rpc()
    client.send(codec.notification("op.sketch", {"id": "a"}) + codec.notification("nvim_error_event", {}))
    client.send(codec.notification("op.sketch", {"steps": -1}))
    assert (await client.event("done"))["job"] == "a"
    assert (await client.ask("ping", n=1)).result == {"n": 1}


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x93\x09\x01\x01", b"\x91" * 40, b"\x94\x00\x01\xa1m\xd4\x01\x01"]
)
async def test_what_is_no_message_ends_only_that_connection(rpc, data):
    """The reason is said, then the connection closes; others go on."""
    bad, good = await rpc(), await rpc()
    bad.send(data)
    goodbye = await bad.next()
    assert (goodbye.method, goodbye.params[0]["reason"]) == ("closing", "bad_packet")
    assert await bad.next() is None
    assert (await good.ask("ping", n=1)).result == {"n": 1}


async def test_a_message_that_is_never_finished_ends_the_connection(rpc, monkeypatch):
    """A peer that stalls in the middle of a message is closed."""
    monkeypatch.setattr(any_connection.limits, "FRAME_SECONDS", 0.05)
    client = await rpc()
    client.send(codec.request(1, "ping", {})[:-1])
    assert (await client.next()).params[0]["reason"] == "bad_packet"


async def test_too_many_requests_at_a_time_are_busy(rpc):
    """A bound for each connection; what is under way goes on."""
    client = await rpc()
    await client.ask("hello", events=False)
    await client.ask("op.sketch", hold=True, id="a")
    for number in range(limits.RPC_IN_FLIGHT + 1):
        client.send(codec.request(1000 + number, "job.wait", {"id": "a", "after": 1, "timeout": 30.0}))
    refused = await client.next()
    assert (refused.id, refused.error["code"], refused.error["retryable"]) == (
        1000 + limits.RPC_IN_FLIGHT,
        "busy",
        True,
    )


async def test_a_slow_client_is_closed_and_the_others_are_not(rpc, rpc_door):
    """What waits for one client is bounded; when that is full the client is parted with, and the others notice nothing."""
    slow, good = await rpc(), await rpc()
    await good.ask("ping")
    await slow.ask("ping")
    slow.writer.transport.pause_reading()
    async with asyncio.timeout(30):
        while rpc_door.connections == 2:
            with contextlib.suppress(ConnectionError):
                slow.send(codec.request(1, "describe", {}) * 20)
            assert (await good.ask("ping", n=1)).result == {"n": 1}


async def test_previews_to_a_slow_client_never_cost_it_the_end(rpc, core):
    """Far more previews than fit wait for a client that does not read: some are left out, the result and the end are not."""
    client = await rpc()
    await client.ask("op.sketch", id="a", hold=True)
    client.writer.transport.pause_reading()
    for number in range(600):
        core._publish("a", EventKind.PREVIEW, {"index": number, "path": "x" * 60_000})
        await asyncio.sleep(0)
    core._publish("a", EventKind.RESULT, {"index": 0})
    await core.cancel("a")
    client.writer.transport.resume_reading()
    kinds = [(await client.event())["kind"]]
    while kinds[-1] != "cancelled":
        kinds.append((await client.event())["kind"])
    assert kinds[-2:] == ["result", "cancelled"] and kinds.count("preview") < 600
    assert (await client.ask("ping", n=1)).result == {"n": 1}


# Tokens


@pytest.fixture
async def locked(dispatcher):
    """A door that asks for a token."""
    door = RpcDoor(dispatcher, token="correct horse")
    await door.listen("127.0.0.1", 0)
    yield door
    await door.close()


async def test_nothing_is_answered_before_the_token(rpc, locked):
    """Every method but hello is refused; after the right token all are open."""
    client = await rpc(locked)
    assert (await client.ask("status")).error["code"] == "unauthorized"
    assert (await client.ask("hello", token="wrong")).error["code"] == "unauthorized"
    assert (await client.ask("hello", token="correct horse", client="me")).result["client"] == "rpc:me"
    assert (await client.ask("status")).result["state"] == "ok"


async def test_five_wrong_tokens_close_the_connection(rpc, locked):
    """Guessing is slow."""
    client = await rpc(locked)
    for _ in range(limits.RPC_BAD_TOKENS):
        assert (await client.ask("hello", token="guess")).error["code"] == "unauthorized"
    assert (await client.next()).params[0]["reason"] == "unauthorized"
    assert await client.next() is None


async def test_a_connection_without_a_token_is_closed_in_time(rpc, locked, monkeypatch):
    """Nobody holds a place without showing one."""
    monkeypatch.setattr(any_connection.limits, "RPC_HELLO_SECONDS", 0.05)
    client = await rpc(locked)
    assert (await client.next()).params[0]["reason"] == "unauthorized"


async def test_without_a_token_only_this_machine_is_listened_to(dispatcher):
    """Anything but loopback is refused at once."""
    with pytest.raises(NotAllowed):
        await RpcDoor(dispatcher).listen("0.0.0.0", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Unix sockets here")
async def test_the_unix_socket_is_for_its_owner_alone(dispatcher, tmp_path):
    """Mode 0600 in a folder of mode 0700, or not at all; it asks for no token and is removed at the end."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    door = RpcDoor(dispatcher, token="secret")
    path = folder / "rpc.sock"
    with pytest.raises(NotAllowed):
        await door.listen_unix(path)
    folder.chmod(0o700)
    await door.listen_unix(path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(codec.request(1, "ping", {"n": 3}))
    assert codec.decode(await reader.read(1000)).result == {"n": 3}
    await door.close()
    assert not path.exists()
    writer.close()


async def test_heartbeats_close_a_silent_client_that_asked_for_them(rpc, monkeypatch):
    """Whoever wants heartbeats must answer them; an answering client stays."""
    monkeypatch.setattr(any_connection.limits, "HEARTBEAT_SECONDS", 1.5)  # a busy machine answers within that, too
    silent, awake = await rpc(), await rpc()
    await silent.ask("hello", heartbeat=True)
    await awake.ask("hello", heartbeat=True)
    for _ in range(3):
        beat = await awake.next()
        assert isinstance(beat, codec.RpcRequest)
        awake.send(codec.response(beat.id, None, {}))
    while isinstance(message := await silent.next(), codec.RpcRequest):
        pass
    assert message.params[0]["reason"] == "silent"


async def test_vanished_peers_are_probed(rpc, rpc_door):
    """The system finds out about a peer that went without a word, so its place is free again."""
    client = await rpc()
    await client.ask("ping")
    served = next(iter(rpc_door._network.crowd))._transport.get_extra_info("socket")
    assert served.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


# Files


async def test_an_upload_is_taken_up_again_after_a_break(rpc, dispatcher):
    """A second client begins with the same facts and goes on at the offset; the sum is checked at the end."""
    data = os.urandom(limits.CHUNK + 1000)
    facts = {"name": "loop.wav", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    first = await rpc()
    begun = (await first.ask("upload.begin", **facts)).result
    await first.ask("upload.chunk", id=begun["id"], offset=0, data=data[: limits.CHUNK])
    first.writer.close()
    second = await rpc()
    again = (await second.ask("upload.begin", **facts)).result
    assert (again["id"], again["received"], again["complete"]) == (begun["id"], limits.CHUNK, False)
    gap = await second.ask("upload.chunk", id=begun["id"], offset=limits.CHUNK + 1, data=b"x")
    assert gap.error["limits"] == {"received": limits.CHUNK}
    rest = await second.ask("upload.chunk", id=begun["id"], offset=limits.CHUNK, data=data[limits.CHUNK :])
    assert rest.result["complete"]
    assert dispatcher.uploads.path(begun["id"]).read_bytes() == data
    assert (await second.ask("upload.status", id=begun["id"])).result["complete"]
    await second.ask("upload.drop", id=begun["id"])
    assert (await second.ask("upload.status", id=begun["id"])).error["code"] == "not_found"


async def test_a_result_is_fetched_in_pieces(rpc, core):
    """Any piece from any offset; the last one says so."""
    client = await rpc()
    await client.ask("op.sketch", id="abcd")
    await client.event("done")
    facts = (await client.ask("download.begin", id="abcd")).result
    assert (facts["name"], facts["size"]) == ("abcd.wav", 40_000)
    piece = (await client.ask("download.chunk", id="abcd", offset=39_998, length=100)).result
    assert (piece["data"], piece["last"]) == (b"cd", True)
    assert (await client.ask("download.begin", id="abcd", index=1)).error["code"] == "not_found"


# The outbox


def test_progress_of_a_job_is_merged():
    """The newest stands at the end, so that the seqs of a job still grow."""
    box = Outbox()
    for data, merge in ((b"p1", "a"), (b"result", ""), (b"p2", "a")):
        assert box.put(data, merge)
    assert [box.take() for _ in range(len(box))] == [b"result", b"p2"]
    assert box.bytes == 0


def test_a_full_outbox_drops_progress_before_it_gives_up():
    """Room is made by dropping progress; new progress is dropped itself; anything else is refused."""
    box = Outbox(messages=2, size=100)
    assert box.put(b"p", "a")
    assert box.put(b"one")
    assert box.put(b"two")
    assert box.put(b"p", "b")
    assert [box.take(), box.take()] == [b"one", b"two"]
    assert not box.put(b"x" * 101)
    box.put(b"x")
    box.clear()
    assert (len(box), box.bytes) == (0, 0)


def test_windows_gets_a_token_of_its_own():
    """There the loopback port has no owner; elsewhere the Unix socket's rights do, and a token that was set stays."""
    made = with_own_token(Settings(), "nt").token
    assert len(made) >= 32
    assert with_own_token(Settings(), "nt").token != made
    assert with_own_token(Settings(token="mine"), "nt").token == "mine"
    assert with_own_token(Settings(), "posix").token == ""


async def test_jobs_end_with_a_client_that_wants_it_so(rpc, rpc_door, core):
    """However it goes; those of other clients, and of a daemon that stops, do not."""
    leaving, staying = await rpc(), await rpc()
    await leaving.ask("hello", cancel_on_close=True)
    await leaving.ask("op.sketch", hold=True, id="a")
    await staying.ask("op.sketch", hold=True, id="b")
    await staying.ask("job.subscribe", ids=["a"])
    leaving.writer.transport.abort()
    assert (await staying.event("cancelled"))["job"] == "a"
    third = await rpc()
    await third.ask("hello", cancel_on_close=True)
    await third.ask("op.sketch", hold=True, id="c")
    await rpc_door.close()
    with contextlib.suppress(ConnectionError):
        while await third.next() is not None:
            pass
    assert [str(core.job(job).state) for job in "abc"] == ["cancelled", "running", "running"]
