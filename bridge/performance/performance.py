"""Playing the model: slots that are filled ahead and launched on the bar, capture of what was just played, MIDI in.

This is the part the daemon holds. It asks the core for jobs like any client, follows their events, and speaks with the
player process; every door reaches it through the methods ``slot.*``, ``capture.*``, ``tempo.*`` and ``midi.*``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError, Unavailable
from acestep.api.metre import parse_metre
from bridge.core.interface import Accepted, Core
from bridge.performance.capture import Capture, Then, place_in_bars
from bridge.performance.feedback import Feedback
from bridge.performance.jobs import DIGITS, Jobs
from bridge.performance.learn import Learned, describe_hit
from bridge.performance.link import PlayerLink
from bridge.performance.mapping import Mapping
from bridge.performance.mapping_file import MappingFile
from bridge.performance.midi_socket import MidiSocket
from bridge.performance.player.messages import Levels, Open
from bridge.performance.ports import MidiInputs
from bridge.performance.slots import Slots
from bridge.performance.tempo import Tempo
from bridge.performance.timeline import Timeline
from bridge.performance.triggers import Action, TriggerMachine

log = logging.getLogger(__name__)


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
    midi_clock: bool = False


class Performance:
    """Slots, capture, musical time and MIDI of one daemon. ``tempo``, ``slots``, ``capture`` and ``feedback`` answer the methods
    of those names."""

    def __init__(self, core: Core, settings: PerformanceSettings) -> None:
        self._settings = settings
        self._player = PlayerLink(self._follow_levels)
        self._mapping = Mapping()
        self._machine = TriggerMachine(self._mapping)
        self.tempo = Tempo(self._mapping.default_bpm)
        self._jobs = Jobs(core, self.tempo)
        self.slots = Slots(core, self._player, self.tempo, self._jobs.submit, self._spawn)
        self.capture = Capture(self._player, self.tempo, settings.folder, self._spawn)
        self.feedback = Feedback(self._player, self.tempo, self.slots.ready, settings.midi_backend)
        self.feedback.sends_clock = settings.midi_clock
        self._file: MappingFile | None = None
        if settings.mapping is not None:
            self._file = MappingFile(settings.mapping, core.operations, self._take_over)
        self._hit_jobs: dict[str, str] = {}
        """Hits -> the jobs they began that have not ended."""
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._inputs: MidiInputs | None = None
        self._socket: MidiSocket | None = None
        self._learning: asyncio.Future[Learned] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._playing: frozenset[int] = frozenset()
        self._hits = 0
        self._refused = ""
        self._latencies: deque[float] = deque(maxlen=1000)

    async def start(self) -> None:
        """Start the player and listen to MIDI; whatever is missing is stated in `state`."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._settings.folder.mkdir, parents=True, exist_ok=True)
        command = Open(
            output=self._settings.output,
            input=self._settings.input,
            rate=self._settings.rate,
            capture_seconds=self._settings.capture_seconds,
        )
        await self._player.start(command)
        self._spawn(self.feedback.keep_time())
        if self._file is not None:
            await self._file.look()
            self._spawn(self._file.watch())
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
        await self._player.close()

    # State

    def state(self) -> dict[str, Any]:
        """Sound, MIDI, tempo, mapping and slots, with a sentence for whatever is missing."""
        levels = self._player.levels
        midi = None if self._inputs is None else msgspec.to_builtins(self._inputs.state())
        problem = "" if self._file is None else self._file.problem
        return {
            "sound": {**msgspec.to_builtins(levels), "problem": self._player.problem, "deaths": self._player.crashes},
            "capture": {
                "enabled": bool(self._settings.input),
                "seconds": self._settings.capture_seconds,
                "level": levels.input_peak,
                "recording": self.capture.state(),
            },
            "midi": midi,
            "midi_socket": None if self._socket is None else self._socket.port,
            "feedback": self.feedback.state(),
            "mapping": {"triggers": len(self._mapping.trigger), "problem": problem, "refused": self._refused},
            "tempo": {**self.tempo.state(), "clock_port": self.tempo.clock.port},
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
            async with asyncio.timeout(timeout):
                return msgspec.to_builtins(await self._learning)
        except TimeoutError:
            raise Unavailable(f"no MIDI message came within {timeout:.0f} s") from None
        finally:
            self._learning = None

    # Time: whoever changes it, the clock that is sent follows at once

    def set_host(self, bpm: float, beat: float = 0.0, metre: str = "4/4", running: bool = True) -> dict[str, Any]:
        """Follow the host (`Tempo.set_host`)."""
        return self._steered(self.tempo.set_host(bpm, beat, metre, running))

    def forget_host(self) -> dict[str, Any]:
        """Follow the host no longer."""
        return self._steered(self.tempo.forget_host())

    def tap(self, clock: float | None = None) -> dict[str, Any]:
        """A tap on the beat."""
        return self._steered(self.tempo.tap(clock))

    def _steered(self, answer: dict[str, Any]) -> dict[str, Any]:
        self.feedback.steer()
        return answer

    # Capture that goes on as a job

    def onward(self, operation: str, params: dict[str, Any], slot: int | None = None, key: str = "") -> Then | None:
        """What is done with a captured file: it becomes the source of a job (none without an operation). With a slot the
        results wait there."""
        if not operation:
            return None

        async def go_on(taken: dict[str, Any]) -> dict[str, Any]:
            known = {"bpm": round(taken["bpm"], DIGITS), **params, "source": taken["path"]}
            accepted = await self._ask(operation, place_in_bars(known, taken), slot)
            self._note_job(key, accepted)
            return {"job": accepted.id}

        return go_on

    async def take(
        self, bars: int, name: str = "", *, asked: Timeline | None = None, then: Then | None = None
    ) -> dict[str, Any]:
        """Keep the last bars, and go on with them."""
        taken = await self.capture.take(bars, name, asked)
        return taken if then is None else {**taken, **await then(taken)}

    async def _ask(self, operation: str, params: dict[str, Any], slot: int | None, bars: int = 0) -> Accepted:
        if slot is None:
            return await self._jobs.submit(operation, params, bars=bars)
        return await self.slots.fill(slot, operation, params, bars=bars)

    # MIDI

    def _arrived(self, message: Any, clock: float, port: str) -> None:
        """Called from MIDI threads."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._handle, message, clock, port)

    def _handle(self, message: Any, clock: float, port: str) -> None:
        if self.tempo.clock.feed(message, clock, port):
            return
        if self._learning is not None and not self._learning.done():
            learned = describe_hit(message, port)
            if learned is not None:
                self._learning.set_result(learned)
                return
        self._machine.bpm = self.tempo.timeline().bpm
        for action in self._machine.feed(message, clock):
            self._hits += 1
            self._spawn(self._act(action))

    async def _act(self, action: Action) -> None:
        """Carry out an action, after those of the same hit before it: a release must find what its hit began."""
        try:
            async with self._turns[action.key]:
                await self._carry_out(action)
            self._latencies.append(time.monotonic() - action.clock)
        except AceError as error:
            self._refused = f"trigger {action.trigger + 1} ({action.kind}): {error.message}"
            log.warning("%s", self._refused)

    async def _carry_out(self, action: Action) -> None:
        if action.kind in ("submit", "preset"):
            accepted = await self._ask(action.operation, action.params, action.slot, action.bars)
            self._note_job(action.key, accepted)
        elif action.kind == "cancel":
            await self._cancel(action.key)
        elif action.kind == "launch" and action.slot is not None:
            await self.slots.launch(action.slot, action.quantise)
        elif action.kind == "stop":
            await self.slots.stop(action.slot, action.quantise)
        elif action.kind == "tap":
            self.tap(action.clock)
        elif action.kind in ("capture", "record"):
            await self._capture(action)

    async def _capture(self, action: Action) -> None:
        then = self.onward(action.operation, action.params, action.slot, action.key)
        if action.kind == "capture":
            await self.take(action.bars, then=then)
        else:
            self.capture.record(action.bars, action.quantise, owner=action.key, then=then)

    async def _cancel(self, key: str) -> None:
        """Take back what a hit began: its recording, or its job."""
        self.capture.cancel(owner=key)
        job = self._hit_jobs.pop(key, "")
        if job:
            await self._jobs.cancel(job)

    def _note_job(self, key: str, accepted: Accepted) -> None:
        if key:
            self._hit_jobs[key] = accepted.id
            self._spawn(self._forget_job(key, accepted.id))

    async def _forget_job(self, key: str, job: str) -> None:
        """When a job has ended there is nothing left to cancel: the next hit begins anew."""
        await self._jobs.wait(job)
        if self._hit_jobs.get(key) == job:
            del self._hit_jobs[key]
            self._machine.settle(key)

    # Inner workings

    def _take_over(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._machine = self._machine.adopt(mapping)
        self.tempo.default_bpm, self.tempo.default_metre = mapping.default_bpm, parse_metre(mapping.default_metre)
        self.feedback.send_clock(mapping.clock or self._settings.midi_clock)
        if self._inputs is not None:
            self._inputs.choose(mapping.ports)
        self._spawn(self.feedback.take_over(mapping))

    def _follow_levels(self, levels: Levels) -> None:
        playing = frozenset(levels.playing)
        for slot in self._playing - playing:
            self._machine.settle_slot(slot)
        self._playing = playing
        self._spawn(self.feedback.show(levels))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("performance: %s", task.exception(), exc_info=task.exception())
