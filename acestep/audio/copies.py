"""Lossy copies of finished sound files, for sending to people and players. The exact file beside each stays the result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray

from acestep.api.formats import FORMATS, Format
from acestep.api.result import ResultFile
from acestep.api.rounding import rescaled
from acestep.audio.resample import resample
from acestep.audio.write import digest, storage_errors, sync

BLOCK = 1 << 14
"""Samples per call of the encoder: libsndfile's Vorbis encoder keeps a whole call on its stack and ends the process with more."""


def with_copies(files: list[ResultFile], folder: Path, name: str) -> list[ResultFile]:
    """Exact files in ``folder``, each followed by its copy in the format that is named; unchanged for an exact format.

    Raises `DiskFull`, `OutputUnwritable`.
    """
    form = FORMATS[name]
    if not form.lossy:
        return files
    return [made for file in files for made in (file, write_copy(file, folder, form))]


def write_copy(file: ResultFile, folder: Path, form: Format) -> ResultFile:
    """Encode one exact file as its copy beside it. Sample 0 of the copy is sample 0 of the file, and both are equally long.

    A rate that the format does not know becomes the next higher one it has.
    """
    path = folder / (Path(file.name).stem + form.suffix)
    rate = form.rate_for(file.rate)
    with storage_errors(path):
        with soundfile.SoundFile(folder / file.name) as source:
            length = source.frames if rate == file.rate else max(1, rescaled(source.frames, file.rate, rate))
            _encode(path, _blocks(source, rate, length), (rate, source.channels), form)
        sync(path)
        made = digest(path)
    start = file.start if rate == file.rate else rescaled(file.start, file.rate, rate)
    return msgspec.structs.replace(
        file,
        role="copy",
        name=path.name,
        rate=rate,
        start=start,
        length=length,
        lead_in=rescaled(file.lead_in, file.rate, rate),
        lead_out=rescaled(file.lead_out, file.rate, rate),
        crossfade=rescaled(file.crossfade, file.rate, rate),
        clipped=0,
        subtype=form.subtype,
        sha256=made,
        copy_of=file.name,
        delay=form.priming,
    )


def copy_notes(files: list[ResultFile]) -> list[str]:
    """A sentence per copy for the user: what it is a copy of, how long it is, and what its encoder puts before the sound."""
    notes = []
    for file in files:
        if file.role == "copy":
            late = (
                f", sound {file.delay} samples late in players that ignore the file's note of it" if file.delay else ""
            )
            notes.append(
                f"{file.name} is a lossy copy of {file.copy_of}: {file.length} samples at {file.rate} Hz{late}"
            )
    return notes


def _blocks(source: soundfile.SoundFile, rate: int, length: int) -> Iterator[NDArray[np.float32]]:
    """The sound [n, channels] in pieces that the encoder takes; as one array on the way only where the rate changes."""
    if rate == source.samplerate:
        yield from source.blocks(BLOCK, dtype="float32", always_2d=True)
        return
    whole = source.read(dtype="float32", always_2d=True).T
    moved = resample(whole, source.samplerate, rate, length).T
    for place in range(0, length, BLOCK):
        yield moved[place : place + BLOCK]


def _encode(path: Path, blocks: Iterator[NDArray[np.float32]], shape: tuple[int, int], form: Format) -> None:
    rate, channels = shape
    with soundfile.SoundFile(
        path, "w", rate, channels, form.subtype, format=form.container, compression_level=form.compression
    ) as file:
        file.software = "acestep-bridge"
        for block in blocks:
            file.write(np.clip(block, -1.0, 1.0))
