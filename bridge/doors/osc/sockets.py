"""The sockets of the OSC door: UDP datagrams and TCP streams, on one port."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections import deque
from typing import Any

from acestep.api.errors import ProtocolError
from bridge.doors import limits
from bridge.doors.osc.allow import is_of_this_machine
from bridge.doors.osc.door import OscDoor
from bridge.doors.osc.framing import Framer, frame
from bridge.doors.osc.peers import PeerAddress, Send
from bridge.doors.streams import Crowd, Stream, StreamGroup, Turns

log = logging.getLogger(__name__)


class OscSockets:
    """Opens the door at an address and port (0: a free one)."""

    def __init__(self, door: OscDoor, host: str, port: int) -> None:
        self.door = door
        self._host = host
        self._port = port
        self._datagrams: dict[int, asyncio.DatagramTransport] = {}
        self._servers: list[asyncio.Server] = []
        self._group = StreamGroup(Crowd(), Turns())

    async def open(self) -> dict[str, Any]:
        """Listen. Returns host and ports as they stand in the connection file."""
        udp = await self._open_udp(self._host, self._port)
        tcp = await self._open_tcp(self._host, self._port or udp, spare=not self._port)
        if self._host == "127.0.0.1" and socket.has_ipv6:  # programs that look up "localhost" may come this way
            with contextlib.suppress(OSError):
                await self._open_udp("::1", udp)
                await self._open_tcp("::1", tcp, spare=False)
        self.door.own_ports = frozenset({udp})
        self.door.open(self._sender)
        return {"host": self._host, "udp": udp, "tcp": tcp}

    async def _open_udp(self, host: str, port: int) -> int:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limits.OSC_RECEIVE_BUFFER)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self.door), sock=sock)
        self._datagrams[family] = transport
        return sock.getsockname()[1]

    async def _open_tcp(self, host: str, port: int, *, spare: bool) -> int:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(lambda: _OscStream(self.door, self._group), host, port)
        except OSError as failure:
            if not spare or failure.errno != errno.EADDRINUSE:
                raise
            server = await loop.create_server(lambda: _OscStream(self.door, self._group), host, 0)
        self._servers.append(server)
        return server.sockets[0].getsockname()[1]

    def _sender(self, address: PeerAddress) -> Send:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        return _datagram_sender(self.door, self._datagrams[family], (address[0], address[1]))

    async def close(self) -> None:
        """Stop listening and close every connection."""
        self.door.close()
        for server in self._servers:
            server.close()
        for stream in self._group.crowd:
            stream.dismiss()
        self._group.turns.close()
        for transport in self._datagrams.values():
            transport.close()


def _datagram_sender(door: OscDoor, transport: asyncio.DatagramTransport, address: tuple[Any, ...]) -> Send:
    def send(packet: bytes, droppable: bool) -> None:
        if transport.is_closing():
            return
        waiting = transport.get_write_buffer_size()  # type: ignore[attr-defined]  # every real one has it
        if waiting > limits.OSC_SEND_BUFFER * (1 if droppable else 4):
            door.counters.dropped += 1
            return
        transport.sendto(packet, address)

    return send


class _Datagrams(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, door: OscDoor) -> None:
        self._door = door
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        host, port = addr[0], addr[1]
        if not self._door.allowed(host) or self._transport is None:
            return
        if port in self._door.own_ports and is_of_this_machine(host):
            self._door.counters.echoes += 1
            return
        self._door.take(data, (host, port, "udp"), _datagram_sender(self._door, self._transport, addr))

    def error_received(self, exc: Exception) -> None:
        """A receiver is gone (ICMP); its lease will run out by itself."""


class _OscStream(Stream):
    """One TCP connection. The first packet that is none closes it."""

    def __init__(self, door: OscDoor, group: StreamGroup) -> None:
        super().__init__(group)
        self._door = door
        self._framer = Framer()
        self._arrived = bytearray()
        self._packets: deque[bytes] = deque()
        self._taken = 0
        self._peer_address: PeerAddress = ("", 0, "tcp")

    def _admits(self, transport: asyncio.Transport) -> bool:
        peer = transport.get_extra_info("peername")
        self._peer_address = (peer[0], peer[1], "tcp") if peer else self._peer_address
        return self._door.allowed(self._peer_address[0])

    def _add(self, data: bytes) -> None:
        self._arrived += data

    def _step(self) -> None:
        if not self._packets:
            piece = bytes(self._arrived[: limits.TURN_BYTES])
            del self._arrived[: len(piece)]
            self._packets.extend(self._framer.feed(piece))
        elif self._door.take(self._packets.popleft(), self._peer_address, self._send):
            self.spoke = True
            self._taken += 1
            self._watch(self._mark)
        elif self._transport is not None:
            self._transport.close()  # what is not OSC may be anything; its answer still goes out

    @property
    def _starved(self) -> bool:
        return not (self._packets or self._arrived)

    @property
    def _mark(self) -> int:
        return self._taken + 1 if self._framer.unfinished else 0

    def _on_malformed(self, failure: ProtocolError) -> None:
        log.info("OSC connection from %s:%s closed: %s", *self._peer_address[:2], failure.message)
        self._door.counters.malformed += 1
        self.dismiss()

    def _on_stalled(self) -> None:
        self.dismiss()

    @property
    def idle_since(self) -> float | None:
        """Since when (monotonic s) nothing has come; None while the door owes it something."""
        return None if self._door.peers.get(self._peer_address) is not None else self._last_data_at

    def dismiss(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, packet: bytes, droppable: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        waiting = transport.get_write_buffer_size()
        if waiting > limits.OSC_SEND_BUFFER and droppable:
            self._door.counters.dropped += 1
        elif waiting > 4 * limits.OSC_SEND_BUFFER:
            log.warning("OSC client %s:%s does not read; closed", *self._peer_address[:2])
            self.dismiss()
        else:
            transport.write(frame(packet, self._framer.mode or "length"))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._door.gone(self._peer_address)
