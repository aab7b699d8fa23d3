"""Playing the model: slots that are filled ahead and launched on the bar, capture of what was just played, MIDI in.

This is the part the daemon holds. It asks the core for jobs like any client, follows their events, and speaks with the
player process; every door reaches it through the verbs ``slot.*``, ``capture.*``, ``tempo.*`` and ``midi.*``.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError, BadRequest, Unavailable
from bridge.core.views import Core, Submission
from bridge.performance.learn import Learned, describe_hit
from bridge.performance.link import PlayerLink
from bridge.performance.mapping import Mapping, load_mapping
from bridge.performance.player.messages import Levels, Open
from bridge.performance.ports import MidiInputs, MidiOutput, MidiSocket
from bridge.performance.slots import CLIENT, URGENCY, Slots
from bridge.performance.tempo import Tempo
from bridge.performance.triggers import Action, TriggerMachine

log = logging.getLogger(__name__)

RELOAD = 0.5
"""Seconds between looks at the mapping file."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

BRIGHT, DIM = 127, 32
"""Velocities of pad lights: playing and ready."""


class PerformanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is on: empty strings mean off (input, socket) or the system's default (output)."""

    folder: Path
    """Where captures are written; inside the readable roots."""
    mapping: Path | None = None
    output: str = ""
    input: str = ""
    rate: int = 48_000
    capture_seconds: float = 120.0
    midi: bool = True
    midi_backend: str = ""
    midi_socket: int | None = None
    bpm: float = 120.0


