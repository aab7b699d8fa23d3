"""The ports of the HTTP door, bound before its server is imported."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from typing import Any

from acestep.api.errors import NotAllowed, Unavailable
from bridge.settings import LOOPBACK


def bind(host: str, ports: Iterable[int], token: str = "") -> list[socket.socket]:
    """A listening socket for each port: all of them, or none. Raises `NotAllowed` beyond loopback without a token, `Unavailable`
    about a port that is taken.
    """
    if host not in LOOPBACK and not token:
        raise NotAllowed(f"listening on {host} needs a token", field="token")
    sockets: list[socket.socket] = []
    for port in ports:
        try:
            sockets.append(
                socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
            )
        except OSError as failure:
            for sock in sockets:
                sock.close()
            raise Unavailable(
                f"the http door cannot open on {host} port {port}: {failure.strerror or failure}; another program may use it, and "
                "every daemon needs ports of its own",
                field="http_ports" if sockets else "http_port",
            ) from failure
    return sockets


def port_of(sock: socket.socket) -> int:
    """The port that a socket listens on."""
    return int(sock.getsockname()[1])


def address_of(host: str, sockets: Sequence[socket.socket]) -> dict[str, Any]:
    """What the connection file says of the door: the first port, and further ones where there are."""
    first, *more = map(port_of, sockets)
    return {"host": host, "port": first, **({"ports": more} if more else {})}
