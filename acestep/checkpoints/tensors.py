"""Reads single tensors from the disk: safetensors mapped in memory, GGUF blocks turned into numbers, scaled fp8 multiplied out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints import gguf_header
from acestep.checkpoints.files import GGUF
from acestep.checkpoints.weights import StoredTensor

PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
"""GGUF types that are not blocks: taken as they are."""

Check = Callable[[], None]
"""Called every few tensors; raises to stop (cancel)."""


def read_tensor(stored: StoredTensor) -> Tensor:
    """One tensor in its shape on the disk. Raises `BadCheckpoint`."""
    return next(read_tensors({"": stored}))[1]


def read_tensors(index: Mapping[str, StoredTensor], check: Check = lambda: None) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of an index under its name there, file by file. Raises `BadCheckpoint` and what ``check`` raises."""
    rows = sorted(index.items(), key=lambda row: str(row[1].file))
    for file, group in groupby(rows, key=lambda row: row[1].file):
        check()
        read = _gguf if file.suffix.lower() == GGUF else _safetensors
        for count, row in enumerate(read(file, group)):
            if count % 16 == 0:
                check()
            yield row


def _safetensors(path: Path, rows: Iterable[tuple[str, StoredTensor]]) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            for name, stored in rows:
                tensor = file.get_tensor(stored.name)
                yield name, _scaled(tensor, file.get_tensor(stored.scale), stored) if stored.scale else tensor
    except SafetensorError as failure:
        raise BadCheckpoint(f"{path} is damaged: {failure}", field="model") from failure


def _scaled(tensor: Tensor, factor: Tensor, stored: StoredTensor) -> Tensor:
    """A weight of scaled fp8, float32: one factor for all of it, or one for each row."""
    factor = factor.float()
    if factor.numel() == 1:
        return tensor.float() * factor.reshape(())
    if factor.numel() != tensor.shape[0]:
        raise BadCheckpoint(
            f"{stored.file} scales {stored.name} by {list(factor.shape)} factors, which cannot be opened; use the bf16 file",
            field="model",
        )
    return tensor.float() * factor.reshape(-1, *[1] * (tensor.ndim - 1))


def _gguf(path: Path, rows: Iterable[tuple[str, StoredTensor]]) -> Iterator[tuple[str, Tensor]]:
    table = gguf_header.read_head(path).tensors
    data = np.asarray(np.memmap(path, np.uint8, mode="c"))  # private pages: torch wants writable memory
    for name, stored in rows:
        row = table[stored.name]
        yield name, _unpacked(data[row.offset : row.offset + row.size], row, path)


def _unpacked(data: np.ndarray, row: gguf_header.GgufTensor, path: Path) -> Tensor:
    """The numbers of a tensor: plain types mapped in memory, blocks as float32."""
    if row.type in PLAIN:
        kind = PLAIN[row.type]
        data = data if data.ctypes.data % kind.itemsize == 0 else data.copy()
        return torch.from_numpy(data).view(kind).reshape(row.shape)
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    try:
        numbers = dequantize(data.reshape(*row.shape[:-1], -1), GGMLQuantizationType[row.type])
    except (NotImplementedError, ValueError) as failure:
        raise BadCheckpoint(
            f"{path} holds tensors of the type {row.type}, which is not opened", field="model"
        ) from failure
    return torch.from_numpy(np.ascontiguousarray(numbers, dtype=np.float32)).reshape(row.shape)
