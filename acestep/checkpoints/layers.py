"""The layers of a checkpoint by name: their shapes from the files' headers, and single weights out of them.

A layer is named ``component/module`` in diffusers' names, whatever the layout: ``transformer/layers.0.self_attn.to_q``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from acestep.checkpoints.info import part_paths
from acestep.checkpoints.layout import own_networks
from acestep.checkpoints.weights import tensor_index

if TYPE_CHECKING:
    from torch import Tensor

    from acestep.api.variants import ModelInfo

WEIGHT = ".weight"


def layer_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Layer -> shape of its weight, for every layer with a matrix of the checkpoint's own networks. No torch.

    Raises `ModelMissing`, `BadCheckpoint`.
    """
    return {
        f"{component}/{name.removesuffix(WEIGHT)}": stored.shape
        for component, place in own_networks(path).items()
        for name, stored in tensor_index(place, component).items()
        if len(stored.shape) >= 2 and name.endswith(WEIGHT)
    }


class BaseWeights:
    """Weights as the checkpoint's files have them, before any adapter."""

    def __init__(self, info: ModelInfo) -> None:
        self._parts = part_paths(info)

    def read(self, layer: str) -> Tensor:
        """The weight of one layer, on the CPU in the file's own type (blocks of GGUF as float32)."""
        from acestep.checkpoints.tensors import read_tensor

        component, _, module = layer.partition("/")
        return read_tensor(tensor_index(getattr(self._parts, component), component)[f"{module}{WEIGHT}"])
