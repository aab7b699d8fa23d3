"""JSON-RPC over WebSocket, with the ``websockets`` package's own client and with bare bytes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import struct

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bridge.core.uploads import Uploads
from bridge.doors import limits
from bridge.doors.dispatch import Dispatcher
from bridge.doors.http.server import HttpDoor
from bridge.doors.http.site import Site
from bridge.doors.jsonrpc.websocket import PATH


@pytest.fixture
async def http_door(core, tmp_path):
    """Opens HTTP doors: ``http_door(token="")``."""
    doors = []

    async def start(token=""):
        uploads = Uploads(tmp_path / f"uploads-{len(doors)}", largest=10_000_000, quota=20_000_000)
        door = HttpDoor(Site(Dispatcher(core, uploads)), token=token)
        await door.listen("127.0.0.1", 0)
        doors.append(door)
        return door

    yield start
    for door in doors:
        await door.close()


class Socket:
    """A client that sees every message."""

    def __init__(self, connection):
        self.connection, self.number, self.unasked = connection, 0, []

    async def next(self):
        """The next message."""
        async with asyncio.timeout(10):
            return json.loads(await self.connection.recv())

    async def ask(self, method, **params):
        """The answer to a request; notifications that come before it are kept."""
        self.number += 1
        await self.connection.send(
            json.dumps({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        )
        while (message := await self.next()).get("id") != self.number:
            self.unasked.append(message)
        return message

    async def event(self, *kinds):
        """The next event of these kinds."""
        while True:
            message = self.unasked.pop(0) if self.unasked else await self.next()
            if message.get("method") == "event" and (not kinds or message["params"]["kind"] in kinds):
                return message["params"]


@pytest.fixture
async def socket_to():
    """Opens WebSockets: ``socket_to(door, origin=None, headers=None, path=PATH)``."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_socket(door, *, origin=None, headers=None, path=PATH):
            address = f"ws://127.0.0.1:{door.address['port']}{path}"
            made = connect(address, origin=origin, additional_headers=headers, proxy=None, compression=None)
            return Socket(await stack.enter_async_context(made))

        yield open_socket


async def test_a_page_runs_a_job_and_sees_its_events(http_door, socket_to, core):
    """The answer first, then notifications named event until the end."""
    core.pace = 0.02
    door = await http_door()
    page = await socket_to(door, origin=f"http://127.0.0.1:{door.address['port']}")
    answer = await page.ask("job.submit", operation="sketch", params={"steps": 2}, id="a")
    assert answer == {"jsonrpc": "2.0", "id": 1, "result": {"id": "a", "seq": 0, "position": 0, "notes": []}}
    kinds = [(await page.event())["kind"] for _ in range(3)]
    assert kinds == ["progress", "result", "done"]
    assert (await page.ask("op.sketch", steps=2, id="b"))["result"]["id"] == "b"


async def test_a_page_resumes_where_it_was(http_door, socket_to, core):
    """Another WebSocket subscribes with the last seq: what was missed comes, each event once."""
    door = await http_door()
    first = await socket_to(door)
    await first.ask("job.submit", operation="sketch", params={"hold": True, "steps": 3}, id="a")
    seen = (await first.event("progress"))["seq"]
    await first.connection.close()
    await core.cancel("a")
    second = await socket_to(door)
    assert (await second.ask("job.subscribe", ids=["a"], after={"a": seen}))["result"] == {"ids": ["a"]}
    event = await second.event()
    assert (event["seq"] > seen, event["kind"]) == (True, "cancelled")


HANDSHAKES = [
    ("program", {}, None, 101),
    ("other site", {}, "http://evil.example", 403),
    ("null origin", {}, "null", 403),
    ("other port", {}, "http://127.0.0.1:1", 403),
    ("secure scheme", {}, "https://127.0.0.1:{port}", 403),
    ("own page", {}, "http://127.0.0.1:{port}", 101),
    ("cross-site", {"Sec-Fetch-Site": "cross-site"}, "http://127.0.0.1:{port}", 403),
    ("neighbour site", {"Sec-Fetch-Site": "same-site"}, None, 403),
    ("rebound name", {"Host": "evil.example:{port}"}, "http://evil.example:{port}", 421),
]


