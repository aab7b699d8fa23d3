"""Silent, slow and foreign connections: nobody is locked out by them, and nothing that is not a message of ours is obeyed."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import threading
import time

import pytest

from bridge.doors import limits
from bridge.doors.dispatch import Dispatcher
from bridge.doors.http.server import HttpDoor
from bridge.doors.http.site import Site
from bridge.doors.jsonrpc import codec as json_codec
from bridge.doors.jsonrpc.door import JsonRpcDoor
from bridge.doors.osc.codec import decode
from bridge.doors.osc.framing import Framer, frame
from bridge.doors.osc.messages import encode
from bridge.doors.rpc import codec
from bridge.doors.streams import Crowd, Opening, Turns

POST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 400\r\n\r\n"


class Guest:
    """A connection that says of itself what it is told to."""

    def __init__(self, spoke, idle_since):
        self.spoke, self.idle_since, self.dismissed = spoke, idle_since, False

    def dismiss(self):
        self.dismissed = True


def test_the_oldest_idle_one_makes_room_silent_ones_first():
    """Order of going: who never spoke, by age; who spoke, by how long it has been idle; who works, never."""
    crowd = Crowd(4)
    guests = [Guest(True, 1.0), Guest(False, 3.0), Guest(True, None), Guest(False, 2.0)]
    assert all(crowd.enter(guest) for guest in guests)
    newcomers = [Guest(True, None) for _ in range(4)]
    gone = []
    for newcomer in newcomers:
        crowd.enter(newcomer)
        gone.append([index for index, guest in enumerate(guests) if guest.dismissed])
    assert gone == [[3], [1, 3], [0, 1, 3], [0, 1, 3]]
    assert (len(crowd), crowd.dismissed, crowd.refused) == (4, 3, 1)


def test_no_door_can_open_itself_to_web_pages():
    """A door to come that would accept a letter as the first byte of a stream cannot be written."""
    for letter in b"GPOHDCTgp\x16":
        with pytest.raises(ValueError, match="web page"):
            Opening(bytes([0, letter]))


async def test_a_flood_gets_its_share_of_each_round_and_no_more():
    """Two streams with endless work and a callback of somebody else take turns."""
    turns, done, rounds = Turns(), {"a": 0, "b": 0}, 0

    def work(name):
        done[name] += 1
        return True

    turns.ask(lambda: work("a"))
    turns.ask(lambda: work("b"))
    for _ in range(20):
        await asyncio.sleep(0)
        rounds += 1
    turns.close()
    assert sum(done.values()) <= rounds * limits.TURN_PIECES
    assert abs(done["a"] - done["b"]) <= 1


@pytest.fixture
async def http_door(core):
    """An open HTTP door."""
    door = HttpDoor(Site(Dispatcher(core)))
    await door.listen("127.0.0.1", 0)
    yield door
    await door.close()


async def ask_osc(port):
    """Ping over OSC TCP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(frame(encode("/ace/ping", [7]), "length"))
    async with asyncio.timeout(10):
        packets, framer = [], Framer()
        while not packets:
            packets = framer.feed(await reader.read(65_536))
    writer.close()
    return decode(packets[0]).arguments == (7,)


async def ask_rpc(port):
    """Ping over RPC."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(codec.request(1, "ping", {"n": 7}))
    async with asyncio.timeout(10):
        answer = codec.decode(await reader.readexactly(len(codec.response(1, None, {"n": 7}))))
    writer.close()
    return answer.result == {"n": 7}


async def ask_http(port):
    """Health over HTTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % port)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 200")


TOKEN = "crowd"


@pytest.fixture
async def json_door(dispatcher):
    """An open door for lines of JSON."""
    door = JsonRpcDoor(dispatcher, token=TOKEN)
    await door.listen("127.0.0.1", 0)
    yield door
    await door.close()


