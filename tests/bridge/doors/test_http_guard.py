"""The guard of the HTTP server, in front of an application that would do anything: posts, pages of other origins, WebSockets."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from acestep.api.errors import BadRequest, Unavailable
from bridge.daemon import with_own_token
from bridge.doors import limits
from bridge.doors.dispatch import Dispatcher
from bridge.doors.http.body import read_body
from bridge.doors.http.guard import EntryTerms, Guard, token_shown
from bridge.doors.http.server import HttpDoor
from bridge.doors.http.site import Site, is_loopback
from bridge.settings import Settings, http_token, resolve

HOST = "127.0.0.1:8001"
PAGE = "http://localhost:5173"
HOSTS = frozenset({HOST})


class Anything:
    """An application that says yes, and remembers that it was asked."""

    def __init__(self):
        self.asked = []

    async def __call__(self, scope, receive, send):
        self.asked.append((scope["type"], token_shown(scope)))
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"yes"})


def client(app, **terms):
    """An HTTP client of the guard before an application."""
    transport = httpx.ASGITransport(app=Guard(app, EntryTerms(hosts=HOSTS, **terms)))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}")


SIMPLE = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "application/json",
    None,
]
"""Kinds of body; the first three a page of any site can post without asking."""

SENDERS = [
    ("a program", {}, 200),
    ("our page", {"sec-fetch-site": "same-origin", "origin": f"http://{HOST}"}, 200),
    ("our page in an old browser", {"origin": f"http://{HOST}"}, 200),
    ("a page that is let in", {"sec-fetch-site": "cross-site", "origin": PAGE}, 200),
    ("a page that is let in, old browser", {"origin": PAGE}, 200),
    ("another page", {"sec-fetch-site": "cross-site", "origin": "http://evil.example"}, 403),
    ("another port of this machine", {"sec-fetch-site": "same-site", "origin": "http://localhost:3000"}, 403),
    ("a page without an origin", {"sec-fetch-site": "cross-site"}, 403),
    ("a page without an origin, on this machine", {"sec-fetch-site": "same-site"}, 403),
    ("a sandboxed page", {"sec-fetch-site": "cross-site", "origin": "null"}, 403),
    ("a sandboxed page in an old browser", {"origin": "null"}, 403),
    ("no origin at all", {"origin": ""}, 403),
    ("one that begins alike", {"origin": f"{PAGE}0"}, 403),
    ("one that ends alike", {"origin": "http://evil.example/http://localhost:5173"}, 403),
    ("another scheme", {"origin": "https://localhost:5173"}, 403),
    ("a referer that is let in, for a post", {"sec-fetch-site": "cross-site", "referer": f"{PAGE}/x"}, 403),
    ("a rebound name", {"host": "evil.example:8001"}, 421),
    ("a rebound name with its own origin", {"host": "evil.example:8001", "origin": "http://evil.example:8001"}, 421),
]


@pytest.mark.parametrize("kind", SIMPLE)
@pytest.mark.parametrize(("headers", "status"), [case[1:] for case in SENDERS], ids=[case[0] for case in SENDERS])
async def test_a_page_of_another_site_cannot_post(kind, headers, status):
    """However it writes the body: the request never reaches the application."""
    app = Anything()
    async with client(app, origins=frozenset({PAGE})) as http:
        sent = headers if kind is None else {**headers, "content-type": kind}
        answer = await http.post("/release_task", content=b"prompt=x", headers=sent)
    assert answer.status_code == status
    assert bool(app.asked) == (status == 200)


async def test_two_origins_or_hosts_are_no_way_round():
    """Every one of them must do."""
    app = Anything()
    async with client(app, origins=frozenset({PAGE})) as http:
        for twice in (
            [("origin", PAGE), ("origin", "http://evil.example")],
            [("host", HOST), ("host", "evil.example")],
        ):
            assert (await http.post("/release_task", headers=twice)).status_code in (403, 421)
    assert app.asked == []


async def test_a_page_that_is_let_in_may_read_the_answer_also_a_refusal():
    """Its origin, not a star; and caches are told that answers differ."""
    async with client(Anything(), origins=frozenset({PAGE}), token="K") as http:
        for headers, status in (({"authorization": "Bearer K"}, 200), ({}, 401)):
            answer = await http.get("/v1/stats", headers={"origin": PAGE, **headers})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)
            assert answer.headers["vary"] == "Origin"
        stranger = await http.get("/v1/stats", headers={"authorization": "Bearer K"})
    assert "access-control-allow-origin" not in stranger.headers


async def test_a_sound_in_a_page_that_is_let_in_is_played():
    """An <audio> element names no origin, but where it stands; of another page it gets nothing."""
    async with client(Anything(), origins=frozenset({PAGE})) as http:
        for referer, status in (
            (f"{PAGE}/project", 200),
            ("http://evil.example/", 403),
            (f"{PAGE}0/", 403),
            ("//x", 403),
        ):
            headers = {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "referer": referer}
            assert (await http.get("/v1/audio", headers=headers)).status_code == status


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_a_preflight_is_answered_for_origins_that_are_let_in(method):
    """Also where a token is set, for browsers show none here."""
    app = Anything()
    asked = {"access-control-request-method": method, "access-control-request-private-network": "true"}
    async with client(app, origins=frozenset({PAGE}), token="K") as http:
        answer = await http.options("/release_task", headers={"origin": PAGE, **asked})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert method in answer.headers["access-control-allow-methods"].split(", ")
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert answer.headers["access-control-allow-private-network"] == "true"
        for origin in ("http://evil.example", "null", "http://localhost:1"):
            refused = await http.options("/release_task", headers={"origin": origin, **asked})
            assert refused.status_code == 403
            assert "access-control-allow-origin" not in refused.headers
    assert app.asked == []


async def test_without_the_setting_no_foreign_page_is_let_in():
    """Not even one of this machine."""
    async with client(Anything()) as http:
        for origin in (PAGE, "http://127.0.0.1:3000", "null"):
            assert (await http.get("/v1/stats", headers={"origin": origin})).status_code == 403


@pytest.mark.parametrize("text", ["*", "null", "localhost:5173", "http://localhost:5173/", "ftp://x", "http://a b", ""])
def test_only_origins_can_be_let_in(text):
    """A star or ``null`` would be every page of the web."""
    with pytest.raises(BadRequest, match="http_origins"):
        resolve({"http_origins": [text]}, {})


async def test_a_path_that_takes_the_token_in_the_body_is_told_that_none_was_shown():
    """It is not refused here, and not taken for shown either."""
    app = Anything()
    async with client(app, token="K", body_tokens=frozenset({"/release_task"})) as http:
        assert (await http.post("/release_task")).status_code == 200
        assert (await http.post("/release_task", headers={"authorization": "Bearer K"})).status_code == 200
        assert (await http.post("/release_task/", json={})).status_code == 401
    assert app.asked == [("http", False), ("http", True)]


def judged(headers, **terms):
    """What the guard says of a WebSocket's handshake: status of a refusal, and whether the token was shown."""
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    status, _, shown = Guard(Anything(), EntryTerms(hosts=HOSTS, **terms)).judge(
        {"type": "websocket", "path": "/rpc", "headers": encoded}
    )
    return status, shown


