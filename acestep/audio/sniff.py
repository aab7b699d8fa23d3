"""What a sound file is, read from its header by our own code before any decoder sees the file.

Accepted: WAV and RF64 (format tags 1, 3 and 0xFFFE with PCM or float), FLAC, AIFF and AIFC with PCM or float, MP3, Ogg Vorbis and
Opus. Everything a header claims is checked against the file's size. Knows nothing of the samples themselves.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from acestep.api import limits
from acestep.api.errors import CorruptAudio, NotAllowed, NotAudio, NotFound, TooLarge
from acestep.api.world import AudioFacts
from acestep.audio import coded, foreign, latent_header

MAX_HEADER_CHUNKS = 1_000
"""Chunks that are walked over before the sound must have come; real files have a dozen."""

MAX_CHANNELS = 1_024
"""More is no recording; files with more than two are named so and refused later."""

FLAC_FRAMES_PER_BYTE = 8_192
"""More than any FLAC stream reaches: its largest block of 65,535 samples takes at least 10 bytes."""

INTEGER_SUBTYPES = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24", 32: "PCM_32"}
FLOAT_SUBTYPES = {32: "FLOAT", 64: "DOUBLE"}
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format tag in the sub-format of WAVE_FORMAT_EXTENSIBLE for the standard tags."""


READABLE = ("WAV", "FLAC", "AIFF", "MP3", "Ogg Vorbis", "Opus")
"""Kinds of files that can be a source or a reference."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file keeps its samples and in which form. ``data`` is the offset of the first sample; 0 where a decoder finds it."""

    container: str
    """``WAV``, ``RF64``, ``FLAC``, ``AIFF``, ``AIFC``, ``MP3`` or ``OGG``."""
    subtype: str
    """Form of a sample; of a lossy file the form in which its decoder gives it, ``FLOAT``."""
    rate: int
    channels: int
    frames: int
    data: int = 0
    big_endian: bool = False
    coding: str = ""
    """How a lossy file codes its sound: ``MPEG_LAYER_III``, ``VORBIS`` or ``OPUS``; empty for all others."""

    @property
    def lossy(self) -> bool:
        """Whether the sound changes each time it is written in this form."""
        return bool(self.coding)

    @property
    def floating(self) -> bool:
        """Whether the samples are floating point numbers."""
        return self.subtype in FLOAT_SUBTYPES.values()

    @property
    def bits(self) -> int:
        """Bits of one sample."""
        return {"PCM_S8": 8, "PCM_U8": 8, "FLOAT": 32, "DOUBLE": 64}.get(self.subtype) or int(self.subtype[4:])

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels, in uncompressed files."""
        return self.bits // 8 * self.channels


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
        return _parse_wav(file, size, name, wide=magic[:4] != b"RIFF")
    if magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"):
        return _parse_aiff(file, size, name, compressed=magic[8:12] == b"AIFC")
    if magic[:4] == b"OggS":
        return _lossy_layout(coded.parse_ogg(file, size, name))
    start = 0
    while magic[:3] == b"ID3" and start < size:
        start += 10 + _synchsafe(magic[6:10])
        file.seek(start)
        magic = file.read(12)
    if magic[:4] == b"fLaC":
        file.seek(start + 4)
        return _parse_flac(file, name)
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
        else "is no sound file that is known here: WAV, FLAC, AIFF, MP3, Ogg Vorbis and Opus are"
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


def _chunks(file: BinaryIO, size: int, order: str, sizes: dict[bytes, int], name: str) -> Iterator[tuple[bytes, int]]:
    """Chunk ids and sizes of a RIFF or IFF file, the file placed at each chunk's body. ``sizes`` replaces 32-bit sizes."""
    position = 12
    for _ in range(MAX_HEADER_CHUNKS):
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            return
        kind, length = struct.unpack(f"{order}4sI", header)
        length = sizes.get(kind, length)
        yield kind, length
        position += 8 + length + (length & 1)
        if position > size:
            return
    raise CorruptAudio(f"{name} has too many chunks before its sound", field="source")


def _parse_wav(file: BinaryIO, size: int, name: str, *, wide: bool) -> Layout:
    sizes: dict[bytes, int] = {}
    form: bytes = b""
    for kind, length in _chunks(file, size, "<", sizes, name):
        if kind == b"ds64" and wide:
            (sizes[b"data"],) = struct.unpack("<8xQ", _body(file, 16, name))
        elif kind == b"fmt ":
            form = _body(file, min(length, 40), name)
        elif kind == b"data":
            if not form:
                raise CorruptAudio(f"{name} has no format before its sound", field="source")
            return _wav_layout(form, file.tell(), length, "RF64" if wide else "WAV", name)
    raise CorruptAudio(f"{name} holds no sound", field="source")


