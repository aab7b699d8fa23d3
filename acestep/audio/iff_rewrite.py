"""A WAV or AIFF file written again with other sound: every chunk stays, sizes and places in time are made right. Pure bytes.

Used where the length changes, or where the header never said how long the file is. Markers, loops and the time reference move along
when something is put before the first sample.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from acestep.audio import pcm
from acestep.audio.iff_header import IXML_POSITIONS, walk
from acestep.audio.layout import Layout

MAX_RIFF = 0xFFFFFFFF - 1024
"""Bytes above which a WAV becomes an RF64."""

MAX_CHANGED = 16 * 1024 * 1024
"""Bytes of a chunk that is changed; larger ones are copied as they are."""

COPY = 1 << 20


class Change(NamedTuple):
    """The new length in samples, and how many samples were put before the old first one."""

    frames: int
    shift: int = 0


class _Chunk(NamedTuple):
    kind: bytes
    place: int
    length: int


def rewrite(target: Path, source: tuple[Path, Layout], change: Change, blocks: Iterable[pcm.Samples]) -> None:
    """Write ``source`` to ``target`` with the sound of ``blocks`` (its own form, [channels, n], adding up to the new length)."""
    path, layout = source
    with path.open("rb") as old, target.open("wb") as new:
        chunks = list(_chunks(old, path.stat().st_size, layout))
        size = change.frames * layout.frame_bytes
        if layout.container in ("WAV", "RF64"):
            _write_wav(new, old, chunks, (layout, change), (size, blocks))
        else:
            _write_aiff(new, old, chunks, (layout, change), (size, blocks))


def _chunks(file: BinaryIO, size: int, layout: Layout) -> Iterator[_Chunk]:
    """The chunks of the file in order; the sound's true length is the layout's."""
    found = walk(file, size, "<" if layout.container in ("WAV", "RF64") else ">")
    entry = next(found, None)
    while entry is not None:
        kind, place, length = entry
        sound = kind == b"data" if layout.container in ("WAV", "RF64") else kind == b"SSND"
        true = None
        if sound and place <= layout.data < place + max(length, 9) + 8:
            true = layout.data - place + layout.frames * layout.frame_bytes
        yield _Chunk(kind, place, min(length if true is None else true, max(size - place, 0)))
        try:
            entry = found.send(None if true is None else true)
        except StopIteration:
            entry = None


def _write_wav(
    new: BinaryIO,
    old: BinaryIO,
    chunks: list[_Chunk],
    what: tuple[Layout, Change],
    sound: tuple[int, Iterable[pcm.Samples]],
) -> None:
    (layout, change), (size, blocks) = what, sound
    kept = [chunk for chunk in chunks if chunk.kind != b"ds64"]
    total = 4 + size + (size & 1) + sum(8 + c.length + (c.length & 1) for c in kept if c.place != layout.data) + 8
    wide = total > MAX_RIFF or layout.container == "RF64"
    new.write((b"RF64" + b"\xff" * 4 if wide else b"RIFF" + struct.pack("<I", total)) + b"WAVE")
    if wide:
        new.write(b"ds64" + struct.pack("<IQQQI", 28, total + 36, size, change.frames, 0))
    for chunk in kept:
        if chunk.place == layout.data:
            new.write(b"data" + (b"\xff" * 4 if wide else struct.pack("<I", size)))
            _write_sound(new, layout, size, blocks)
        else:
            _copy_chunk(new, old, chunk, ("<", change))


def _write_aiff(
    new: BinaryIO,
    old: BinaryIO,
    chunks: list[_Chunk],
    what: tuple[Layout, Change],
    sound: tuple[int, Iterable[pcm.Samples]],
) -> None:
    (layout, change), (size, blocks) = what, sound
    new.write(b"FORM" + bytes(4) + (b"AIFC" if layout.container == "AIFC" else b"AIFF"))
    for chunk in chunks:
        if chunk.kind == b"SSND" and chunk.place < layout.data:
            new.write(b"SSND" + struct.pack(">III", size + 8, 0, 0))
            _write_sound(new, layout, size, blocks)
        else:
            _copy_chunk(new, old, chunk, (">", change))
    total = new.tell() - 8
    new.seek(4)
    new.write(struct.pack(">I", min(total, 0xFFFFFFFF)))


def _write_sound(new: BinaryIO, layout: Layout, size: int, blocks: Iterable[pcm.Samples]) -> None:
    for block in blocks:
        new.write(pcm.encode(block, layout.subtype, big_endian=layout.big_endian))
    new.write(b"\0" * (size & 1))


def _copy_chunk(new: BinaryIO, old: BinaryIO, chunk: _Chunk, how: tuple[str, Change]) -> None:
    order, change = how
    old.seek(chunk.place)
    if chunk.length <= MAX_CHANGED:
        body = changed(chunk.kind, old.read(chunk.length), change, order)
        new.write(chunk.kind + struct.pack(f"{order}I", len(body)) + body + b"\0" * (len(body) & 1))
        return
    new.write(chunk.kind + struct.pack(f"{order}I", chunk.length))
    left = chunk.length
    while left > 0 and (data := old.read(min(left, COPY))):
        new.write(data)
        left -= len(data)
    new.write(b"\0" * (left + (chunk.length & 1)))


def append_chunk(path: Path, kind: bytes, body: bytes) -> None:
    """Add a chunk behind the last one of a WAV below 4 GiB."""
    with path.open("rb+") as file:
        size = file.seek(0, 2)
        file.write(b"\0" * (size & 1) + kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1))
        total = file.tell() - 8
        file.seek(0)
        if file.read(4) == b"RIFF":
            file.write(struct.pack("<I", total))


def changed(kind: bytes, body: bytes, change: Change, order: str = "<") -> bytes:
    """A chunk's body for the new length: counts of samples, the time reference, markers, loops."""
    data = bytearray(body)
    if kind == b"COMM" and len(data) >= 6:
        data[2:6] = struct.pack(">I", min(change.frames, 0xFFFFFFFF))
    elif kind == b"fact" and len(data) >= 4:
        data[:4] = struct.pack("<I", min(change.frames, 0xFFFFFFFF))
    elif not change.shift:
        return body
    elif kind == b"bext" and len(data) >= 346:
        reference = int.from_bytes(data[338:346], "little")
        data[338:346] = max(reference - change.shift, 0).to_bytes(8, "little")
    elif kind == b"iXML":
        return _moved_ixml(body, change.shift)
    elif kind == b"cue ":
        _move(data, [4 + 24 * n + at for n in range(_count(data, 0)) for at in (4, 20)], change.shift, order)
    elif kind == b"smpl":
        _move(data, [36 + 24 * n + at for n in range(_count(data, 28)) for at in (8, 12)], change.shift, order)
    elif kind == b"MARK":
        _move(data, list(_marks(data)), change.shift, order)
    return bytes(data)


