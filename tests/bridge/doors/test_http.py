"""The HTTP server's own pages: reads for this machine, nothing for other sites. Its guard: see test_http_guard."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from acestep.api.errors import NotAllowed
from bridge.doors import meters
from bridge.doors.dispatch import Dispatcher
from bridge.doors.http import oscquery
from bridge.doors.http.app import build
from bridge.doors.http.guard import EntryTerms, Guard
from bridge.doors.http.server import HttpDoor
from bridge.doors.http.site import Site

HOST = "127.0.0.1:9702"


def client(core, token="", **terms):
    hosts = frozenset({HOST, "localhost:9702", "[::1]:9702"})
    app = Guard(build(Site(Dispatcher(core))), EntryTerms(hosts=hosts, token=token, **terms))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{HOST}")


CASES = [
    ("own host", {}, 200),
    ("localhost", {"host": "localhost:9702"}, 200),
    ("IPv6", {"host": "[::1]:9702"}, 200),
    ("upper case", {"host": "LOCALHOST:9702"}, 200),
    ("rebound name", {"host": "evil.example:9702"}, 421),
    ("no port", {"host": "127.0.0.1"}, 421),
    ("other port", {"host": "127.0.0.1:80"}, 421),
    ("name that begins alike", {"host": "localhost.evil.example:9702"}, 421),
    ("empty host", {"host": ""}, 421),
    ("typed by hand", {"sec-fetch-site": "none"}, 200),
    ("own page", {"sec-fetch-site": "same-origin", "origin": f"http://{HOST}"}, 200),
    ("other site", {"sec-fetch-site": "cross-site"}, 403),
    ("neighbour site", {"sec-fetch-site": "same-site"}, 403),
    ("unknown word", {"sec-fetch-site": "x"}, 403),
    ("foreign origin", {"origin": "http://evil.example"}, 403),
    ("null origin", {"origin": "null"}, 403),
    ("empty origin", {"origin": ""}, 403),
    ("origin of another port", {"origin": "http://127.0.0.1:1"}, 403),
    ("origin of another scheme", {"origin": f"https://{HOST}"}, 403),
    ("origin with user", {"origin": f"http://x@{HOST}"}, 403),
    ("good site, bad origin", {"sec-fetch-site": "same-origin", "origin": "http://evil.example"}, 403),
]


@pytest.mark.parametrize("path", ["/health", "/metrics", "/", "/ace/status", "/?HOST_INFO"])
@pytest.mark.parametrize(("headers", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_only_this_machine_and_no_other_site_may_read(core, path, headers, status):
    """Host, Sec-Fetch-Site and Origin, on every page."""
    async with client(core) as http:
        assert (await http.get(path, headers=headers)).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
@pytest.mark.parametrize("path", ["/health", "/", "/ace/queue/clear", "/ace/op/sketch"])
async def test_nothing_can_be_changed_on_our_own_pages(core, method, path):
    """Only GET and HEAD exist."""
    async with client(core) as http:
        answer = await http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json() == {"detail": "Method Not Allowed"}


async def test_a_get_of_an_address_does_not_run_it(core):
    """OSCQuery describes; it does not act."""
    async with client(core) as http:
        for path in ("/ace/queue/pause", "/ace/queue/clear", "/ace/op/sketch"):
            assert (await http.get(path)).status_code == 200
    assert (core.paused, core.submits) == (False, 0)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer secret", 200),
        ("bearer secret", 200),
        ("secret", 200),
        ("Basic YW55Ym9keTpzZWNyZXQ=", 200),
        ("Bearer wrong", 401),
        ("Bearer", 401),
        ("wrong", 401),
        ("Basic secret", 401),
        ("Basic c2VjcmV0", 401),
        ("Digest secret", 401),
        ("", 401),
    ],
)
async def test_where_there_is_a_token_it_must_be_shown(core, header, status):
    """In the Authorization header, with or without its scheme; a supervisor may ask /health without it."""
    async with client(core, token="secret") as http:
        for path in ("/metrics", "/", "/studio"):
            assert (await http.get(path, headers={"authorization": header})).status_code == status
            assert (await http.get(f"{path}?token=secret")).status_code == 401
        assert (await http.get("/health")).status_code == 200


async def test_every_answer_forbids_guessing_storing_and_embedding(core):
    """Also the refusals."""
    async with client(core) as http:
        for answer in (await http.get("/health"), await http.get("/", headers={"host": "x"}), await http.get("/no")):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "access-control-allow-origin" not in answer.headers


async def test_health_says_when_the_worker_was_given_up(core, monkeypatch):
    """200 while all is well, 503 when degraded."""
    async with client(core) as http:
        assert (await http.get("/health")).json()["status"] == "ok"
        monkeypatch.setattr(core, "status", lambda: {"state": "degraded"})
        assert (await http.get("/health")).status_code == 503


async def test_metrics_are_prometheus_text(core):
    """Help, type and values; the doors' own numbers with them."""
    meters.attach(core, "osc", lambda: {"packets": 3})
    async with client(core) as http:
        answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert "# TYPE acestep_bridge_uptime_seconds gauge" in lines
    assert "acestep_bridge_uptime_seconds 1" in lines
    assert 'acestep_bridge_osc_door{fact="packets"} 3' in lines


