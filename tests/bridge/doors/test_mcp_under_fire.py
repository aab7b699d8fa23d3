"""The door for assistants under malformed and hostile messages, over the real command's standard input and output."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon
from bridge.testing.hostile_mcp import StdioAssistant, attack_over_http, hostile_lines

MESSAGES, HTTP_MESSAGES = 2_000, 60


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A daemon with the fake backend."""
    folder = tmp_path_factory.mktemp("mcp-fire")
    with start_daemon({**FREE_PORTS, "home": folder / "home", "backend": "fake", "read_roots": [folder]}) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def assistant(house, tmp_path_factory):
    """The command before it."""
    one = StdioAssistant(house.paths.home, tmp_path_factory.mktemp("mcp-said") / "errors.txt")
    yield one
    assert one.close() == 0


@pytest.mark.slow
def test_hostile_messages_end_nothing(house, assistant):
    """A thousand mutated messages; proper ones are answered between them, and other clients of the daemon too; no traceback."""
    for number, line in enumerate(hostile_lines(MESSAGES, seed=11)):
        assistant.send(line)
        if number % 100 == 50:
            answer = assistant.ask(f"ok-{number}", "tools/call", {"name": "ping", "arguments": {"n": number}})
            assert answer["result"]["structuredContent"] == {"n": number}
            with Client(str(house.paths.home)) as other:
                assert other.status()["state"] == "ok"
    assert assistant.ask("last", "ping", {})["result"] == {}
    memory = psutil.Process(assistant.process.pid).memory_info().rss
    assert memory < 250 * 2**20, memory >> 20
    said = [str(answer) for answer in assistant.answers.values()]
    assert not any(word in answer for answer in said for word in ("Traceback", "pydantic", "msgspec", "asyncio"))
    errors = assistant.errors.read_text() + house.output.read_text()
    assert "Traceback" not in errors, errors[-2000:]


def test_hostile_messages_over_http(house):
    """In an open session and without one: no fault of ours, and a proper call is answered after them."""
    attack_over_http(house.connection["http"]["port"], HTTP_MESSAGES, seed=23)
    assert "Traceback" not in house.output.read_text()


def test_too_large_arguments_hurt_nobody_else(assistant):
    """They are refused before they are sent; a call that waits beside them gets its answer."""
    waiting = {"name": "generate", "arguments": {"caption": "fake: steps=4 delay=0.2", "duration": 0.2}}
    assistant.send(json.dumps({"jsonrpc": "2.0", "id": "job", "method": "tools/call", "params": waiting}).encode())
    nested = {}
    for _ in range(40):
        nested = {"a": nested}
    for number, arguments in enumerate(({"caption": "x" * 2_000_000}, {"caption": nested}, {"seed": 2**70})):
        answer = assistant.ask(f"big-{number}", "tools/call", {"name": "generate", "arguments": arguments})
        assert answer["result"]["isError"] and answer["result"]["structuredContent"]["error"]["code"] == "bad_request"
    data = assistant.answer("job")["result"]["structuredContent"]
    assert data["state"] == "done" and Path(data["files"][0]["path"]).exists()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupt_ends_the_command(house, tmp_path):
    """At once, although no further line comes and its input stays open."""
    one = StdioAssistant(house.paths.home, tmp_path / "errors.txt")
    assert one.ask("there", "ping", {})["result"] == {}
    one.process.send_signal(signal.SIGINT)
    assert one.process.wait(60) == 130
    assert (tmp_path / "errors.txt").read_text().strip() == "stopped"
