"""Everything a training stands on, checked before its first step: model, adapter, songs, memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from acestep.api import limits
from acestep.api.errors import BadRequest, ModelUnsuited
from acestep.api.training import TrainOptions, by_variant
from acestep.api.variants import ModelInfo
from acestep.checkpoints.inferred import read_config
from acestep.checkpoints.info import part_paths
from acestep.checkpoints.load import Target, load_silence
from acestep.runtime.devices import choose
from acestep.training.adapters.adapter import attach
from acestep.training.adapters.draw import Basis, seed_for
from acestep.training.adapters.encoders import load_dit, model_facts, null_condition
from acestep.training.adapters.memory import Need, estimate, free_bytes, require_room
from acestep.training.adapters.network import TrainedDit
from acestep.training.adapters.state import Identity
from acestep.training.adapters.store import Item, Prepared, Row, require_model, require_sizes
from acestep.training.masks import Padding

KEPT_BYTES = 4 * 2**30
"""Of tensors that stay in memory between epochs; what is beyond is read from the disk each time."""


@dataclass
class Setup:
    """A training's parts. ``rows`` are learned from, ``judged`` are listened to only."""

    prepared: Prepared
    info: ModelInfo
    options: TrainOptions
    network: TrainedDit
    padding: Padding
    basis: Basis
    identity: Identity
    rows: tuple[Row, ...]
    judged: tuple[Row, ...]
    device: torch.device
    dtype: torch.dtype
    need: Need
    checkpointing: bool
    notes: list[str] = field(default_factory=list)
    _kept: dict[str, Item] = field(default_factory=dict)
    _bytes: int = 0

    def read(self, row: Row) -> Item:
        """A row's tensors, from memory where they fit. Raises `BadCheckpoint`."""
        if row.id in self._kept:
            return self._kept[row.id]
        item = self.prepared.read(row)
        size = sum(tensor.nbytes for tensor in (item.mean, item.states, item.std, item.context) if tensor is not None)
        if self._bytes + size <= KEPT_BYTES:
            self._kept[row.id] = item
            self._bytes += size
        return item


def set_up(prepared: Prepared, info: ModelInfo, options: TrainOptions) -> Setup:
    """Open the model, put the adapter into it, and see that all fits.

    Raises `ModelUnsuited` for tensors of another model, `BadRequest` when no song is left to learn from, `OutOfMemory`.
    """
    manifest = prepared.manifest
    facts = model_facts(info)
    require_model(manifest, facts)
    rows = tuple(row for row in manifest.rows if not row.validation)
    judged = tuple(row for row in manifest.rows if row.validation)
    if not rows:
        raise BadRequest(
            "every song of the dataset is used for validation, so none is left for training", field="prepared"
        )
    choice, parts = choose(options.device, options.dtype), part_paths(info)
    null, flow = (
        null_condition(parts),
        by_variant(options, info.defaults, read_config(parts.transformer, "transformer")),
    )
    longest, tokens = _largest(prepared, (*rows, *judged), null.shape[-1])
    network = load_dit(parts, Target(choice.device, choice.dtype, lambda: None))
    attach(network, options.shape, seed_for(options.seed, "adapter"))
    crop = int(options.crop_seconds * limits.FRAMES_PER_SECOND)
    need, checkpointing = _need(network, options, min(longest, crop or longest), tokens, choice.device)
    if checkpointing:
        network.enable_gradient_checkpointing()
    return Setup(
        prepared, info, options, network, Padding(network), Basis(options, flow, load_silence(parts), null.float()),
        Identity(model=facts.digest, dataset=manifest.dataset), rows, judged, choice.device, choice.dtype, need, checkpointing,
        notes=[*choice.notes, *manifest.notes],
    )  # fmt: skip


def _largest(prepared: Prepared, rows: tuple[Row, ...], width: int) -> tuple[int, int]:
    """Frames of the longest song and tokens of the longest condition; sizes are checked on the way. Raises `ModelUnsuited`."""
    tokens = 1
    for row in rows:
        item = prepared.read(row)
        require_sizes(item, row, width)
        tokens = max(tokens, len(item.states))
        if not len(item.mean):
            raise ModelUnsuited(f"{row.name} has no latents; prepare it again", field="prepared")
    return max(row.frames for row in rows), tokens


def _need(
    network: TrainedDit, options: TrainOptions, frames: int, tokens: int, device: torch.device
) -> tuple[Need, bool]:
    """What the training needs, and whether activations are computed twice to fit. Raises `OutOfMemory`."""
    free = free_bytes(device)
    needs = {on: estimate(network, options, frames, tokens, checkpointing=on) for on in (False, True)}
    if device.type == "cpu":  # the weights are in memory already, or mapped from their files
        needs = {on: Need(weights=0, adapter=need.adapter, activations=need.activations) for on, need in needs.items()}
    elif free is not None:
        free += needs[True].weights
    fits = free is None or needs[False].total <= free
    checkpointing = options.checkpointing == "on" or (options.checkpointing == "auto" and not fits)
    require_room(needs[checkpointing], free, device)
    return needs[checkpointing], checkpointing
