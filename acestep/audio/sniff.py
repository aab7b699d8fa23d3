"""What a sound file is, read from its header by our own code before any decoder sees the file.

Accepted: WAV, RF64 and BW64, AIFF and AIFC with PCM or float, FLAC, MP3, Ogg Vorbis and Opus. Everything a header claims is checked
against the file's size. Knows nothing of the samples themselves.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from acestep.api import limits
from acestep.api.errors import CorruptAudio, NotAllowed, NotAudio, NotFound, TooLarge
from acestep.api.source import AudioFacts
from acestep.audio import coded, foreign, latent_header
from acestep.audio.flac_header import parse_flac
from acestep.audio.iff_header import parse_aiff, parse_wav
from acestep.audio.layout import Layout

MAX_CHANNELS = 1_024
"""More is not a recording; files with more than two are named so and refused later."""

FLAC_FRAMES_PER_BYTE = 8_192
"""More than any FLAC stream reaches: its largest block of 65,535 samples takes at least 10 bytes."""

READABLE = ("WAV", "FLAC", "AIFF", "MP3", "Ogg Vorbis", "Opus")
"""Kinds of files that can be a source or a reference."""


def probe(path: Path) -> AudioFacts:
    """Header facts of a sound file or a stored latent, with its fingerprint. Raises as `sniff` does, and `BadLatent`."""
    if path.suffix == latent_header.SUFFIX:
        return _probe_latent(path)
    layout = sniff(path)
    return AudioFacts(
        rate=layout.rate,
        channels=layout.channels,
        frames=layout.frames,
        format=layout.container,
        subtype=layout.coding or layout.subtype,
        fingerprint=fingerprint(path),
        position=layout.position,
        notes=layout.notes,
    )


def _probe_latent(path: Path) -> AudioFacts:
    facts = latent_header.read_latent_facts(path)
    return AudioFacts(
        rate=facts.rate,
        channels=facts.channels,
        frames=facts.samples,
        format="latent",
        subtype=facts.family,
        fingerprint=fingerprint(path),
    )


def fingerprint(path: Path) -> str:
    """Size, time of change and a hash of both ends: changes whenever an editor or a recorder has written the file."""
    with _opened(path) as file:
        facts = os.fstat(file.fileno())
        digest = hashlib.sha256(file.read(4096))
        file.seek(max(0, facts.st_size - 4096))
        digest.update(file.read(4096))
    return f"{facts.st_size}-{facts.st_mtime_ns}-{digest.hexdigest()[:16]}"


def sniff(path: Path) -> Layout:
    """The layout of a sound file, within our limits.

    Raises `NotFound`, `NotAllowed`, `NotAudio` for another kind of file, `CorruptAudio` for one that claims more than it
    holds or holds nothing, `TooLarge` beyond the limits of length and rate.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        magic = file.read(12)
        layout = _parse(file, magic, size, path.name)
    _check(layout, size, path.name)
    return layout


def _opened(path: Path) -> BinaryIO:
    try:
        if not path.is_file():
            raise NotFound(f"there is no file {path}", field="source")
        return path.open("rb")
    except PermissionError:
        raise NotAllowed(f"{path} may not be read", field="source") from None
    except OSError as failure:
        raise NotFound(f"{path} cannot be opened: {failure.strerror}", field="source") from None


def _parse(file: BinaryIO, magic: bytes, size: int, name: str) -> Layout:
    if magic[:4] in (b"RIFF", b"RF64", b"BW64") and magic[8:12] == b"WAVE":
        return parse_wav(file, size, name, wide=magic[:4] != b"RIFF")
    if magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"):
        return parse_aiff(file, size, name, compressed=magic[8:12] == b"AIFC")
    if magic[:4] == b"OggS":
        return _lossy_layout(coded.parse_ogg(file, size, name))
    start = 0
    while magic[:3] == b"ID3" and start < size:
        start += 10 + _synchsafe(magic[6:10])
        file.seek(start)
        magic = file.read(12)
    if magic[:4] == b"fLaC":
        file.seek(start + 4)
        return parse_flac(file, size, name)
    kind = foreign.name_of(magic)
    found = None if kind else coded.parse_mp3(file, start, size, name)
    if found is not None:
        return _lossy_layout(found)
    bounds = {"choices": list(READABLE)}
    if kind:
        raise NotAudio(foreign.advice(name, kind), field="source", limits=bounds)
    text = (
        "is empty"
        if size == 0
        else "is not a supported sound file; WAV, FLAC, AIFF, MP3, Ogg Vorbis and Opus are supported"
    )
    raise NotAudio(f"{name} {text}", field="source", limits=bounds)


def _lossy_layout(found: coded.Coded) -> Layout:
    return Layout(
        container=found.container,
        subtype="FLOAT",
        rate=found.rate,
        channels=found.channels,
        frames=found.frames,
        coding=found.coding,
    )


def _synchsafe(data: bytes) -> int:
    """The size of an ID3 tag: seven bits a byte."""
    size = 0
    for byte in data:
        size = size << 7 | byte & 0x7F
    return size


def _check(layout: Layout, size: int, name: str) -> None:
    """What the header claims against the file's size and our limits."""
    if not 1 <= layout.channels <= MAX_CHANNELS:
        raise CorruptAudio(f"{name} claims {layout.channels} channels", field="source")
    lowest, highest = limits.RATES
    if not lowest <= layout.rate <= highest:
        raise NotAudio(
            f"{name} has a sample rate of {layout.rate} Hz",
            field="source",
            limits={"min": lowest, "max": highest, "unit": "Hz"},
        )
    if layout.frames < 1:
        raise CorruptAudio(f"{name} holds no samples", field="source")
    holds = (size - layout.data) // layout.frame_bytes if layout.data else size * FLAC_FRAMES_PER_BYTE
    if layout.frames > holds and not layout.lossy:
        raise CorruptAudio(
            f"{name} claims {layout.frames} samples and holds at most {max(holds, 0)}: it is truncated", field="source"
        )
    if layout.frames > limits.MAX_SOURCE_SECONDS * layout.rate:
        raise TooLarge(
            f"{name} is longer than {limits.MAX_SOURCE_SECONDS / 3600:.0f} hours",
            field="source",
            limits={"max": limits.MAX_SOURCE_SECONDS, "unit": "s"},
        )
