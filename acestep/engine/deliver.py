"""From a variant's sound to the files that were asked for, each placed on the timeline and at the level that was asked for. No
torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acestep.analysis.level import FLOOR, find_level
from acestep.api.conditioning import Conditioning
from acestep.api.metre import parse_metre
from acestep.api.request import Output, Role
from acestep.api.result import ResultFile
from acestep.api.rounding import rescaled
from acestep.audio.chunks import Tags
from acestep.audio.copies import with_copies
from acestep.audio.layout import Layout
from acestep.audio.pcm import FLOATS
from acestep.audio.read import read_float
from acestep.audio.resample import resample, to_channels
from acestep.audio.splice import Handles, Splice
from acestep.audio.whole import write_whole
from acestep.audio.write import Form, Shape, Written, form_of, write_audio

EXTENSIONS = {
    "WAV": ".wav",
    "RF64": ".wav",
    "FLAC": ".flac",
    "AIFF": ".aiff",
    "AIFC": ".aifc",
    "MP3": ".wav",
    "OGG": ".wav",
}
BLOCK = 1 << 18
SUMMED = frozenset(("stem", "residual"))
"""Roles whose files add up to the source."""

LONGEST_NAME = 180
"""Bytes: file systems take 255, and what stands before and behind the name counts too."""

TARGETS = {"peak": -1.0, "lufs": -14.0}
"""dB full scale and LUFS where the request names none: what streaming services ask for."""

HIGHEST_PEAK = -1.0
"""dB full scale that a part at a given loudness may reach."""

NOTHING = -60.0
"""dB full scale on average at which a stem holds nothing of its track: below what the codec itself leaves behind."""

UNITS = {"peak": "dBFS", "lufs": "LUFS"}

LEVELLED = "part"
"""The one role that a level is for: edits keep the level around them, and a stem and its residual add up to the source."""


@dataclass(frozen=True, kw_only=True)
class VariantSound:
    """One variant's sound at the timeline's rate: ``[C, before + length + after]`` with the handles of the job."""

    index: int
    seed: int
    samples: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WriteSpec:
    """What all variants of a stage share: where they lie, what they were made from, what should be written and how."""

    folder: Path
    stage: str
    number: int = 1
    """The stage's place in the chain, counted from 1."""
    output: Output
    conditioning: Conditioning
    rate: int
    start: int
    """The region's first sample on the timeline."""
    length: int
    handles: Handles
    fades: Handles = field(default_factory=lambda: Handles(0, 0))
    """Crossfades that lie inside the region; with them there are no handles."""
    path: Path | None = None
    layout: Layout | None = None
    track: str = ""
    gain: float = 1.0
    """Factor of a part's samples, for the level that was asked for."""
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> int:
        """The source's own time reference: where its first sample stands on the timeline of the studio, in samples."""
        return self.layout.position if self.layout is not None else 0


@dataclass
class Delivery:
    """Writes the files of variants. ``written`` is called after each."""

    spec: WriteSpec
    written: Callable[[], None]

    def write(self, variant: VariantSound) -> list[ResultFile]:
        """All audio files of a variant, and copies where the format is a lossy one; the latent is not ours.

        Raises `DiskFull`, `OutputUnwritable`, `NumericFailure`.
        """
        made = []
        for role in self.spec.output.returns or []:
            if role == "latent":
                continue
            made.append(_WRITERS[role](self.spec, variant, role))
            self.written()
        return with_copies(made, self.spec.folder, self.spec.output.format)


def file_stem(spec: WriteSpec, variant: int, role: str) -> str:
    """``<name or stage>[-variant]-<role>``, safe on every file system."""
    safe = re.sub(r"[^\w .,+-]+", "_", spec.output.name or spec.stage)
    name = safe.encode()[:LONGEST_NAME].decode(errors="ignore").strip(" .") or spec.stage
    number = f"-{variant + 1}" if spec.output.variants > 1 else ""
    return f"{name}{number}-{role}"


def _splice(spec: WriteSpec, variant: VariantSound) -> Splice:
    assert spec.path is not None and spec.layout is not None
    return Splice(
        path=spec.path,
        layout=spec.layout,
        start=spec.start + spec.fades.before,
        length=spec.length - spec.fades.before - spec.fades.after,
        handles=Handles(spec.handles.before + spec.fades.before, spec.handles.after + spec.fades.after),
        new=variant.samples,
    )


def _tags(spec: WriteSpec, position: int, what: str) -> Tags:
    """``position`` counts from the beginning of the world that the source's own time reference counts from."""
    metre = parse_metre(spec.conditioning.time_signature or "4")
    return Tags(
        position=position,
        bpm=spec.conditioning.bpm,
        metre=metre,
        description=f"{what} by acestep-bridge",
        recipe=spec.recipe,
    )


