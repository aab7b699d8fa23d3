"""What an Ogg Vorbis or Opus file says of itself, as an ID3 tag for the WAV that stands for it.

Every comment is kept: the usual ones in ID3's own frames, all others (REPLAYGAIN, R128 ...) as user text, pictures as pictures.
Facts of the formats: RFC 3533 (Ogg), the Vorbis I specification (comments), RFC 7845 (Opus), RFC 9639 (pictures), ID3 2.4.0.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAX_HEADER = 16 << 20
"""Bytes of pages that are looked into; comments with pictures take a few megabytes at most."""

HEADS = (b"\x03vorbis", b"OpusTags")
PICTURE = "METADATA_BLOCK_PICTURE"

FRAMES = {
    "TITLE": b"TIT2", "ARTIST": b"TPE1", "ALBUM": b"TALB", "ALBUMARTIST": b"TPE2", "COMPOSER": b"TCOM", "DATE": b"TDRC",
    "GENRE": b"TCON", "TRACKNUMBER": b"TRCK", "BPM": b"TBPM", "TEMPO": b"TBPM", "INITIALKEY": b"TKEY", "KEY": b"TKEY",
    "COPYRIGHT": b"TCOP", "ISRC": b"TSRC", "LANGUAGE": b"TLAN",
}  # fmt: skip
"""Comments that ID3 has a frame for."""

UTF8 = b"\x03"


def id3_of_ogg(path: Path) -> bytes:
    """The comments of a file as an ID3 tag; empty where there are none, or where they are damaged."""
    with path.open("rb") as file:
        packets = _packets(file)
        next(packets, b"")
        packet = next(packets, b"")
    head = next((head for head in HEADS if packet.startswith(head)), None)
    if head is None:
        return b""
    try:
        comments = list(_comments(packet[len(head) :]))
    except struct.error:
        return b""
    frames = b"".join(_frames(comments))
    return b"ID3\x04\0\0" + _synchsafe(len(frames)) + frames if frames else b""


def _packets(file: BinaryIO) -> Iterator[bytes]:
    """The packets of the first stream, as far as the header may reach."""
    packet, serial = bytearray(), b""
    while file.tell() < MAX_HEADER:
        page = file.read(27)
        if len(page) < 27 or page[:4] != b"OggS":
            return
        sizes = file.read(page[26])
        body = file.read(sum(sizes))
        serial = serial or page[14:18]
        if page[14:18] != serial:
            continue
        place = 0
        for size in sizes:
            packet += body[place : place + size]
            place += size
            if size < 255:
                yield bytes(packet)
                packet.clear()


def _comments(data: bytes) -> Iterator[tuple[str, str]]:
    """Names in upper case, and values. Raises `struct.error` where the list is cut short."""
    (vendor,) = struct.unpack_from("<I", data)
    place = 4 + vendor
    (count,) = struct.unpack_from("<I", data, place)
    place += 4
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, place)
        name, equals, value = data[place + 4 : place + 4 + size].decode("utf-8", "replace").partition("=")
        place += 4 + size
        if equals:
            yield name.upper(), value


def _frames(comments: list[tuple[str, str]]) -> Iterator[bytes]:
    """An ID3 frame for each name, with all its values, and one for each picture."""
    values: dict[str, list[str]] = {}
    for name, value in comments:
        if name == PICTURE:
            yield _picture(value)
        else:
            values.setdefault(name, []).append(value)
    used: set[bytes] = set()
    for name, texts in values.items():
        kind, text = FRAMES.get(name, b"TXXX"), "\0".join(texts).encode()
        if name == "COMMENT":
            yield _frame(b"COMM", UTF8 + b"XXX\0" + text)
        elif kind == b"TXXX" or kind in used:
            yield _frame(b"TXXX", UTF8 + name.encode() + b"\0" + text)
        else:
            used.add(kind)
            yield _frame(kind, UTF8 + text)


def _picture(text: str) -> bytes:
    """A FLAC picture block in base64 as an ID3 picture; nothing for a damaged one."""
    try:
        block = base64.b64decode(text, validate=True)
        kind, size = struct.unpack_from(">II", block)
        mime, place = block[8 : 8 + size], 8 + size
        (size,) = struct.unpack_from(">I", block, place)
        title, place = block[place + 4 : place + 4 + size], place + 4 + size + 16
        (size,) = struct.unpack_from(">I", block, place)
    except (binascii.Error, ValueError, struct.error):
        return b""
    image = block[place + 4 : place + 4 + size]
    return _frame(b"APIC", UTF8 + mime + b"\0" + bytes([kind & 0xFF]) + title + b"\0" + image)


def _frame(kind: bytes, body: bytes) -> bytes:
    return kind + _synchsafe(len(body)) + b"\0\0" + body


def _synchsafe(size: int) -> bytes:
    """A size of seven bits a byte."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
