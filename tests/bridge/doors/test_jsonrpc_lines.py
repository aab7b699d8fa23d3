"""JSON-RPC as lines, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat

import pytest

from acestep.api.errors import NotAllowed
from bridge.doors import limits
from bridge.doors.jsonrpc.door import JsonRpcDoor

TOKEN = "a-secret"


@pytest.fixture
async def json_door(dispatcher, tmp_path):
    """A door with a token, open on TCP and on a local socket."""
    folder = tmp_path / "s"
    folder.mkdir(mode=0o700)
    door = JsonRpcDoor(dispatcher, token=TOKEN)
    await door.listen("127.0.0.1", 0)
    await door.listen_unix(folder / "json-rpc.sock")
    yield door
    await door.close()


class LinePeer:
    """A bare client, so that tests see every line."""

    def __init__(self, reader, writer):
        self.reader, self.writer, self.number, self.unasked = reader, writer, 0, []

    def send(self, *messages):
        """Some messages in one write: maps and lists as JSON, bytes as they are."""
        self.writer.write(b"".join(m if isinstance(m, bytes) else json.dumps(m).encode() + b"\n" for m in messages))

    async def next(self):
        """The next message; None at the end of the stream."""
        async with asyncio.timeout(10):
            line = await self.reader.readline()
        return json.loads(line) if line else None

    async def ask(self, method, **params):
        """The answer to a request; notifications that come before it are kept."""
        self.number += 1
        self.send(call(self.number, method, **params))
        while (message := await self.next()).get("id") != self.number:
            self.unasked.append(message)
        return message

    async def event(self, *kinds):
        """The next event of these kinds."""
        while True:
            message = self.unasked.pop(0) if self.unasked else await self.next()
            if (
                isinstance(message, dict)
                and message.get("method") == "event"
                and (not kinds or message["params"]["kind"] in kinds)
            ):
                return message["params"]


def call(id, method, /, **params):
    """A request."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


@pytest.fixture
async def peers(json_door):
    """Makes clients: ``peers("local")`` on the socket, ``peers("tcp")``, ``peers("known")`` over TCP after hello."""
    made = []

    async def make(kind="local"):
        if kind == "local":
            peer = LinePeer(*await asyncio.open_unix_connection(json_door.address["socket"]))
        else:
            peer = LinePeer(*await asyncio.open_connection("127.0.0.1", json_door.address["port"]))
        made.append(peer)
        if kind == "known":
            assert "result" in await peer.ask("hello", token=TOKEN)
        return peer

    yield make
    for peer in made:
        peer.writer.close()
        with contextlib.suppress(OSError):
            await peer.writer.wait_closed()


@pytest.mark.parametrize("kind", ["local", "known"])
async def test_a_job_runs_from_submit_to_done(peers, core, kind):
    """The answer first, then notifications named event until the end."""
    core.pace = 0.02
    client = await peers(kind)
    answer = await client.ask("op.sketch", steps=2, id="a", priority=3)
    assert answer["result"] == {"id": "a", "seq": 0, "position": 0, "notes": []}
    assert [(await client.event())["kind"] for _ in range(3)] == ["progress", "result", "done"]
    assert core.job("a").priority == 3
    assert (await client.ask("job.result", id="a"))["result"]["result"]["files"][0]["length"] == 48_000


WRONG = [
    ("no.such", {}, -32601, "unknown_operation"),
    ("notify", {}, -32601, "unknown_operation"),
    ("op.unheard", {}, -32601, "unknown_operation"),
    ("job.submit", {"operation": "unheard"}, -32602, "unknown_operation"),
    ("op.secret", {}, -32000, "feature_disabled"),
    ("op.sketch", {"nonsense": 1}, -32602, "bad_request"),
    ("op.sketch", {"steps": 2.5}, -32602, "bad_request"),
    ("job.status", {}, -32602, "bad_request"),
    ("job.status", {"id": "missing"}, -32000, "unknown_job"),
    ("upload.chunk", {"id": "up-0", "offset": 0, "data": "eA=="}, -32000, "not_found"),
]


@pytest.mark.parametrize(("method", "params", "number", "code"), WRONG)
async def test_errors_are_typed(peers, method, params, number, code):
    """Number of the specification; code, retryable, field and limits in data; the connection goes on."""
    client = await peers()
    error = (await client.ask(method, **params))["error"]
    assert (error["code"], error["data"]["code"]) == (number, code)
    assert set(error["data"]) == {"code", "retryable", "field", "limits"}
    assert error["message"]
    assert (await client.ask("ping", n=1))["result"] == {"n": 1}