def _file(spec: WriteSpec, variant: VariantSound, path: Path, written: Written, **facts: Any) -> ResultFile:
    return ResultFile(
        name=path.name,
        variant=variant.index,
        stage=spec.number,
        seed=variant.seed,
        clipped=written.clipped,
        sha256=written.sha256,
        track=spec.track,
        **facts,
    )


def _write_patch(spec: WriteSpec, variant: VariantSound, role: Role) -> ResultFile:
    """Region and handles, faded into the source: exactly what the whole file holds there, before rounding."""
    splice = _splice(spec, variant)
    return _write_cut(spec, variant, role, splice, (splice.first, splice.last))


def _write_span(spec: WriteSpec, variant: VariantSound, role: Role) -> ResultFile:
    """The edit between any bounds around it, everything else the source's own samples."""
    bounds = int(spec.output.span_start or 0), int(spec.output.span_end or 0)
    return _write_cut(spec, variant, role, _splice(spec, variant), bounds)


def _write_cut(
    spec: WriteSpec, variant: VariantSound, role: Role, splice: Splice, bounds: tuple[int, int]
) -> ResultFile:
    """What the whole file would hold between two samples of the timeline, before rounding."""
    first, last = bounds
    shape = Shape(spec.rate, splice.layout.channels, last - first)
    path = spec.folder / f"{file_stem(spec, variant.index, role)}.wav"
    form = _exact_form(splice)
    written = write_audio(path, _span_blocks(splice, first, last), shape, form, _tags(spec, spec.origin + first, role))
    facts = {"role": role, "channels": shape.channels, "subtype": form.subtype}
    return _file(spec, variant, path, written, **facts, **_edges(spec, first, last))


def _edges(spec: WriteSpec, first: int, last: int) -> dict[str, int]:
    """Where a file with the edit in it lies, and how much of it is not the region."""
    return {
        "rate": spec.rate,
        "start": first,
        "length": last - first,
        "lead_in": spec.start - first,
        "lead_out": last - spec.start - spec.length,
        "crossfade": max(spec.handles.before, spec.handles.after, spec.fades.before, spec.fades.after),
    }


def _exact_form(splice: Splice) -> Form:
    """A float WAV that holds the source's samples exactly."""
    return Form("WAV", "FLOAT" if splice.single else "DOUBLE")


def _span_blocks(splice: Splice, first: int, last: int) -> Iterator[NDArray[np.float64]]:
    """Source before, the mixed region (cut where the bounds cut its handles), source after."""
    yield from _float_blocks(splice, first, splice.first)
    begin, end = max(first - splice.first, 0), min(last, splice.last) - splice.first
    yield splice.mixed()[:, begin:end]
    yield from _float_blocks(splice, splice.last, last)


def _float_blocks(splice: Splice, first: int, last: int) -> Iterator[NDArray[np.float64]]:
    """The source's samples [first, last) in blocks; none for an empty or reversed range."""
    for place in range(first, last, BLOCK):
        yield read_float(splice.path, splice.layout, place, min(BLOCK, last - place))


def _write_whole(spec: WriteSpec, variant: VariantSound, role: Role) -> ResultFile:
    splice = _splice(spec, variant)
    path = spec.folder / (file_stem(spec, variant.index, role) + EXTENSIONS[splice.layout.container])
    written = write_whole(path, splice)
    begin, end = min(0, spec.start), max(splice.layout.frames, spec.start + spec.length)
    facts = {"role": role, "channels": splice.layout.channels, "subtype": splice.layout.subtype}
    return _file(spec, variant, path, written, **facts, **_edges(spec, begin, end))


def _write_part(spec: WriteSpec, variant: VariantSound, role: Role) -> ResultFile:
    sound = variant.samples[:, spec.handles.before : spec.handles.before + spec.length]
    return _write_new(spec, variant, role, sound * np.float32(spec.gain) if role == LEVELLED else sound)


def _write_residual(spec: WriteSpec, variant: VariantSound, role: Role) -> ResultFile:
    """Source minus result, sample by sample at the source's rate."""
    assert spec.path is not None and spec.layout is not None
    source = read_float(spec.path, spec.layout, spec.start, spec.length)
    sound = variant.samples[:, spec.handles.before : spec.handles.before + spec.length]
    return _write_new(spec, variant, role, source - sound)


