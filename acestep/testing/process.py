"""A worker as a real process, spoken to over its pipes: for tests of the worker and of backends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acestep.api import frames


class Process:
    """A worker with a backend, by default the fake one."""

    def __init__(
        self, home: Path, *, backend: str = "fake", model: str = "", worker: Sequence[str] = ("-m", "acestep.worker")
    ) -> None:
        """``worker``: the arguments of Python that start one."""
        command = [sys.executable, *worker, "--backend", backend, "--home", str(home), "--model", model]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdin is not None and self.process.stdout is not None
        self._input, self._output = self.process.stdin, self.process.stdout
        self._reader = frames.FrameReader()
        self._waiting: list[Any] = []

    def send(self, message: Any) -> None:
        """Send one frame."""
        self._input.write(frames.encode(message))

    def receive(self) -> Any:
        """The next message; None when the worker has closed its output."""
        while not self._waiting:
            data = self._output.read(1 << 16)
            if not data:
                return None
            self._waiting += self._reader.feed(data)
        return self._waiting.pop(0)

    def until(self, *kinds: type) -> list[Any]:
        """All messages up to the first of these kinds, that one last."""
        seen = []
        while (message := self.receive()) is not None:
            seen.append(message)
            if isinstance(message, kinds):
                return seen
        return [*seen, None]

    def run(self, job: str, staging: Path, script: str, **output: Any) -> None:
        """Submit a generation with a script for the fake backend."""
        request = {
            "stages": [{"type": "generate", "seeds": [1]}],
            "conditioning": {"caption": f"fake: {script}"},
            "source": None,
            "output": {"rate": 44_100, "channels": 2, "length": 1000, "returns": ["part"], **output},
        }
        self.send(frames.Run(job=job, operation="generate", request=request, staging=str(staging)))
