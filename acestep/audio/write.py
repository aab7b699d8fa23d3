"""Writing sound files: WAV by our own code, FLAC by libsndfile; every file is synced before its name is given out."""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
import soundfile

from acestep.api.errors import DiskFull, NumericFailure, OutputUnwritable
from acestep.api.formats import exact_format
from acestep.audio import chunks, far, pcm
from acestep.audio.chunks import Tags
from acestep.audio.flac_tags import add_comment
from acestep.audio.iff_rewrite import MAX_RIFF


class Written(msgspec.Struct, frozen=True):
    """What was written: samples clipped, and the file's sha256."""

    clipped: int
    sha256: str


class Form(msgspec.Struct, frozen=True):
    """How a new exact file is written."""

    container: str
    """``WAV`` or ``FLAC``."""
    subtype: str

    @property
    def suffix(self) -> str:
        """File name extension."""
        return "." + self.container.lower()


def form_of(name: str) -> Form:
    """How the exact file of a format that a request names is written; a lossy format's is the one its copies stand beside."""
    exact = exact_format(name)
    return Form(exact.container, exact.subtype)


class Shape(msgspec.Struct, frozen=True):
    """Rate in Hz, channels and samples of a file."""

    rate: int
    channels: int
    length: int


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """The system's refusals as `DiskFull` or `OutputUnwritable`."""
    try:
        yield
    except OSError as failure:
        if failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(f"there is no space left for {path.name}") from failure
        raise OutputUnwritable(f"{path.parent} cannot be written: {failure.strerror}", field="folder") from failure
    except soundfile.LibsndfileError as failure:
        raise OutputUnwritable(f"{path.name} cannot be written: {failure}", field="folder") from failure


def sync(path: Path) -> None:
    """Make a file's bytes durable."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def digest(path: Path) -> str:
    """sha256 of a file."""
    far.fetch(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_audio(path: Path, blocks: Iterable[np.ndarray], shape: Shape, form: Form, tags: Tags) -> Written:
    """Write blocks of floats [channels, n] that add up to ``shape.length``.

    Raises `DiskFull`, `OutputUnwritable`, and `NumericFailure` for NaN or infinite samples.
    """
    counter = _Quantiser(form.subtype)
    with storage_errors(path):
        if form.container == "FLAC":
            _write_flac(path, counter.native(blocks), shape, form, tags)
        else:
            with path.open("wb") as file:
                _write_wav(file, counter.native(blocks), shape, form, tags)
        sync(path)
        return Written(counter.clipped, digest(path))


class _Quantiser:
    """Floats to native samples, counting what is clipped on the way."""

    def __init__(self, subtype: str) -> None:
        self.clipped = 0
        self._subtype = subtype

    def native(self, blocks: Iterable[np.ndarray]) -> Iterator[pcm.Samples]:
        for block in blocks:
            if not np.isfinite(block).all():
                raise NumericFailure("the model produced samples that are not finite numbers")
            native, clipped = pcm.quantise(block, self._subtype)
            self.clipped += clipped
            yield native


def _write_wav(file: BinaryIO, blocks: Iterable[pcm.Samples], shape: Shape, form: Form, tags: Tags) -> None:
    frame = max(pcm.depth(form.subtype), 0) // 8 or pcm.FLOATS[form.subtype].itemsize
    data = frame * shape.channels * shape.length
    floating = form.subtype in pcm.FLOATS
    align = frame * shape.channels
    format_body = struct.pack(
        "<HHIIHH", 3 if floating else 1, shape.channels, shape.rate, shape.rate * align, align, frame * 8
    )
    head = chunks.chunk(b"fmt ", format_body + (b"\0\0" if floating else b""))
    if floating:
        head += chunks.chunk(b"fact", struct.pack("<I", min(shape.length, 0xFFFFFFFF)))
    head += chunks.bext(tags) + chunks.acid(tags, shape.length / shape.rate)
    tail = chunks.ixml(tags, shape.rate)
    total = 4 + len(head) + 8 + data + (data & 1) + len(tail)
    if total > MAX_RIFF:
        head = chunks.chunk(b"ds64", struct.pack("<QQQI", total + 36, data, shape.length, 0)) + head
        file.write(b"RF64" + b"\xff" * 4 + b"WAVE" + head + b"data" + b"\xff" * 4)
    else:
        file.write(b"RIFF" + struct.pack("<I", total) + b"WAVE" + head + b"data" + struct.pack("<I", data))
    for block in blocks:
        file.write(pcm.encode(block, form.subtype))
    file.write(b"\0" * (data & 1) + tail)


def _write_flac(path: Path, blocks: Iterable[pcm.Samples], shape: Shape, form: Form, tags: Tags) -> None:
    shift = 32 - pcm.depth(form.subtype)
    with soundfile.SoundFile(path, "w", shape.rate, shape.channels, form.subtype, format="FLAC") as file:
        file.software = "acestep-bridge"
        if tags.description:
            file.comment = tags.description
        for block in blocks:
            file.write(np.ascontiguousarray(block.T.astype(np.int32, copy=False)) << shift)
    if tags.position > 0:
        add_comment(path, "TIME_REFERENCE", str(tags.position))
