"""Feedback to a controller: pad lights and MIDI clock, on an output that may be plugged and unplugged at any time.

It lives in the player process because time is kept there: a thread of its own sends the ticks, and nothing that the daemon
does delays them.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import time
from collections import deque
from typing import Any

import mido

from bridge.performance.player.clock_out import ClockOut
from bridge.performance.player.messages import ClockBeat, FeedbackOutput, Lights
from bridge.performance.ports import RESCAN, MidiOutputs

log = logging.getLogger(__name__)

NEAR = 0.02
"""Seconds before a tick from which on the clock thread only sleeps; further off it listens for changes of the time."""

REMEMBERED = 240
"""Ticks whose delay is looked at: ten beats."""


class FeedbackOut:
    """One output with its lights and its clock. Threads run only while they are needed."""

    def __init__(self) -> None:
        self._output_command = FeedbackOutput()
        self._outputs: MidiOutputs | None = None
        self._port: Any = None
        self._lights: dict[tuple[int, int], int] = {}
        self._clock = ClockOut()
        self._late: deque[float] = deque(maxlen=REMEMBERED)
        self._changed = threading.Condition(threading.RLock())
        self._threads: list[threading.Thread] = []
        self._ended = False

    # What the daemon asks for

    def open(self, command: FeedbackOutput) -> None:
        """Look for another output; empty: none."""
        with self._changed:
            if command == self._output_command:
                return
            self._disconnect()
            self._output_command, self._outputs = command, None
            self._changed.notify_all()
        if command.output and not self._threads:
            self._threads = [
                threading.Thread(target=work, name=name, daemon=True)
                for work, name in ((self._keep_port, "feedback port"), (self._keep_time, "MIDI clock"))
            ]
            for thread in self._threads:
                thread.start()

    def light(self, lights: Lights) -> None:
        """Light pads; those of a controller that is away are lit when it is back."""
        with self._changed:
            for channel, note, velocity in lights.pads:
                self._lights[channel, note] = velocity
            self._send([_light(*pad) for pad in lights.pads])

    def follow(self, beat: ClockBeat) -> None:
        """Make the clock from another time."""
        with self._changed:
            self._send(self._clock.follow(beat, time.monotonic()))
            self._changed.notify_all()

    def close(self) -> None:
        """Stop the receiver's transport and let go of the port."""
        with self._changed:
            self._ended = True
            self._disconnect()
            self._changed.notify_all()

    # What it says

    @property
    def name(self) -> str:
        """The output that is open; empty: none."""
        port = self._port
        return "" if port is None else str(port.name)

    @property
    def clock(self) -> str:
        """Whether a clock is sent: empty (no), stopped or running."""
        if self._port is None or self._clock.due() is None:
            return ""
        return "running" if self._clock.rolling else "stopped"

    @property
    def late(self) -> float:
        """Largest delay (s) of the last ticks."""
        return max(self._late, default=0.0)

    # Inner workings

    def _keep_port(self) -> None:
        """Open the output when it is there, let go of it when it is not."""
        while not self._ended:
            with self._changed:
                command = self._output_command
                if command.output and self._outputs is None:
                    self._outputs = MidiOutputs(command.output, command.backend)
                outputs, open_now = self._outputs, self._port
            if outputs is not None:
                self._look(command, outputs, open_now)
            with self._changed:
                self._changed.wait_for(functools.partial(self._is_over, command), RESCAN)

    def _is_over(self, command: FeedbackOutput) -> bool:
        """Whether there is nothing more to keep open for this request."""
        return self._ended or self._output_command is not command

    def _look(self, command: FeedbackOutput, outputs: MidiOutputs, port: Any) -> None:
        """One look at the output, without the lock: sound and MIDI systems can take their time."""
        if port is not None and (port.closed or not outputs.present(port)):
            log.info("MIDI output %s went away", port.name)
            with self._changed:
                self._drop(port)
            port = None
        if port is None and (found := outputs.open()) is not None:
            log.info("MIDI output %s is open", found.name)
            with self._changed:
                if self._ended or self._output_command is not command:
                    found.close()
                    return
                self._port = found
                self._send([_light(*place, velocity) for place, velocity in self._lights.items()])
                self._send(self._clock.rejoin(time.monotonic()))
                self._changed.notify_all()

    def _keep_time(self) -> None:
        """Send each tick at its moment."""
        _ask_for_urgency()
        while not self._ended:
            with self._changed:
                due = self._clock.due() if self._port is not None else None
                left = None if due is None else due - time.monotonic()
                if due is None or left is None or left > NEAR:
                    self._changed.wait(None if left is None else left - NEAR / 2)
                    continue
            if left > 0:
                time.sleep(left)
            with self._changed:
                now = time.monotonic()
                messages = self._clock.take(now)
                self._send(messages)
                if messages:
                    self._late.append(max(0.0, now - due))

    def _send(self, messages: list[mido.Message]) -> None:
        port = self._port
        if port is None:
            return
        try:
            for message in messages:
                port.send(message)
        except Exception as failure:  # each MIDI system has errors of its own
            log.warning("MIDI output %s does not take messages: %s", port.name, failure)
            self._drop(port)

    def _drop(self, port: Any) -> None:
        """Let go of a port that is gone, or has to go."""
        if self._port is port:
            self._port = None
            self._late.clear()
        try:
            port.close()
        except Exception as failure:  # as above
            log.debug("closing MIDI output: %s", failure)

    def _disconnect(self) -> None:
        """Leave a receiver in order: stopped and dark."""
        port = self._port
        if port is None:
            return
        dark = [_light(*place, 0) for place, velocity in self._lights.items() if velocity]
        self._send([*([mido.Message("stop")] if self._clock.rolling else []), *dark])
        self._drop(port)


def _light(channel: int, note: int, velocity: int) -> mido.Message:
    return mido.Message("note_on", channel=channel, note=note, velocity=velocity)


def _ask_for_urgency() -> None:
    """Real-time scheduling for this thread, as sound servers have it, where the system grants it to this user; a thread
    that only sleeps and sends cannot hold anybody up."""
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            lowest = os.sched_get_priority_min(os.SCHED_RR)
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(lowest))
