"""Where a training stands, on disk: one file, whole or not at all, with everything that the next step follows from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from acestep.api.errors import BadCheckpoint, BadRequest, NumericFailure
from acestep.api.training import TrainOptions
from acestep.training.adapters.store import finite
from acestep.training.adapters.writing import save_whole
from acestep.training.errors import CheckpointUnreadable
from acestep.training.run import read_state, state_file

FORMAT, VERSION = "acestep-bridge-adapter-training", 1

FIXED = ("shape", "batch", "accumulation", "optimiser", "seed", "timesteps", "condition_dropout", "loss", "sample_latents",
         "crop_seconds")  # fmt: skip
"""Settings that a training keeps to its end. The others may be changed when it continues."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a training is: finished steps in all, the epoch, its step, and the batches of that step that are done."""

    step: int = 0
    epoch: int = 0
    group: int = 0
    micro: int = 0


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a training belongs to: it cannot continue on another model or another dataset."""

    model: str
    dataset: str


@dataclass
class RunState:
    """A training's state. ``sums``: loss and steps of the epoch so far; ``chunk``: songs that fit into memory at once."""

    identity: Identity
    options: TrainOptions
    place: Place = field(default_factory=Place)
    adapter: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    sums: tuple[float, int] = (0.0, 0)
    step_loss: float = 0.0
    best: float | None = None
    chunk: int = 0
    finished: bool = False


def save_state(folder: Path, state: RunState) -> None:
    """Put a state in the place of the one before. Raises `DiskFull`, `OutputUnwritable`; `NumericFailure` keeps the old one."""
    if not all(finite(tensor) for tensor in state.adapter.values()):
        raise NumericFailure("the adapter's weights are not numbers any more", field="learning_rate")
    data = {
        "format": FORMAT,
        "version": VERSION,
        "identity": msgspec.to_builtins(state.identity),
        "options": msgspec.to_builtins(state.options),
        "place": msgspec.to_builtins(state.place),
        "best": state.best,
        "sums": list(state.sums),
        **{name: getattr(state, name) for name in _PLAIN},
    }
    save_whole(state_file(folder), lambda path: torch.save(data, path))


_PLAIN = ("adapter", "gradients", "optimiser", "scaler", "history", "step_loss", "chunk", "finished")


def load_state(folder: Path) -> RunState | None:
    """The saved state; None where no training began. Raises `BadCheckpoint`."""
    path = state_file(folder)
    if not path.is_file():
        return None
    try:
        data = read_state(path)
        if not isinstance(data, dict) or (data.get("format"), data.get("version")) != (FORMAT, VERSION):
            raise KeyError("format")
        return RunState(
            identity=msgspec.convert(data["identity"], Identity),
            options=msgspec.convert(data["options"], TrainOptions),
            place=msgspec.convert(data["place"], Place),
            best=data["best"],
            sums=(float(data["sums"][0]), int(data["sums"][1])),
            **{name: data[name] for name in _PLAIN},
        )
    except (CheckpointUnreadable, KeyError, msgspec.ValidationError, TypeError, IndexError) as failure:
        raise BadCheckpoint(
            f"{path} is not a training of this version; name another folder to begin a new one", field="out"
        ) from failure


def require_same(state: RunState, identity: Identity, options: TrainOptions) -> None:
    """Refuse to continue what is another training. Raises `BadRequest`, naming what differs and both values."""
    for name, words in (("model", "another model"), ("dataset", "another dataset, or other labels")):
        if getattr(state.identity, name) != getattr(identity, name):
            raise BadRequest(
                f"the training in this folder started with {words}; name another folder to begin a new one", field=name
            )
    old, new = _flat(state.options), _flat(options)
    changed = [name for name in old if old[name] != new[name]]
    if changed:
        name = changed[0]
        raise BadRequest(
            f"the training in this folder has {name} {_words(old[name])}, not {_words(new[name])}; name another folder to begin a "
            "new one",
            field=name,
            limits={"value": old[name]},
        )


def _flat(options: TrainOptions) -> Mapping[str, Any]:
    fixed = {name: getattr(options, name) for name in FIXED if name != "shape"}
    return {**msgspec.to_builtins(options.shape), **fixed}


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
