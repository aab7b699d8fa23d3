"""JavaScript clients: the libraries osc (UDP, TCP with SLIP), node-osc and @msgpack/msgpack against a real daemon."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "node"

pytestmark = pytest.mark.foreign


@pytest.fixture(scope="session")
def modules(npm_modules) -> Path:
    """The npm packages of node/package-lock.json."""
    return npm_modules(HERE)


@pytest.mark.parametrize(
    ("kind", "door"), [("osc-udp", "udp"), ("osc-slip", "tcp"), ("node-osc", "udp"), ("msgpack", "")]
)
def test_submit_progress_result_and_cancel(daemon, foreign, modules, kind, door):
    """One job is heard from acceptance to its end, another is cancelled on the way."""
    connection = daemon().connection
    port = connection["osc"][door] if door else connection["rpc"]["port"]
    environment = {**os.environ, "NODE_PATH": str(modules)}
    command = [foreign("node"), str(HERE / "client.js"), kind, str(port)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    heard = [json.loads(line) for line in done.stdout.splitlines()]
    quick = [line[0] for line in heard if line[1:2] == [f"{kind}-quick"]]
    slow = [line[0] for line in heard if line[1:2] == [f"{kind}-slow"]]
    assert done.returncode == 0, done.stderr
    assert {"/ace/progress", "/ace/result"} <= set(quick)
    assert quick[-1] == "/ace/done"
    assert slow[-1] == "/ace/cancelled"
