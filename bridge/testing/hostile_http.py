"""HTTP requests that mean harm, for the doors of ACE-Step's own interfaces to survive: damaged bodies, wrong lengths and
boundaries, path tricks, wrong tokens, foreign names and pages.

python -m bridge.testing.hostile_http PORT COUNT [SEED]
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import re
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from bridge.testing.hostile import mutate
from bridge.testing.mutations import BAD_VALUES, deep, mutated

SEEDS: list[tuple[str, dict[str, object]]] = [
    ("/release_task", {"prompt": "x", "lyrics": "la", "bpm": 90, "audio_duration": -1, "seed": "1,2", "use_random_seed": False,
                       "task_type": "nothing", "metas": {"key": "C major"}, "param_obj": "{\"bpm\": 90}"}),
    ("/release_task", {"task_type": "repaint", "src_audio_path": "/etc/passwd", "repainting_start": 1, "track_classes": ["bass"]}),
    ("/release_task", {"task_type": "cover", "prompt": "x", "audio_code_string": "<|audio_code_1|>", "ai_token": "wrong"}),
    ("/query_result", {"task_id_list": ["nobody", "../../etc/passwd"]}),
    ("/query_result", {"task_id_list": "[\"nobody\"]"}),
    ("/cancel_task", {"task_id": "nobody"}),
    ("/v1/init", {"model": "nothing", "slot": 1}),
    ("/v1/lora/scale", {"scale": 0.5, "adapter_name": "x"}),
    ("/v1/lora/toggle", {"use_lora": True}),
    ("/format_input", {"prompt": "x", "lyrics": "la", "param_obj": {"bpm": 90, "duration": 20, "key": "C"}}),
    ("/v1/create_sample", {"query": "x", "instrumental": True, "temperature": 3}),
    ("/v1/chat/completions", {
        "model": "x", "task_type": "cover", "stream": True, "audio_config": {"duration": 1, "format": "aac"},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "<prompt>x</prompt>"},
                                                  {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]}],
    }),
    ("/v1/training/start", {"tensor_dir": "/etc"}),
]  # fmt: skip
"""Calls with bodies that real clients could send; none of them is a job that would run long."""

READS = [
    "/v1/audio?path=",
    "/v1/stats",
    "/v1/models",
    "/v1/model_inventory",
    "/health",
    "/v1/lora/status",
    "/v1/training/status",
]

PATHS = ["/etc/passwd", "../" * 12 + "etc/passwd", "..%2f..%2fetc%2fpasswd", "x-0.wav", "%00", "x" * 5_000, "-0",
         "a-999999999999.wav"]  # fmt: skip

HEADERS = [
    "Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Authorization: Bearer wrong",
    "Authorization: Basic !!", "Authorization: " + "x" * 4_000, "Content-Length: 5", "Content-Length: -1",
    "Content-Length: 99999999999", "Transfer-Encoding: chunked", "Transfer-Encoding: x", "Content-Type: multipart/form-data",
    "Content-Type: multipart/form-data; boundary=", "Expect: 100-continue", "Content-Type: application/json; charset=x",
    "Range: bytes=5-1", "Range: bytes=" + "0-1," * 500, "X: \x00\xff", "Content-Encoding: gzip",
]  # fmt: skip
"""Header lines, one of which is put into a request."""

HOSTS = ["evil.example", "127.0.0.1", "", "[::1", "localhost:1"]

REQUESTS_PER_CONNECTION = 10

PATIENCE = 0.05
"""Seconds that an answer is waited for: some requests are only half of one, and get none."""

EMPTY_WAV = base64.b64decode("UklGRiQAAABXQVZFZm10IBAAAAABAAEAgLsAAAB3AQACABAAZGF0YQAAAAA=")


def request(chance: random.Random, port: int) -> bytes:
    """One hostile request."""
    kind, body = b"", b""
    if chance.random() < 0.2:
        method, path = chance.choice(["GET", "HEAD", "POST", "OPTIONS"]), chance.choice(READS)
        path += quote(chance.choice(PATHS), safe="/%.") if path.endswith("=") else ""
    else:
        method, (path, sent) = "POST", chance.choice(SEEDS)
        kind, body = _body(sent, chance)
    host = chance.choice(HOSTS) if chance.random() < 0.05 else f"127.0.0.1:{port}"
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if chance.random() < 0.3:
        lines.append(chance.choice(HEADERS))
    length = len(body) + (chance.randint(-3, 3) if chance.random() < 0.05 else 0)
    head = "\r\n".join([*lines, f"Content-Length: {max(0, length)}"]).encode("latin-1")
    data = head + (b"\r\nContent-Type: " + kind if kind else b"") + b"\r\n\r\n" + body
    return mutate(data, chance) if chance.random() < 0.1 else data


def _body(sent: dict[str, object], chance: random.Random) -> tuple[bytes, bytes]:
    """A damaged body and its kind."""
    dice = chance.random()
    if dice < 0.6:
        return b"application/json", mutated(sent, chance)
    if dice < 0.75:
        values = {name: chance.choice(BAD_VALUES) if chance.random() < 0.3 else value for name, value in sent.items()}
        form = urlencode(
            {name: str(value)[:2_000].encode("utf-8", "replace") for name, value in values.items()}
        ).encode()
        return b"application/x-www-form-urlencoded", mutate(form, chance) if chance.random() < 0.3 else form
    if dice < 0.95:
        return _multipart(sent, chance)
    return chance.choice([b"application/json", b"", b"text/plain", b"x"]), chance.choice(
        [deep(50_000), b"\xff" * 500, b"", b"{", b"=" * 99]
    )


def _multipart(sent: dict[str, object], chance: random.Random) -> tuple[bytes, bytes]:
    """A form with a file; parts, names and boundary may be wrong."""
    boundary = chance.choice(["x", "----form", "y" * 70])
    parts = []
    for name, value in sent.items():
        text = value if isinstance(value, str) else json.dumps(value)
        parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode())
    file = chance.choice(["a.wav", "../../x", "", "\x00", "n" * 300])
    sound = base64.b64decode("UklGRiQAAABXQVZFZm10IBAAAAABAAEAgLsAAAB3AQACABAAZGF0YQAAAAA=") + chance.randbytes(
        chance.randint(0, 200)
    )
    parts.append(
        f'Content-Disposition: form-data; name="src_audio"; filename="{file}"\r\n\r\n'.encode("latin-1") + sound
    )
    mark = b"--" + boundary.encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    told = boundary if chance.random() < 0.8 else "other"
    return f"multipart/form-data; boundary={told}".encode(), mutate(body, chance) if chance.random() < 0.3 else body


def attack(port: int, count: int, seed: int = 1) -> Counter[str]:
    """Send ``count`` hostile requests to a daemon on this machine. Returns how often each status came; ``closed`` for none."""
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    while seen.total() < count:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.settimeout(PATIENCE)
            for _ in range(REQUESTS_PER_CONNECTION):
                seen["closed"] += 1
                data = request(chance, port)
                sock.sendall(data)
                status, goes_on = _answer(sock, bodiless=data.startswith(b"HEAD"))
                seen["closed"] -= 1
                seen[status] += 1
                if not goes_on:
                    break
    return seen


def _answer(sock: socket.socket, *, bodiless: bool) -> tuple[str, bool]:
    """The status of the next answer, and whether another can follow. Raises `OSError` when none comes in time."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65_536)
        if not piece:
            raise ConnectionError
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    left = int(found[1]) - len(body) if found and not bodiless else 0
    while left > 0 and (piece := sock.recv(65_536)):
        left -= len(piece)
    return head[9:12].decode("latin-1"), found is not None and b"\r\nconnection: close" not in head.lower()


def main(arguments: Sequence[str]) -> int:
    """Attack the port named on the command line."""
    port, count, *seed = map(int, arguments)
    print(json.dumps(attack(port, count, *seed)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
