"""Starting and stopping a daemon as a child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from acestep.api.errors import DaemonUnreachable
from bridge.launch import FREE_PORTS, DaemonProcess, process_alive, read_connection, start_daemon
from bridge.paths import Paths
from bridge.settings import Settings


def test_ready_means_that_the_doors_are_open(daemon: Callable[..., DaemonProcess]) -> None:
    """When start returns, the connection file names a live process and its ports."""
    running = daemon()
    facts = running.connection
    assert facts["pid"] == running.process.pid and facts["osc"]["udp"] > 0 and facts["rpc"]["port"] > 0


def test_two_daemons_run_side_by_side(daemon: Callable[..., DaemonProcess]) -> None:
    """Different homes, free ports."""
    first, second = daemon(), daemon()
    assert first.connection["osc"]["udp"] != second.connection["osc"]["udp"]


def test_stopping_ends_it_and_takes_the_connection_file_away(daemon: Callable[..., DaemonProcess]) -> None:
    """Exit code 0; a second stop changes nothing; nobody is told of a daemon that is gone."""
    running = daemon()
    assert running.stop() == 0 and running.stop() == 0
    with pytest.raises(DaemonUnreachable, match="no daemon is running"):
        read_connection(running.paths)


def test_a_daemon_that_does_not_come_up_gives_its_last_words(tmp_path: Path) -> None:
    """The sentence of its error reaches whoever started it."""
    with pytest.raises(DaemonUnreachable, match="needs a token"):
        start_daemon({**FREE_PORTS, "home": tmp_path, "listen": "0.0.0.0"})


def test_a_connection_file_of_a_dead_daemon_is_no_daemon(tmp_path: Path) -> None:
    """After a kill -9 the file is left behind; its process id tells."""
    paths = Paths.of(Settings(home=str(tmp_path)))
    paths.create()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    paths.connection.write_text(json.dumps({"pid": ended.pid}))
    with pytest.raises(DaemonUnreachable, match="ended unexpectedly"):
        read_connection(paths)
    assert not process_alive(ended.pid) and process_alive(os.getpid())


def test_a_foreign_acestep_in_the_current_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: Callable[..., DaemonProcess]
) -> None:
    """A checkout of the original project holds a package of that name; starting from inside it must work."""
    (tmp_path / "acestep").mkdir()
    (tmp_path / "acestep" / "__init__.py").write_text("raise SystemExit('the wrong acestep')\n")
    monkeypatch.chdir(tmp_path)
    assert daemon().connection["pid"]
