"""What MP3, Ogg Vorbis and Opus files hold, counted by our own code before any decoder sees them. Knows nothing of the samples.

The length is the one their decoders give: without the priming and padding that the file itself declares.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from acestep.api.errors import CorruptAudio, NotAudio

PAGE_SEARCH = 1 << 17
"""Bytes at the end of an Ogg file in which its last page begins: a page has at most 65,307."""

SYNC_SEARCH = 1 << 16
"""Bytes in which the first MPEG frame must begin; taggers leave some padding before it."""

READ = 1 << 20
"""Bytes per read of an MP3 file."""

OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
OPUS_RATE = 48_000
"""Rate in Hz of every Opus decoder; a file's own rate is a hint, kept where it is one of the coder's."""

BIT_RATES = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s of layer III by MPEG version (2 stands for 2.5 too) and index."""

RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Hz by version bits (3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5) and index."""


class Coded(msgspec.Struct, frozen=True):
    """A compressed sound: ``container`` and ``coding`` as libsndfile names them, ``frames`` per channel."""

    container: str
    coding: str
    rate: int
    channels: int
    frames: int


class _Frame(msgspec.Struct, frozen=True):
    """One MPEG frame's header: bytes until the next, samples, how far behind the header a Xing tag would stand, kbit/s."""

    size: int
    samples: int
    rate: int
    channels: int
    side: int
    bit_rate: int


def parse_ogg(file: BinaryIO, size: int, name: str) -> Coded:
    """The sound of an Ogg file. Raises `NotAudio` for other contents than Vorbis and Opus, `CorruptAudio`."""
    file.seek(0)
    head = file.read(27 + 255 + 64)
    if len(head) < 28 or len(head) < 27 + head[26] + 19:
        raise CorruptAudio(f"{name} ends in the middle of its header", field="source")
    serial, packet = head[14:18], head[27 + head[26] :]
    if packet[:7] == b"\x01vorbis":
        channels, rate = struct.unpack("<BI", packet[11:16])
        coding, skipped, ticks = "VORBIS", 0, rate
    elif packet[:8] == b"OpusHead":
        channels, skipped, rate = struct.unpack("<xBHI", packet[8:16])
        coding, rate, ticks = "OPUS", rate if rate in OPUS_RATES else OPUS_RATE, OPUS_RATE
    else:
        raise NotAudio(
            f"{name} is an Ogg file without Vorbis or Opus audio; convert it to WAV or FLAC",
            field="source",
            limits={"choices": ["Vorbis", "Opus"]},
        )
    last = _last_position(file, size, serial, name)
    frames = max(last - skipped, 0) * rate // max(ticks, 1)
    return Coded("OGG", coding, rate, channels, frames)


def _last_position(file: BinaryIO, size: int, serial: bytes, name: str) -> int:
    """The granule position of the last page, in samples of the coder."""
    start = max(0, size - PAGE_SEARCH)
    file.seek(start)
    tail = file.read(PAGE_SEARCH)
    place = len(tail)
    while (place := tail.rfind(b"OggS", 0, place)) >= 0:
        page = tail[place : place + 27]
        if len(page) == 27 and page[4] == 0:
            (position,) = struct.unpack("<q", page[6:14])
            if page[14:18] != serial:
                raise NotAudio(
                    f"{name} contains several streams one after another; convert it to WAV or FLAC", field="source"
                )
            if not page[5] & 4:
                raise CorruptAudio(f"{name} has no end: it is truncated", field="source")
            return int(position)
    raise CorruptAudio(f"{name} has no complete page at its end: it is truncated", field="source")


