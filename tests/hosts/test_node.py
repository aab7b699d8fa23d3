"""JavaScript clients: the libraries osc (UDP, TCP with SLIP), node-osc and @msgpack/msgpack against a real daemon."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import platformdirs
import pytest

HERE = Path(__file__).parent / "node"
INSTALL_SECONDS = 120

pytestmark = pytest.mark.foreign


@pytest.fixture(scope="session")
def modules(foreign) -> Path:
    """The npm packages of node/package-lock.json, installed once into the user's cache."""
    npm = foreign("npm")
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(platformdirs.user_cache_dir("acestep-bridge-tests", appauthor=False))
    folder = cache / f"node-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (folder / "node_modules" / "osc").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder / name)
        command = [npm, "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        if done.returncode:
            reason = f"npm could not install osc, node-osc and @msgpack/msgpack: {done.stderr[-300:]}"
            (pytest.fail if os.environ.get("CI_REQUIRE_FOREIGN") else pytest.skip)(reason)
    return folder / "node_modules"


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
