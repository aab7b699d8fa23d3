"""Weight files and configs as they lie on the disk: which there are, whether they are whole, and what their headers say. No torch.

A component's weights are a folder in the published form (one file, or shards and their list), or a single file of another
program: safetensors, or GGUF.
"""

from __future__ import annotations

import json
import math
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

from acestep.api.errors import BadCheckpoint, ModelMissing
from acestep.checkpoints import gguf_header
from acestep.checkpoints.hub_cache import require_inside

WEIGHT_NAMES = ("model.safetensors", "diffusion_pytorch_model.safetensors")
"""Names of a component's weights; with ``.index.json`` appended, of the list of its shards."""

PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "diffusion_pytorch_model.bin", "model.pt", "model.ckpt")
"""Formats that can run code when they are read: recognised only to be refused by name."""

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
"""How such files end when they stand alone."""

GGUF, SAFETENSORS = ".gguf", ".safetensors"

WIDTHS = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
          "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1}  # fmt: skip
"""Bytes of a number of each type of safetensors."""

MAX_HEADER = 100 * 2**20
"""Bytes. The safetensors format's own limit for its header."""

MAX_JSON = 64 * 2**20
"""Bytes of a configuration or shard list; the published ones are far below 1 MB."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises `BadCheckpoint`, also for a file of absurd size."""
    try:
        if require_inside(path).stat().st_size > MAX_JSON:
            raise BadCheckpoint(f"{path} is too large for a configuration file")
        data = json.loads(path.read_bytes())
    except OSError as failure:
        raise BadCheckpoint(f"{path} cannot be read: {failure.strerror or failure}") from failure
    except (ValueError, RecursionError) as failure:
        raise BadCheckpoint(f"{path} cannot be read: it holds no whole JSON; download it again") from failure
    if not isinstance(data, dict):
        raise BadCheckpoint(f"{path} holds no JSON object")
    return data


def ends_whole(path: Path) -> bool:
    """Whether a JSON object's file ends as one: a download that broke off does not. Reads its last bytes only, and raises nothing:
    who reads the file says why it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64))
            return file.read().rstrip().endswith(b"}")
    except OSError:
        return True


def weight_files(place: Path) -> list[Path]:
    """The weight files of one component, shards in order: those of its folder, or the single file ``place``.

    Raises `BadCheckpoint` for pickled weights, shard lists that point outside the folder and links that lead out of a cache,
    `ModelMissing` when there are no weights or a shard is missing or cut short.
    """
    if place.suffix.lower() in PICKLED and place.is_file():
        raise _pickled(place)
    if place.suffix.lower() in (GGUF, SAFETENSORS) and not place.is_dir():
        return [_complete(place)]
    for name in WEIGHT_NAMES:
        if (place / name).is_file():
            return [_complete(place / name)]
        index = place / f"{name}.index.json"
        if index.is_file():
            return [_complete(_inside(place, shard)) for shard in _shards(index)]
    for name in PICKLES:
        if (place / name).is_file():
            raise _pickled(place / name)
    raise ModelMissing(f"{place} holds no weights", field="model")


def _pickled(path: Path) -> BadCheckpoint:
    return BadCheckpoint(
        f"{path} is a pickle, which can run code; only safetensors and GGUF files are opened", field="model"
    )


def _shards(index: Path) -> list[str]:
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
        raise BadCheckpoint(f"{index} lists no shards", field="model")
    return sorted(set(shards.values()))


def _inside(folder: Path, name: str) -> Path:
    if Path(name).name != name or not name.endswith(".safetensors"):
        raise BadCheckpoint(f"{folder.name} names the shard {name!r}, which is not a safetensors file of that folder")
    return folder / name


def _complete(path: Path) -> Path:
    """The file itself, once its length is what its header promises (interrupted downloads are the usual failure)."""
    try:
        size = require_inside(path).stat().st_size
    except OSError as failure:
        raise ModelMissing(f"{path} is missing; download the model again", field="model") from failure
    expected = expected_size(path)
    if size < expected:
        raise ModelMissing(f"{path} is cut short ({size} of {expected} bytes); download the model again", field="model")
    if size > expected + _slack(path):
        raise BadCheckpoint(f"{path} is {size - expected} bytes longer than its header says", field="model")
    return path


def expected_size(path: Path) -> int:
    """Length in bytes that a weight file must have, from its header. Raises `BadCheckpoint`, `ModelMissing`."""
    if path.suffix.lower() == GGUF:
        return gguf_header.read_head(path).length
    return 8 + len(read_header(path)) + max((end for _, _, end in tensor_table(path).values()), default=0)


def _slack(path: Path) -> int:
    """Bytes of padding that may follow the last tensor; only GGUF knows any."""
    return gguf_header.read_head(path).slack if path.suffix.lower() == GGUF else 0


def read_header(path: Path) -> bytes:
    """The JSON header of a safetensors file, as bytes. Raises `BadCheckpoint`."""
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else MAX_HEADER + 1
        if length > MAX_HEADER:
            raise BadCheckpoint(f"{path} is not a safetensors file", field="model")
        header = file.read(length)
    if len(header) < length:
        raise ModelMissing(f"{path} is cut short inside its header; download the model again", field="model")
    return header


def tensor_table(path: Path) -> dict[str, tuple[tuple[int, ...], str, int]]:
    """Name -> (shape, data type, end offset) of every tensor of a weight file, without reading the tensors.

    Types in the file's own words: ``BF16``, ``F32`` ..., in GGUF files also ``Q8_0``, ``Q4_K`` ... Raises `BadCheckpoint`.
    """
    if path.suffix.lower() == GGUF:
        head = gguf_header.read_head(path)
        return {name: (row.shape, row.type, row.offset + row.size) for name, row in head.tensors.items()}
    facts = path.stat()
    return _safetensors_table(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _safetensors_table(path: Path, _size: int, _changed: int) -> dict[str, tuple[tuple[int, ...], str, int]]:
    try:
        entries = json.loads(read_header(path))
        entries.pop("__metadata__", None)
        return {name: _row(entry) for name, entry in entries.items()}
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as failure:
        raise BadCheckpoint(f"{path} has a damaged safetensors header", field="model") from failure


def _row(entry: Any) -> tuple[tuple[int, ...], str, int]:
    """One tensor's row. Raises `ValueError` where type and shape need another number of bytes than the offsets leave."""
    shape, kind = tuple(int(size) for size in entry["shape"]), str(entry["dtype"])
    start, end = (int(offset) for offset in entry["data_offsets"])
    if min(shape, default=1) < 0 or not 0 <= start <= end:
        raise ValueError("a size below nothing")
    if kind in WIDTHS and math.prod(shape) * WIDTHS[kind] != end - start:
        raise ValueError(f"{end - start} bytes are not {kind} of shape {list(shape)}")
    return shape, kind, end