def _count(data: bytearray, at: int) -> int:
    return min(int.from_bytes(data[at : at + 4], "little"), len(data) // 24)


def _marks(data: bytearray) -> Iterator[int]:
    """Where the positions of an AIFF's markers stand: id, position, a text with its length before it, padded to even."""
    place = 2
    for _ in range(int.from_bytes(data[:2], "big")):
        if place + 7 > len(data):
            return
        yield place + 2
        place += 6 + 1 + data[place + 6]
        place += place & 1


def _move(data: bytearray, places: list[int], shift: int, order: str) -> None:
    for place in places:
        if place + 4 <= len(data):
            (value,) = struct.unpack_from(f"{order}I", data, place)
            struct.pack_into(f"{order}I", data, place, min(max(value + shift, 0), 0xFFFFFFFF))


def _moved_ixml(text: bytes, shift: int) -> bytes:
    """The text with its time stamps moved; other text stays as it is."""
    for low, high in IXML_POSITIONS:
        least, most = (re.search(rb"<%s>\s*(\d{1,12})" % tag, text) for tag in (low, high))
        if least is None:
            continue
        moved = max(((int(most[1]) if most else 0) << 32) + int(least[1]) - shift, 0)
        for tag, value in ((low, moved & 0xFFFFFFFF), (high, moved >> 32)):
            text = re.sub(rb"(<%s>\s*)\d{1,12}" % tag, rb"\g<1>%d" % value, text, count=1)
    return text
