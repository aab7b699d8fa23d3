"""Headers of FLAC files: the stream's facts, its place on a timeline, and its length where the header leaves it open.

Facts of the format: RFC 9639. A stream from a pipe has no length in its header; its last whole frame tells it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from acestep.api.errors import CorruptAudio, NotAudio
from acestep.audio.iff_header import ixml_position, placed, time_reference
from acestep.audio.layout import INTEGER_SUBTYPES, Layout, never_completed

STREAMINFO, PADDING, APPLICATION, SEEKTABLE, COMMENT, CUESHEET, PICTURE = range(7)

MAX_BLOCKS = 1_000
SEARCH = 1 << 20
"""Bytes at the end in which the last frame is looked for first: 65,535 samples of 8 channels at 24 bits take 1.6 MB, usual ones
10 kB."""

BLOCK_SIZES = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608, **{code: 256 << code - 8 for code in range(8, 16)}}


class Block(msgspec.Struct, frozen=True):
    """A metadata block."""

    kind: int
    data: bytes


class Frame(msgspec.Struct, frozen=True):
    """Where a frame begins in the searched bytes, its first sample and how many it has."""

    place: int
    first: int
    samples: int


def read_blocks(file: BinaryIO, name: str) -> list[Block]:
    """All metadata blocks; the file stands behind ``fLaC`` and is left at the first frame. Raises `CorruptAudio`."""
    blocks = []
    for _ in range(MAX_BLOCKS):
        head = file.read(4)
        length = int.from_bytes(head[1:4], "big")
        data = file.read(length)
        if len(head) < 4 or len(data) < length:
            raise CorruptAudio(f"{name} ends in the middle of its header", field="source")
        blocks.append(Block(head[0] & 0x7F, data))
        if head[0] & 0x80:
            return blocks
    raise CorruptAudio(f"{name} has too many blocks before its sound", field="source")


def id3_tag(file: BinaryIO) -> bytes:
    """The ID3v2 tag that a file begins with, mostly none; the file is left behind it."""
    head = file.read(10)
    size = 0
    if head[:3] == b"ID3":
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        size += 10 if not head[5] & 0x10 else 20  # with a footer
    file.seek(0)
    return file.read(size)


def skip_to_stream(file: BinaryIO) -> bytes:
    """What stands before the stream (an ID3 tag, mostly nothing); the file is left behind the mark ``fLaC``."""
    prefix = id3_tag(file)
    file.read(4)
    return prefix


class WithLength(io.FileIO):
    """A FLAC file whose header tells its length to a decoder, though it was left open when it was written."""

    def __init__(self, path: Path, frames: int) -> None:
        super().__init__(path, "rb")
        with path.open("rb") as file:
            skip_to_stream(file)
            self._place = file.tell() + 4 + 10
            file.seek(self._place)
            facts = int.from_bytes(file.read(8), "big")
        self._facts = (facts | frames).to_bytes(8, "big")

    def readinto(self, buffer: Any) -> int | None:
        """Read as the file does, the length filled in."""
        begin = self.tell()
        count = super().readinto(buffer)
        view = memoryview(buffer).cast("B")
        for offset, byte in enumerate(self._facts, self._place - begin):
            if 0 <= offset < (count or 0):
                view[offset] = byte
        return count


def parse_flac(file: BinaryIO, size: int, name: str) -> Layout:
    """The layout of a FLAC file of ``size`` bytes; the file stands behind ``fLaC``. Raises `CorruptAudio`, `NotAudio`."""
    place = file.tell()
    head = file.read(4)
    if len(head) == 4 and (head[0] & 0x7F != STREAMINFO or int.from_bytes(head[1:4], "big") != 34):
        raise CorruptAudio(f"{name} does not begin with its stream facts", field="source")
    file.seek(place)
    blocks = read_blocks(file, name)
    info = blocks[0].data
    packed = int.from_bytes(info[10:18], "big")
    bits, rate = (packed >> 36 & 0x1F) + 1, packed >> 44
    if bits not in (8, 16, 24):
        raise NotAudio(f"{name} has {bits} bits a sample; FLAC is read with 8, 16 or 24", field="source")
    layout = Layout(
        container="FLAC",
        subtype=INTEGER_SUBTYPES[bits],
        rate=rate,
        channels=(packed >> 41 & 0x7) + 1,
        frames=packed & 0xFFFFFFFFF,
    )
    if layout.frames == 0:
        frames = count_frames(file, size, info)
        layout = msgspec.structs.replace(layout, frames=frames, open_ended=True, notes=(never_completed(name, frames),))
    return _placed(layout, blocks)


def _placed(layout: Layout, blocks: list[Block]) -> Layout:
    """A WAV's chunks that were kept in the FLAC, or a comment as ffmpeg writes it."""
    bext, ixml = None, None
    for block in blocks:
        if block.kind == APPLICATION and block.data[:4] == b"riff" and block.data[4:8] == b"bext":
            bext = time_reference(block.data[12:])
        elif block.kind == APPLICATION and block.data[:8] == b"riffiXML":
            ixml = ixml_position(block.data[12:])
        elif block.kind == COMMENT and bext is None:
            found = re.search(rb"TIME_?REFERENCE=(\d{1,18})(?!\d)", block.data, re.IGNORECASE)
            bext = int(found[1]) if found else None
    return placed(layout, bext, ixml)


