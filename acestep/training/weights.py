"""What other commands take from a finished run: its averaged weights, and the codec that it stands on."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from acestep.api.errors import AceError
from acestep.checkpoints.load import Target, load_codec
from acestep.networks.nano_codec import NanoCodec
from acestep.training.errors import CheckpointUnreadable, CodecUnreadable, RunMissing
from acestep.training.run import read_state, save_atomically, state_file


def averaged_weights(run: Path) -> dict[str, Tensor]:
    """Of a DiT run, by name; what is not averaged as it is. Raises `RunMissing` or `CheckpointUnreadable`."""
    path = state_file(run)
    if not path.is_file():
        raise RunMissing(path)
    state = read_state(path)
    try:
        return state["model"] | state["ema"]
    except KeyError as missing:  # a run of the codec, say
        raise CheckpointUnreadable(path, missing) from missing


def save_weights(run: Path, weights: dict[str, Tensor]) -> None:
    """Make a folder a run that has these weights and was never trained. Raises `CheckpointUnwritable`."""
    save_atomically(state_file(run), lambda path: torch.save({"model": weights, "ema": {}}, path))


def save_codec(codec: NanoCodec, folder: Path) -> None:
    """Write a ``vae`` folder: config and weights in the codec's number format."""
    folder.mkdir(parents=True, exist_ok=True)
    config = json.dumps({"_class_name": type(codec).__name__, **codec.sizes}, indent=2)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")
    weights = {name: value.contiguous() for name, value in codec.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def open_codec(folder: Path) -> NanoCodec:
    """The codec of a ``vae`` folder, in single precision. Raises `CodecUnreadable`."""
    if not (folder / "config.json").is_file():
        raise CodecUnreadable(folder, FileNotFoundError("there is no config.json"))
    try:
        found = load_codec(folder, Target(torch.device("cpu"), torch.float32, lambda: None))
    except (OSError, AceError) as failure:
        raise CodecUnreadable(folder, failure) from failure
    if not isinstance(found, NanoCodec):
        raise CodecUnreadable(folder, TypeError(f"it is a {type(found).__name__}"))
    return found.requires_grad_(True)
