"""Tempo, key, metre and length of a song by measurement, and how far each can be trusted.

A value is sure when the parts of a song agree on it. Language models invent tempo and key; a measurement at least says when it
does not know.
"""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from acestep.analysis.beat import BeatFinder
from acestep.analysis.harmony import find_keys
from acestep.analysis.spectrum import Sound
from acestep.api.limits import BPM_RANGE
from acestep.audio.read import read_window
from acestep.dataset.sample import TrainingSample
from acestep.dataset.scan import measured_layout

LISTENED = 180.0
"""Seconds of a song that are listened to, out of its middle."""

PARTS = 3
PART_SECONDS = 8.0
"""A part has to be this long before its voice counts."""

TEMPO_AGREES = 0.02
"""Largest difference between parts, as a share, that is one tempo."""

METRE_MARGIN = 0.05
"""Least difference of self-similarity after three and after four beats that tells a metre."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Labels by measurement, and why some of them may be wrong (label -> sentence). Absent: nothing was found."""

    labels: dict[str, Any]
    unsure: dict[str, str]
    seconds: float


def measure_sample(sample: TrainingSample) -> Measured:
    """Listen to a sample's window. Raises as `measured_layout` and `read_window` do."""
    layout, seconds = measured_layout(sample.path, sample.own.window)
    length = int(min(seconds, LISTENED) * layout.rate)
    start = sample.own.window.start + max(0, int(seconds * layout.rate) - length) // 2
    return measure_sound(read_window(sample.path, layout, start, length), layout.rate, seconds)


def measure_sound(sound: Sound, rate: int, seconds: float) -> Measured:
    """Labels of a sound [channels, samples]; ``seconds`` is the length of the whole song."""
    whole = BeatFinder(sound, rate)
    parts = _parts(sound, rate)
    finders = [BeatFinder(part, rate) for part in parts]
    labels: dict[str, Any] = {}
    unsure: dict[str, str] = {}
    _measure_tempo(whole, finders, labels, unsure)
    if "bpm" in labels:
        _measure_metre(whole, labels, unsure)
    _measure_key(whole.pitches, [finder.pitches for finder in finders], labels, unsure)
    return Measured(labels=labels, unsure=unsure, seconds=seconds)


def _parts(sound: Sound, rate: int) -> list[NDArray[np.floating]]:
    """Thirds of a sound; none where they would be too short."""
    sound = np.atleast_2d(sound)
    if sound.shape[1] < PARTS * PART_SECONDS * rate:
        return []
    edges = np.linspace(0, sound.shape[1], PARTS + 1).astype(int)
    return [sound[:, first:last] for first, last in itertools.pairwise(edges)]


def _measure_tempo(whole: BeatFinder, parts: list[BeatFinder], labels: dict[str, Any], unsure: dict[str, str]) -> None:
    beat = whole.find()
    if beat is None or not beat.clear:
        unsure["bpm"] = "no steady beat was found"
        return
    low, high = BPM_RANGE
    labels["bpm"] = int(min(max(beat.bpm, low), high) + 0.5)
    others = [found.bpm for part in parts if (found := part.find()) is not None and found.clear]
    if not parts:
        unsure["bpm"] = "the song is too short to hear whether its tempo holds"
    elif len(others) < PARTS - 1 or any(abs(other / beat.bpm - 1) > TEMPO_AGREES for other in others):
        heard = ", ".join(f"{other:.0f}" for other in others) or "no beat"
        unsure["bpm"] = f"{beat.bpm:.0f} bpm over the whole, but its parts were heard as {heard}"


def _measure_metre(whole: BeatFinder, labels: dict[str, Any], unsure: dict[str, str]) -> None:
    """Three or four beats a bar: after which of them low and loud things come again."""
    three, four = (whole.similarity(labels["bpm"], beats) for beats in ((3, 6), (4, 8)))
    labels["timesignature"] = "3" if three > four + METRE_MARGIN else "4"
    if abs(three - four) <= METRE_MARGIN:
        unsure["timesignature"] = "bars of three and of four beats fit equally well; four were taken"


def _measure_key(
    whole: NDArray[np.float64], parts: list[NDArray[np.float64]], labels: dict[str, Any], unsure: dict[str, str]
) -> None:
    keys = find_keys(whole)
    if keys is None:
        unsure["keyscale"] = "no pitches were found"
        return
    labels["keyscale"] = keys.name
    others = [found.name for part in parts if (found := find_keys(part)) is not None]
    if others.count(keys.name) < PARTS - 1:
        second = next((name for name in others if name != keys.name), "")
        unsure["keyscale"] = f"{keys.name} over the whole, {second} in a part of it" if second else "the song is short"