def count_frames(file: BinaryIO, size: int, info: bytes) -> int:
    """Samples up to the end of the last whole frame; the file stands at the first one."""
    begin, window = file.tell(), SEARCH
    while True:
        first = max(begin, size - window)
        file.seek(first)
        found = last_sample(file.read(size - first), info)
        if found is not None or first == begin:
            return found or 0
        window *= 8


def last_sample(data: bytes, info: bytes) -> int | None:
    """The sample behind the last whole frame in these bytes, which reach to the end of the file; None without one."""
    shortest, longest = int.from_bytes(info[0:2], "big"), int.from_bytes(info[2:4], "big")
    frames = list(_frames(data, longest if shortest == longest or not shortest else 0))
    for index in range(len(frames) - 1, -1, -1):
        frame = frames[index]
        end = frames[index + 1].place if index + 1 < len(frames) else len(data)
        if _whole(data[frame.place : end]):
            return frame.first + frame.samples
    return None


def _frames(data: bytes, block: int) -> Iterator[Frame]:
    """Frame headers in these bytes; a sum of eight bits can be met by chance, which `_whole` finds out."""
    place = -1
    while (place := data.find(b"\xff", place + 1)) >= 0:
        if data[place + 1 : place + 2] in (b"\xf8", b"\xf9") and (frame := _header(data, place, block)):
            yield frame


def _header(data: bytes, place: int, block: int) -> Frame | None:
    head = data[place : place + 16]
    if len(head) < 6 or head[2] >> 4 == 0 or head[2] & 0xF == 0xF or head[3] & 1 or head[3] >> 4 > 10:
        return None
    number, at = _coded_number(head)
    code = head[2] >> 4
    samples = BLOCK_SIZES.get(code, 0)
    if code in (6, 7):
        samples = int.from_bytes(head[at : at + code - 5], "big") + 1
        at += code - 5
    at += {12: 1, 13: 2, 14: 2}.get(head[2] & 0xF, 0)
    if number is None or at >= len(head) or _crc(head[:at], 8, 0x07) != head[at]:
        return None
    fixed = not head[1] & 1
    return Frame(place, number * (block or samples) if fixed else number, samples)


def _coded_number(head: bytes) -> tuple[int | None, int]:
    """The frame's or sample's number, coded like a long UTF-8 character, and where it ends."""
    lead = head[4]
    count = next((n for n in range(8) if not lead << n & 0x80), 8)
    if count == 0:
        return lead, 5
    if count == 1 or count == 8 or len(head) < 4 + count:
        return None, 4
    value = lead & 0x7F >> count
    for byte in head[5 : 4 + count]:
        if byte & 0xC0 != 0x80:
            return None, 4
        value = value << 6 | byte & 0x3F
    return value, 4 + count


def _table(bits: int, polynomial: int) -> list[int]:
    table, top, mask = [], 1 << bits - 1, (1 << bits) - 1
    for value in range(256):
        value <<= bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return table


_TABLES = {(8, 0x07): _table(8, 0x07), (16, 0x8005): _table(16, 0x8005)}


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    table, shift, mask, value = _TABLES[bits, polynomial], bits - 8, (1 << bits) - 1, 0
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> shift ^ byte]
    return value


def _whole(frame: bytes) -> bool:
    """Whether the sum at a frame's end is right; a tag of 128 bytes may follow the last one."""
    for end in (len(frame), len(frame) - 128):
        tagged = end == len(frame) or frame[end : end + 3] == b"TAG"
        if end > 2 and tagged and _crc(frame[: end - 2], 16, 0x8005) == int.from_bytes(frame[end - 2 : end], "big"):
            return True
    return False
