"""A real player process to talk to."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from acestep.api.frames import FrameReader, encode
from bridge.performance.player.messages import Command, Levels, Open, Opened, Report


class PlayerProcess:
    """The player as the daemon sees it: a child with two pipes."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "bridge.performance.player"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.reports: queue.Queue[Report] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        reader = FrameReader(Report)
        while data := self.process.stdout.read1(65_536):
            for report in reader.feed(data):
                self.reports.put(report)

    def send(self, command: Command) -> None:
        self.process.stdin.write(encode(command))
        self.process.stdin.flush()

    def expect(self, kind: type, timeout: float = 20.0) -> Report:
        """The next report of a kind; others are dropped."""
        while True:
            report = self.reports.get(timeout=timeout)
            if isinstance(report, kind):
                return report

    def open(self, **wish) -> None:
        self.send(Open(**wish))
        self.expect(Opened)
        while self.expect(Levels).state != "running":
            pass

    def close(self) -> int:
        self.process.stdin.close()
        return self.process.wait(timeout=20)


@pytest.fixture
def player():
    process = PlayerProcess()
    yield process
    process.close()


@pytest.fixture
def click(tmp_path) -> Path:
    """A bar-long part whose first sample is a click, at 48 kHz."""
    audio = np.zeros((24_000, 2), np.float32)
    audio[:, 0] = np.linspace(0.25, 0.5, 24_000)
    audio[0] = 1.0
    path = tmp_path / "click.wav"
    soundfile.write(path, audio, 48_000, subtype="FLOAT")
    return path
