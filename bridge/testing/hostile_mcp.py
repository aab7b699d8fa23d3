"""Messages of the Model Context Protocol that mean harm, and the server as a child process to send them to."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from bridge import children
from bridge.doors import limits
from bridge.testing.mutations import deep, mutated

SEEDS: list[dict[str, Any]] = [
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "status", "arguments": {}}},
    {"jsonrpc": "2.0", "id": 3, "method": "tools/call",
     "params": {"name": "generate", "arguments": {"caption": "fake: steps=1", "duration": 0.2, "bpm": 120, "wait": 0}}},
    {"jsonrpc": "2.0", "id": 4, "method": "tools/call",
     "params": {"name": "repaint", "arguments": {"source": "/nowhere.wav", "start": 0, "end": 100, "wait": 0}}},
    {"jsonrpc": "2.0", "id": 5, "method": "resources/read", "params": {"uri": "acestep://jobs/nobody/files/0"}},
    {"jsonrpc": "2.0", "id": 6, "method": "resources/list", "params": {"cursor": "x"}},
    {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "job_list", "arguments": {"limit": 3}}},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}},
]  # fmt: skip
"""What assistants send; the fuzz changes it."""

HELLO: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'

BROKEN = [b"x" * (2 * limits.MCP_LINE), deep(20_000), b"\xff" * 1000, b"", b"null", b"[]", b"{}"]
"""Lines that are not message, the first of them too long."""


def hostile_lines(count: int, seed: int = 1) -> Iterator[bytes]:
    """So many lines; each of `BROKEN` once among them."""
    chance = random.Random(seed)
    for number in range(count):
        broken, last = divmod(number, 100)
        yield BROKEN[broken] if last == 99 and broken < len(BROKEN) else mutated(chance.choice(SEEDS), chance)


def attack_over_http(port: int, count: int, seed: int = 1) -> Counter[int]:
    """Send so many lines to the door over HTTP, a quarter of them outside of a session; how often each status came.

    Raises `AssertionError` for a traceback or a fault of the server's, and when a proper call is not answered at the end.
    """
    statuses: Counter[int] = Counter()
    kinds = {"accept": "application/json, text/event-stream", "content-type": "application/json"}

    def post(body: bytes, headers: dict[str, str]) -> tuple[HTTPResponse, str]:
        connection = HTTPConnection("127.0.0.1", port, timeout=90)
        with contextlib.closing(connection):
            connection.request("POST", "/mcp", body, {**kinds, **headers})
            answer = connection.getresponse()
            return answer, answer.read().decode("utf-8", "replace")

    opened, _ = post(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}).encode(), {})
    session = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": HELLO["protocolVersion"]}
    post(INITIALIZED, session)
    for number, line in enumerate(hostile_lines(count, seed)):
        answer, text = post(line, session if number % 4 else {})
        assert answer.status < 500 and "Traceback" not in text, line[:200]
        statuses[answer.status] += 1
    ping = {"name": "ping", "arguments": {"n": 7}}
    _, text = post(
        json.dumps({"jsonrpc": "2.0", "id": "last", "method": "tools/call", "params": ping}).encode(), session
    )
    assert '"n":7' in text.replace(" ", ""), text
    return statuses


class StdioAssistant:
    """The command ``mcp`` of a daemon's home, spoken to in lines. Its answers are kept by their id, as JSON text."""

    def __init__(self, home: Path, errors: Path) -> None:
        self.errors = errors
        """File that holds what the command wrote for people."""
        line = children.python("-m", "bridge.cli", "mcp", "--home", str(home), "--no-start-daemon")
        with errors.open("wb") as sink:
            self.process = subprocess.Popen(
                line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, env=children.environment(None)
            )
        self.answers: dict[str, Any] = {}
        self.came = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.ask("hello", "initialize", HELLO)
        self.send(INITIALIZED)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            with self.came:
                self.answers[json.dumps(message.get("id"))] = message
                self.came.notify_all()

    def send(self, data: bytes) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def ask(self, id: str, method: str, params: dict[str, Any]) -> Any:
        """The answer to a proper request. Raises `TimeoutError` without one."""
        self.send(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode())
        return self.answer(id)

    def answer(self, id: str) -> Any:
        """The answer to a request that was sent. Raises `TimeoutError` without one."""
        key = json.dumps(id)
        with self.came:
            if not self.came.wait_for(lambda: key in self.answers, 60):
                raise TimeoutError(f"no answer to {id}")
            return self.answers[key]

    def close(self) -> int:
        """End the input and wait; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)
