"""A real player process to talk to, and a performance part with a core that only notes what it is asked for."""

from __future__ import annotations

import asyncio
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import pytest
import soundfile

from acestep.api.frames import FrameReader, encode
from acestep.api.schema import Request, param
from bridge.core.interface import Accepted, Event, EventKind
from bridge.performance.performance import Performance, PerformanceSettings
from bridge.performance.player.messages import Command, Levels, Load, Loaded, Open, Opened, Report


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
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            report = self.reports.get(timeout=timeout)
            if isinstance(report, kind):
                return report
        raise AssertionError(f"no {kind.__name__} came within {timeout:g} s")

    def until(self, condition, timeout: float = 20.0) -> Levels:
        """The first levels of which it holds."""
        deadline = time.monotonic() + timeout
        while not condition(levels := self.expect(Levels, timeout)):
            assert time.monotonic() < deadline, f"waited in vain; {levels}"
        return levels

    def load(self, slot: int, path: Path, **wish) -> Loaded:
        """Put a file into a slot, and wait until it is there."""
        self.send(Load(slot=slot, path=str(path), **wish))
        return self.expect(Loaded)

    def open(self, **wish) -> None:
        self.send(Open(**wish))
        self.expect(Opened)
        self.until(lambda levels: levels.state == "running")

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


class Part(Request):
    """What playing looks at in the request of an operation that knows tempos."""

    bpm: Annotated[float | None, param("Tempo.")] = None
    duration: Annotated[float | None, param("Length.")] = None


class Core:
    """A stand-in for the core: accepts every job after ``delay`` seconds and gives it these files; ``lasting`` jobs end only
    when they are cancelled."""

    def __init__(self, files=(), *, delay: float = 0.0, lasting: bool = False) -> None:
        self.files = list(files)
        self.delay = delay
        self.lasting = lasting
        self.submitted = []
        self.cancelled = []

    def operations(self):
        return {name: SimpleNamespace(schema=Part) for name in ("generate", "complete")}

    async def submit(self, submission, client):
        await asyncio.sleep(self.delay)
        self.submitted.append(submission)
        return Accepted(id=f"job{len(self.submitted)}", seq=0, position=0)

    async def cancel(self, job):
        self.cancelled.append(job)

    async def subscribe(self, client, jobs=frozenset(), after=None):
        (job,) = jobs
        for seq, path in enumerate(self.files):
            yield Event(job=job, seq=seq, kind=EventKind.RESULT, data={"role": "part", "path": str(path)})
        while self.lasting and job not in self.cancelled:
            await asyncio.sleep(0.01)
        end = EventKind.CANCELLED if self.lasting else EventKind.DONE
        yield Event(job=job, seq=len(self.files), kind=end)


@pytest.fixture
def make_core():
    return Core


@pytest.fixture
async def stage(tmp_path):
    """``await stage(core, **settings)``: a running performance part on the card without sound, its own output as input."""
    running = []

    async def start(core=None, **settings):
        wish = {"folder": tmp_path / "captures", "output": "null", "input": "null", "midi": False, **settings}
        performance = Performance(core or Core(), PerformanceSettings(**wish))
        await performance.start()
        running.append(performance)
        return performance

    yield start
    for performance in running:
        await performance.close()


@pytest.fixture
def until():
    """``await until(condition)``: wait until it holds."""

    async def wait(condition, timeout=20.0):
        async with asyncio.timeout(timeout):
            while not condition():
                await asyncio.sleep(0.01)

    return wait