def _wav_layout(form: bytes, data: int, length: int, container: str, name: str) -> Layout:
    if len(form) < 16:
        raise CorruptAudio(f"{name} has a damaged format chunk", field="source")
    tag, channels, rate, _, align, bits = struct.unpack("<HHIIHH", form[:16])
    if tag == 0xFFFE:
        if len(form) < 40 or form[26:40] != GUID_TAIL:
            raise NotAudio(f"{name} holds sound in a form that is not accepted", field="source")
        (tag,) = struct.unpack("<H", form[24:26])
    table = {1: {**INTEGER_SUBTYPES, 8: "PCM_U8"}, 3: FLOAT_SUBTYPES}.get(tag)
    if table is None or bits not in table:
        raise NotAudio(
            f"{name} holds sound in a form that is not accepted (tag {tag:#x}, {bits} bits)",
            field="source",
            limits={"choices": ["8, 16, 24, 32 bit", "float"]},
        )
    if channels == 0 or align != bits // 8 * channels:
        raise CorruptAudio(f"{name} has a damaged format chunk", field="source")
    frames = length // align
    return Layout(container=container, subtype=table[bits], rate=rate, channels=channels, frames=frames, data=data)


def _parse_aiff(file: BinaryIO, size: int, name: str, *, compressed: bool) -> Layout:
    common: bytes = b""
    place: tuple[int, int] | None = None
    for kind, length in _chunks(file, size, ">", {}, name):
        if kind == b"COMM":
            common = _body(file, min(length, 22), name)
        elif kind == b"SSND":
            (offset,) = struct.unpack(">I4x", _body(file, 8, name))
            place = (file.tell() + offset, length - 8 - offset)
        if common and place is not None:
            return _aiff_layout(common, place, "AIFC" if compressed else "AIFF", name)
    raise CorruptAudio(f"{name} holds no sound", field="source")


def _aiff_layout(common: bytes, place: tuple[int, int], container: str, name: str) -> Layout:
    if len(common) < (22 if container == "AIFC" else 18):
        raise CorruptAudio(f"{name} has a damaged common chunk", field="source")
    channels, frames, bits = struct.unpack(">HIH", common[:8])
    rate = _extended(common[8:18])
    coding = common[18:22] if container == "AIFC" else b"NONE"
    floating = {b"fl32": 32, b"FL32": 32, b"fl64": 64, b"FL64": 64}.get(coding)
    if floating:
        subtype = FLOAT_SUBTYPES[floating]
    elif coding in (b"NONE", b"twos", b"sowt") and bits in INTEGER_SUBTYPES:
        subtype = INTEGER_SUBTYPES[bits]
    else:
        raise NotAudio(f"{name} holds sound in a form that is not accepted", field="source")
    layout = Layout(
        container=container,
        subtype=subtype,
        rate=rate,
        channels=channels,
        frames=frames,
        data=place[0],
        big_endian=coding != b"sowt",
    )
    if channels and frames * layout.frame_bytes > place[1]:
        raise CorruptAudio(f"{name} claims more sound than it holds", field="source")
    return layout


def _extended(data: bytes) -> int:
    """The 80-bit floating point number in which AIFF writes its rate, as an integer; 0 when it is none."""
    exponent, mantissa = struct.unpack(">HQ", data)
    shift = 16383 + 63 - (exponent & 0x7FFF)
    return mantissa >> shift if 0 <= shift < 64 and not exponent & 0x8000 else 0


def _parse_flac(file: BinaryIO, name: str) -> Layout:
    head = _body(file, 4, name)
    if head[0] & 0x7F != 0 or int.from_bytes(head[1:4], "big") != 34:
        raise CorruptAudio(f"{name} does not begin with its stream facts", field="source")
    info = _body(file, 34, name)
    packed = int.from_bytes(info[10:18], "big")
    bits = (packed >> 36 & 0x1F) + 1
    if bits not in (8, 16, 24):
        raise NotAudio(f"{name} has {bits} bits a sample, which is not accepted", field="source")
    return Layout(
        container="FLAC",
        subtype=INTEGER_SUBTYPES[bits],
        rate=packed >> 44,
        channels=(packed >> 41 & 0x7) + 1,
        frames=packed & 0xFFFFFFFFF,
    )


def _body(file: BinaryIO, length: int, name: str) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise CorruptAudio(f"{name} ends in the middle of its header", field="source")
    return data


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
