"""The examples for other programs, run as a user would: Pure Data without a window, the shell scripts in a plain shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from bridge.launch import DaemonProcess

from .conftest import RATE, sound
from .lua_host import SCRIPTS


def shell(daemon: DaemonProcess, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ACESTEP_BRIDGE_HOME": str(daemon.paths.home)}
    command = ["sh", str(SCRIPTS / "shell" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)


@pytest.mark.foreign
def test_pure_data_generates_and_hears_the_end(running: DaemonProcess, foreign: Callable[[str], str]) -> None:
    """The patch as it is: connect, generate, and the daemon's answers come back as Pd messages with a path."""
    port = running.connection["osc"]["udp"]
    patch = SCRIPTS / "puredata" / "acestep.pd"
    sends = ["-send", f"acestep-connect 127.0.0.1 {port}", "-send", "acestep-generate bang"]
    pd = subprocess.Popen(
        [foreign("pd"), "-nogui", "-noaudio", "-nomidi", "-stderr", *sends, "-open", str(patch)],
        stderr=subprocess.PIPE,
        text=True,
    )
    patience = threading.Timer(30, pd.kill)
    patience.start()
    try:
        assert pd.stderr is not None
        heard: list[str] = []
        for line in pd.stderr:
            heard.append(line.strip())
            if line.startswith(("acestep-done", "acestep-failed", "acestep-rejected")):
                break
    finally:
        patience.cancel()
        pd.kill()
        pd.wait()
    assert heard[-1].startswith("acestep-done"), heard
    result = next(line for line in heard if line.startswith("acestep-result"))
    path = re.search(r"(/\S+\.wav)", result)
    assert path is not None and soundfile.info(path.group(1)).frames == 5 * RATE
    assert any(line.startswith("acestep-progress") for line in heard)


def test_the_shell_submits_and_prints_the_path(running: DaemonProcess) -> None:
    """A finished job: the paths of its files, nothing else."""
    done = shell(running, "acestep-spool", "job.submit", '{"operation": "generate", "params": {"duration": 2.0}}')
    assert done.returncode == 0, done.stderr
    (path,) = done.stdout.split()
    assert soundfile.info(path).frames == 2 * RATE


def test_the_shell_asks_and_prints_the_answer(running: DaemonProcess) -> None:
    """A question: its status as JSON."""
    done = shell(running, "acestep-spool", "version")
    assert json.loads(done.stdout)["answer"]["protocol"] == 1


def test_the_shell_says_what_is_wrong(running: DaemonProcess) -> None:
    """A rejected request: the daemon's sentence and exit code 1."""
    done = shell(running, "acestep-spool", "job.submit", '{"operation": "no-such-thing", "params": {}}')
    assert done.returncode == 1 and "no-such-thing" in done.stderr


def test_a_watched_folder_gets_results(running: DaemonProcess, tmp_path: Path) -> None:
    """Each file once, results beside it, names with spaces and umlauts included."""
    folder = tmp_path / "drop föld er"
    folder.mkdir()
    sound(folder / "my löop.wav", seconds=12.0)
    params = '{"start_seconds": 4.0, "end_seconds": 6.0, "returns": ["whole"]}'
    for _ in range(2):
        done = shell(running, "acestep-watch", str(folder), "repaint", params, "once")
        assert done.returncode == 0, done.stderr
    (result,) = (folder / "results").glob("*.wav")
    assert result.name.startswith("my löop-") and (folder / "results" / "my löop.log").read_text() == "done\n"
    assert soundfile.info(result).frames > 0


def test_without_a_daemon_the_shell_says_so(tmp_path: Path) -> None:
    """Nobody takes the request: a sentence, and the request is taken back."""
    (tmp_path / "spool" / "requests").mkdir(parents=True)
    environment = {**os.environ, "ACESTEP_BRIDGE_HOME": str(tmp_path)}
    command = ["sh", str(SCRIPTS / "shell" / "acestep-spool"), "version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 1 and "acestep-bridge serve" in done.stderr
    assert list((tmp_path / "spool" / "requests").iterdir()) == []