async def test_params_by_position_are_refused_and_an_empty_array_is_none(peers):
    """As Lua's JSON writes an empty table."""
    client = await peers()
    client.send({"jsonrpc": "2.0", "id": 1, "method": "version", "params": []})
    assert "result" in await client.next()
    client.send({"jsonrpc": "2.0", "id": 2, "method": "job.status", "params": ["a"]})
    error = (await client.next())["error"]
    assert (error["code"], error["data"]["field"]) == (-32602, "params")


async def test_a_batch_gets_one_answer_and_events_behind_it(peers):
    """Calls, notifications, wrong entries together; what notifies gets no answer."""
    client = await peers()
    client.send(
        [
            call(1, "ping", n=1),
            {"jsonrpc": "2.0", "method": "ping"},
            5,
            call("b", "op.sketch", id="a"),
            call(3, "no.such"),
        ]
    )
    answers = await client.next()
    found = {answer["id"]: answer.get("result") or answer["error"]["code"] for answer in answers}
    assert found == {1: {"n": 1}, None: -32600, "b": {"id": "a", "seq": 0, "position": 0, "notes": []}, 3: -32601}
    assert (await client.event("done"))["job"] == "a"
    client.send([{"jsonrpc": "2.0", "method": "ping"}])
    assert (await client.ask("ping", n=2))["result"] == {"n": 2}
    assert client.unasked == []


async def test_submit_and_cancel_in_one_write_are_kept_in_order(peers):
    """The cancel waits for the submit to be stored; as two lines and as one batch."""
    client = await peers()
    for id, pack in (("a", lambda *calls: calls), ("b", lambda *calls: [list(calls)])):
        client.send(*pack(call(1, "op.sketch", hold=True, id=id), call(2, "job.cancel", id=id)))
        assert (await client.event("cancelled"))["job"] == id


async def test_notifications_are_obeyed_and_never_answered(peers):
    """Also an unknown or a wrong one."""
    client = await peers()
    client.send(
        {"jsonrpc": "2.0", "method": "op.sketch", "params": {"id": "a"}},
        {"jsonrpc": "2.0", "method": "no.such"},
        {"jsonrpc": "2.0", "method": "op.sketch", "params": {"steps": -1}},
    )
    assert (await client.event("done"))["job"] == "a"
    assert (await client.ask("ping", n=1))["result"] == {"n": 1}
    assert [message for message in client.unasked if message.get("method") != "event"] == []


async def test_a_client_goes_on_where_it_was(peers, core):
    """After a reconnect, subscribe with the last seq gives what was missed, each event once."""
    first = await peers()
    await first.ask("op.sketch", hold=True, steps=3, id="a")
    seen = (await first.event("progress"))["seq"]
    first.writer.close()
    await core.cancel("a")
    second = await peers()
    await second.ask("job.subscribe", ids=["a"], after={"a": seen})
    event = await second.event()
    assert (event["seq"] > seen, event["kind"]) == (True, "cancelled")


async def test_lines_may_come_in_pieces_and_in_heaps(peers):
    """Byte by byte, many in one write, with blank lines and carriage returns between them."""
    client = await peers()
    for byte in json.dumps(call(1, "ping", n=1)).encode() + b"\r\n":
        client.send(bytes([byte]))
        await client.writer.drain()
    assert (await client.next())["result"] == {"n": 1}
    client.send(b"\n\r\n  \n", *[call(number, "ping", n=number) for number in range(50)])
    assert [(await client.next())["result"]["n"] for _ in range(50)] == list(range(50))


async def test_what_is_no_json_is_answered_on_a_known_connection(peers):
    """And the next line is read."""
    for kind in ("local", "known"):
        client = await peers(kind)
        client.send(b"nonsense\n", b"[1,\n", b"7\n", call(9, "ping", n=1))
        errors = [await client.next() for _ in range(3)]
        assert [(one["id"], one["error"]["code"]) for one in errors] == [(None, -32700), (None, -32700), (None, -32600)]
        assert (await client.next())["result"] == {"n": 1}


FIRST_LINES = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 400\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"nonsense\n",
    b"[]\n",
    b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]\n',
    b"7\n",
    b'"text"\n',
    b"{broken\n",
    b" \n\x00\n",
]


@pytest.mark.parametrize("line", FIRST_LINES)
async def test_over_tcp_a_first_line_that_is_no_object_ends_the_connection(peers, core, line):
    """So no web page can speak it: what stands behind such a line is not obeyed, even with the right token."""
    client = await peers("tcp")
    client.send(line, call(1, "hello", token=TOKEN), call(2, "queue.pause"), call(3, "op.sketch"))
    goodbye = await client.next()
    assert (goodbye["method"], goodbye["params"]["reason"]) == ("closing", "bad_packet")
    with contextlib.suppress(ConnectionError):
        assert await client.next() is None
    assert (core.paused, core.submits) == (False, 0)


