"""The player's sound, without a sound card: slots that start and stop at exact frames and loop without a gap.

`Mixer.render` is what the audio callback calls: it takes the frame number of the block and fills it. Everything is decided in
frames of the output stream; a launch asked for frame F sounds its first sample at F, whatever the block size.
"""

from __future__ import annotations

import msgspec
import numpy as np

from acestep.api.errors import BadRequest

DECLICK = 256
"""Frames over which a voice fades out when it is stopped or choked, so that stopping never clicks."""


class SlotSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a slot plays.

    ``length`` is the loop's period in frames (none: all of the audio). What the audio holds beyond it is the tail: its first
    ``crossfade`` frames fade out under the beginning of each repetition. Slots of one ``choke`` group (not 0) cut each
    other off.
    """

    gain: float = 1.0
    loop: bool = True
    length: int | None = None
    crossfade: int = 0
    choke: int = 0


class Slot:
    """A loaded part: float32 audio ``[frames, channels]``, prepared so that repeating it has no seam."""

    def __init__(self, audio: np.ndarray, settings: SlotSettings) -> None:
        if audio.ndim != 2 or len(audio) == 0:
            raise BadRequest("a slot needs audio of at least one sample", field="path")
        length = len(audio) if settings.length is None else settings.length
        if not 1 <= length <= len(audio):
            raise BadRequest(
                "the loop is longer than its audio",
                field="length",
                limits={"min": 1, "max": len(audio), "unit": "samples"},
            )
        self.settings = settings
        self.audio = np.ascontiguousarray(audio, dtype=np.float32)
        self.period = length
        self._repeat = _repetition(self.audio, length, settings.crossfade)

    def read(self, position: int, count: int) -> np.ndarray:
        """``count`` frames from ``position`` (frames since the launch); silence after the end of a one-shot."""
        if not self.settings.loop:
            part = self.audio[position : position + count]
            return np.pad(part, ((0, count - len(part)), (0, 0)))
        block = np.empty((count, self.audio.shape[1]), np.float32)
        filled = 0
        while filled < count:
            at = (position + filled) % self.period
            material = self.audio if position + filled < self.period else self._repeat
            size = min(count - filled, self.period - at)
            block[filled : filled + size] = material[at : at + size]
            filled += size
        return block


def _repetition(audio: np.ndarray, period: int, crossfade: int) -> np.ndarray:
    """What every repetition after the first plays: the loop, with the tail fading out under its beginning (equal power).

    The period stays exact; without a tail the end simply meets the beginning.
    """
    overlap = min(crossfade, period, len(audio) - period)
    looped = audio[:period]
    if overlap <= 0:
        return looped
    angle = (np.arange(overlap, dtype=np.float32) + 0.5)[:, None] / overlap * (np.pi / 2)
    looped = looped.copy()
    looped[:overlap] = audio[:overlap] * np.sin(angle) + audio[period : period + overlap] * np.cos(angle)
    return looped


class _Voice(msgspec.Struct):
    """A slot that sounds: when it began and, once it was told to stop, when it ends."""

    slot: Slot
    start: int
    stop: int | None = None


class Mixer:
    """Slots by number, and what sounds of them. ``channels`` and float32 blocks; one thread calls `render`."""

    def __init__(self, channels: int = 2, slots: int = 64) -> None:
        self.channels = channels
        self.size = slots
        self._slots: dict[int, Slot] = {}
        self._voices: dict[int, list[_Voice]] = {}

    def load(self, number: int, slot: Slot) -> None:
        """Put a part into a slot; what sounds of the old one goes on until it is launched or stopped."""
        if not 0 <= number < self.size:
            raise BadRequest(f"slots are 0 to {self.size - 1}", field="slot", limits={"min": 0, "max": self.size - 1})
        self._slots[number] = slot

    def holds(self, number: int) -> bool:
        """Whether there is a part in the slot."""
        return number in self._slots

    def launch(self, number: int, frame: int) -> None:
        """Start a slot at an output frame; what the slot or its choke group played ends there."""
        slot = self._slots.get(number)
        if slot is None:
            raise BadRequest(f"slot {number} is empty", field="slot")
        group = slot.settings.choke
        for other, voices in self._voices.items():
            if other == number or (group and voices and voices[-1].slot.settings.choke == group):
                _end(voices, frame)
        self._voices.setdefault(number, []).append(_Voice(slot=slot, start=frame))

    def stop(self, number: int | None, frame: int) -> None:
        """Stop a slot (none: all) at an output frame, with a short fade after it."""
        for other, voices in self._voices.items():
            if number is None or other == number:
                _end(voices, frame)

    def set_gain(self, number: int, gain: float) -> None:
        """Change the gain of a slot, also of what already sounds of it."""
        slot = self._slots.get(number)
        if slot is None:
            raise BadRequest(f"slot {number} is empty", field="slot")
        for voice in [*self._voices.get(number, []), _Voice(slot=slot, start=0)]:
            voice.slot.settings = msgspec.structs.replace(voice.slot.settings, gain=gain)

    def playing(self) -> list[int]:
        """Numbers of the slots that sound or are about to."""
        return sorted(number for number, voices in self._voices.items() if any(voice.stop is None for voice in voices))

    def render(self, frame: int, count: int) -> np.ndarray:
        """The block ``[count, channels]`` that begins at an output frame."""
        out = np.zeros((count, self.channels), dtype=np.float32)
        for number, voices in list(self._voices.items()):
            for voice in voices:
                _mix(out, voice, frame)
            self._voices[number] = [voice for voice in voices if not _over(voice, frame + count)]
        return out


def _end(voices: list[_Voice], frame: int) -> None:
    for voice in voices:
        if voice.stop is None or voice.stop > frame:
            voice.stop = max(frame, voice.start)


def _over(voice: _Voice, frame: int) -> bool:
    if voice.stop is not None and (frame >= voice.stop + DECLICK or voice.stop <= voice.start):
        return True
    return not voice.slot.settings.loop and frame >= voice.start + len(voice.slot.audio)


def _mix(out: np.ndarray, voice: _Voice, frame: int) -> None:
    """Add a voice to the block that begins at ``frame``."""
    first = max(voice.start, frame)
    last = frame + len(out)
    if voice.stop is not None:
        if voice.stop <= voice.start:
            return
        last = min(last, voice.stop + DECLICK)
    if last <= first:
        return
    block = voice.slot.read(first - voice.start, last - first) * voice.slot.settings.gain
    if voice.stop is not None and last > voice.stop:
        fade = 1 - np.clip((np.arange(first, last) - voice.stop + 1) / DECLICK, 0, 1)
        block = block * fade[:, None].astype(np.float32)
    out[first - frame : last - frame] += block if block.shape[1] == out.shape[1] else block.mean(axis=1, keepdims=True)
