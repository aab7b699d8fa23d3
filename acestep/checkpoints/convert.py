"""float32 weights -> bfloat16 on disk, in blocks: a safetensors file at half the size. No torch, and never a whole file in memory.

Rounding is to the nearest, ties to even, as torch does it; other number formats are copied as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from acestep.api.disk import FULL
from acestep.api.errors import BadCheckpoint, DiskFull
from acestep.checkpoints.files import read_header

BLOCK = 4 * 2**20
"""Numbers per block."""

QUIET_NAN = 0x7FC0


def is_float32(path: Path) -> bool:
    """Whether a safetensors file holds tensors that would become smaller. Raises `BadCheckpoint`."""
    return any(entry["dtype"] == "F32" for entry in _entries(path)[0].values())


def converted_size(path: Path) -> int:
    """Bytes of the file after conversion, without its header's few. Raises `BadCheckpoint`."""
    return sum(_length(entry) // (2 if entry["dtype"] == "F32" else 1) for entry in _entries(path)[0].values())


def round_to_bfloat16(numbers: np.ndarray) -> np.ndarray:
    """float32 -> the 16 bits of bfloat16 (uint16), nearest, ties to even; every NaN becomes the quiet one."""
    bits = numbers.view(np.uint32)
    rounded = bits >> 16
    rounded &= 1
    rounded += 0x7FFF
    rounded += bits  # of the numbers only NaN can overflow here, and those are written next
    rounded >>= 16
    found = rounded.astype(np.uint16)
    strange = np.isnan(numbers)
    if strange.any():
        found[strange] = QUIET_NAN
    return found


def to_bfloat16(source: Path, target: Path, check: Callable[[], None] = lambda: None) -> tuple[int, str]:
    """Write ``source`` with its float32 tensors as bfloat16 to ``target``; returns bytes and sha256 of what was written.

    ``target`` appears whole or not at all. Raises `BadCheckpoint`, `DiskFull`, and what ``check`` (called between blocks) raises.
    """
    draft = target.with_name(f".{target.name}.converting")
    entries, metadata = _entries(source)
    digest = hashlib.sha256()
    try:
        with source.open("rb") as read, draft.open("wb") as file:
            write = _HashingWriter(file, digest)
            write(_header(entries, metadata))
            start = 8 + len(read_header(source))
            for entry in _in_file_order(entries):
                read.seek(start + entry["data_offsets"][0])
                _copy(read, write, entry, check)
            file.flush()
            os.fsync(file.fileno())
        size = draft.stat().st_size
        draft.replace(target)
        return size, digest.hexdigest()
    except OSError as failure:
        if failure.errno in FULL:
            raise DiskFull(
                f"the disk filled up while {source.name} was converted; free some space and run it again"
            ) from failure
        raise
    finally:
        draft.unlink(missing_ok=True)


class _HashingWriter:
    def __init__(self, file: BinaryIO, digest: Any) -> None:
        self._file, self._digest = file, digest

    def __call__(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)


def _copy(read: BinaryIO, write: _HashingWriter, entry: dict[str, Any], check: Callable[[], None]) -> None:
    """One tensor, block by block."""
    left, shrink = _length(entry), entry["dtype"] == "F32"
    while left:
        check()
        block = read.read(min(left, 4 * BLOCK))
        if not block:
            raise BadCheckpoint("the file ended while it was converted", field="model")
        left -= len(block)
        write(round_to_bfloat16(np.frombuffer(block, "<f4")).astype("<u2").tobytes() if shrink else block)


def _entries(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    try:
        entries = json.loads(read_header(path))
        metadata = entries.pop("__metadata__", None) or {}
        return {name: dict(entry) for name, entry in entries.items()}, metadata
    except (ValueError, AttributeError, TypeError) as failure:
        raise BadCheckpoint(f"{path} has a damaged safetensors header", field="model") from failure


def _header(entries: dict[str, dict[str, Any]], metadata: dict[str, str]) -> bytes:
    made: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    offset, places = 0, {}
    for entry in _in_file_order(entries):
        length = _length(entry) // (2 if entry["dtype"] == "F32" else 1)
        places[id(entry)] = [offset, offset + length]
        offset += length
    for name, entry in entries.items():
        dtype = "BF16" if entry["dtype"] == "F32" else entry["dtype"]
        made[name] = {"dtype": dtype, "shape": entry["shape"], "data_offsets": places[id(entry)]}
    text = json.dumps(made, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _in_file_order(entries: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries.values(), key=lambda entry: entry["data_offsets"][0])


def _length(entry: dict[str, Any]) -> int:
    first, last = entry["data_offsets"]
    return int(last - first)