@pytest.mark.parametrize(
    ("headers", "opens"),
    [
        ({"host": HOST}, True),
        ({"host": HOST, "origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}, True),
        ({"host": HOST, "origin": PAGE, "sec-fetch-site": "same-site"}, True),
        ({"host": HOST, "origin": "http://evil.example"}, False),
        ({"host": HOST, "origin": "null"}, False),
        ({"host": HOST, "sec-fetch-site": "cross-site"}, False),
        ({"host": "evil.example", "origin": "http://evil.example"}, False),
        ({}, False),
    ],
)
def test_websockets_are_judged_likewise(headers, opens):
    """Host and Origin; a page may open one without asking, so this is all that keeps others out."""
    assert (judged(headers, origins=frozenset({PAGE}))[0] == 0) == opens


def test_a_websocket_shows_its_token_in_the_handshake_or_later():
    """A page cannot set headers, so the door behind asks for it; it is told whether it came."""
    assert judged({"host": HOST}, token="K") == (0, False)
    assert judged({"host": HOST, "authorization": "Bearer K"}, token="K") == (0, True)


def test_the_token_of_ace_steps_own_server_is_read():
    """Ours wins where both are set."""
    assert resolve({}, {"ACESTEP_API_KEY": "K"}).settings.token == "K"
    assert resolve({}, {"ACESTEP_API_KEY": "K", "ACESTEP_BRIDGE_TOKEN": "ours"}).settings.token == "ours"


def test_a_token_that_only_rpc_has_made_is_not_asked_for_on_loopback():
    """Nobody could know it. One that somebody has set is asked for everywhere."""
    assert http_token(with_own_token(Settings(), "nt")) == ""
    assert http_token(with_own_token(Settings(listen="0.0.0.0"), "nt")) != ""
    assert http_token(Settings(token="K")) == "K"


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.168.1.2", False),
     ("fe80::1%eth0", False), ("", False), ("localhost", False), ("::ffff:10.0.0.1", False)],
)  # fmt: skip
def test_loopback_is_known_in_every_spelling(host, local):
    """By the peer's address, never by a name it claims."""
    assert is_loopback(host) == local