async def ask_json(port):
    """Say hello in a line of JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(json_codec.request(1, "hello", {"token": TOKEN}) + b"\n")
    async with asyncio.timeout(10):
        answer = json.loads(await reader.readline())
    writer.close()
    return "result" in answer


@pytest.fixture
def doors(osc_door, rpc_door, json_door, http_door):
    """Name -> port, a question that gets its answer, and bytes that begin a message."""
    return {
        "osc": (osc_door.address["tcp"], ask_osc, b"\0\0\0\x40/ace"),
        "rpc": (rpc_door.address["port"], ask_rpc, b"\x94\0\1"),
        "jsonrpc": (json_door.address["port"], ask_json, b'{"json'),
        "http": (http_door.address["port"], ask_http, b"GET /heal"),
    }


@pytest.mark.parametrize("name", ["osc", "rpc", "jsonrpc", "http"])
@pytest.mark.parametrize("begun", [False, True], ids=["silent", "in the middle"])
async def test_connections_that_say_nothing_lock_nobody_out(doors, name, begun):
    """As many as may be and more: the next client is served, again and again."""
    port, ask, beginning = doors[name]
    writers = []
    for _ in range(limits.CONNECTIONS + 20):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        if begun:
            writer.write(beginning)
    for _ in range(3):
        assert await ask(port)
    for writer in writers:
        writer.close()


@pytest.mark.parametrize("name", ["osc", "rpc", "jsonrpc", "http"])
async def test_a_byte_now_and_then_keeps_no_connection_open(doors, name, monkeypatch):
    """Drip by drip a message may take its few seconds and no more."""
    monkeypatch.setattr(limits, "FRAME_SECONDS", 0.3)
    monkeypatch.setattr(limits, "HEADER_SECONDS", 0.3)
    port, _, beginning = doors[name]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    ended = asyncio.ensure_future(reader.read())

    async def drip():
        with contextlib.suppress(ConnectionError):
            writer.write(beginning)
            while not ended.done():
                writer.write(b"a" if name == "http" else b"\1")
                await asyncio.sleep(0.05)

    async with asyncio.timeout(20):
        await drip()
        with contextlib.suppress(ConnectionError):
            await ended
    writer.close()


async def test_a_long_message_over_a_slow_network_is_let(rpc_door, dispatcher, monkeypatch):
    """Piece by piece, each in time: the whole may take longer than one piece."""
    monkeypatch.setattr(limits, "FRAME_SECONDS", 1.0)
    monkeypatch.setattr(limits, "FRAME_BYTES", 1000)
    reader, writer = await asyncio.open_connection("127.0.0.1", rpc_door.address["port"])
    body = codec.request(1, "job.list", {"search": "x" * 200, "states": ["done"] * 1500})
    for at in range(0, len(body), 1000):
        writer.write(body[at : at + 1000])
        await asyncio.sleep(0.15)
    async with asyncio.timeout(10):
        assert await reader.read(100)
    writer.close()


async def test_the_local_socket_has_places_of_its_own(rpc_door, tmp_path):
    """Whoever fills the network's places does not touch it."""
    folder = tmp_path / "s"
    folder.mkdir(mode=0o700)
    await rpc_door.listen_unix(folder / "rpc.sock")
    reader, writer = await asyncio.open_unix_connection(str(folder / "rpc.sock"))  # silent, and older than all others
    crowd = [
        await asyncio.open_connection("127.0.0.1", rpc_door.address["port"]) for _ in range(limits.CONNECTIONS + 5)
    ]
    writer.write(codec.request(1, "ping", {"n": 7}))
    async with asyncio.timeout(10):
        assert codec.decode(await reader.read(100)).result == {"n": 7}
    for _, other in [*crowd, (reader, writer)]:
        other.close()


async def test_who_waits_for_events_is_not_idle(rpc_door, rpc):
    """A client that follows a job keeps its place in a crowd of silent ones."""
    peer = await rpc()
    await peer.ask("job.submit", operation="sketch", params={"hold": True}, id="a")
    crowd = [
        await asyncio.open_connection("127.0.0.1", rpc_door.address["port"]) for _ in range(limits.CONNECTIONS + 5)
    ]
    assert (await peer.ask("job.cancel", id="a")).result["state"] == "cancelled"
    for _, other in crowd:
        other.close()


# What is not a message of ours


@pytest.mark.parametrize("name", ["osc", "rpc", "jsonrpc"])
@pytest.mark.parametrize(
    "word", [b"POST", b"GET", b"PUT", b"OPTIONS", b"CONNECT", b"PRI * HTTP/2.0", b"\x16\x03\x01\2\0"]
)
async def test_words_of_http_close_a_stream_unread(doors, core, name, word):
    """Whatever stands behind them, in whatever framing, is not obeyed."""
    port, *_ = doors[name]
    pause = encode("/ace/queue/pause", [])
    lines = (
        b"\n"
        + json_codec.request(1, "hello", {"token": TOKEN})
        + b"\n"
        + json_codec.request(2, "queue.pause", {})
        + b"\n"
    )
    smuggled = [frame(pause, "slip"), frame(pause, "length"), codec.request(1, "queue.pause", {}), lines]
    for body in smuggled:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            writer.write(POST.replace(b"POST", word) + body * 10)
            async with asyncio.timeout(10):
                await reader.read()
        writer.close()
    assert not core.paused