class Performance:
    """Slots, capture, musical time and MIDI of one daemon. ``tempo`` and ``slots`` answer the verbs of those names."""

    def __init__(self, core: Core, settings: PerformanceSettings) -> None:
        self._core = core
        self._settings = settings
        self._player = PlayerLink(self._follow_levels)
        self.tempo = Tempo(settings.bpm)
        self.slots = Slots(core, self._player, self.tempo, self._spawn)
        self._mapping = Mapping()
        self._mapping_problem = ""
        self._mapping_time = 0.0
        self._machine = TriggerMachine(self._mapping)
        self._jobs: dict[str, str] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._inputs: MidiInputs | None = None
        self._socket: MidiSocket | None = None
        self._feedback: MidiOutput | None = None
        self._learning: asyncio.Future[Learned] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hits = 0
        self._latencies: deque[float] = deque(maxlen=1000)

    async def start(self) -> None:
        """Start the player and listen to MIDI; whatever is missing is stated in `state`."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._settings.folder.mkdir, parents=True, exist_ok=True)
        wish = Open(
            output=self._settings.output,
            input=self._settings.input,
            rate=self._settings.rate,
            capture_seconds=self._settings.capture_seconds,
        )
        await self._player.start(wish)
        self._reload_mapping()
        self._spawn(self._watch_mapping())
        if self._settings.midi_socket is not None:
            self._socket = MidiSocket(self._arrived, self._settings.midi_socket)
            self._socket.start()
        if self._settings.midi:
            self._inputs = MidiInputs(self._arrived, self._mapping.ports, backend=self._settings.midi_backend)
            self._inputs.start()

    async def close(self) -> None:
        """Stop listening and end the player."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for port in (self._inputs, self._socket):
            if port is not None:
                await asyncio.to_thread(port.stop)
        if self._feedback is not None:
            self._feedback.close()
        await self._player.close()

    # Capture

    async def take(self, bars: int = 4, name: str = "") -> dict[str, Any]:
        """The last whole bars that were played, as a file: begins and ends exactly on bar lines of the ruling time."""
        if not self._settings.input:
            raise Unavailable("no capture input is set; name one with the setting performance_input", field="input")
        timeline = self.tempo.timeline()
        bar = timeline.metre.bar
        last = timeline.beat_at(time.monotonic()) // bar * bar
        start = timeline.clock_at(last - bars * bar)
        frames = timeline.frames(bars * bar, self._settings.rate)
        if name and not _NAME.fullmatch(name):
            raise BadRequest(
                "a name has 1 to 64 letters, digits, points, dashes", field="name", limits={"max_length": 64}
            )
        stem = name or time.strftime("take-%Y%m%d-%H%M%S")
        path = self._settings.folder / f"{stem}-{time.monotonic_ns() % 1_000_000:06d}.wav"
        taken = await self._player.take(start, frames, str(path))
        return {"path": taken.path, "frames": taken.frames, "rate": taken.rate, "bpm": timeline.bpm, "bars": bars}

    # State

    def state(self) -> dict[str, Any]:
        """Sound, MIDI, tempo, mapping and slots, with a sentence for whatever is missing."""
        levels = self._player.levels
        midi = None if self._inputs is None else msgspec.to_builtins(self._inputs.state())
        return {
            "sound": {**msgspec.to_builtins(levels), "problem": self._player.problem, "deaths": self._player.deaths},
            "capture": {"enabled": bool(self._settings.input), "seconds": self._settings.capture_seconds},
            "midi": midi,
            "midi_socket": None if self._socket is None else self._socket.port,
            "mapping": {"triggers": len(self._mapping.trigger), "problem": self._mapping_problem},
            "tempo": self.tempo.state(),
            "hits": self._hits,
            "latency": self._latency(),
        }

    def _latency(self) -> dict[str, float]:
        """Seconds from a hit's arrival until what it asks for is done (a job: accepted and stored)."""
        times = sorted(self._latencies)
        if not times:
            return {}
        return {"median": times[len(times) // 2], "p99": times[min(len(times) - 1, len(times) * 99 // 100)]}

    async def learn(self, timeout: float = 30.0) -> dict[str, Any]:
        """Wait for the next hit and say how a mapping would name it."""
        assert self._loop is not None
        self._learning = self._loop.create_future()
        try:
            return msgspec.to_builtins(await asyncio.wait_for(self._learning, timeout))
        except TimeoutError:
            raise Unavailable(f"no MIDI message came within {timeout:.0f} s") from None
        finally:
            self._learning = None

    # MIDI

    def _arrived(self, message: Any, clock: float, port: str) -> None:
        """Called from MIDI threads."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._handle, message, clock, port)

    def _handle(self, message: Any, clock: float, port: str) -> None:
        handler = {
            "clock": lambda: self.tempo.clock.tick(clock),
            "start": self.tempo.clock.start,
            "continue": self.tempo.clock.resume,
            "stop": self.tempo.clock.stop,
            "songpos": lambda: self.tempo.clock.song_position(message.pos),
        }.get(message.type)
        if handler is not None:
            handler()
            return
        if self._learning is not None and not self._learning.done():
            learned = describe_hit(message, port)
            if learned is not None:
                self._learning.set_result(learned)
                return
        self._machine.bpm = self.tempo.timeline().bpm
        for action in self._machine.feed(message, clock):
            self._hits += 1
            self._spawn(self._act(action, clock))

    async def _act(self, action: Action, clock: float) -> None:
        try:
            await self._carry_out(action)
            self._latencies.append(time.monotonic() - clock)
        except AceError as error:
            log.warning("trigger %d (%s): %s", action.trigger, action.kind, error.message)

    async def _carry_out(self, action: Action) -> None:
        if action.kind in ("submit", "preset"):
            await self._submit(action)
        elif action.kind == "cancel":
            job = self._jobs.pop(action.key, "")
            if job:
                await self._core.cancel(job)
        elif action.kind == "launch" and action.slot is not None:
            await self.slots.launch(action.slot, action.quantise)
        elif action.kind == "stop":
            await self.slots.stop(action.slot, action.quantise)
        elif action.kind == "capture":
            await self._capture(action)
        elif action.kind == "tap":
            self.tempo.tap()

    async def _submit(self, action: Action) -> None:
        if action.slot is not None:
            accepted = await self.slots.fill(action.slot, action.operation, action.params)
        else:
            accepted = await self._core.submit(
                Submission(client=CLIENT, operation=action.operation, params=action.params, priority=URGENCY)
            )
        self._jobs[action.key] = accepted.id

    async def _capture(self, action: Action) -> None:
        taken = await self.take(action.bars)
        if action.operation:
            params = {**action.params, "source": taken["path"]}
            await self._submit(msgspec.structs.replace(action, params=params))

    # Inner workings

    async def _watch_mapping(self) -> None:
        while True:
            await asyncio.sleep(RELOAD)
            self._reload_mapping()

    def _reload_mapping(self) -> None:
        """Take a saved mapping file over; a faulty one is named and the last good one goes on."""
        path = self._settings.mapping
        if path is None:
            return
        try:
            changed = path.stat().st_mtime
            if changed == self._mapping_time:
                return
            self._mapping_time = changed
            mapping = load_mapping(path)
        except AceError as error:
            self._mapping_problem = error.message
            log.warning("mapping %s: %s", path, error.message)
            return
        except OSError as failure:
            self._mapping_problem = f"{path} cannot be read: {failure.strerror}"
            return
        self._mapping, self._mapping_problem = mapping, ""
        self._machine = TriggerMachine(mapping)
        self.tempo.default_bpm = mapping.default_bpm or self._settings.bpm
        self._open_feedback(mapping.feedback)
        log.info("mapping %s: %d triggers", path, len(mapping.trigger))

    def _open_feedback(self, prefix: str) -> None:
        if self._feedback is not None:
            self._feedback.close()
            self._feedback = None
        if prefix:
            try:
                self._feedback = MidiOutput(prefix, backend=self._settings.midi_backend)
            except AceError as error:
                self._mapping_problem = error.message

    def _follow_levels(self, levels: Levels) -> None:
        """Light the pads of slots: bright while playing, dim while ready, off otherwise."""
        if self._feedback is None:
            return
        for trigger in self._mapping.trigger:
            if trigger.action != "launch" or trigger.on != "note":
                continue
            for note in range(trigger.low, trigger.high + 1):
                number = note - trigger.low if trigger.slot in (None, -1) else trigger.slot
                self._feedback.light(note, self._brightness(number, levels), (trigger.channel or 1) - 1)

    def _brightness(self, number: int, levels: Levels) -> int:
        if number in levels.playing:
            return BRIGHT
        return DIM if self.slots.peek(number).variants else 0

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("performance: %s", task.exception(), exc_info=task.exception())
