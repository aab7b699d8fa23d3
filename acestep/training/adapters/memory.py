"""What a training needs in memory, told before it begins, and refused with figures where it cannot fit."""

from __future__ import annotations

import math
import os
from typing import Any

import msgspec
import torch
from torch import nn

from acestep.api.errors import OutOfMemory
from acestep.api.training import TrainOptions
from acestep.checkpoints.memory import GB, SKIP, free_ram
from acestep.runtime.devices import free_gb
from acestep.training.adapters.adapter import trained_parameters

OPTIMISER_BYTES = {"adamw": 8, "adamw8bit": 2, "adafactor": 0.1, "prodigy": 16}
"""Per trained number, besides its value and its gradient in float32."""

HIDDEN_SAVED, WIDE_SAVED, CONDITION_SAVED = 15.0, 4.0, 2.0
"""What a block keeps for the way back, per patch in hidden sizes and MLP sizes, per condition token in key sizes. Counted on the
tiny and the nano model (`tests/acestep/training/adapters/test_memory.py` counts again)."""

RESERVE = 0.3 * GB
"""For the program itself and what is computed between two layers."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a training: weights of the model, the adapter with gradients and optimiser, what is kept for the way back."""

    weights: int
    adapter: int
    activations: int

    @property
    def total(self) -> int:
        return int(self.weights + self.adapter + self.activations + RESERVE)


def estimate(network: nn.Module, options: TrainOptions, frames: int, tokens: int, *, checkpointing: bool) -> Need:
    """The need of a network with its adapter, for batches of songs of so many latent frames and condition tokens."""
    trained = sum(parameter.numel() for parameter in trained_parameters(network).values())
    weights = sum(
        parameter.numel() * parameter.element_size()
        for parameter in network.parameters()
        if not parameter.requires_grad
    )
    config: dict[str, Any] = dict(network.config)  # type: ignore[arg-type]  # diffusers' own mapping
    width = next(parameter.element_size() for parameter in network.parameters() if not parameter.requires_grad)
    songs = options.at_once()
    patches = -(-frames // int(config["patch_size"])) * songs
    block = patches * (HIDDEN_SAVED * config["hidden_size"] + WIDE_SAVED * config["intermediate_size"])
    block += tokens * songs * CONDITION_SAVED * config["num_key_value_heads"] * config["head_dim"]
    layers = int(config["num_hidden_layers"])
    kept = block + layers * patches * config["hidden_size"] if checkpointing else layers * block
    return Need(
        weights=weights,
        adapter=int(trained * (8 + OPTIMISER_BYTES[options.optimiser])),
        activations=int(kept * width),
    )


def free_bytes(device: torch.device) -> int | None:
    """What is free where a training runs; None where nobody can tell."""
    if device.type == "cpu":
        return free_ram()
    free = free_gb(device)
    return None if free is None else int(free * 2**30)


def require_room(need: Need, free: int | None, device: torch.device) -> None:
    """Refuse a training that cannot fit, with what it needs and what would make it smaller. Raises `OutOfMemory`."""
    if free is None or need.total <= free or os.environ.get(SKIP, "").strip().lower() in ("1", "true", "yes"):
        return
    parts = f"model {need.weights / GB:.1f}, adapter {need.adapter / GB:.1f}, batch {need.activations / GB:.1f}"
    left = math.floor(free / GB * 10) / 10
    raise OutOfMemory(
        f"the training needs about {need.total / GB:.1f} GB on {device.type} ({parts}) and {left:.1f} GB are free; take"
        " crop_seconds 60, a smaller rank or model, or close other programs",
        field="batch",
        limits={"need_bytes": need.total, "free_bytes": free},
    )
