"""The head of a GGUF file: its facts and its table of tensors, in one strict pass over a mapped file. No torch.

The `gguf` package knows the types and turns their blocks into numbers (`acestep.checkpoints.tensors`). Its reader is not used for
heads: it believes every count it reads, so that a short file can keep it busy forever, and it builds an object per token of a
tokenizer with 150,000. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadCheckpoint, ModelMissing

MAGIC = b"GGUF"
VERSIONS = (2, 3)
STRING, ARRAY = 8, 9
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
"""Kind of value -> how `struct` reads it."""

MAX_DIMENSIONS = 4
MAX_NAME = 65_536
"""Bytes of a key or a tensor's name; the format allows no more."""

CONFIG = "acestep.config_json"
"""The key under which acestep.cpp keeps the published ``config.json``."""


class GgufTensor(msgspec.Struct, frozen=True):
    """One row of the table. ``shape`` in torch's order; ``offset`` from the start of the file, ``size`` in bytes."""

    shape: tuple[int, ...]
    type: str
    offset: int
    size: int


class GgufHead(msgspec.Struct, frozen=True):
    """What a GGUF file says of itself. ``arrays``: offsets of the arrays of strings (a tokenizer's tokens), read on demand."""

    architecture: str
    name: str
    config: dict[str, Any]
    tensors: dict[str, GgufTensor]
    arrays: dict[str, int]
    length: int
    """Bytes that the file must have at least."""
    slack: int
    """Bytes of padding that may follow."""


def read_head(path: Path) -> GgufHead:
    """The head of the file at ``path``, remembered until the file changes. Raises `BadCheckpoint`, `ModelMissing`."""
    try:
        facts = path.stat()
    except OSError as failure:
        raise ModelMissing(f"{path} is missing", field="model") from failure
    return _read(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, size: int, _changed: int) -> GgufHead:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Pass(data).head()
    except _Short as failure:
        raise ModelMissing(
            f"{path} is cut short inside its header; download the model again", field="model"
        ) from failure
    except (ValueError, OSError, OverflowError, RecursionError) as failure:
        raise BadCheckpoint(f"{path} is not a readable GGUF file: {failure}", field="model") from failure


def read_strings(path: Path, key: str) -> list[str]:
    """An array of strings of the file's facts (``tokenizer.ggml.tokens``); empty where it has none. Raises `BadCheckpoint`."""
    start = read_head(path).arrays.get(key)
    if start is None:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return [text.decode() for text in _Pass(data, start).strings()]
        except (ValueError, _Short) as failure:
            raise BadCheckpoint(f"{path} has a damaged tokenizer", field="model") from failure


class _Short(Exception):
    """The file ends before the header does."""


class _Pass:
    """One walk over the bytes; every count is held against what is left of the file before it is believed."""

    def __init__(self, data: mmap.mmap, at: int = 0) -> None:
        self._data, self._at = data, at

    def head(self) -> GgufHead:
        if self._take(4) != MAGIC:
            raise ValueError("it does not begin with GGUF")
        version = self._number("<I")
        if version not in VERSIONS:
            raise ValueError(f"version {version} is not among {', '.join(map(str, VERSIONS))}")
        tensors, facts = self._number("<Q"), self._number("<Q")
        values, arrays = self._facts(facts)
        rows = dict(self._rows(tensors))
        if len(rows) != tensors:
            raise ValueError("two tensors have the same name")
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            raise ValueError("its alignment makes no sense")
        start = -(-self._at // alignment) * alignment
        table = {name: msgspec.structs.replace(row, offset=start + row.offset) for name, row in rows.items()}
        return GgufHead(
            architecture=str(values.get("general.architecture", "")),
            name=str(values.get("general.name", "")),
            config=_config(values.get(CONFIG)),
            tensors=table,
            arrays=arrays,
            length=max((row.offset + row.size for row in table.values()), default=start),
            slack=alignment - 1,
        )

    def _facts(self, count: int) -> tuple[dict[str, Any], dict[str, int]]:
        values: dict[str, Any] = {}
        arrays: dict[str, int] = {}
        self._require(count * 13)  # the least that key, kind and value take
        for _ in range(count):
            key = self._text(MAX_NAME).decode()
            kind = self._number("<I")
            if kind == STRING:
                values[key] = self._text().decode()
            elif kind == ARRAY:
                self._array(arrays, key)
            else:
                values[key] = self._scalar(kind)
        return values, arrays

    def _array(self, arrays: dict[str, int], key: str) -> None:
        start = self._at
        kind, count = self._number("<I"), self._number("<Q")
        if kind == STRING:
            arrays[key] = start
            self._require(count * 8)
            for _ in range(count):
                self._skip(self._number("<Q"))
        elif kind in SCALARS:
            self._skip(count * struct.calcsize(SCALARS[kind]))
        else:
            raise ValueError(f"the array {key} is of an unknown kind")

    def strings(self) -> Iterator[bytes]:
        """The entries of the array of strings that begins here."""
        self._number("<I")
        count = self._number("<Q")
        self._require(count * 8)
        for _ in range(count):
            yield self._text()

    def _rows(self, count: int) -> Iterator[tuple[str, GgufTensor]]:
        self._require(count * 24)
        for _ in range(count):
            name = self._text(MAX_NAME).decode()
            dimensions = self._number("<I")
            if dimensions > MAX_DIMENSIONS:
                raise ValueError(f"{name} has {dimensions} dimensions")
            shape = tuple(reversed([self._number("<Q") for _ in range(dimensions)]))
            kind, size = _size(name, self._number("<I"), shape)
            yield name, GgufTensor(shape, kind, self._number("<Q"), size)

    def _scalar(self, kind: int) -> Any:
        if kind not in SCALARS:
            raise ValueError(f"a value is of the unknown kind {kind}")
        return self._number(SCALARS[kind])

    def _text(self, longest: int | None = None) -> bytes:
        length = self._number("<Q")
        if longest is not None and length > longest:
            raise ValueError("a name is longer than the format allows")
        return self._take(length)

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _take(self, count: int) -> bytes:
        self._require(count)
        self._at += count
        return self._data[self._at - count : self._at]

    def _skip(self, count: int) -> None:
        self._require(count)
        self._at += count

    def _require(self, count: int) -> None:
        if count > len(self._data) - self._at:
            raise _Short


def _size(name: str, number: int, shape: tuple[int, ...]) -> tuple[str, int]:
    """Name of a type and the bytes that a tensor of it takes. Raises `ValueError` for what the package does not know."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        kind = GGMLQuantizationType(number)
    except ValueError:
        raise ValueError(f"{name} is of the unknown type {number}") from None
    block, width = GGML_QUANT_SIZES[kind]
    if shape and shape[-1] % block:
        raise ValueError(f"the rows of {name} are not whole blocks of {kind.name}")
    return kind.name, math.prod(shape) // block * width


def _config(text: Any) -> dict[str, Any]:
    """The published config that acestep.cpp carries along; empty where there is none."""
    found = json.loads(text) if isinstance(text, str) and text else {}
    if not isinstance(found, dict):
        raise ValueError("its config is not a JSON object")
    return found
