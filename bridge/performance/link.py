"""The daemon's end of the player process: starts it, speaks with it, starts it again when it dies."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from acestep.api.errors import AceError, BadRequest, Unavailable, error_from_wire
from acestep.api.frames import FrameReader, encode
from bridge import children
from bridge.performance.player.messages import (
    CARD_LOST,
    ClockBeat,
    Command,
    FeedbackOutput,
    Gain,
    Launch,
    Launched,
    Levels,
    Lights,
    Load,
    Open,
    Opened,
    Refused,
    Report,
    Stop,
    Take,
    Taken,
)

log = logging.getLogger(__name__)

ANSWER = 10.0
"""Seconds to wait for the player's answer; a take waits two by itself, opening a sound card can take some."""

READING = 60.0
"""Seconds to wait until a file is read into a slot, and resampled where it must be."""

BACK_OFF = (0.5, 1.0, 2.0, 5.0)
"""Seconds before the player is started again, by how often it died in a row."""


EXITS = {CARD_LOST: "the sound card went away; it is looked for"}
"""Exit codes of the player -> what they mean."""


class PlayerLink:
    """A player process, kept alive. ``levels`` holds its last report; what was open and loaded is restored after a crash."""

    def __init__(self, on_levels: Callable[[Levels], None] = lambda levels: None) -> None:
        self.levels = Levels(state="closed")
        self.opened: Opened | None = None
        self.crashes = 0
        self.problem = ""
        """Why there is no sound, in a sentence; empty when all is well."""
        self._on_levels = on_levels
        self._open_command: Open | None = None
        self._loaded: dict[int, Load] = {}
        self._feedback = FeedbackOutput()
        self._lights: dict[tuple[int, int], int] = {}
        self._beat: ClockBeat | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._ready = asyncio.Event()

    async def start(self, command: Open) -> None:
        """Start the process and open the sound card; a card that is missing is stated, not raised."""
        self._open_command = command
        self._task = asyncio.create_task(self._supervise(), name="player")
        await self._ready.wait()

    async def close(self) -> None:
        """End the process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._end_process()

    @property
    def rate(self) -> int:
        """Sample rate (Hz) of the stream, open or asked for."""
        return Open().rate if self._open_command is None else self._open_command.rate

    @property
    def input(self) -> str:
        """Name of the capture input; empty: none."""
        return "" if self._open_command is None else self._open_command.input

    @property
    def capture_seconds(self) -> float:
        """Seconds of input that are held."""
        return 0.0 if self._open_command is None else self._open_command.capture_seconds

    async def load(self, command: Load) -> None:
        """Put a file into a slot. Raises what the player refused; a player that is away gets it when it is back."""
        self._loaded[command.slot] = command
        if not self._running:
            return
        try:
            await self._ask(command, READING)
        except AceError:
            if self._loaded.get(command.slot) is command and self._running:
                del self._loaded[command.slot]
            raise

    async def launch(self, slot: int, at: float) -> Launched:
        """Launch a slot at a monotonic time. Raises what the player refused."""
        return await self._ask(Launch(slot=slot, at=at))

    async def stop(self, slot: int | None, at: float) -> None:
        """Stop a slot, or all."""
        await self._send(Stop(slot=slot, at=at))

    async def gain(self, slot: int, gain: float) -> None:
        """Change a slot's gain at once, and for the time after a restart."""
        if slot not in self._loaded:
            raise BadRequest(f"slot {slot} is empty", field="slot")
        self._loaded[slot] = msgspec.structs.replace(self._loaded[slot], gain=gain)
        await self._send_if_running(Gain(slot=slot, gain=gain))

    async def take(self, start: float, frames: int, path: str) -> Taken:
        """Write what was played from a monotonic time on."""
        return await self._ask(Take(start=start, frames=frames, path=path))

    async def feed_back(self, command: FeedbackOutput) -> None:
        """Open another feedback port."""
        self._feedback = command
        await self._send_if_running(command)

    async def light(self, lights: dict[tuple[int, int], int]) -> None:
        """Set pads, (channel, note) -> velocity."""
        self._lights |= lights
        await self._send_if_running(Lights.of(lights))

    async def follow(self, beat: ClockBeat) -> None:
        """Give the player the time that MIDI clock is made from."""
        self._beat = beat
        await self._send_if_running(beat)

    @property
    def _running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _send_if_running(self, command: Command) -> None:
        """Send what is sent again after a restart anyway."""
        if self._running:
            await self._send(command)

    async def _ask(self, command: Any, patience: float = ANSWER) -> Any:
        number = str(next(self._numbers))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self._send(msgspec.structs.replace(command, request=number))
            async with asyncio.timeout(patience):
                return await future
        except TimeoutError:
            raise Unavailable("the player does not answer") from None
        finally:
            self._waiting.pop(number, None)

    async def _send(self, command: Command) -> None:
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            raise Unavailable(self.problem or "the player is not running")
        try:
            process.stdin.write(encode(command))
            await process.stdin.drain()
        except ConnectionError:
            raise Unavailable("the player process went away and is started again") from None

    async def _supervise(self) -> None:
        while True:
            self._process = await asyncio.create_subprocess_exec(
                *children.python("-m", "bridge.performance.player"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=children.environment(),
            )
            try:
                await self._restore()
                await self._read(self._process.stdout)
            except (ConnectionError, Unavailable):
                log.warning("the player closed its pipe")
            self._player_died(await self._process.wait())
            await asyncio.sleep(BACK_OFF[min(self.crashes, len(BACK_OFF)) - 1])

    async def _restore(self) -> None:
        assert self._open_command is not None
        await self._send(self._open_command)
        restored = [*self._loaded.values(), self._feedback, Lights.of(self._lights), self._beat]
        for command in restored:
            if command is not None:
                await self._send(command)

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        reader = FrameReader(Report)
        while data := await stream.read(65_536):
            for report in reader.feed(data):
                self._take_in(report)

    def _take_in(self, report: Report) -> None:
        if isinstance(report, Levels):
            self.levels = report
            self._on_levels(report)
        elif isinstance(report, Opened):
            self.opened, self.problem, self.crashes = report, "", 0
            self._ready.set()
        elif isinstance(report, Refused):
            self._refuse(report)
        else:
            self._answer(report.request, report)

    def _refuse(self, report: Refused) -> None:
        error = error_from_wire(dict(report.error))
        future = self._waiting.get(report.request)
        if future is not None and not future.done():
            future.set_exception(error)
        else:
            self.problem = error.message
            log.warning("player: %s", error.message)
        self._ready.set()

    def _answer(self, request: str, report: Any) -> None:
        future = self._waiting.get(request)
        if future is not None and not future.done():
            future.set_result(report)

    def _player_died(self, code: int) -> None:
        self.crashes += 1
        self.levels = Levels(state="lost")
        self.problem = EXITS.get(code, "the player process died and is started again")
        self._on_levels(self.levels)
        log.warning("%s (%d in a row)", self.problem, self.crashes)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable(self.problem))
        self._ready.set()

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(3):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
