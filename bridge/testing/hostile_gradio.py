"""Requests of Gradio's protocol that mean harm: mutated values, broken bodies, wrong boundaries, tricks with names and sessions.

python -m bridge.testing.hostile_gradio ADDRESS COUNT [SEED]
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from bridge.testing.hostile import mutate
from bridge.testing.mutations import deep, mutated

PREFIX = "/gradio_api"

VALUES = [
    "fake: steps=1", "", 96, "A minor", "4/4", "en", 8, 7.0, False, "5", None, 0.2, 1, None, "", 0.0, -1, "", 1.0, "text2music",
    False, 0.0, 1.0, 3.0, "ode", "", "wav", 0.85, False, 2.0, 0, 0.9, "", True, True, True, False, False, True, False, False, 0.5,
    8, None, [], False, 0, 1, [], {},
]  # fmt: skip
"""A generation, as ace-step-ui sends it."""

NAMES = [
    "/etc/passwd", "../../etc/passwd", "sounds/../../../etc/passwd", "sounds/%2e%2e/x-0.wav", "uploads/up-0123456789abcdef/../x",
    "uploads/up-0123456789abcdef/a.wav", "sounds/nobody-0.wav", "sounds/x-99999.wav", "\x00", "C:\\x", "", "a" * 3_000, "file:///etc/passwd",
]  # fmt: skip
"""Names of files that are none."""


class HostileRequest(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


def request(chance: random.Random) -> HostileRequest:
    """One of any kind."""
    kind = chance.random()
    session = f"s{chance.randrange(6)}"
    if kind < 0.55:
        values = list(VALUES) if chance.random() < 0.1 else [*VALUES[:19], "cover", *VALUES[20:]]
        sent = {"data": values, "fn_index": 0, "session_hash": session}
        return _json(f"{PREFIX}/queue/join", mutated(sent, chance))
    if kind < 0.7:
        sent = {"data": [1.0], "fn_index": chance.randrange(1, 7), "session_hash": session, "event_id": "x"}
        return _json(
            f"{PREFIX}/{chance.choice(['queue/join', 'cancel', 'call/set_lora_scale', 'reset'])}", mutated(sent, chance)
        )
    if kind < 0.8:
        return HostileRequest("GET", f"{PREFIX}/file={quote(chance.choice(NAMES), safe='/%.')}", {})
    if kind < 0.9:
        return _upload(chance)
    if kind < 0.95:
        return _json(
            f"{PREFIX}/queue/join", chance.choice([deep(50_000), b"", b"null", b"\xff" * 200, b"[" * 9, b"{}"])
        )
    return HostileRequest(
        "GET", f"{PREFIX}/{chance.choice(['call/x/y', 'queue/data?session_hash=nobody', 'nothing', 'info'])}", {}
    )


def _json(path: str, body: bytes) -> HostileRequest:
    return HostileRequest("POST", path, {"content-type": "application/json"}, body)


def _upload(chance: random.Random) -> HostileRequest:
    name = chance.choice(["song.wav", "../x.wav", 'a"b.wav', "\u202e.wav", ""])
    part = f'--b\r\ncontent-disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    body = part + chance.randbytes(chance.choice([0, 10, 2_000])) + b"\r\n--b--\r\n"
    boundary = chance.choice(["b", "b", "other", "", "x" * 300])
    kind = f"multipart/form-data; boundary={boundary}" if chance.random() < 0.9 else "multipart/form-data"
    return HostileRequest("POST", f"{PREFIX}/upload", {"content-type": kind}, mutate(body, chance))


def attack(address: str, count: int, seed: int = 1) -> Counter[int]:
    """Send so many requests, one after another; how often each status came (0: the connection broke)."""
    chance = random.Random(seed)
    place = urlsplit(address)
    statuses: Counter[int] = Counter()
    connection = HTTPConnection(place.hostname or "", place.port, timeout=30)
    for _ in range(count):
        one = request(chance)
        try:
            connection.request(one.method, one.path, one.body or None, one.headers)
            answer = connection.getresponse()
            data = answer.read()
            statuses[answer.status] += 1
            if b"Traceback" in data:
                raise AssertionError(f"a traceback came as the answer to {one}")
        except (OSError, HTTPException):
            statuses[0] += 1
            connection.close()
    connection.close()
    return statuses


def main(arguments: Sequence[str]) -> int:
    """Attack the address named on the command line, and print the statuses."""
    address, *numbers = arguments
    print(json.dumps(attack(address, *map(int, numbers))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
