"""The tensors of a checkpoint's parts under the networks' own names, wherever they lie. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints.files import read_json, tensor_table, weight_files
from acestep.checkpoints.mapping import CONVOLUTIONS
from acestep.checkpoints.weights import ACCESSORIES, StoredTensor, with_scales
from acestep.families.ace_step_v1.inferred import inferred_config
from acestep.families.ace_step_v1.layout import FOLDERS, PREFIXES, SPIECE, Parts
from acestep.families.ace_step_v1.published import TEXT, VOCODER
from acestep.families.ace_step_v1.unused import is_unused

TIED = "encoder.embed_tokens.weight"
"""The text encoder's second name for ``shared.weight``; some files store it again."""


def tensor_index(parts: Parts, part: str) -> dict[str, StoredTensor]:
    """Name -> where it lies, of every tensor of a part that is used. Raises `BadCheckpoint`, `ModelMissing`."""
    place = parts.places[part]
    prefix = PREFIXES[part] if place.is_file() else ""
    found: dict[str, StoredTensor] = {}
    for file in weight_files(place):
        for name, (shape, dtype, _) in tensor_table(file).items():
            if not name.startswith(prefix) or _is_left_out(part, plain := name.removeprefix(prefix)):
                continue
            for new, old in CONVOLUTIONS:
                plain = plain.replace(new, old)
            if plain in found:
                raise BadCheckpoint(f"{file} holds {plain}, which another shard holds too", field="model")
            found[plain] = StoredTensor(file, name, shape, dtype)
    return with_scales(found)


def _is_left_out(part: str, name: str) -> bool:
    """Whether a network does without a tensor."""
    if part == VOCODER:
        return name.startswith("mel_transform.")
    if part == TEXT:
        return name == TIED or name.rpartition(".")[2] in (*ACCESSORIES, SPIECE)
    return is_unused(name)


def read_config(parts: Parts, part: str) -> dict[str, Any]:
    """A part's config, from its file or (where there is none) from the shapes of its tensors. Raises `BadCheckpoint`."""
    place = parts.places[part]
    if not place.is_file():
        return read_json(place / "config.json")
    shapes = {name: stored.shape for name, stored in tensor_index(parts, part).items()}
    try:
        return inferred_config(part, shapes)
    except (LookupError, StopIteration) as failure:
        raise BadCheckpoint(f"{place.name} lacks tensors of {part} ({failure})", field="model") from failure


def stored_numbers(parts: Parts) -> dict[str, dict[str, int]]:
    """Part -> stored type -> how many numbers, for what memory it takes (`acestep.checkpoints.memory`)."""
    found: dict[str, dict[str, int]] = {}
    for part in FOLDERS:
        counts = found.setdefault(part, {})
        for stored in tensor_index(parts, part).values():
            counts[stored.dtype] = counts.get(stored.dtype, 0) + math.prod(stored.shape)
    return found


def layer_shapes(parts: Parts, part: str) -> Mapping[str, tuple[int, ...]]:
    """Layer -> shape of its weight, for every layer of a part with a matrix."""
    return {
        name.removesuffix(".weight"): stored.shape
        for name, stored in tensor_index(parts, part).items()
        if len(stored.shape) >= 2 and name.endswith(".weight")
    }
