"""Capture: keep what was just played, or record from the next line of the grid; both exact to the sample.

The player's ring holds the last minutes of the input all the time, so a recording is only a decision about where it begins and
ends: nothing has to start in time, and nothing can come too late.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

import msgspec

from acestep.api.errors import AceError, BadRequest, Busy, NotFound, Unavailable
from bridge.performance.link import PlayerLink
from bridge.performance.tempo import Tempo
from bridge.performance.timeline import Grid, Timeline, parse_grid

LOOK = 0.05
"""Longest time (s) between looks at the current tempo while a recording waits for its line."""

JUMP = 1.0
"""Beats past its line at which a waiting recording takes the song for relocated, and waits for the next line."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Recording(msgspec.Struct, kw_only=True):
    """A recording: where it stands, and what came of it."""

    state: Literal["waiting", "recording", "done", "cancelled", "failed"]
    bars: int
    quantise: str
    name: str
    owner: str = ""
    """The hit that began it; empty: a door did."""
    begins: float | None = None
    """When its first sample is played (s, monotonic); none while the song stands still."""
    ends: float | None = None
    answer: dict[str, Any] = {}
    """Path, length, rate and tempo of the file, once there is one."""
    error: str = ""

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "recording")


PLACES = ("start", "end")
"""Parameters of a region, which may be given in bars of the capture."""

_BARS = re.compile(r"(\d{1,3}) bars?")


