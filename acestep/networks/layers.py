"""The layers that ACE-Step's networks are made of, under the names that diffusers gives their weights.

Only what a forward pass without gradients needs, and torch alone: diffusers' own classes bring a compiler, hub clients and
adapters along, five seconds of a processor before the first note. `tests/acestep/networks` compares the two.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SLIDING, FULL = "sliding_attention", "full_attention"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What all layers of a network have in common; the fields are those of a published ``config.json``."""

    hidden_size: int = 2048
    intermediate_size: int = 6144
    num_attention_heads: int = 16
    num_key_value_heads: int = 8
    head_dim: int = 128
    rope_theta: float = 1_000_000.0
    attention_bias: bool = False
    rms_norm_eps: float = 1e-6
    sliding_window: int = 128

    def windows(self, count: int, layer_types: Sequence[str] | None) -> list[int | None]:
        """Each layer's window: as listed, else sliding and full in turns. Raises `ValueError` for a list that is too short."""
        kinds = layer_types or [FULL if index % 2 else SLIDING for index in range(count)]
        if len(kinds) < count:
            raise ValueError(f"layer_types names {len(kinds)} of {count} layers")
        return [self.sliding_window if kind == SLIDING else None for kind in kinds[:count]]


_scratch = threading.local()


def widened(weight: Tensor) -> Tensor:
    """A weight as float32; on a CPU in memory that all layers of a thread share, where it holds until the next call."""
    if weight.device.type != "cpu":
        return weight.float()
    buffer: Tensor | None = getattr(_scratch, "buffer", None)
    if buffer is None or buffer.numel() < weight.numel():
        with torch.inference_mode(False):
            buffer = _scratch.buffer = torch.empty(weight.numel())
    return buffer[: weight.numel()].view(weight.shape).copy_(weight)


class Linear(nn.Linear):
    """A linear layer that may keep its weight as bfloat16 and compute in float32.

    Half the memory, or none where the file stays mapped, and the same result to the bit for a few per cent of time: a processor
    without bfloat16 arithmetic would take several times as long in it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        weight = self.weight
        if weight.dtype is torch.bfloat16 and x.dtype is torch.float32:
            weight = widened(weight)
        return functional.linear(x, weight, self.bias)


class Embedding(nn.Module):
    """Token ids -> vectors. (torch's own draws its first weights, which for weightless modules loads a compiler.)"""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(tokens, width))

    def forward(self, ids: Tensor) -> Tensor:
        """[B, L] -> [B, L, width], as the table is kept."""
        return functional.embedding(ids, self.weight)


class RmsNorm(nn.Module):
    """Root-mean-square norm of the last dimension."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """[..., size] -> the same, by the fused kernel where the device has one."""
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


class GatedMlp(nn.Module):
    """SwiGLU: a gate by SiLU, two matrices up and one down, no biases."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.gate_proj = Linear(hidden_size, intermediate_size, bias=False)
        self.up_proj = Linear(hidden_size, intermediate_size, bias=False)
        self.down_proj = Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] -> [..., hidden]."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Attention(nn.Module):
    """The weights of grouped-query attention with normalised queries and keys; `acestep.networks.attention` computes with them.

    ``sliding_window``: patches to either side that a query sees; None for all.
    """

    def __init__(self, sizes: Sizes, sliding_window: int | None = None) -> None:
        super().__init__()
        width, bias = sizes.hidden_size, sizes.attention_bias
        self.heads, self.kv_heads, self.head_dim = sizes.num_attention_heads, sizes.num_key_value_heads, sizes.head_dim
        self.sliding_window = sliding_window
        self.to_q = Linear(width, self.heads * self.head_dim, bias=bias)
        self.to_k = Linear(width, self.kv_heads * self.head_dim, bias=bias)
        self.to_v = Linear(width, self.kv_heads * self.head_dim, bias=bias)
        self.to_out = nn.ModuleList([Linear(self.heads * self.head_dim, width, bias=bias)])
        self.norm_q = RmsNorm(self.head_dim, sizes.rms_norm_eps)
        self.norm_k = RmsNorm(self.head_dim, sizes.rms_norm_eps)