async def test_over_tcp_nothing_is_done_before_hello(peers, core):
    """Other calls are refused until the token is shown; five wrong ones end the connection; the local socket asks for none."""
    client = await peers("tcp")
    error = (await client.ask("status"))["error"]
    assert (error["code"], error["data"]["code"], error["data"]["field"]) == (-32000, "unauthorized", "token")
    assert (await client.ask("hello", token="wrong"))["error"]["data"]["code"] == "unauthorized"
    assert (await client.ask("hello", token=TOKEN, client="vim"))["result"]["client"] == "jsonrpc:vim"
    assert (await client.ask("status"))["result"]["state"] == "ok"
    guesser = await peers("tcp")
    guesser.send(*[call(number, "hello", token=f"w{number}") for number in range(20)])
    said = [message async for message in until_end(guesser)]
    assert said[-1]["params"]["reason"] == "unauthorized"
    assert (await (await peers("local")).ask("status"))["result"]["state"] == "ok"


async def until_end(client):
    """Everything that still comes."""
    with contextlib.suppress(ConnectionError):
        while (message := await client.next()) is not None:
            yield message


async def test_who_shows_no_token_does_not_stay(peers, monkeypatch):
    """The network gets a few seconds."""
    monkeypatch.setattr(limits, "RPC_HELLO_SECONDS", 0.05)
    assert (await (await peers("tcp")).next())["params"]["reason"] == "unauthorized"


async def test_tcp_is_not_opened_without_a_token(dispatcher):
    """Not even on loopback, where every page of the web can reach it."""
    with pytest.raises(NotAllowed, match="token"):
        await JsonRpcDoor(dispatcher).listen("127.0.0.1", 0)


@pytest.mark.skipif(os.name != "posix", reason="Unix sockets")
async def test_the_local_socket_is_its_owners_alone(json_door):
    """0600, in a folder that nobody else enters."""
    assert stat.S_IMODE(os.stat(json_door.address["socket"]).st_mode) == 0o600


async def test_a_line_that_is_too_long_ends_the_connection(peers):
    """Whether its end has come or not; a long one within the limit is taken."""
    client = await peers()
    client.send({**call(1, "ping", n=1), "more": "x" * 900_000})
    assert (await client.next())["result"] == {"n": 1}
    for data in (b"x" * (limits.RPC_MESSAGE + 10), b"x" * (limits.RPC_MESSAGE + 10) + b"\n"):
        client = await peers()
        client.send(data)
        assert (await client.next())["params"]["reason"] == "bad_packet"


async def test_a_line_that_is_never_finished_ends_the_connection(peers, monkeypatch):
    """Drip by drip it may take its few seconds and no more."""
    monkeypatch.setattr(limits, "FRAME_SECONDS", 0.2)
    client = await peers()
    client.send(b"{")
    assert (await client.next())["params"]["reason"] == "bad_packet"


async def test_at_the_end_of_input_every_answer_is_given(peers):
    """A client may shut its sending side, as a shell pipe does, and still gets what it asked for."""
    client = await peers()
    client.send(call(1, "ping", n=1), call(2, "job.list"), call(3, "job.wait", id="nobody"))
    client.writer.write_eof()
    said = [message async for message in until_end(client)]
    assert {message["id"] for message in said} == {1, 2, 3}


async def test_who_does_not_read_is_closed_and_others_are_answered(peers, core):
    """Its place is free afterwards, and what waited for it is gone."""
    good, greedy = await peers(), await peers()
    greedy.writer.transport.pause_reading()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(60):
            while not greedy.writer.transport.is_closing():
                greedy.send(*[call(number, "describe") for number in range(20)])
                await greedy.writer.drain()
                assert (await good.ask("status"))["result"]["state"] == "ok"
                greedy.writer.transport.pause_reading()


async def test_too_many_requests_at_once_are_busy(peers):
    """Each gets its answer."""
    client = await peers()
    await client.ask("hello", events=False)
    await client.ask("op.sketch", hold=True, id="a")
    client.send(*[call(f"w{n}", "job.wait", id="a", after=100, timeout=20.0) for n in range(limits.RPC_IN_FLIGHT + 5)])
    refused = [await client.next() for _ in range(5)]
    assert {message["error"]["data"]["code"] for message in refused} == {"busy"}
    client.writer.close()
