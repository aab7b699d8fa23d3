"""The HTTP door of a daemon that starts: bound at once, and answering as soon as its server has been imported."""

from __future__ import annotations

import asyncio
import socket
import threading
from types import SimpleNamespace

import httpx
import pytest

from acestep.api.errors import NotAllowed, Unavailable
from bridge.core.uploads import Uploads
from bridge.doors.http import opening
from bridge.doors.http.opening import HttpOpening
from bridge.settings import Settings


@pytest.fixture
def service(core, tmp_path):
    """The core as a daemon hands it to a door."""
    core.uploads = Uploads(tmp_path / "uploads", largest=10_000_000, quota=20_000_000)
    return core


@pytest.fixture
def held(monkeypatch):
    """The import of the server waits until this is set."""
    go, real = threading.Event(), opening._import_server

    def import_server():
        assert go.wait(60)
        real()

    monkeypatch.setattr(opening, "_import_server", import_server)
    return go


async def test_a_request_waits_for_the_server(service, held):
    """It is neither refused nor lost, and the loop goes on meanwhile."""
    door = HttpOpening(service, Settings(http_port=0))
    async with httpx.AsyncClient(timeout=60) as http:
        asked = asyncio.create_task(http.get(f"http://127.0.0.1:{door.address['port']}/health"))
        await asyncio.sleep(0.1)
        assert not asked.done()
        held.set()
        assert (await asked).json()["status"] == "ok"
    await door.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", door.address["port"])


async def test_a_daemon_that_stops_at_once_leaves_no_port(service, held):
    """Closed before it has answered anything."""
    door = HttpOpening(service, Settings(http_port=0))
    asyncio.get_running_loop().call_later(0.05, held.set)
    await door.close()
    with socket.create_server(("127.0.0.1", door.address["port"])):
        pass


async def test_a_server_that_cannot_be_had_is_told_and_gives_its_port_back(service, monkeypatch, caplog):
    """The other doors stay; see `bridge.daemon`."""

    def broken():
        raise ImportError("no module named uvicorn")

    monkeypatch.setattr(opening, "_import_server", broken)
    door = HttpOpening(service, Settings(http_port=0))
    await door.close()
    assert "the http door does not answer" in caplog.text and "uvicorn" in caplog.text
    with socket.create_server(("127.0.0.1", door.address["port"])):
        pass


async def test_what_keeps_it_from_listening_is_told_at_once(service):
    """A port that is taken, and a network without a token."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port}"):
            HttpOpening(service, Settings(http_port=port))
        with pytest.raises(Unavailable, match=f"port {port}") as refused:
            HttpOpening(service, Settings(http_port=0, http_ports=(port,)))
        assert refused.value.field == "http_ports"
    with pytest.raises(NotAllowed):
        HttpOpening(SimpleNamespace(), Settings(listen="0.0.0.0", http_port=0))
