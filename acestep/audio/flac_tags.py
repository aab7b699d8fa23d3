"""Metadata of FLAC files carried from one to another: comments, pictures, cue sheets and whatever other programs keep there.

libsndfile writes a handful of comments and drops the rest; here the blocks travel as they are. Facts of the format: RFC 9639.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path

from acestep.audio.flac_header import (
    APPLICATION,
    COMMENT,
    CUESHEET,
    PADDING,
    SEEKTABLE,
    STREAMINFO,
    Block,
    read_blocks,
    skip_to_stream,
)
from acestep.audio.iff_rewrite import Change, changed

OWN = frozenset((STREAMINFO, PADDING, SEEKTABLE))
"""Blocks that belong to the coded sound and not to the music."""

MOST = (1 << 24) - 1
"""Bytes of the largest block."""


def carry_tags(source: Path, target: Path, change: Change) -> None:
    """Give ``target``, a FLAC file just written, the metadata of ``source``, moved in time where its first sample moved."""
    with source.open("rb") as file:
        prefix = skip_to_stream(file)
        kept = [_moved(block, change) for block in read_blocks(file, source.name) if block.kind not in OWN]
    _replace(target, prefix, kept)


def add_comment(target: Path, name: str, value: str) -> None:
    """Add a comment to a FLAC file."""
    with target.open("rb") as file:
        prefix = skip_to_stream(file)
        blocks = read_blocks(file, target.name)
    entry = f"{name}={value}".encode()
    comments = [block for block in blocks if block.kind == COMMENT]
    data = comments[0].data if comments else struct.pack("<II", 0, 0)
    vendor = int.from_bytes(data[:4], "little") + 4
    count = int.from_bytes(data[vendor : vendor + 4], "little")
    data = data[:vendor] + struct.pack("<I", count + 1) + data[vendor + 4 :] + struct.pack("<I", len(entry)) + entry
    _replace(target, prefix, [Block(COMMENT, data), *(b for b in blocks if b.kind not in OWN and b.kind != COMMENT)])


def _replace(target: Path, prefix: bytes, kept: Iterable[Block]) -> None:
    """Write a FLAC file again with other metadata; its facts and its sound stay byte by byte."""
    draft = target.with_name(f".{target.name}.tags")
    try:
        with target.open("rb") as old, draft.open("wb") as new:
            skip_to_stream(old)
            facts = [block for block in read_blocks(old, target.name) if block.kind == STREAMINFO]
            blocks = [*facts, *(block for block in kept if len(block.data) <= MOST)]
            new.write(prefix + b"fLaC")
            for number, block in enumerate(blocks):
                last = 0x80 if number == len(blocks) - 1 else 0
                new.write(bytes([block.kind | last]) + len(block.data).to_bytes(3, "big") + block.data)
            shutil.copyfileobj(old, new, 1 << 20)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _moved(block: Block, change: Change) -> Block:
    """A block for a file whose first sample is another: its time reference, its cues."""
    if block.kind == CUESHEET:
        return Block(CUESHEET, _moved_cues(block.data, change))
    if block.kind == APPLICATION and block.data[:4] == b"riff" and len(block.data) >= 12:
        return Block(APPLICATION, block.data[:12] + changed(block.data[4:8], block.data[12:], change))
    if block.kind == COMMENT and change.shift:
        return Block(COMMENT, _moved_comment(block.data, change.shift))
    return block


def _moved_cues(sheet: bytes, change: Change) -> bytes:
    """A cue sheet: 396 bytes, then tracks of 36 bytes with their indices of 12; the last one is the end of the disc."""
    data, place = bytearray(sheet), 396
    for number in range(data[395] if len(data) > 395 else 0):
        if place + 36 > len(data):
            break
        offset = int.from_bytes(data[place : place + 8], "big") + change.shift
        if number == data[395] - 1:
            offset = change.frames
        data[place : place + 8] = max(offset, 0).to_bytes(8, "big")
        place += 36 + 12 * data[place + 35]
    return bytes(data)


def _moved_comment(data: bytes, shift: int) -> bytes:
    """Comments with the time reference that ffmpeg writes moved."""
    entries, place = [], int.from_bytes(data[:4], "little") + 8
    head = data[:place]
    while place + 4 <= len(data):
        size = int.from_bytes(data[place : place + 4], "little")
        entry = data[place + 4 : place + 4 + size]
        found = re.fullmatch(rb"(TIME_?REFERENCE=)(\d{1,18})", entry, re.IGNORECASE)
        if found:
            entry = found[1] + b"%d" % max(int(found[2]) - shift, 0)
        entries.append(struct.pack("<I", len(entry)) + entry)
        place += 4 + size
    return head + b"".join(entries)
