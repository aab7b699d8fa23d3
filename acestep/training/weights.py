"""What other commands take from a finished run: its averaged weights, and the codec that it stands on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

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


def open_codec(folder: Path) -> NanoCodec:
    """The codec of a ``vae`` folder, in single precision. Raises `CodecUnreadable`."""
    if not (folder / "config.json").is_file():
        raise CodecUnreadable(folder, FileNotFoundError("there is no config.json"))
    try:
        return NanoCodec.from_pretrained(folder, use_safetensors=True, local_files_only=True).eval()
    except (OSError, ValueError, RuntimeError) as failure:
        raise CodecUnreadable(folder, failure) from failure
