"""JSON-RPC with a real daemon: hostile messages, a third party's operation, and the command on standard input and output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import psutil
import pytest

from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon
from bridge.testing.hostile_jsonrpc import attack

MESSAGES = 2_000


@pytest.fixture(scope="module")
def house(tmp_path_factory, thirdparty_plugin):
    """A daemon with a token, so that TCP is open too, beside which a third party's plug-in is installed."""
    settings = {"home": tmp_path_factory.mktemp("json-rpc"), "backend": "fake", "token": "a-secret-of-ours",
                "read_roots": [tmp_path_factory.getbasetemp()]}  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(thirdparty_plugin)}
    with start_daemon({**FREE_PORTS, **settings}, environment=environment) as daemon:
        yield daemon


def speak(house, *messages, options=()):
    """What `acestep-bridge json-rpc` says to some messages (maps, or text as it is) on its standard input."""
    lines = [m if isinstance(m, str) else json.dumps(m) for m in messages]
    command = [sys.executable, "-m", "bridge.cli", "json-rpc", "--home", str(house.paths.home), *options]
    return subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=120)


def call(id, method, /, **params):
    """A request."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def test_the_command_answers_everything_before_it_ends(house):
    """As in a shell pipe, the last line without a line feed; what is not JSON is answered too."""
    job = {"caption": "fake: steps=1", "duration": 0.1, "id": "piped"}
    done = speak(house, call(1, "status"), "nonsense", call(2, "op.generate", **job), call("w", "job.wait", id="piped"))
    assert (done.returncode, done.stderr) == (0, "")
    answers = {message["id"]: message for message in map(json.loads, done.stdout.splitlines()) if "id" in message}
    assert answers[1]["result"]["state"] == "ok"
    assert answers[None]["error"]["code"] == -32700
    assert answers[2]["result"]["id"] == "piped"
    assert answers["w"]["result"]["events"][0]["kind"] == "accepted"


def test_the_command_reaches_another_machines_daemon_with_the_token(house):
    """Over TCP it shows the token itself; a wrong one, or no daemon, is one sentence and an exit code."""
    port = house.connection["jsonrpc"]["port"]
    there = ("--connect", f"127.0.0.1:{port}", "--token")
    done = speak(house, call(1, "ping", n=7), options=(*there, "a-secret-of-ours"))
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"jsonrpc": "2.0", "id": 1, "result": {"n": 7}}]
    wrong = speak(house, call(1, "ping", n=7), options=(*there, "another"))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "the token is wrong" in wrong.stderr
    nobody = speak(house, call(1, "ping"), options=("--connect", "127.0.0.1:1", "--token", "x"))
    assert (nobody.returncode, nobody.stdout) == (3, "")
    assert "Traceback" not in wrong.stderr + nobody.stderr


def test_a_third_partys_operation_is_a_method(house, sound_file):
    """Nothing of ours names it: described, called, and its own parameter is checked and kept."""
    part = {"source": str(sound_file()), "start": 0, "end": 24_000, "caption": "fake: steps=1"}
    done = speak(
        house,
        call(1, "describe", operation="wash"),
        call(2, "op.wash", **part, depth=0.3, id="washed"),
        call(3, "op.wash", **part, depth=9.0),
        call(4, "job.wait", id="washed"),
        call(5, "job.result", id="washed"),
    )
    answers = {message["id"]: message for message in map(json.loads, done.stdout.splitlines()) if "id" in message}
    assert "depth" in [field["name"] for field in answers[1]["result"]["operations"][0]["fields"]]
    assert answers[2]["result"]["id"] == "washed", answers[2]
    refused = answers[3]["error"]
    assert (refused["code"], refused["data"]["field"]) == (-32602, "depth")
    assert refused["data"]["limits"].items() >= {"min": 0.05, "max": 1.0}.items()
    (stage,) = answers[5]["result"]["request"]["stages"]
    assert (stage["type"], stage["depth"]) == ("wash", 0.3)


def test_hostile_messages_disturb_nobody(house):
    """Two thousand, over the local socket, TCP and WebSocket: others are answered meanwhile, memory is bounded, no traceback."""
    process = psutil.Process(house.connection["pid"])
    enemy = threading.Thread(target=attack, args=(house.connection, MESSAGES, 3))
    with Client(str(house.paths.home)) as client:
        enemy.start()
        asked = 0
        while enemy.is_alive() or not asked:
            assert client.status()["state"] == "ok"
            asked += 1
        enemy.join()
        job = client.submit("generate", {"caption": "fake: steps=1", "duration": 0.1})
        assert client.wait(job)["state"] == "done"
    assert "Traceback" not in house.output.read_text()
    assert all("Traceback" not in log.read_text() for log in house.paths.logs.iterdir())
    assert process.memory_info().rss < 250 * 2**20
