"""From a take's sound to the files that were asked for, each placed on the timeline. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acestep.api.conditioning import Conditioning
from acestep.api.metre import parse_metre
from acestep.api.request import Output, Role
from acestep.api.result import ResultFile
from acestep.audio.chunks import Tags
from acestep.audio.copies import with_copies
from acestep.audio.layout import Layout
from acestep.audio.pcm import FLOATS
from acestep.audio.read import read_float
from acestep.audio.resample import resample, to_channels
from acestep.audio.splice import Handles, Splice
from acestep.audio.whole import write_whole
from acestep.audio.write import Form, Shape, Written, form_of, write_audio
from acestep.engine.level import LEVELLED

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


@dataclass(frozen=True, kw_only=True)
class Take:
    """One variant's sound at the timeline's rate: ``[C, before + length + after]`` with the handles of the job."""

    variant: int
    seed: int
    sound: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What all takes of a job share: where they lie, what they were made from, what shall be written and how."""

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
    """Writes the files of takes. ``written`` is called after each."""

    order: Order
    written: Callable[[], None]

    def write(self, take: Take) -> list[ResultFile]:
        """All audio files of a take, and copies where the format is a lossy one; the latent is not ours.

        Raises `DiskFull`, `OutputUnwritable`, `NumericFailure`.
        """
        made = []
        for role in self.order.output.returns or []:
            if role == "latent":
                continue
            made.append(_WRITERS[role](self.order, take, role))
            self.written()
        return with_copies(made, self.order.folder, self.order.output.format)


def file_stem(order: Order, variant: int, role: str) -> str:
    """``<name or stage>[-variant]-<role>``, safe on every file system."""
    safe = re.sub(r"[^\w .,+-]+", "_", order.output.name or order.stage)
    name = safe.encode()[:LONGEST_NAME].decode(errors="ignore").strip(" .") or order.stage
    number = f"-{variant + 1}" if order.output.variants > 1 else ""
    return f"{name}{number}-{role}"


def _splice(order: Order, take: Take) -> Splice:
    assert order.path is not None and order.layout is not None
    return Splice(
        path=order.path,
        layout=order.layout,
        start=order.start + order.fades.before,
        length=order.length - order.fades.before - order.fades.after,
        handles=Handles(order.handles.before + order.fades.before, order.handles.after + order.fades.after),
        new=take.sound,
    )


def _tags(order: Order, position: int, what: str) -> Tags:
    """``position`` counts from the beginning of the world that the source's own time reference counts from."""
    metre = parse_metre(order.conditioning.time_signature or "4")
    return Tags(
        position=position,
        bpm=order.conditioning.bpm,
        metre=metre,
        description=f"{what} by acestep-bridge",
        recipe=order.recipe,
    )


def _file(order: Order, take: Take, path: Path, written: Written, **facts: Any) -> ResultFile:
    return ResultFile(
        name=path.name,
        variant=take.variant,
        stage=order.number,
        seed=take.seed,
        clipped=written.clipped,
        sha256=written.sha256,
        track=order.track,
        **facts,
    )


def _write_patch(order: Order, take: Take, role: Role) -> ResultFile:
    """Region and handles, faded into the source: exactly what the whole file holds there, before rounding."""
    splice = _splice(order, take)
    return _write_cut(order, take, role, splice, (splice.first, splice.last))


def _write_span(order: Order, take: Take, role: Role) -> ResultFile:
    """The edit between any bounds around it, everything else the source's own samples."""
    bounds = int(order.output.span_start or 0), int(order.output.span_end or 0)
    return _write_cut(order, take, role, _splice(order, take), bounds)


