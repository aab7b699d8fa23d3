"""Finds out about peers that vanished without a word (a laptop that sleeps, a cable that was pulled)."""

from __future__ import annotations

import asyncio
import contextlib
import socket

IDLE, INTERVAL, PROBES = 60, 15, 4
"""Seconds of silence before the first probe, between probes, and how many go unanswered: gone after two minutes."""


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Let the system probe a TCP connection; a dead one then ends by itself instead of holding a place for hours."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", IDLE), ("TCP_KEEPINTVL", INTERVAL), ("TCP_KEEPCNT", PROBES)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