def parse_mp3(file: BinaryIO, start: int, size: int, name: str) -> Coded | None:
    """The sound of an MPEG layer III stream that begins near ``start``; none where no three frames in a row are found.

    Raises `CorruptAudio` for a stream that holds fewer frames than it says.
    """
    file.seek(start)
    head = file.read(SYNC_SEARCH + 4 * 1_441)
    found = _first_frame(head)
    if found is None:
        return None
    place, frame = found
    tag = _read_tag(head[place : place + frame.size], frame)
    samples, bit_rates = 0, set()
    for other in _walk(file, start + place, size):
        if other.rate != frame.rate:
            raise NotAudio(f"{name} changes its sample rate halfway; convert it to WAV or FLAC", field="source")
        samples += other.samples
        bit_rates.add(other.bit_rate)
    if len(bit_rates) > 1 and (tag is None or tag.frames is None):
        raise NotAudio(
            f"{name} has a variable bit rate and does not say how long it is, so no position in it is exact; "
            "convert it to WAV or FLAC",
            field="source",
        )
    if tag is not None:
        samples -= frame.samples
        if tag.frames is not None and samples < tag.frames * frame.samples:
            text = f"{name} claims {tag.frames} frames and holds {samples // frame.samples}: it is truncated"
            raise CorruptAudio(text, field="source")
        samples = (samples if tag.frames is None else tag.frames * frame.samples) - tag.trimmed
    return Coded("MP3", "MPEG_LAYER_III", frame.rate, frame.channels, max(samples, 0))


def _first_frame(head: bytes) -> tuple[int, _Frame] | None:
    """The first place at which a frame stands that two more of its kind follow."""
    place = -1
    while (place := head.find(b"\xff", place + 1, SYNC_SEARCH)) >= 0:
        first = frame = _frame(head[place : place + 4])
        at = place
        for _ in range(2):
            at += 0 if frame is None else frame.size
            frame = None if frame is None else _frame(head[at : at + 4])
        if first is not None and frame is not None and (frame.rate, frame.channels) == (first.rate, first.channels):
            return place, first
    return None


def _frame(header: bytes) -> _Frame | None:
    """A frame from its four bytes; none where they are no header of layer III with a bit rate."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bits, hertz, padding = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or bits in (0, 15) or hertz == 3:
        return None
    rate, channels = RATES[version][hertz], 1 if header[3] >> 6 == 3 else 2
    samples = 1152 if version == 3 else 576
    kilobits = BIT_RATES[1 if version == 3 else 2][bits]
    size = samples // 8 * kilobits * 1000 // rate + padding
    side = (17 if channels == 1 else 32) if version == 3 else (9 if channels == 1 else 17)
    return _Frame(size, samples, rate, channels, side, kilobits)


def _walk(file: BinaryIO, start: int, size: int) -> Iterator[_Frame]:
    """Every whole frame from ``start`` on, until something else comes."""
    known: dict[bytes, _Frame | None] = {}
    place, base, data = start, start, b""
    while place + 4 <= size:
        if place + 4 > base + len(data):
            file.seek(place)
            base, data = place, file.read(READ)
        header = data[place - base : place - base + 4]
        if header not in known:
            known[header] = _frame(header)
        frame = known[header]
        if frame is None or place + frame.size > size:
            return
        yield frame
        place += frame.size


class _Tag(msgspec.Struct, frozen=True):
    """What a first frame without sound says of the others: their number (None: not said), and the samples that are not music."""

    frames: int | None
    trimmed: int


def _read_tag(tag: bytes, frame: _Frame) -> _Tag | None:
    """The Xing, Info or VBRI tag in a first frame; None where the frame holds sound."""
    if tag[36:40] == b"VBRI" and len(tag) >= 54:
        return _Tag(int.from_bytes(tag[50:54], "big"), 0)
    at = 4 + frame.side
    if tag[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(tag[at + 4 : at + 8], "big")
    place = at + 8
    frames = int.from_bytes(tag[place : place + 4], "big") if flags & 1 else None
    place += (4 if flags & 1 else 0) + (4 if flags & 2 else 0) + (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    lame, trimmed = tag[place + 21 : place + 24], 0
    if len(lame) == 3 and tag[place : place + 4].strip(b"\0 "):
        trimmed = (lame[0] << 4 | lame[1] >> 4) + ((lame[1] & 15) << 8 | lame[2])
    return _Tag(frames, trimmed)