def _write_cut(order: Order, take: Take, role: Role, splice: Splice, bounds: tuple[int, int]) -> ResultFile:
    """What the whole file would hold between two samples of the timeline, before rounding."""
    first, last = bounds
    shape = Shape(order.rate, splice.layout.channels, last - first)
    path = order.folder / f"{file_stem(order, take.variant, role)}.wav"
    form = _exact_form(splice)
    written = write_audio(
        path, _span_blocks(splice, first, last), shape, form, _tags(order, order.origin + first, role)
    )
    facts = {"role": role, "channels": shape.channels, "subtype": form.subtype}
    return _file(order, take, path, written, **facts, **_edges(order, first, last))


def _edges(order: Order, first: int, last: int) -> dict[str, int]:
    """Where a file with the edit in it lies, and how much of it is not the region."""
    return {
        "rate": order.rate,
        "start": first,
        "length": last - first,
        "lead_in": order.start - first,
        "lead_out": last - order.start - order.length,
        "crossfade": max(order.handles.before, order.handles.after, order.fades.before, order.fades.after),
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


def _write_whole(order: Order, take: Take, role: Role) -> ResultFile:
    splice = _splice(order, take)
    path = order.folder / (file_stem(order, take.variant, role) + EXTENSIONS[splice.layout.container])
    written = write_whole(path, splice)
    begin, end = min(0, order.start), max(splice.layout.frames, order.start + order.length)
    facts = {"role": role, "channels": splice.layout.channels, "subtype": splice.layout.subtype}
    return _file(order, take, path, written, **facts, **_edges(order, begin, end))


def _write_part(order: Order, take: Take, role: Role) -> ResultFile:
    sound = take.sound[:, order.handles.before : order.handles.before + order.length]
    return _write_new(order, take, role, sound * np.float32(order.gain) if role == LEVELLED else sound)


def _write_residual(order: Order, take: Take, role: Role) -> ResultFile:
    """Source minus result, sample by sample at the source's rate."""
    assert order.path is not None and order.layout is not None
    source = read_float(order.path, order.layout, order.start, order.length)
    sound = take.sound[:, order.handles.before : order.handles.before + order.length]
    return _write_new(order, take, role, source - sound)


def _write_new(order: Order, take: Take, role: Role, sound: NDArray[np.floating]) -> ResultFile:
    """Sound without its surroundings, in the wished rate, channels and form."""
    rate, channels = order.output.rate or order.rate, order.output.channels or sound.shape[0]
    length, start, place = order.length, order.start, order.origin + order.start
    if rate != order.rate:
        length, start, place = (_moved(samples, order.rate, rate) for samples in (length, start, place))
        sound = resample(sound.astype(np.float32), order.rate, rate, length)
    sound = to_channels(sound, channels)
    form = _holding(form_of(order.output.format), sound, role)
    path = order.folder / (file_stem(order, take.variant, role) + form.suffix)
    shape = Shape(rate, channels, length)
    written = write_audio(path, _blocks(sound), shape, form, _tags(order, place, role))
    return _file(
        order,
        take,
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


def level_notes(files: Iterable[ResultFile], wished: str) -> list[str]:
    """A sentence per stem or residual that was written as floats because the wished format would have clipped it."""
    return [
        f"the {file.role} {file.name} is a 32-bit float WAV: it goes beyond 0 dBFS, where {wished} would clip it and stem and "
        "residual would no longer add up to the source"
        for file in files
        if file.role in SUMMED and file.subtype in FLOATS and form_of(wished).subtype not in FLOATS
    ]


def _moved(samples: int, rate: int, target: int) -> int:
    """A position at another rate, half up; at least one sample of what was at least one."""
    moved = (2 * samples * target + rate) // (2 * rate)
    return max(moved, 1) if samples > 0 else moved


def _blocks(sound: NDArray[np.floating]) -> Iterable[NDArray[np.floating]]:
    return (sound[:, place : place + BLOCK] for place in range(0, sound.shape[1], BLOCK))


_WRITERS: dict[str, Callable[[Order, Take, Any], ResultFile]] = {
    "patch": _write_patch,
    "span": _write_span,
    "whole": _write_whole,
    "part": _write_part,
    "stem": _write_part,
    "residual": _write_residual,
}