def test_the_tree_holds_every_address_of_the_table(core):
    """One source: methods, operations, their parameters, and what the daemon sends."""
    from bridge.doors.methods import ADDRESSES

    tree = oscquery.tree(core)
    for address in [*ADDRESSES, *oscquery.ANSWERS, "/ace/op/sketch", "/ace/op/sketch/bpm", "/ace/op/sketch/id"]:
        node = oscquery.node_at(tree, address)
        assert node["FULL_PATH"] == address
        assert node["DESCRIPTION"]
    assert oscquery.node_at(tree, "/ace/op/secret") is None


async def test_a_parameter_tells_type_range_unit_and_default(core):
    """What a control surface needs to make a slider."""
    async with client(core) as http:
        node = (await http.get("/ace/op/sketch/bpm")).json()
    expected = {"TYPE": "f", "ACCESS": 3, "VALUE": [120.0], "RANGE": [{"MIN": 30.0, "MAX": 300.0}], "UNIT": ["bpm"]}
    assert node.items() >= {"FULL_PATH": "/ace/op/sketch/bpm", "DESCRIPTION": "Tempo."}.items()
    assert node.items() >= expected.items()


async def test_one_attribute_can_be_asked_for(core):
    """200 with it, 204 where it does not apply, 400 for an unknown one, 404 for an unknown address."""
    async with client(core) as http:
        assert (await http.get("/ace/op/sketch/bpm?VALUE")).json() == {"VALUE": [120.0]}
        assert (await http.get("/ace/op?VALUE")).status_code == 204
        assert (await http.get("/ace/op/sketch?NONSENSE")).status_code == 400
        assert (await http.get("/ace/nothing")).status_code == 404
        assert (await http.get("/elsewhere")).status_code == 404
        info = (await http.get("/?HOST_INFO")).json()
    assert (info["OSC_PORT"], info["OSC_TRANSPORT"], info["EXTENSIONS"]["LISTEN"]) == (9700, "UDP", False)


async def test_the_server_runs_beside_everything_else(core):
    """On a free port, with the guard in front, closed without rest."""
    door = HttpDoor(Site(Dispatcher(core)))
    port = await door.listen("127.0.0.1", 0)
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://127.0.0.1:{port}/health")).json()["status"] == "ok"
        assert (await http.get(f"http://127.0.0.1:{port}/health", headers={"host": "x"})).status_code == 421
    await door.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_without_a_token_only_loopback_is_listened_to(core):
    """Anything else is refused at once."""
    with pytest.raises(NotAllowed):
        await HttpDoor(Site(Dispatcher(core))).listen("0.0.0.0", 0)


async def test_answers_wait_for_no_receipt(core):
    """Header and body leave one after the other: with Nagle's wait between them each answer on an open connection took 40 ms."""
    door = HttpDoor(Site(Dispatcher(core)))
    port = await door.listen("127.0.0.1", 0)
    async with httpx.AsyncClient() as browser:
        assert (await browser.get(f"http://127.0.0.1:{port}/health")).status_code == 200
        (held,) = door._server.server_state.connections
        assert held.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await door.close()


async def test_a_body_that_breaks_off_in_nonsense_gets_one_answer(core, caplog):
    """It comes while the request is still being answered: whichever answer is first is the only one, without a traceback."""
    door = HttpDoor(Site(Dispatcher(core)))
    port = await door.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /release_task HTTP/1.1\r\nHost: somewhere.else\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + b"not a chunk\r\n")
    async with asyncio.timeout(20):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1
    writer.close()
    await door.close()
    assert "Exception in ASGI application" not in caplog.text
