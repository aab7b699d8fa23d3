"""Where the daemon is: from its connection file, or from a host and port."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import DaemonUnreachable
from acestep.api.text import read_text
from bridge.paths import Paths
from bridge.settings import Settings

TOKEN_VARIABLE = "ACESTEP_BRIDGE_TOKEN"


class DaemonAddress(msgspec.Struct, frozen=True):
    """A door with connections: a Unix socket where there is one, else host and port; and the token it may ask for."""

    host: str = "127.0.0.1"
    port: int = 0
    socket: str = ""
    token: str = ""

    @property
    def name(self) -> str:
        """The address in words."""
        return self.socket or f"{self.host}:{self.port}"


PORTS = {"rpc": 9701, "jsonrpc": 9703}
"""Doors with connections, and their usual ports."""


def find_daemon(home: str = "", *, host: str = "", port: int = 0, token: str = "", door: str = "rpc") -> DaemonAddress:
    """The address of the daemon of a home, or at a host and port (token: also from the environment). Raises `DaemonUnreachable`."""
    if host:
        return DaemonAddress(host=host, port=port or PORTS[door], token=token or os.environ.get(TOKEN_VARIABLE, ""))
    path = Paths.of(Settings(home=home)).connection
    facts = read_connection(path)
    found = facts.get(door) or {}
    if not found:
        raise DaemonUnreachable(f"the daemon of {path} has its {door.upper()} door closed")
    _check_door(found, facts.get("token") or "", path)
    return DaemonAddress(
        host=reachable(found.get("host") or ""),
        port=found.get("port") or 0,
        socket=(found.get("socket") or "") if hasattr(socket, "AF_UNIX") else "",
        token=token or facts.get("token") or "",
    )


def _check_owner(path: Path) -> None:
    """Believe no connection file of another user: it would be told the token. Raises `DaemonUnreachable` or `OSError`."""
    if os.name == "posix" and os.getuid() and path.stat().st_uid not in (os.getuid(), 0):
        raise DaemonUnreachable(f"{path} belongs to another user and is ignored")


def _check_door(door: Any, token: Any, path: Path) -> None:
    """See that a connection file says what it must. Raises `DaemonUnreachable`."""
    kinds = {"host": str, "port": int, "socket": str}
    whole = isinstance(door, dict) and all(isinstance(door.get(key) or kind(), kind) for key, kind in kinds.items())
    if not whole or not isinstance(token, str) or not 0 <= int(door.get("port") or 0) < 65_536:
        raise DaemonUnreachable(f"{path} is damaged; restart the daemon to write it again")


def reachable(host: str) -> str:
    """An address to connect to for one that a daemon listens on: all addresses of a machine include its loopback."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def read_connection(path: Path) -> dict[str, Any]:
    """What a connection file says. Raises `DaemonUnreachable`."""
    try:
        _check_owner(path)
        facts = json.loads(read_text(path))
    except FileNotFoundError:
        raise DaemonUnreachable(f"no daemon is running (there is no {path})") from None
    except (OSError, ValueError) as failure:
        raise DaemonUnreachable(f"{path} cannot be read: {failure}") from None
    if not isinstance(facts, dict):
        raise DaemonUnreachable(f"{path} is not a connection file")
    return facts


def connect(address: DaemonAddress, timeout: float) -> socket.socket:
    """A connected socket. Raises `DaemonUnreachable`."""
    try:
        if address.socket:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(timeout)
            try:
                sock.connect(address.socket)
            except BaseException:  # also Ctrl-C: nobody else could close it
                sock.close()
                raise
            return sock
        sock = socket.create_connection((address.host, address.port), timeout)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    except OSError as failure:
        reason = failure.strerror or str(failure)
        raise DaemonUnreachable(f"no daemon answers at {address.name}: {reason}") from None
