"""What an exported graph is: a module, the names and shapes of what goes in and comes out, sizes to record and to check it at.

A dimension that varies is written as in the manifest: ``"tokens"``, or ``"2*patches"`` for one that is a multiple of another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int | str, ...]
Sizes = Mapping[str, int]
"""Varying dimension -> its size."""

MOST = 100_000
"""Largest size of a dimension that a graph is recorded for."""


@dataclass(frozen=True)
class Port:
    """An input or output of a graph. ``range`` is what examples of an input are drawn from: whole numbers for ``int64``, evenly;
    None: normally distributed."""

    name: str
    shape: Shape
    dtype: str = "float32"
    range: tuple[float, float] | None = None

    def draw(self, sizes: Sizes, generator: torch.Generator) -> Tensor:
        """An example of these sizes."""
        shape = [size_of(dimension, sizes) for dimension in self.shape]
        if self.dtype == "int64":
            low, high = self.range or (0, 2)
            return torch.randint(int(low), int(high), shape, generator=generator)
        if self.range is None:
            return torch.randn(shape, generator=generator)
        low, high = self.range
        return low + (high - low) * torch.rand(shape, generator=generator)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One file of an export.

    ``module`` is called with the inputs in order and holds float32 weights. ``truth`` computes the same outputs by the networks'
    own way, the one that jobs take. ``example`` are the sizes that it is recorded at, ``unseen`` those that it is checked at; no
    dimension has the same size in both.
    """

    name: str
    summary: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    truth: Callable[..., Sequence[Tensor]]
    example: Sizes
    unseen: tuple[Sizes, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a program has to know to use it, for the manifest."""
    whole: bool = False
    """Whether it stays float32 in a float16 export: its output are decisions, which would fall otherwise."""

    def __post_init__(self) -> None:
        repeated = [sizes for sizes in self.unseen if any(sizes[name] == size for name, size in self.example.items())]
        if repeated:
            raise ValueError(f"{self.name} would be checked at a size that it is recorded at: {repeated}")

    def draw(self, sizes: Sizes, seed: int = 0) -> tuple[Tensor, ...]:
        """Inputs of these sizes, the same for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        return tuple(port.draw(sizes, generator) for port in self.inputs)

    def dynamic_shapes(self) -> tuple[dict[int, Any], ...]:
        """The varying dimensions of each input, as the exporter takes them."""
        names = dict.fromkeys(base_of(one)[1] for port in self.inputs for one in port.shape if isinstance(one, str))
        dims = {name: torch.export.Dim(name, min=1, max=MOST) for name in names}
        return tuple(
            {place: _dim(one, dims) for place, one in enumerate(port.shape) if isinstance(one, str)}
            for port in self.inputs
        )


def base_of(dimension: str) -> tuple[int, str]:
    """``2*patches`` -> (2, "patches")."""
    times, star, name = dimension.partition("*")
    return (int(times), name) if star else (1, dimension)


def size_of(dimension: int | str, sizes: Sizes) -> int:
    """The size of a dimension."""
    if isinstance(dimension, int):
        return dimension
    times, name = base_of(dimension)
    return times * sizes[name]


def _dim(dimension: str, dims: Mapping[str, Any]) -> Any:
    times, name = base_of(dimension)
    return dims[name] if times == 1 else times * dims[name]
