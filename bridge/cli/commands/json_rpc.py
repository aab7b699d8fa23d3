"""`json-rpc`: the daemon's JSON-RPC lines on standard input and output, for programs that start a process and talk to it."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from acestep.api.errors import DaemonUnreachable, Unauthorized
from bridge.cli.exits import Exit
from bridge.cli.show import tell

if TYPE_CHECKING:
    from bridge.client.daemon_address import DaemonAddress

TIMEOUT = 10.0
"""Seconds to connect and to show the token."""

PIECE = 65_536


def json_rpc(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""
    parser.description = (
        "Speak JSON-RPC 2.0 with the daemon, one message per line: requests on standard input, answers and "
        "events on standard output. Exits after the end of input, when every request has been answered."
    )
    parser.epilog = (
        'example: echo \'{"jsonrpc":"2.0","id":1,"method":"status"}\' | acestep-bridge json-rpc | jq .result.queue'
    )
    parser.set_defaults(run=_json_rpc)


def _json_rpc(options: argparse.Namespace) -> int:
    from bridge.cli.contact import open_contact, parse_address
    from bridge.client.daemon_address import PORTS, connect, find_daemon

    if options.connect:
        host, port = parse_address(options.connect, PORTS["jsonrpc"])
        address = find_daemon(host=host, port=port, token=options.token, door="jsonrpc")
    else:
        open_contact(options).close()
        address = find_daemon(options.home, token=options.token, door="jsonrpc")
    with connect(address, TIMEOUT) as sock:
        _show_token(sock, address)
        sock.settimeout(None)
        return _relay(sock)


def _show_token(sock: socket.socket, address: DaemonAddress) -> None:
    """Say hello over TCP, where a token is known. Raises `Unauthorized` or `DaemonUnreachable`."""
    if address.socket or not address.token:
        return
    hello = {"jsonrpc": "2.0", "id": 0, "method": "hello", "params": {"token": address.token}}
    try:
        sock.sendall(json.dumps(hello).encode() + b"\n")
        answer = json.loads(_read_line(sock))
    except (OSError, ValueError):
        raise DaemonUnreachable(f"what answers at {address.name} does not speak JSON-RPC") from None
    if not isinstance(answer, dict) or "result" not in answer:
        error: Any = answer.get("error") if isinstance(answer, dict) else None
        raise Unauthorized(
            str(error.get("message")) if isinstance(error, dict) else "the token was refused", field="token"
        )


def _read_line(sock: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = sock.recv(1)  # nothing behind the line may be taken
        if not piece:
            break
        line += piece
    return line


def _relay(sock: socket.socket) -> int:
    """Carry lines both ways until the daemon has answered everything that was asked before the end of input."""
    ended = threading.Event()
    threading.Thread(target=_send, args=(sock, ended), daemon=True).start()
    rest = b""
    try:
        while piece := sock.recv(PIECE):
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            _write(whole + newline)
    except ConnectionError:
        pass
    if ended.is_set():
        return Exit.OK
    tell("the daemon closed the connection")
    return Exit.FAILED


def _send(sock: socket.socket, ended: threading.Event) -> None:
    """Carry standard input to the daemon; a last line needs no line feed."""
    last = b"\n"
    try:
        while piece := os.read(sys.stdin.fileno(), PIECE):
            sock.sendall(piece)
            last = piece
        if not last.endswith(b"\n"):
            sock.sendall(b"\n")
        ended.set()
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the daemon has gone; the other direction tells


def _write(data: bytes) -> None:
    """Whole lines in one write, so that a reader who takes what a write brought never sees half a line."""
    out = sys.stdout.buffer
    out.write(data)
    out.flush()
