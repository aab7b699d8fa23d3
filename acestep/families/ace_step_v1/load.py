"""Opens a v1 checkpoint: strictly, mapped in memory, leaving out what takes no part in the maths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import UMT5EncoderModel

from acestep.api.variants import ModelInfo
from acestep.checkpoints.architecture import materialise_buffers
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.files import weight_files
from acestep.checkpoints.load import Check, Placement, Target
from acestep.checkpoints.tensors import read_tensors
from acestep.families.ace_step_v1 import architecture
from acestep.families.ace_step_v1.codec import MusicCodec
from acestep.families.ace_step_v1.layout import Parts, locate
from acestep.families.ace_step_v1.published import AUTOENCODER, TEXT, TRANSFORMER, VOCODER
from acestep.families.ace_step_v1.text import PromptEncoder, load_tokenizer
from acestep.families.ace_step_v1.transformer import Transformer
from acestep.families.ace_step_v1.vocoder import Vocoder, fuse_weight_norm
from acestep.families.ace_step_v1.weights import TIED, read_config, tensor_index

WORK = {"words": (TEXT,), "denoise": (TRANSFORMER,), "codec": (AUTOENCODER, VOCODER)}
"""Kinds of work and the networks they need on the device."""

OFFLOADABLE = (TEXT, AUTOENCODER)
"""What leaves the device after its work where memory is short: all but the vocoder and the transformer."""

RESIDENT = (VOCODER,)
"""What stays on the device even where only what works should be there: it is small, and works to the end of every job."""

Build = Callable[[dict[str, Any]], nn.Module]


@dataclass
class Model:
    """An opened checkpoint. ``adapters`` are merged into the transformer, in order."""

    parts: Parts
    digest: str
    transformer: Transformer
    autoencoder: Any
    vocoder: Vocoder
    text_encoder: UMT5EncoderModel
    tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype
    codec_digest: str
    text_digest: str
    adapters: list[Any] = field(default_factory=list)
    info: ModelInfo | None = None
    """What the daemon knows of it; set by whoever opens it for jobs."""

    @property
    def work(self) -> Mapping[str, tuple[str, ...]]:
        """Kinds of work and the networks they need."""
        return WORK

    @property
    def offloadable(self) -> tuple[str, ...]:
        """What leaves the device after its work where memory is short."""
        return OFFLOADABLE

    @property
    def resident(self) -> tuple[str, ...]:
        """What never leaves the device while the model is at work."""
        return RESIDENT

    def networks(self) -> dict[str, nn.Module]:
        """The networks by part, in the order in which a job uses them: for offloading and accounting."""
        return {
            TEXT: self.text_encoder,
            TRANSFORMER: self.transformer,
            AUTOENCODER: self.autoencoder,
            VOCODER: self.vocoder,
        }

    @property
    def codec(self) -> MusicCodec:
        """Sound to latents and back."""
        return MusicCodec(self.autoencoder, self.vocoder)

    @property
    def prompts(self) -> PromptEncoder:
        """Text to states."""
        return PromptEncoder(self.text_encoder, self.tokenizer)


def supported_dtype(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """The number format that the model is opened in: on Macs always float32, since it fails there in bfloat16 and float16."""
    return torch.float32 if device.type == "mps" else dtype


def open_checkpoint(
    path: Path,
    *,
    near: Iterable[Path] = (),
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    check: Check = lambda: None,
) -> Model:
    """The checkpoint at ``path`` (any place that `locate` knows), ready to run.

    Raises `ModelMissing` for missing or incomplete files and `BadCheckpoint` for missing, extra or wrongly shaped tensors and forms
    that are not opened; both name what is wrong. ``check`` is called every few tensors and may raise to stop.
    """
    parts, place = locate(path, near), torch.device(device)
    target = Target(place, supported_dtype(place, dtype), check)
    networks: dict[str, Any] = {part: _open(parts, part, build, target) for part, build in _BUILDERS.items()}
    return Model(
        parts=parts,
        digest=weights_digest(parts.files()),
        transformer=networks[TRANSFORMER],
        autoencoder=networks[AUTOENCODER],
        vocoder=networks[VOCODER],
        text_encoder=networks[TEXT],
        tokenizer=load_tokenizer(parts.tokenizer),
        device=target.device,
        dtype=target.dtype,
        codec_digest=weights_digest(_files(parts, AUTOENCODER, VOCODER)),
        text_digest=weights_digest(_files(parts, TEXT)),
    )


def _files(parts: Parts, *names: str) -> list[Path]:
    return list(dict.fromkeys(file for name in names for file in weight_files(parts.places[name])))


_BUILDERS: dict[str, Build] = {
    TRANSFORMER: architecture.build_transformer,
    AUTOENCODER: architecture.build_autoencoder,
    VOCODER: architecture.build_vocoder,
    TEXT: architecture.build_text_encoder,
}


def open_part(parts: Parts, part: str, target: Target) -> Any:
    """One network alone. Raises `BadCheckpoint`."""
    return _open(parts, part, _BUILDERS[part], target)


def _open(parts: Parts, part: str, build: Build, target: Target) -> nn.Module:
    """One network with its weights."""
    module = build(read_config(parts, part))
    fit = Placement({name: (module, name) for name in module.state_dict() if not (part == TEXT and name == TIED)})
    for name, tensor in _tensors(parts, part, target.check):
        fit.put(name, tensor, target)
    fit.finish(f"{parts.name}: {part}")
    if isinstance(module, UMT5EncoderModel):
        module.set_input_embeddings(module.shared)
    materialise_buffers(module, target.device)
    return module


def _tensors(parts: Parts, part: str, check: Check) -> Iterator[tuple[str, Tensor]]:
    tensors = read_tensors(tensor_index(parts, part), check)
    return fuse_weight_norm(tensors) if part == VOCODER else tensors