@pytest.mark.parametrize("mode", ["length", "slip"])
async def test_the_first_malformed_packet_closes_the_stream(osc_door, core, mode):
    """It is answered, and what stands behind it is not obeyed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", osc_door.address["tcp"])
    bad, pause = frame(b"/abc", mode), frame(encode("/ace/queue/pause", []), mode)
    writer.write(bad + pause * 3)
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert [decode(packet).address for packet in Framer().feed(answer)] == ["/ace/error"]
    assert not core.paused
    assert osc_door.door.counters.malformed == 1
    writer.close()


PAGE = b"""<!doctype html><meta charset=utf-8><title>page</title><script>
const END = 0xc0, text = new TextEncoder();
function pad(s) { const b = text.encode(s), n = b.length + 4 - b.length % 4, out = new Uint8Array(n); out.set(b); return out; }
function osc(address) { return [...pad(address), ...pad(",")]; }
const frame = [END, ...osc("/ace/queue/pause"), END, ...osc("/ace/op/sketch"), END, 10];
const body = new Uint8Array([10, ...frame, ...frame]);
async function attack(port) {
  for (const method of ["POST", "GET"]) for (const type of ["text/plain", "application/x-www-form-urlencoded"]) {
    const options = {method, mode: "no-cors", headers: {"Content-Type": type}, signal: AbortSignal.timeout(5000)};
    if (method == "POST") options.body = body;
    try { await fetch("http://127.0.0.1:" + port + "/%C0/ace/queue/pause", options); } catch (error) {}
  }
  const form = document.createElement("form");
  form.method = "POST"; form.enctype = "text/plain"; form.target = "f" + port; form.action = "http://127.0.0.1:" + port + "/";
  const field = document.createElement("textarea");
  field.name = "\\u00c0/ace/queue/pause"; field.value = "x"; form.append(field); document.body.append(form); form.submit();
  for (const path of ["/", "/jsonrpc"]) try {
    const socket = new WebSocket("ws://127.0.0.1:" + port + path);
    socket.onopen = () => socket.send('{"jsonrpc":"2.0","id":1,"method":"queue.pause"}');
  } catch (error) {}
}
addEventListener("load", async () => {
  for (const port of PORTS) {
    const frame = document.createElement("iframe"); frame.name = "f" + port; document.body.append(frame);
    await attack(port);
  }
  setTimeout(() => fetch("/done", {method: "POST"}), 500);
});
</script><body></body>"""


async def test_a_web_page_in_chromium_reaches_nothing(doors, osc_door, core, foreign, tmp_path):
    """A page of this machine posts OSC packets to every TCP door, by fetch, by form and by WebSocket: nothing is obeyed."""
    chromium = foreign("chromium")
    done, seen = threading.Event(), []

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = PAGE.replace(b"PORTS", repr([port for port, *_ in doors.values()]).encode())
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)
            seen.append(self.path)

        def do_POST(self):
            self.send_response(200)
            self.end_headers()
            done.set()

        def log_message(self, *arguments):
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    line = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
            "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}",
            f"http://127.0.0.1:{site.server_address[1]}/"]  # fmt: skip
    devnull = asyncio.subprocess.DEVNULL
    browser = await asyncio.create_subprocess_exec(*line, stdout=devnull, stderr=devnull, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not done.is_set() and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
    finally:
        browser.terminate()
        await browser.wait()
        site.shutdown()
    assert done.is_set()
    assert osc_door.door.counters.malformed >= 3, "the page's requests must have come"
    assert osc_door.door.counters.messages == 0
    assert not core.paused
    assert core.submits == 0
    assert await ask_osc(doors["osc"][0])


async def test_a_turn_that_fails_takes_no_other_streams_turn(caplog):
    """Whatever one connection's work meets, the work of the others goes on, and so does what comes later."""
    turns, done = Turns(), []

    def fails() -> bool:
        raise OSError(107, "not connected")

    def works() -> bool:
        done.append("earlier")
        return False

    turns.ask(fails)
    turns.ask(works)
    await asyncio.sleep(0.01)
    turns.ask(lambda: bool(done.append("later")))
    await asyncio.sleep(0.01)
    assert done == ["earlier", "later"]
    assert "a connection's turn failed" in caplog.text