@pytest.mark.parametrize(
    ("headers", "origin", "status"), [row[1:] for row in HANDSHAKES], ids=[r[0] for r in HANDSHAKES]
)
async def test_only_this_machines_programs_and_pages_are_let_in(http_door, core, headers, origin, status):
    """Host, Origin and Sec-Fetch-Site of the handshake, as for every request; also with the right token."""
    for token in ("", "secret"):
        door = await http_door(token)
        port = door.address["port"]
        sent = {"Host": "127.0.0.1:{port}", **headers, **({"Origin": origin} if origin else {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        assert await shake(port, {name: value.format(port=port) for name, value in sent.items()}) == status


KEY = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": base64.b64encode(b"k" * 16).decode(),
       "Sec-WebSocket-Version": "13"}  # fmt: skip


async def open_bare(port, headers, path=PATH):
    """A connection that has sent its handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**KEY, **headers}.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    return reader, writer


async def shake(port, headers, path=PATH):
    """The status of a handshake."""
    reader, writer = await open_bare(port, headers, path)
    async with asyncio.timeout(10):
        line = await reader.readline()
    writer.close()
    return int(line.split()[1])


async def test_other_addresses_and_poor_handshakes_are_refused(http_door):
    """One sentence of ours, no WebSocket; a plain GET of the address is not found."""
    door = await http_door()
    port = door.address["port"]
    host = {"Host": f"127.0.0.1:{port}"}
    assert await shake(port, host) == 101
    assert await shake(port, host, "/elsewhere") == 404
    assert await shake(port, {**host, "Sec-WebSocket-Key": "short"}) == 400
    assert await shake(port, {**host, "Sec-WebSocket-Version": "8"}) == 400
    reader, writer = await open_bare(port, {**host, "Sec-WebSocket-Key": "short"})
    async with asyncio.timeout(10):
        assert b"this is not a valid WebSocket handshake" in await reader.read()
    writer.close()


async def test_where_a_token_is_set_it_is_shown_in_the_header_or_in_the_first_message(http_door, socket_to, core):
    """Never in the address; until then nothing else is answered, and five wrong ones end the connection."""
    door = await http_door(token="secret")
    program = await socket_to(door, headers={"Authorization": "Bearer secret"})
    assert (await program.ask("ping", n=1))["result"] == {"n": 1}
    page = await socket_to(door, path=PATH + "?token=secret")
    refused = (await page.ask("status"))["error"]
    assert (refused["code"], refused["data"]["code"]) == (-32000, "unauthorized")
    assert (await page.ask("hello", token="wrong"))["error"]["data"]["field"] == "token"
    assert (await page.ask("hello", token="secret", client="studio"))["result"]["client"] == "jsonrpc:studio"
    assert "result" in await page.ask("status")
    guesser = await socket_to(door)
    with pytest.raises(ConnectionClosed):
        for number in range(20):
            await guesser.ask("hello", token=f"wrong-{number}")
    assert guesser.number <= limits.RPC_BAD_TOKENS + 1


async def test_who_shows_no_token_does_not_stay(http_door, socket_to, monkeypatch):
    """After a few seconds it is told why, and goes."""
    monkeypatch.setattr(limits, "RPC_HELLO_SECONDS", 0.05)
    silent = await socket_to(await http_door(token="secret"))
    goodbye = await silent.next()
    assert (goodbye["method"], goodbye["params"]["reason"]) == ("closing", "unauthorized")
    with pytest.raises(ConnectionClosed) as ended:
        await silent.next()
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (1008, "unauthorized")


async def test_bytes_travel_as_base64(http_door, socket_to):
    """An upload arrives whole; a piece that is not base64 is refused by its field."""
    client = await socket_to(await http_door())
    data = bytes(range(256)) * 8
    facts = {"name": "x.wav", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    upload = (await client.ask("upload.begin", **facts))["result"]["id"]
    wrong = (await client.ask("upload.chunk", id=upload, offset=0, data="no base64!"))["error"]
    assert (wrong["code"], wrong["data"]["field"]) == (-32602, "data")
    assert "base64" in wrong["message"]
    sent = await client.ask("upload.chunk", id=upload, offset=0, data=base64.b64encode(data).decode())
    assert sent["result"]["complete"] is True


async def test_a_full_chunk_fits_and_a_larger_message_ends_the_connection(http_door, socket_to):
    """256 KiB as base64 are taken; past the limit of a message the close code says so, whether in one frame or in many."""
    door = await http_door()
    client = await socket_to(door)
    data = bytes(limits.CHUNK)
    facts = {"name": "x.wav", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    upload = (await client.ask("upload.begin", **facts))["result"]["id"]
    assert (await client.ask("upload.chunk", id=upload, offset=0, data=base64.b64encode(data).decode()))["result"]
    for message in ("x" * (limits.RPC_MESSAGE + 1), ["x" * 100_000] * 12):
        big = await socket_to(door)
        with pytest.raises(ConnectionClosed) as ended:
            await big.connection.send(message)
            await big.next()
        assert ended.value.rcvd.code == 1009


def frame(opcode, payload=b"", *, fin=True):
    """A client's frame, masked with zeros."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return bytes([(0x80 if fin else 0) | opcode]) + size + bytes(4) + payload


BROKEN = [
    ("reserved bits", b"\xf1\x80\0\0\0\0", 1002),
    ("unknown opcode", frame(3), 1002),
    ("no mask", b"\x81\x02{}", 1002),
    ("continuation of nothing", frame(0, b"x"), 1002),
    ("ping too long", frame(9, b"x" * 126), 1002),
    ("binary", frame(2, b"{}"), 1007),
    ("no text", frame(1, b"\xff\xfe"), 1007),
]


@pytest.mark.parametrize(("data", "code"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
async def test_broken_frames_end_only_that_connection(http_door, socket_to, data, code):
    """The close frame has the code of the standard; others are answered."""
    door = await http_door()
    port = door.address["port"]
    reader, writer = await open_bare(port, {"Host": f"127.0.0.1:{port}"})
    good = await socket_to(door)
    async with asyncio.timeout(10):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await reader.readuntil(struct.pack(">H", code))
    assert (await good.ask("ping", n=1))["result"] == {"n": 1}
    writer.close()


async def test_what_is_no_request_is_answered_and_the_connection_goes_on(http_door, socket_to):
    """With the numbers of the specification."""
    client = await socket_to(await http_door())
    for sent, number in [("{", -32700), ("[]", -32600), ("7", -32600), ('{"id": 5}', -32600)]:
        await client.connection.send(sent)
        assert (await client.next())["error"]["code"] == number
    assert (await client.ask("ping", n=1))["result"] == {"n": 1}


async def test_a_message_in_many_frames_with_pings_between_arrives(http_door):
    """As the standard allows; the ping is answered first."""
    door = await http_door()
    port = door.address["port"]
    reader, writer = await open_bare(port, {"Host": f"127.0.0.1:{port}"})
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":7}}'
    pieces = [frame(1, body[:9], fin=False), frame(9, b"p"), frame(0, b"", fin=False), frame(0, body[9:])]
    async with asyncio.timeout(10):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"".join(pieces))
        assert await reader.readexactly(3) == b"\x8a\x01p"
        assert json.loads((await reader.readuntil(b"}}"))[2:])["result"] == {"n": 7}
    writer.close()


async def test_frames_behind_the_handshake_in_one_write_are_read(http_door):
    """A hasty client need not wait."""
    door = await http_door()
    port = door.address["port"]
    reader, writer = await open_bare(port, {"Host": f"127.0.0.1:{port}"})
    writer.write(frame(1, b'{"jsonrpc":"2.0","id":1,"method":"ping"}'))
    async with asyncio.timeout(10):
        assert b'"result":{"n":0}' in await reader.readuntil(b"}}")
    writer.close()


async def test_endless_pieces_and_slow_bytes_end_in_time(http_door, monkeypatch):
    """Empty continuation frames, or a byte now and then, keep no message open forever."""
    monkeypatch.setattr(limits, "FRAME_SECONDS", 0.3)
    door = await http_door()
    port = door.address["port"]
    for first, drop in ((frame(1, b"{", fin=False), frame(0, b"", fin=False)), (frame(1, b"x" * 100)[:6], b"x")):
        reader, writer = await open_bare(port, {"Host": f"127.0.0.1:{port}"})
        goodbye = asyncio.ensure_future(reader.readuntil(b"bad_packet"))
        writer.write(first)
        async with asyncio.timeout(20):
            while not goodbye.done():
                with contextlib.suppress(ConnectionError):
                    writer.write(drop)
                await asyncio.sleep(0.02)
        await goodbye
        writer.close()


async def test_who_does_not_read_is_closed_and_costs_little(http_door, socket_to):
    """Pings whose answers nobody takes, and questions whose answers nobody takes; meanwhile others are answered."""
    door = await http_door()
    port = door.address["port"]
    good = await socket_to(door)
    for data in (frame(9, b"p" * 125) * 2000, frame(1, b'{"jsonrpc":"2.0","id":1,"method":"describe"}') * 50):
        _, writer = await open_bare(port, {"Host": f"127.0.0.1:{port}"})
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(data)
                    await writer.drain()
                    assert (await good.ask("ping", n=1))["result"] == {"n": 1}
        writer.close()


async def test_web_sockets_have_places_of_their_own(http_door, socket_to):
    """Silent ones lock out neither another WebSocket nor a request; one that follows a job keeps its place."""
    door = await http_door()
    port = door.address["port"]
    at_work = await socket_to(door)
    await at_work.ask("job.submit", operation="sketch", params={"hold": True}, id="a")
    crowd = [await open_bare(port, {"Host": f"127.0.0.1:{port}"}) for _ in range(limits.CONNECTIONS + 10)]
    for reader, _ in crowd[-10:]:
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 101")
    assert (await (await socket_to(door)).ask("ping", n=1))["result"] == {"n": 1}
    assert (await at_work.ask("job.cancel", id="a"))["result"]["state"] == "cancelled"
    for _, writer in crowd:
        writer.close()


async def test_a_handshake_too_many_is_told(http_door, socket_to):
    """A refused handshake is an HTTP answer that a client understands."""
    door = await http_door()
    with pytest.raises(InvalidStatus) as refused:
        await socket_to(door, origin="http://evil.example")
    assert refused.value.response.status_code == 403
    assert b"pages of other sites" in refused.value.response.body


async def test_the_daemon_says_goodbye(http_door, socket_to):
    """A closing door tells why, with the code for going away."""
    door = await http_door()
    client = await socket_to(door)
    await client.ask("ping", n=1)
    closing = asyncio.ensure_future(door.close())
    assert (await client.next())["params"]["reason"] == "stopping"
    with pytest.raises(ConnectionClosed) as ended:
        await client.next()
    assert ended.value.rcvd.code == 1001
    await closing