def place_in_bars(params: dict[str, Any], taken: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the places that are written as ``4 bars`` turned into samples of a captured file, which is known to
    begin on a bar line: its end is as many bars as it has, and what lies behind it can be painted by an operation that may."""
    found = {name: _BARS.fullmatch(params[name]) for name in PLACES if isinstance(params.get(name), str)}
    samples = {name: round(int(bars[1]) * taken["frames"] / taken["bars"]) for name, bars in found.items() if bars}
    return {**params, **samples}


Then = Callable[[dict[str, Any]], Awaitable[Any]]
"""What is done with the finished file."""


class Capture:
    """The capture of one daemon; files go into ``folder``."""

    def __init__(
        self,
        player: PlayerLink,
        tempo: Tempo,
        folder: Path,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._player = player
        self._tempo = tempo
        self._folder = folder
        self._spawn = spawn
        self._recording: Recording | None = None
        self._task: asyncio.Task[None] | None = None

    async def take(self, bars: int = 4, name: str = "", asked: Timeline | None = None) -> dict[str, Any]:
        """The last whole bars that were played, as a file: begins and ends exactly on bar lines of the current time."""
        path = self._path(name or time.strftime("take-%Y%m%d-%H%M%S"))
        timeline = asked or self._tempo.timeline()
        bar = timeline.metre.bar
        last = timeline.beat_at(time.monotonic()) // bar * bar
        return await self._write(timeline, timeline.clock_at(last - bars * bar), bars, path)

    def record(
        self,
        bars: int = 4,
        quantise: str = "bar",
        name: str = "",
        *,
        asked: Timeline | None = None,
        owner: str = "",
        then: Then | None = None,
    ) -> dict[str, Any]:
        """Record so many bars from the next line of the grid on; answers at once, `wait` tells the outcome.

        A song that stands still is waited for. Raises `Busy` while another recording is open, `BadRequest` where the ring
        does not hold that much.
        """
        grid = parse_grid(quantise)
        path = self._path(name or time.strftime("recording-%Y%m%d-%H%M%S"))
        if self._recording is not None and self._recording.open:
            raise Busy("a recording is under way; cancel it first")
        self._check_length(bars, asked or self._tempo.timeline())
        recording = Recording(state="waiting", bars=bars, quantise=quantise, name=name, owner=owner)
        self._recording = recording
        self._task = self._spawn(self._record(recording, grid, asked, path, then))
        return self.state()

    async def wait(self, timeout: float = 30.0) -> dict[str, Any]:
        """The last recording once it has ended; where it stands if it has not by then. Raises what made it fail."""
        if self._recording is None or self._task is None:
            raise NotFound("nothing was recorded", field="recording")
        await asyncio.wait([self._task], timeout=timeout)
        if self._recording.state == "failed":
            raise Unavailable(f"the recording failed: {self._recording.error}")
        return self.state()

    def cancel(self, owner: str = "") -> dict[str, Any]:
        """End an open recording without a file (with ``owner``: only if that hit began it)."""
        recording = self._recording
        if recording is not None and recording.open and owner in ("", recording.owner):
            recording.state = "cancelled"
            if self._task is not None:
                self._task.cancel()
        return self.state()

    def state(self) -> dict[str, Any]:
        """Where the last recording stands; ``in`` and ``left`` are seconds to its beginning and to its end."""
        recording = self._recording
        if recording is None:
            return {"state": "none"}
        now = time.monotonic()
        until = {
            word: max(0.0, moment - now)
            for word, moment in (("in", recording.begins), ("left", recording.ends))
            if moment is not None and recording.open
        }
        told = {
            "state": recording.state,
            "bars": recording.bars,
            "quantise": recording.quantise,
            "error": recording.error,
        }
        return {**told, **until, **recording.answer}

    async def _record(
        self, recording: Recording, grid: Grid, asked: Timeline | None, path: Path, then: Then | None
    ) -> None:
        try:
            timeline, begins = await self._reach_line(recording, grid, asked)
            recording.state, recording.begins = "recording", begins
            recording.ends = begins + self._frames(recording.bars, timeline) / self._player.rate
            await asyncio.sleep(max(0.0, recording.ends - time.monotonic()))
            recording.answer = await self._write(timeline, begins, recording.bars, path)
            if then is not None:
                recording.answer |= await then(recording.answer) or {}
            recording.state = "done"
        except AceError as error:
            recording.state, recording.error = "failed", error.message
        finally:
            if recording.open:
                recording.state, recording.error = "failed", recording.error or "it was broken off"

    async def _reach_line(self, recording: Recording, grid: Grid, asked: Timeline | None) -> tuple[Timeline, float]:
        """Wait for the next line of the grid, through changes of tempo; the time that rules there, and when it was."""
        line: float | None = None
        while True:
            timeline, now = asked or self._tempo.timeline(), time.monotonic()
            step, here = grid.beats(timeline.metre), timeline.beat_at(now)
            if not step:
                return timeline, now
            if not timeline.running:
                line = recording.begins = recording.ends = None
            elif line is None or not -step - JUMP < here - line < JUMP:
                line = timeline.boundary(now, grid)
            if line is not None:
                recording.begins = timeline.clock_at(line)
                recording.ends = recording.begins + self._frames(recording.bars, timeline) / self._player.rate
                if here >= line:
                    return timeline, recording.begins
            await asyncio.sleep(LOOK if line is None else min(LOOK, max(0.001, timeline.clock_at(line) - now)))

    async def _write(self, timeline: Timeline, start: float, bars: int, path: Path) -> dict[str, Any]:
        taken = await self._player.take(start, self._frames(bars, timeline), str(path))
        return {"path": taken.path, "frames": taken.frames, "rate": taken.rate, "bpm": timeline.bpm, "bars": bars}

    def _frames(self, bars: int, timeline: Timeline) -> int:
        return timeline.frames(bars * timeline.metre.bar, self._player.rate)

    def _check_length(self, bars: int, timeline: Timeline) -> None:
        most = int(self._player.capture_seconds / (timeline.metre.bar * 60 / timeline.bpm))
        if bars > most:
            raise BadRequest(
                f"the capture holds {self._player.capture_seconds:g} s, {most} bars at this tempo; "
                "the setting capture_seconds changes that",
                field="bars",
                limits={"max": most},
            )

    def _path(self, stem: str) -> Path:
        """A new file's path. Raises `Unavailable` without an input, `BadRequest` for a name that is none."""
        if not self._player.input:
            raise Unavailable("no capture input is set; name one with the setting performance_input", field="input")
        if not _NAME.fullmatch(stem):
            raise BadRequest(
                "a name has 1 to 64 letters, digits, points, dashes", field="name", limits={"max_length": 64}
            )
        return self._folder / f"{stem}-{time.monotonic_ns() % 1_000_000:06d}.wav"
