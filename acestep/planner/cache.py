"""Keys and values of growing sequences in buffers of their final size.

transformers' dynamic cache copies everything it holds at every token, its static one attends to the whole buffer every
time. Here a token is written in place and attention reads only what has been written.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin


class FilledLayer(CacheLayerMixin):
    """One layer's keys and values: [rows, heads, capacity, head_dim], of which ``filled`` positions are in use."""

    is_sliding = False
    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.filled = 0
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """The buffers exist from the start."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write the new positions and return all that are in use, without copying."""
        end = self.filled + key_states.shape[-2]
        self.keys[:, :, self.filled : end] = key_states
        self.values[:, :, self.filled : end] = value_states
        self.filled = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length of the keys a query of this length sees, and where they begin."""
        return self.filled + query_length, 0

    def get_seq_length(self) -> int:
        """Positions in use."""
        return self.filled

    def get_max_length(self) -> int:
        """Positions there is room for."""
        return self.keys.shape[-2]

    def fill(self, row: int, keys: Tensor, values: Tensor, end: int) -> None:
        """Put a prompt's keys and values [heads, n, head_dim] into a row so that they end at ``end``."""
        start = end - keys.shape[-2]
        self.keys[row, :, start:end] = keys
        self.values[row, :, start:end] = values


def filled_layers(cache: Cache) -> list[FilledLayer]:
    """The layers of a cache that `allocate` made."""
    return [layer for layer in cache.layers if isinstance(layer, FilledLayer)]


def allocate(layers: int, shape: tuple[int, int, int, int], like: Tensor) -> Cache:
    """An empty cache: ``shape`` is (rows, heads, capacity, head_dim), type and device are those of ``like``.

    Zeros, not raw memory: left padding is masked, but a stray NaN times zero would still be one.
    """
    return Cache(
        layers=[
            FilledLayer(
                torch.zeros(shape, dtype=like.dtype, device=like.device),
                torch.zeros(shape, dtype=like.dtype, device=like.device),
            )
            for _ in range(layers)
        ]
    )