async def test_several_ports_show_the_same_site(core):
    """As front ends of ACE-Step expect 8001 and 8002; one that is taken is named, and none is left open."""
    site = Site(Dispatcher(core))
    door, second = HttpDoor(site), HttpDoor(site)
    first = await door.listen("127.0.0.1", 0, 0)
    (further,) = door.address["ports"]
    async with httpx.AsyncClient() as http:
        for port in (first, further):
            assert (await http.get(f"http://127.0.0.1:{port}/health")).json()["status"] == "ok"
        with pytest.raises(Unavailable, match=f"port {further}") as refused:
            await second.listen("127.0.0.1", 0, further)
        assert refused.value.field == "http_ports"
    await door.close()


def test_further_ports_come_from_every_place_of_settings():
    """As numbers."""
    assert resolve({"http_ports": [8001, 8002]}, {}).settings.http_ports == [8001, 8002]
    assert resolve({}, {"ACESTEP_BRIDGE_HTTP_PORTS": "8001, 8002"}).settings.http_ports == [8001, 8002]
    with pytest.raises(BadRequest, match="http_ports"):
        resolve({}, {"ACESTEP_BRIDGE_HTTP_PORTS": "8001,x"})


async def raw(port, data, answer=65_536):
    """Send bytes to a port and read until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(30):
        said = await reader.read(answer)
    writer.close()
    return said


@pytest.fixture
async def reader_port():
    """A server that reads bodies of at most 100,000 bytes and says how long they were."""

    async def length(request):
        return PlainTextResponse(str(len(await read_body(request, 100_000))))

    app = Starlette(routes=[Route("/", length, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    sock = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield sock.getsockname()[1]
    server.should_exit = True
    await task


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


async def test_a_body_is_read_up_to_its_bound(reader_port, monkeypatch):
    """Declared or not, and not forever."""
    monkeypatch.setattr(limits, "FRAME_SECONDS", 0.5)
    assert (await raw(reader_port, HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000)).endswith(b"100000")
    assert b" 413 " in await raw(reader_port, HEAD + b"Content-Length: 100001\r\n\r\n")
    chunks = 2 * (b"ffff\r\n" + b"x" * 65_535 + b"\r\n")
    assert b" 413 " in await raw(reader_port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert b" 408 " in await raw(reader_port, HEAD + b"Content-Length: 10\r\n\r\nx")
