"""How loud a new part is written: as the model made it, at a peak, or at a loudness; and what was clipped. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from acestep.analysis.level import FLOOR, find_level
from acestep.api.request import Output, Role
from acestep.api.result import ResultFile

TARGETS = {"peak": -1.0, "lufs": -14.0}
"""dB full scale and LUFS where the request names none: what streaming services ask for."""

HIGHEST_PEAK = -1.0
"""dB full scale that a part at a wished loudness may reach."""

NOTHING = -60.0
"""dB full scale on average at which a stem holds nothing of its track: below what the codec itself leaves behind."""

UNITS = {"peak": "dBFS", "lufs": "LUFS"}

LEVELLED = "part"
"""The one role that a level is for: edits keep the level around them, and a stem and its residual add up to the source."""


def level_gain(output: Output, sound: NDArray[np.floating], rate: int) -> tuple[float, str]:
    """The factor that brings a part [C, n] to the wished level, and the sentence about it."""
    if output.level == "leave":
        return 1.0, ""
    found, unit = find_level(sound, rate), UNITS[output.level]
    target = TARGETS[output.level] if output.level_target is None else output.level_target
    given = found.peak if output.level == "peak" else found.loudness
    if given <= FLOOR:
        return 1.0, "the part is silent; its level was left"
    change = target - given
    held = min(change, HIGHEST_PEAK - found.peak) if output.level == "lufs" else change
    note = f"the level was changed by {held:+.1f} dB, from {given:.1f} to {given + held:.1f} {unit}"
    if held < change:
        note += f": {target:g} {unit} would have taken the peak over {HIGHEST_PEAK:g} dBFS"
    return float(10 ** (held / 20)), note


def unlevelled_notes(output: Output, roles: Sequence[Role]) -> list[str]:
    """That a wished level changes nothing in what is returned."""
    if output.level == "leave" or LEVELLED in roles:
        return []
    return [f"level {output.level} changes nothing here: it is for new parts, not for {', '.join(roles)}"]


def stem_notes(track: str, sound: NDArray[np.floating], rate: int) -> list[str]:
    """That nothing of the track was found, for a stem [C, n] in which hardly anything is left; else nothing."""
    found = find_level(sound, rate)
    if found.rms > NOTHING:
        return []
    name = f"{track.replace('_', ' ')}: " if track else ""
    return [f"{name}nothing was found here, so the stem is silent; try another track or a longer stretch of the song"]


def clip_notes(files: Iterable[ResultFile]) -> list[str]:
    """A sentence for every file that an integer format clipped, with what keeps its samples."""
    return [
        f"{file.clipped} samples of {file.name} were clipped to full scale ({file.subtype}): {_keeps(file)}"
        for file in files
        if file.clipped
    ]


def _keeps(file: ResultFile) -> str:
    if file.role in ("whole", "span", "patch"):
        return "a patch keeps them, it is floating point"
    return "format wav32f keeps them, level peak makes room for them"
