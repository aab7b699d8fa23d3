"""The five commands of docs/cluster.md, followed to the letter by two Ray nodes of one machine."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

import pytest

from bridge.launch import FREE_PORTS

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
COMMANDS = re.compile(r"## Two machines in five commands.*?```\n(.*?)```", re.DOTALL)
MARK = "ACESTEP_TEST_CLUSTER"
"""Variable by which the processes of this cluster are known: `ray stop` would end those of other clusters too."""


def commands():
    """The five commands without their remarks."""
    (block,) = COMMANDS.findall((ROOT / "docs" / "cluster.md").read_text("utf-8"))
    return [line.rsplit("#", 1)[0].strip() for line in block.splitlines()]


def own_address():
    """An address of this machine by which others reach it; none where it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return ""
        return str(asked.getsockname()[0])


def free_port():
    with socket.socket() as asked:
        asked.bind(("", 0))
        return asked.getsockname()[1]


class Machine:
    """A shell whose home is a folder of the test. Both machines share it, so the token is copied already."""

    def __init__(self, home, address):
        self._mark = uuid.uuid4().hex
        self._address, self._port = address, free_port()
        tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            **{"HOME": str(home), "PATH": tools, MARK: self._mark, "RAY_USAGE_STATS_ENABLED": "0"},
            "PYTHONPATH": str(ROOT),
        }

    def words(self, command):
        """A command with this machine's addresses, and our own program as the checkout has it."""
        text = command.replace("10.0.0.5:6379", f"{self._address}:{self._port}").replace("6379", str(self._port))
        return re.sub(r"^acestep-bridge", f"{sys.executable} -m bridge.cli", text)

    def run(self, command):
        """What a command prints; it must succeed."""
        done = subprocess.run(
            ["bash", "-c", self.words(command)], env=self._variables, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def begin(self, command):
        """A command that goes on."""
        line = ["bash", "-c", f"exec {self.words(command)}"]
        return subprocess.Popen(line, env=self._variables, stdout=subprocess.PIPE, text=True)

    def end(self):
        """End whatever was started here and has not ended."""
        mine = f"{MARK}={self._mark}".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mine in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue


@pytest.fixture
def machine(tmp_path):
    if not sys.platform.startswith("linux") or importlib.util.find_spec("ray") is None:
        pytest.skip("needs Linux and the package ray (the extra cluster), of which there is no wheel for every Python")
    if not (address := own_address()):
        pytest.skip("needs a network, if only one of its own")
    one = Machine(tmp_path, address)
    yield one
    one.end()


def test_the_first_command_installs_extras_that_there_are():
    """Nothing is installed here; names and extras are those of the package."""
    found = re.search(r"'([a-z-]+)\[([a-z,]+)\]'", commands()[0])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert found[1] == project["name"] and set(found[2].split(",")) <= project["optional-dependencies"].keys()


def test_after_the_other_four_a_job_runs_on_the_other_machine(machine, tmp_path):
    """This box has no GPU: the second node claims one, as a node with one would."""
    _, token, head, node, serve = commands()
    assert machine.run(token).strip() and (tmp_path / ".ray" / "auth_token").stat().st_size
    machine.run(head)
    machine.run(f"{node} --num-gpus=1")
    ports = " ".join(f"--{name.replace('_', '-')}={port}" for name, port in FREE_PORTS.items())
    daemon = machine.begin(f"{serve} --home {tmp_path / 'home'} --backend fake {ports}")
    assert any(line.startswith("ready") for line in daemon.stdout)
    ask = f"--home {tmp_path / 'home'}"
    machine.run(f"acestep-bridge generate 'fake: steps=2' --duration 1 --device ray:0 --id far --out {tmp_path} {ask}")
    assert "ray:0" in machine.run(f"acestep-bridge job far {ask}")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(60) == 0
