"""The files that start the daemon with the machine: what they run exists, and a stop has the time that it takes."""

from __future__ import annotations

import configparser
import plistlib
from pathlib import Path

from bridge.cli.app import COMMANDS, PROGRAM
from bridge.launch import STOP_TIMEOUT

SERVER = Path(__file__).resolve().parents[2] / "docs" / "server"


def test_the_systemd_unit_runs_the_daemon():
    """One command that there is, a fresh start after a crash, private files, enough time to store the queue."""
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str
    unit.read(SERVER / "acestep-bridge.service", "utf-8")
    service = unit["Service"]
    program, command = service["ExecStart"].split()
    assert Path(program).name == PROGRAM and command in COMMANDS
    assert (service["Restart"], service["KillSignal"], service["UMask"]) == ("on-failure", "SIGTERM", "0077")
    assert int(service["TimeoutStopSec"]) > STOP_TIMEOUT
    assert unit["Install"]["WantedBy"] == "default.target"


def test_the_launchd_agent_runs_the_daemon():
    """The same for macOS; an umask is written as a decimal number there."""
    agent = plistlib.loads((SERVER / "acestep-bridge.plist").read_bytes())
    program, command = agent["ProgramArguments"]
    assert Path(program).name == PROGRAM and command in COMMANDS
    assert agent["KeepAlive"] == {"SuccessfulExit": False} and agent["RunAtLoad"]
    assert agent["Umask"] == 0o077 and agent["ExitTimeOut"] > STOP_TIMEOUT
