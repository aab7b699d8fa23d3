"""Doors over real sockets and a core in memory."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from bridge.core.uploads import Uploads
from bridge.doors.dispatch import Dispatcher
from bridge.doors.osc.allow import AllowList
from bridge.doors.osc.codec import decode
from bridge.doors.osc.door import OscDoor
from bridge.doors.osc.messages import encode
from bridge.doors.osc.sockets import OscSockets
from bridge.doors.rpc import codec
from bridge.doors.rpc.door import RpcDoor
from bridge.testing.core import ScriptedCore


@pytest.fixture
async def core(tmp_path):
    """A core whose jobs end at once."""
    folder = tmp_path / "results"
    folder.mkdir()
    core = ScriptedCore(folder)
    yield core
    await core.close()


@pytest.fixture
def dispatcher(core, tmp_path):
    """The dispatcher of the doors below."""
    return Dispatcher(core, Uploads(tmp_path / "uploads", largest=10_000_000, quota=20_000_000))


@pytest.fixture
async def osc_door(dispatcher):
    """An open OSC door; its sockets know the ports as ``address``."""
    sockets = OscSockets(OscDoor(dispatcher, AllowList()), "127.0.0.1", 0)
    sockets.address = await sockets.open()
    yield sockets
    await sockets.close()


class UdpPeer(asyncio.DatagramProtocol):
    """A UDP client that collects messages."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue = asyncio.Queue()
        self.sizes: list[int] = []

    def connection_made(self, transport):
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data, addr):
        self.sizes.append(len(data))
        self.messages.put_nowait(decode(data))

    def send(self, address, *arguments):
        self.transport.sendto(encode(address, list(arguments)))

    def send_raw(self, data):
        self.transport.sendto(data)

    async def next(self, *addresses, timeout=5.0):
        """The next message of one of these addresses (any without)."""
        async with asyncio.timeout(timeout):
            while True:
                message = await self.messages.get()
                if not addresses or message.address in addresses:
                    return message

    async def until_end(self, job, timeout=5.0):
        """All messages about a job up to its last."""
        ends = ("/ace/done", "/ace/failed", "/ace/cancelled", "/ace/interrupted")
        found = []
        while not found or found[-1].address not in ends:
            message = await self.next(timeout=timeout)
            if message.arguments[:1] == (job,):
                found.append(message)
        return found


@pytest.fixture
async def udp(osc_door):
    """Makes UDP clients of the OSC door."""
    made = []

    async def make():
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_datagram_endpoint(UdpPeer, remote_addr=("127.0.0.1", osc_door.address["udp"]))
        made.append(peer)
        return peer

    yield make
    for peer in made:
        peer.transport.close()


@pytest.fixture
async def rpc_door(dispatcher):
    """An open RPC door without a token."""
    door = RpcDoor(dispatcher)
    await door.listen("127.0.0.1", 0)
    yield door
    await door.close()


class RpcPeer:
    """A bare MessagePack-RPC client, so that tests see every message."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.splitter = codec.Splitter(64 * 1024 * 1024)
        self.messages = []
        self.number = 0

    def send(self, data):
        self.writer.write(data)

    async def next(self, timeout=5.0):
        """The next message; None at the end of the stream."""
        async with asyncio.timeout(timeout):
            while not self.messages:
                data = await self.reader.read(65_536)
                if not data:
                    return None
                self.messages += [codec.decode(body) for body in self.splitter.feed(data)]
        return self.messages.pop(0)

    async def ask(self, method, **params):
        """The response to a request; what comes before it is skipped."""
        self.number += 1
        self.send(codec.request(self.number, method, params))
        while True:
            message = await self.next()
            if isinstance(message, codec.Response) and message.id == self.number:
                return message

    async def event(self, *kinds):
        """The data of the next event of these kinds."""
        while True:
            message = await self.next()
            if isinstance(message, codec.Notification) and message.method == "event":
                event = message.params[0]
                if not kinds or event["kind"] in kinds:
                    return event


@pytest.fixture
async def rpc(rpc_door):
    """Makes clients of the RPC door."""
    made = []

    async def make(door=None):
        address = (door or rpc_door).address
        peer = RpcPeer(*await asyncio.open_connection(address["host"], address["port"]))
        made.append(peer)
        return peer

    yield make
    for peer in made:
        peer.writer.close()
        with contextlib.suppress(OSError):
            await peer.writer.wait_closed()
