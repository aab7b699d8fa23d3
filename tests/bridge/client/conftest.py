"""Clients against real doors over a core in memory, the doors on a thread of their own."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from bridge.core.uploads import Uploads
from bridge.doors.dispatch import Dispatcher
from bridge.doors.osc.allow import AllowList
from bridge.doors.osc.door import OscDoor
from bridge.doors.osc.sockets import OscSockets
from bridge.doors.rpc.door import RpcDoor
from bridge.paths import Paths
from bridge.settings import Settings
from bridge.testing.core import ScriptedCore


class House:
    """A core and its doors in a thread, as a daemon would run them."""

    def __init__(self, folder):
        self.folder = folder
        self.home = str(folder / "home")
        self.core = ScriptedCore(folder / "results", pace=0.01)
        self.core.folder.mkdir()
        self.files = Uploads(folder / "uploads", largest=10_000_000, quota=20_000_000)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.port = 0
        self.run(self._open())

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    async def _open(self):
        dispatcher = Dispatcher(self.core, self.files)
        self.rpc = RpcDoor(dispatcher, token="secret")
        self.port = await self.rpc.listen("127.0.0.1", self.port)
        self.sockets = OscSockets(OscDoor(dispatcher, AllowList()), "127.0.0.1", 0)
        self.osc = await self.sockets.open()
        paths = Paths.of(Settings(home=self.home))
        paths.create()
        self.connection = paths.connection
        self.connection.write_text(json.dumps({"rpc": self.rpc.address, "token": "secret"}))

    async def _close(self):
        await self.rpc.close()
        await self.sockets.close()

    def reopen(self):
        """The doors close and open again on the same port, as with a restarted daemon."""
        self.run(self._close())
        self.run(self._open())

    def close(self):
        self.run(self._close())
        self.run(self.core.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def house(tmp_path):
    """An open house."""
    house = House(tmp_path)
    yield house
    house.close()
