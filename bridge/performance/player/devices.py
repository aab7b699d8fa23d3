"""Sound cards through sounddevice, and a card without sound that keeps the same time.

Both give a stream object with ``start``, ``stop``, ``active``, ``latency`` and call back with numpy blocks and the block's times.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from acestep.api.errors import Unavailable
from bridge.performance.player.messages import Open


class BlockTimes(msgspec.Struct, frozen=True):
    """When a block is heard and when its input was played (s, monotonic), and whether the system reported an xrun."""

    heard: float
    played: float
    xrun: bool = False


Callback = Callable[[np.ndarray | None, np.ndarray, BlockTimes], None]


def open_stream(command: Open, callback: Callback) -> Any:
    """A stream, not yet started. Raises `Unavailable` with what is missing."""
    if command.output == "null":
        return NullStream(command, callback)
    return _sound_stream(command, callback)


def find_devices_anew() -> None:
    """Look for sound cards again: PortAudio knows only those that were there when it started."""
    sounddevice = sys.modules.get("sounddevice")
    if sounddevice is not None:
        sounddevice._terminate()  # the library has no public way
        sounddevice._initialize()


class NullStream:
    """A card without sound: calls back in real time and throws the output away; its input is its own output."""

    latency = 0.0

    def __init__(self, command: Open, callback: Callback) -> None:
        self._open_command = command
        self._callback = callback
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="null sound card", daemon=True)

    @property
    def active(self) -> bool:
        """Whether the stream runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin calling back."""
        self._thread.start()

    def stop(self) -> None:
        """Stop calling back and wait for the last call."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        size = self._open_command.block or 512
        begin = time.monotonic()
        frame = 0
        heard: np.ndarray | None = None
        while not self._stop.is_set():
            clock = begin + frame / self._open_command.rate
            out = np.zeros((size, self._open_command.channels), np.float32)
            played = heard if heard is not None else out
            self._callback(
                played if self._open_command.input else None,
                out,
                BlockTimes(clock, clock - size / self._open_command.rate),
            )
            heard = out.copy()
            frame += size
            self._stop.wait(max(0.0, begin + frame / self._open_command.rate - time.monotonic()))


def _sound_stream(command: Open, callback: Callback) -> Any:
    try:
        import sounddevice
    except OSError as failure:  # sounddevice raises OSError when PortAudio is missing
        raise Unavailable(
            f"there is no sound system: {failure}; install PortAudio (Debian: libportaudio2)", field="output"
        ) from None
    settings = {
        "samplerate": command.rate,
        "blocksize": command.block,
        "dtype": "float32",
        "latency": "low",
        "channels": command.channels,
    }
    try:
        output = _device(sounddevice, command.output, "output")
        if not command.input:
            return sounddevice.OutputStream(
                **settings,
                device=output,
                callback=lambda out, n, times, flags: callback(None, out, _times(times, flags)),
            )
        both = (_device(sounddevice, command.input, "input"), output)
        return sounddevice.Stream(
            **settings,
            device=both,
            callback=lambda played, out, n, times, flags: callback(played, out, _times(times, flags)),
        )
    except (sounddevice.PortAudioError, ValueError) as failure:
        raise Unavailable(f"the sound card cannot be opened: {failure}", field="output") from None


def _device(sounddevice: Any, name: str, kind: str) -> int | None:
    """Index of the device whose name begins with ``name``; none for the system's default."""
    if not name:
        return None
    names = [device["name"] for device in sounddevice.query_devices()]
    able = [device[f"max_{kind}_channels"] > 0 for device in sounddevice.query_devices()]
    for index, found in enumerate(names):
        if able[index] and found.lower().startswith(name.lower()):
            return index
    known = [found for index, found in enumerate(names) if able[index]]
    raise Unavailable(f"there is no {kind} device {name!r}", field=kind, limits={"choices": known})


def _times(times: Any, flags: Any) -> BlockTimes:
    """PortAudio's stream times moved onto the monotonic clock."""
    shift = time.monotonic() - times.currentTime
    return BlockTimes(times.outputBufferDacTime + shift, times.inputBufferAdcTime + shift, bool(flags))
