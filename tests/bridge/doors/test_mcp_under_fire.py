"""The door for assistants under malformed and hostile messages, over the real command's standard input and output."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading

import psutil
import pytest

from bridge.client import Client
from bridge.doors import limits
from bridge.launch import FREE_PORTS, start_daemon
from bridge.testing.mutations import deep, mutated

MESSAGES = 1_000
SEEDS = [
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


class Server:
    """The command, spoken to in lines."""

    def __init__(self, home, errors):
        self.errors = errors
        command = [sys.executable, "-m", "bridge.cli", "mcp", "--home", str(home), "--no-start-daemon"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors.open("wb")
        )
        self.answers = {}
        self.came = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            with self.came:
                self.answers[json.dumps(message.get("id"))] = message
                self.came.notify_all()

    def send(self, data):
        self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def ask(self, id, method, params):
        """The answer to a proper request."""
        self.send(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode())
        with self.came:
            assert self.came.wait_for(lambda: json.dumps(id) in self.answers, 60), f"no answer to {method}"
        return self.answers[json.dumps(id)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A daemon with the fake backend and the command before it."""
    folder = tmp_path_factory.mktemp("mcp-fire")
    with start_daemon({**FREE_PORTS, "home": folder / "home", "backend": "fake", "read_roots": [folder]}) as daemon:
        one = Server(daemon.paths.home, folder / "errors.txt")
        one.daemon = daemon
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        one.ask("hello", "initialize", hello)
        one.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        yield one
        one.process.stdin.close()
        assert one.process.wait(30) == 0


@pytest.mark.slow
def test_hostile_messages_end_nothing(server):
    """A thousand mutated messages; proper ones are answered between them, and other clients of the daemon too; no traceback."""
    chance = random.Random(11)
    big = [b"x" * (2 * limits.MCP_LINE), deep(20_000), b"\xff" * 1000, b"", b"null", b"[]", b"{}"]
    for number in range(MESSAGES):
        server.send(
            big[number // 100] if number % 100 == 99 and number < 700 else mutated(chance.choice(SEEDS), chance)
        )
        if number % 100 == 50:
            answer = server.ask(f"ok-{number}", "tools/call", {"name": "ping", "arguments": {"n": number}})
            assert answer["result"]["structuredContent"] == {"n": number}
            with Client(str(server.daemon.paths.home)) as other:
                assert other.status()["state"] == "ok"
    assert server.ask("last", "ping", {})["result"] == {}
    memory = psutil.Process(server.process.pid).memory_info().rss
    assert memory < 250 * 2**20, memory >> 20
    said = [str(answer) for answer in server.answers.values()]
    assert not any(word in answer for answer in said for word in ("Traceback", "pydantic", "msgspec", "asyncio"))
    errors = server.errors.read_text() + server.daemon.output.read_text()
    assert "Traceback" not in errors, errors[-2000:]


def test_too_large_arguments_hurt_nobody_else(server):
    """They are refused before they are sent; a call that waits beside them gets its answer."""
    waiting = {"name": "generate", "arguments": {"caption": "fake: steps=4 delay=0.2", "duration": 0.2}}
    server.send(json.dumps({"jsonrpc": "2.0", "id": "job", "method": "tools/call", "params": waiting}).encode())
    nested = {}
    for _ in range(40):
        nested = {"a": nested}
    for number, arguments in enumerate(({"caption": "x" * 2_000_000}, {"caption": nested}, {"seed": 2**70})):
        answer = server.ask(f"big-{number}", "tools/call", {"name": "generate", "arguments": arguments})
        assert answer["result"]["isError"] and answer["result"]["structuredContent"]["error"]["code"] == "bad_request"
    with server.came:
        assert server.came.wait_for(lambda: '"job"' in server.answers, 60)
    assert server.answers['"job"']["result"]["structuredContent"]["state"] == "done"
    assert os.path.exists(server.answers['"job"']["result"]["structuredContent"]["files"][0]["path"])
