"""The layers of a checkpoint by name: their shapes from the files' headers, and single weights out of them.

A layer is named ``component/module`` in diffusers' names, whatever the layout: ``transformer/layers.0.self_attn.to_q``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from acestep.checkpoints.layout import Parts, locate, tensor_table, weight_files
from acestep.checkpoints.mapping import COMPONENTS, to_diffusers, to_original

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT = ".weight"


def layer_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Layer -> shape of its weight, for every layer with a matrix of the checkpoint's own networks. No torch.

    Raises `ModelMissing`, `BadCheckpoint`.
    """
    parts = locate(path)
    found = {}
    for component in COMPONENTS.values():
        for file in weight_files(getattr(parts, component)):
            for name, (shape, _, _) in tensor_table(file).items():
                mapped = (component, name) if parts.diffusers else to_diffusers(name)
                if mapped and mapped[0] == component and len(shape) >= 2 and mapped[1].endswith(WEIGHT):
                    found[f"{component}/{mapped[1].removesuffix(WEIGHT)}"] = shape
    return found


class BaseWeights:
    """Weights as the checkpoint's files have them, before any adapter."""

    def __init__(self, path: Path) -> None:
        self._parts = locate(path)
        self._files: dict[str, dict[str, Path]] = {}

    def read(self, layer: str) -> Tensor:
        """The weight of one layer, on the CPU in the file's own type."""
        from safetensors import safe_open

        component, _, module = layer.partition("/")
        name = f"{module}{WEIGHT}" if self._parts.diffusers else to_original(component, f"{module}{WEIGHT}")
        with safe_open(self._places(component)[name], framework="pt", device="cpu") as file:
            return file.get_tensor(name)

    def _places(self, component: str) -> dict[str, Path]:
        if component not in self._files:
            self._files[component] = _places(self._parts, component)
        return self._files[component]


def _places(parts: Parts, component: str) -> dict[str, Path]:
    return {name: file for file in weight_files(getattr(parts, component)) for name in tensor_table(file)}
