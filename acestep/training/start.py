"""Continuing from a shipped checkpoint: its averaged weights in full precision, a fresh optimiser, its own tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from acestep.checkpoints.mapping import to_diffusers
from acestep.networks.nano_codec import NanoCodec
from acestep.training.dit.dit_model import NanoModel
from acestep.training.errors import StartUnsuited
from acestep.training.export_layout import CODEC_FOLDER, DIT_FOLDER, MODULES, TEXT_FOLDER
from acestep.training.run import state_file
from acestep.training.weights import save_weights

START_SHARE = 0.5
"""Of the learning rate of a run from nothing: at all of it finished weights get worse for many minutes."""


def start_model(model: NanoModel, checkpoint: Path, run: Path) -> None:
    """Load a bundle's weights into `model` and give the run its tokenizer. Raises `StartUnsuited`."""
    tensors: dict[str, dict[str, torch.Tensor]] = {component: {} for component in MODULES}
    for name, value in _read(checkpoint / DIT_FOLDER / "model.safetensors").items():
        component, ours = to_diffusers(name) or ("", "")
        tensors.setdefault(component, {})[ours] = value.float()
    for component, module in MODULES.items():
        _fill(getattr(model, module), tensors[component], checkpoint)
    text = {name: value.float() for name, value in _read(checkpoint / TEXT_FOLDER / "model.safetensors").items()}
    _fill(model.text_encoder, text, checkpoint)
    for source in (checkpoint / TEXT_FOLDER).glob("tokenizer*"):
        (run / "tokenizer").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, run / "tokenizer" / source.name)


def start_run(folder: Path, checkpoint: Path) -> None:
    """Make `folder` a run that `evaluate` can play: a bundle's weights, no training. A run that has weights keeps them.
    Raises `StartUnsuited` or `CheckpointUnwritable`.
    """
    if not state_file(folder).is_file():
        model = NanoModel()
        start_model(model, checkpoint, folder)
        save_weights(folder, model.state_dict())


def start_codec(codec: NanoCodec, checkpoint: Path) -> None:
    """Load a bundle's codec. Raises `StartUnsuited`."""
    weights = _read(checkpoint / CODEC_FOLDER / "diffusion_pytorch_model.safetensors")
    _fill(codec, {name: value.float() for name, value in weights.items()}, checkpoint)


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise StartUnsuited(path, "there is no such file")
    return load_file(path)


def _fill(module: nn.Module, weights: dict[str, torch.Tensor], checkpoint: Path) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise StartUnsuited(checkpoint, "its networks have other sizes than this version trains") from error
