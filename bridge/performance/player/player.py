"""The player itself: commands in, sound out, reports back. Everything but the pipes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from acestep.api.errors import AceError, BadRequest, CorruptAudio, OutputUnwritable, Unavailable
from bridge.performance.player.devices import BlockTimes, find_devices_anew, open_stream
from bridge.performance.player.feedback import FeedbackOut
from bridge.performance.player.messages import (
    ClockBeat,
    Command,
    FeedbackOutput,
    Gain,
    Launch,
    Launched,
    Levels,
    Lights,
    Load,
    Loaded,
    Open,
    Opened,
    Refused,
    Report,
    Stop,
    Take,
    Taken,
)
from bridge.performance.player.mixer import Mixer, Slot, SlotSettings
from bridge.performance.player.ring import CaptureRing
from bridge.performance.player.streamclock import StreamClock

RETRY = 2.0
"""Seconds between attempts to open a sound card that went away."""

CAPTURE_WAIT = 2.0
"""Seconds a take waits for its last frames to arrive from the input."""


STALL = 2.0
"""Seconds without a call from the sound card after which it is gone: not every system says so."""

BESIDE = (Load, Take)
"""Commands that take their time (reading a file, waiting for the last frames): they run beside those that follow."""


class Player:
    """One sound card with its slots and capture ring. ``report`` is called from the thread that runs `do` or `watch`."""

    def __init__(self, report: Callable[[Report], None]) -> None:
        self._report = report
        self._open_command: Open | None = None
        self._stream: Any = None
        self._mixer = Mixer()
        self._ring: CaptureRing | None = None
        self._output_clock = StreamClock(48_000)
        self._input_clock = StreamClock(48_000)
        self._frame = 0
        self._busy = 0.0
        self._span = 1e-9
        self._xruns = 0
        self._peak = 0.0
        self._feedback = FeedbackOut()
        self._newest: dict[int, Load] = {}
        self._awaited: dict[int, list[Launch | Gain | Stop]] = {}
        self._order = threading.Lock()
        self._called = 0.0
        self._retry_at = 0.0
        self._opening = threading.Lock()
        self._lock = threading.Lock()

    def do(self, command: Command) -> None:
        """Carry out one command; what cannot be done is reported, never raised."""
        if self._put_off(command):
            return
        if isinstance(command, BESIDE):
            threading.Thread(target=self._do_beside, args=(command,), name="beside", daemon=True).start()
        else:
            self._try(command)

    def _put_off(self, command: Command) -> bool:
        """Whether the command has to wait for the first file of its slot, which is still being read.

        A player that was started again has all its slots to read; what is launched meanwhile should sound, not be refused.
        """
        with self._order:
            if isinstance(command, Load):
                self._newest[command.slot] = command
                if not self._mixer.holds(command.slot):
                    self._awaited.setdefault(command.slot, [])
            elif isinstance(command, Launch | Gain | Stop):
                if command.slot in self._awaited:
                    self._awaited[command.slot].append(command)
                    return True
                if command.slot is None:
                    for slot, waiting in self._awaited.items():
                        waiting.append(msgspec.structs.replace(command, slot=slot))
        return False

    def _do_beside(self, command: Load | Take) -> None:
        self._try(command)
        if not isinstance(command, Load):
            return
        with self._order:
            newest = self._newest[command.slot] is command
            waiting = self._awaited.pop(command.slot, []) if newest else []
        for late in waiting:
            self._try(late)

    def _try(self, command: Command) -> None:
        try:
            _HANDLERS[type(command)](self, command)
        except AceError as error:
            self._report(Refused(error=error.to_wire(), request=getattr(command, "request", "")))
        except OSError as failure:
            unwritable = OutputUnwritable(f"the capture cannot be written: {failure.strerror}", field="path")
            self._report(Refused(error=unwritable.to_wire(), request=getattr(command, "request", "")))

    @property
    def lost(self) -> bool:
        """Whether the sound card went away while it played; this process cannot get it back."""
        silent = time.monotonic() - self._called > STALL
        return self._stream is not None and not self._opening.locked() and (silent or not self._stream.active)

    def watch(self) -> None:
        """Report levels; look for a sound card that was not there. Call it a few times a second."""
        away = self._stream is None and not self._opening.locked()
        if self._open_command is not None and away and time.monotonic() >= self._retry_at:
            self.do(self._open_command)
        self._report(
            Levels(
                state="closed"
                if self._open_command is None
                else "lost"
                if self._stream is None or self.lost
                else "running",
                playing=tuple(self._mixer.playing()),
                input_peak=0.0 if self._ring is None else self._ring.take_peak(),
                output_peak=self._take_peak(),
                xruns=self._xruns,
                load=self._busy / self._span,
                feedback=self._feedback.name,
                clock=self._feedback.clock,
                clock_late=self._feedback.late,
            )
        )

    def _take_peak(self) -> float:
        peak, self._peak = self._peak, 0.0
        return peak

    def close(self) -> None:
        """Stop the sound, and what listens to the feedback."""
        self._feedback.close()
        self._close_stream()

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()

    def _open(self, command: Open) -> None:
        """Open the card; one attempt at a time, because sound systems do not survive two."""
        with self._opening:
            self._close_stream()
            if command == self._open_command:
                find_devices_anew()
            self._open_command = command
            self._retry_at = time.monotonic() + RETRY
            self._mixer.channels = command.channels
            self._output_clock, self._input_clock = StreamClock(command.rate), StreamClock(command.rate)
            self._frame = 0
            if command.input and command.capture_seconds > 0:
                self._ring = CaptureRing(int(command.capture_seconds * command.rate), command.channels)
            stream = open_stream(command, self._callback)
            try:
                stream.start()
            except Exception as failure:  # PortAudio has one error class for everything, raised lazily
                raise Unavailable(f"the sound card does not start: {failure}", field="output") from failure
            self._called = time.monotonic()
            self._stream = stream
        latency = stream.latency if isinstance(stream.latency, float) else stream.latency[-1]
        self._report(Opened(output=command.output, input=command.input, rate=command.rate, latency=latency))

    def _load(self, command: Load) -> None:
        settings = SlotSettings(
            gain=command.gain,
            loop=command.loop,
            length=command.length,
            crossfade=command.crossfade,
            choke=command.choke,
        )
        slot = Slot(_read(command.path, self._rate), settings)
        if self._newest[command.slot] is command:  # a later file may have been read sooner
            self._mixer.load(command.slot, slot)
        self._report(Loaded(slot=command.slot, frames=len(slot.audio), request=command.request))

    def _launch(self, command: Launch) -> None:
        if self._stream is None or not self._output_clock.known:
            raise Unavailable("no sound card is open", field="output")
        frame = self._output_clock.frame_at(command.at)
        late = max(0, self._frame - frame)
        frame += late
        self._apply(lambda: self._mixer.launch(command.slot, frame))
        self._report(Launched(slot=command.slot, frame=frame, late=late / self._rate, request=command.request))

    def _stop(self, command: Stop) -> None:
        if not self._output_clock.known:
            return
        frame = max(self._output_clock.frame_at(command.at), self._frame)
        self._apply(lambda: self._mixer.stop(command.slot, frame))

    def _gain(self, command: Gain) -> None:
        self._apply(lambda: self._mixer.set_gain(command.slot, command.gain))

    def _take(self, command: Take) -> None:
        if self._ring is None or not self._input_clock.known:
            raise Unavailable("no capture input is open", field="input")
        start = self._input_clock.frame_at(command.start)
        deadline = time.monotonic() + CAPTURE_WAIT
        while self._ring.end < start + command.frames and time.monotonic() < deadline:
            time.sleep(0.005)
        _write(Path(command.path), self._ring.read(start, command.frames), self._rate)
        self._report(Taken(path=command.path, frames=command.frames, rate=self._rate, request=command.request))

    def _open_feedback(self, command: FeedbackOutput) -> None:
        self._feedback.open(command)

    def _light(self, command: Lights) -> None:
        self._feedback.light(command)

    def _follow(self, command: ClockBeat) -> None:
        self._feedback.follow(command)

    @property
    def _rate(self) -> int:
        return 48_000 if self._open_command is None else self._open_command.rate

    def _apply(self, change: Callable[[], None]) -> None:
        """Change the mixer between two blocks. The lock is held for the change only, far shorter than a block."""
        with self._lock:
            change()

    def _callback(self, played: np.ndarray | None, out: np.ndarray, times: BlockTimes) -> None:
        begin = time.perf_counter()
        count = len(out)
        lost = self._output_clock.observe(self._frame, times.heard, count)
        self._frame += lost
        with self._lock:
            out[:] = self._mixer.render(self._frame, count)
        if played is not None and self._ring is not None:
            self._ring.skip_to(self._ring.end + self._input_clock.observe(self._ring.end, times.played, count))
            self._ring.write(played)
        self._frame += count
        self._xruns += times.xrun or lost > 0  # not every system says when it lost something
        self._peak = max(self._peak, float(np.abs(out).max(initial=0.0)))
        self._called = time.monotonic()
        self._busy = 0.99 * self._busy + time.perf_counter() - begin
        self._span = 0.99 * self._span + count / self._rate


_HANDLERS: dict[type, Callable[[Player, Any], None]] = {
    Open: Player._open,
    Load: Player._load,
    Launch: Player._launch,
    Stop: Player._stop,
    Gain: Player._gain,
    Take: Player._take,
    FeedbackOutput: Player._open_feedback,
    Lights: Player._light,
    ClockBeat: Player._follow,
}


def _read(path: str, rate: int) -> np.ndarray:
    """A file as float32 ``[frames, 2]`` at the stream's rate."""
    import soundfile
    import soxr

    try:
        audio, own = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as failure:
        raise CorruptAudio(f"{path} cannot be played: {failure}", field="path") from None
    if not len(audio):
        raise BadRequest(f"{path} is empty", field="path")
    if own != rate:
        audio = soxr.resample(audio, own, rate)
    return np.repeat(audio, 2, axis=1) if audio.shape[1] == 1 else audio[:, :2]


def _write(path: Path, audio: np.ndarray, rate: int) -> None:
    import soundfile

    draft = path.with_suffix(".part")
    soundfile.write(draft, audio, rate, subtype="FLOAT", format="WAV")
    with open(draft, "rb") as written:
        os.fsync(written.fileno())
    draft.replace(path)