def _write_new(spec: WriteSpec, variant: VariantSound, role: Role, sound: NDArray[np.floating]) -> ResultFile:
    """Sound without its surroundings, in the rate, channels and form that were asked for."""
    rate, channels = spec.output.rate or spec.rate, spec.output.channels or sound.shape[0]
    length, start, place = spec.length, spec.start, spec.origin + spec.start
    if rate != spec.rate:
        length, start, place = (_moved(samples, spec.rate, rate) for samples in (length, start, place))
        sound = resample(sound.astype(np.float32), spec.rate, rate, length)
    sound = to_channels(sound, channels)
    form = _holding(form_of(spec.output.format), sound, role)
    path = spec.folder / (file_stem(spec, variant.index, role) + form.suffix)
    shape = Shape(rate, channels, length)
    written = write_audio(path, _blocks(sound), shape, form, _tags(spec, place, role))
    return _file(
        spec,
        variant,
        path,
        written,
        role=role,
        rate=rate,
        channels=channels,
        start=start,
        length=length,
        subtype=form.subtype,
    )


def _holding(form: Form, sound: NDArray[np.floating], role: Role) -> Form:
    """The form, or a float WAV for a stem or residual that it would clip: together they are the source again, at any level."""
    beyond = role in SUMMED and form.subtype not in FLOATS and bool(np.abs(sound).max(initial=0.0) > 1.0)
    return Form("WAV", "FLOAT") if beyond else form


def level_notes(files: Iterable[ResultFile], asked_format: str) -> list[str]:
    """A sentence per stem or residual that was written as floats because the format that was asked for would have clipped it."""
    return [
        f"the {file.role} {file.name} is a 32-bit float WAV: it goes beyond 0 dBFS, where {asked_format} would clip it and stem "
        "and residual would no longer add up to the source"
        for file in files
        if file.role in SUMMED and file.subtype in FLOATS and form_of(asked_format).subtype not in FLOATS
    ]


def _moved(samples: int, rate: int, target: int) -> int:
    """A position at another rate, half up; at least one sample of what was at least one."""
    moved = rescaled(samples, rate, target)
    return max(moved, 1) if samples > 0 else moved


def _blocks(sound: NDArray[np.floating]) -> Iterable[NDArray[np.floating]]:
    return (sound[:, place : place + BLOCK] for place in range(0, sound.shape[1], BLOCK))


_WRITERS: dict[str, Callable[[WriteSpec, VariantSound, Any], ResultFile]] = {
    "patch": _write_patch,
    "span": _write_span,
    "whole": _write_whole,
    "part": _write_part,
    "stem": _write_part,
    "residual": _write_residual,
}


def level_gain(output: Output, sound: NDArray[np.floating], rate: int) -> tuple[float, str]:
    """The factor that brings a part [C, n] to the level that was asked for, and the sentence about it."""
    if output.level == "leave":
        return 1.0, ""
    found, unit = find_level(sound, rate), UNITS[output.level]
    target = TARGETS[output.level] if output.level_target is None else output.level_target
    given = found.peak if output.level == "peak" else found.loudness
    if given <= FLOOR:
        return 1.0, "the part is silent; its level was left as it is"
    change = target - given
    held = min(change, HIGHEST_PEAK - found.peak) if output.level == "lufs" else change
    note = f"the level was changed by {held:+.1f} dB, from {given:.1f} to {given + held:.1f} {unit}"
    if held < change:
        note += f": {target:g} {unit} would have taken the peak over {HIGHEST_PEAK:g} dBFS"
    return float(10 ** (held / 20)), note


def unlevelled_notes(output: Output, roles: Sequence[Role]) -> list[str]:
    """That a level changes nothing in what is returned."""
    if output.level == "leave" or LEVELLED in roles:
        return []
    return [f"level {output.level} has no effect here: it applies to new parts, not to {', '.join(roles)}"]


def stem_notes(track: str, sound: NDArray[np.floating], rate: int) -> list[str]:
    """That nothing of the track was found, for a stem [C, n] in which hardly anything is left; else nothing."""
    found = find_level(sound, rate)
    if found.rms > NOTHING:
        return []
    name = f"{track.replace('_', ' ')}: " if track else ""
    return [f"{name}nothing was found here, so the stem is silent; try another track or a longer part of the song"]


def clip_notes(files: Iterable[ResultFile]) -> list[str]:
    """A sentence for every file that an integer format clipped, with what keeps its samples."""
    return [
        f"{_samples(file.clipped)} of {file.name} clipped to full scale ({file.subtype}): {_keeps(file)}"
        for file in files
        if file.clipped
    ]


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count} samples"


def _keeps(file: ResultFile) -> str:
    if file.role in ("whole", "span", "patch"):
        return "a patch keeps them, it is floating point"
    return "format wav32f keeps them, level peak makes room for them"
