"""JSON-RPC messages that mean harm, as lines over a socket and as WebSocket messages and frames.

python -m bridge.testing.hostile_jsonrpc HOME COUNT [SEED]
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bridge.launch import read_connection
from bridge.paths import Paths
from bridge.settings import Settings
from bridge.testing.hostile import mutate
from bridge.testing.mutations import deep, mutated

MESSAGES_PER_CONNECTION = 40

TIMEOUT = 20.0
"""Seconds for the other side to have answered and closed."""


def call(id: Any, method: str, /, **params: Any) -> dict[str, Any]:
    """A request."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


SEEDS = [
    call(1, "status"),
    call(2, "job.list", limit=3, search="x"),
    call(3, "job.wait", id="nobody", after=-1, timeout=0.1),
    call(4, "op.generate", caption="fake: steps=1", duration=0.1, bpm=120.0, seed=5),
    call(5, "job.submit", operation="repaint", params={"source": "/nowhere.wav", "start": 0, "end": 100}),
    call("six", "job.subscribe", ids=["nobody"], after={"nobody": 3}),
    call(7, "upload.begin", name="x.wav", size=5, sha256="0" * 64),
    call(8, "upload.chunk", id="up-0123456789abcdef", offset=0, data="aGVsbG8="),
    call(9, "hello", client="x", events=False),
    [call(10, "ping", n=1), {"jsonrpc": "2.0", "method": "ping"}, call(11, "version")],
]
"""What editors and pages send."""

LOFI_SEEDS = [
    call(1, "generate", prompt="fake: steps=1", duration_sec=5, seed=42, priority="normal", backend="ace_step"),
    call(2, "generate", prompt="rain", duration_sec=5, inference_steps=2, scheduler="euler", guidance_scale=3.0),
    call(3, "get_backends"),
    call(4, "cancel", track_id="0123456789abcdef"),
    call(5, "download_backend", backend="musicgen"),
    [call(6, "ping"), {"jsonrpc": "2.0", "method": "ping"}],
]
"""What lofi.nvim sends."""

CRAFTED = [
    b"", b"null", b"[]", b"{}", b"[" * 50_000, deep(9_000), b'{"a":' * 9_000, b"\xff" * 300, b"\0", b"1e999", b'"\\ud800"',
    b"[" + b"1," * 90_000 + b"1]", b'"' * 9_000, b'{"jsonrpc":"2.0","id":' + b"9" * 4_000 + b',"method":"ping"}',
    b"GET / HTTP/1.1\r",
    b'{"jsonrpc":"2.0","id":"' + b"i" * 9_000 + b'","method":"ping"}', b'{"jsonrpc":"2.0","id":1,"method":"' + b"m" * 9_000 + b'"}',
    b"[" + b"5," * 60 + b"5]", b"x" * 1_100_000,
]  # fmt: skip
"""The known ways to bloat or confuse a reader of JSON."""


def message(chance: random.Random, seeds: Sequence[Any] = SEEDS) -> bytes:
    """One hostile message."""
    if chance.random() < 0.05:
        return chance.choice(CRAFTED)
    return mutated(chance.choice(seeds), chance)


def as_line(data: bytes) -> bytes:
    """A message as a line; line feeds inside would make two of it, which is as bad."""
    return data + b"\n"


def as_frame(data: bytes, chance: random.Random) -> bytes:
    """A message as a client's text frame, now and then with something wrong in the framing."""
    size = len(data)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + struct.pack(">H", size) if size < 65_536 else b"\xff" + struct.pack(">Q", size)
    framed = b"\x81" + length + bytes(4) + data
    dice = chance.random()
    if dice < 0.04:
        return mutate(framed[:200], chance)
    return b"\x89\x80" + bytes(4) + framed if dice < 0.1 else framed  # a ping before it


def handshake(port: int, token: str) -> bytes:
    """A proper request for the upgrade."""
    key = base64.b64encode(bytes(16)).decode()
    lines = ["GET /jsonrpc HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Authorization: Bearer {token}"]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def attack(connection: dict[str, Any], count: int, seed: int = 1) -> int:
    """Send ``count`` hostile messages to the doors of a connection file, in turn; returns on how many connections."""
    chance = random.Random(seed)
    token, made = connection.get("token", ""), 0
    doors = [door for door in _doors(connection, token)]
    while count > 0:
        opening, way = doors[made % len(doors)]
        batch = [message(chance) for _ in range(min(count, MESSAGES_PER_CONNECTION))]
        count -= len(batch)
        made += 1
        with contextlib.suppress(OSError):
            _converse(opening, [as_line(one) if way == "lines" else as_frame(one, chance) for one in batch])
    return made


def _doors(connection: dict[str, Any], token: str) -> Iterator[tuple[tuple[Any, bytes], str]]:
    """Address and first bytes of each door, and how it frames."""
    json_door, port = connection["jsonrpc"], connection["http"]["port"]
    if json_door["socket"]:
        yield (json_door["socket"], b""), "lines"
    yield (("127.0.0.1", port), handshake(port, token)), "frames"
    if json_door["port"]:
        yield (("127.0.0.1", json_door["port"]), as_line(json.dumps(call(0, "hello", token=token)).encode())), "lines"


def _converse(opening: tuple[Any, bytes], pieces: Sequence[bytes]) -> None:
    """Send everything on one connection, reading what comes, and leave."""
    address, first = opening
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(address)
        for piece in (first, *pieces):
            sock.sendall(piece)
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while sock.recv(1 << 20):
                    pass
            sock.settimeout(TIMEOUT)


def main(arguments: Sequence[str]) -> int:
    """Attack the daemon of a home."""
    home, count, *seed = arguments
    attack(read_connection(Paths.of(Settings(home=home))), int(count), *map(int, seed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
