"""The networks that preparing needs, opened one at a time and given back before the next."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from acestep.api.variants import ModelInfo
from acestep.checkpoints.architecture import build_component
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.files import weight_files
from acestep.checkpoints.info import part_paths
from acestep.checkpoints.layout import Parts
from acestep.checkpoints.load import Target, fill, load_codec, load_silence, load_text_encoder
from acestep.checkpoints.tensors import read_tensor, read_tensors
from acestep.checkpoints.text_tokenizer import Words, load_text_tokenizer
from acestep.checkpoints.weights import SILENCE, tensor_index
from acestep.codec.latent_codec import Codec
from acestep.conditioning.condition_cache import TIMBRE_FRAMES, embed_lyrics, encode_text
from acestep.conditioning.context import silence
from acestep.conditioning.prompts import Prompt
from acestep.networks.condition import ConditionEncoder
from acestep.networks.text_encoder import TextEncoder
from acestep.runtime.devices import free_cache
from acestep.training.adapters.network import TrainedDit
from acestep.training.adapters.store import ModelFacts


@dataclass(frozen=True)
class TextReader:
    """The text encoder with its tokenizer: what prompts become before the condition encoder packs them."""

    text_encoder: TextEncoder
    text_tokenizer: Words

    def read(self, prompt: Prompt) -> dict[str, Tensor]:
        """``text`` [L, D] and ``lyrics`` [M, D] of a prompt, as the renderer makes them."""
        return {"text": encode_text(self, prompt)[0], "lyrics": embed_lyrics(self, prompt)[0]}


def model_facts(info: ModelInfo) -> ModelFacts:
    """The digests of a checkpoint's networks. Raises `ModelMissing`, `BadCheckpoint`."""
    parts = part_paths(info)
    return ModelFacts(
        name=info.name,
        variant=info.variant,
        digest=weights_digest(weight_files(parts.transformer)),
        codec=weights_digest(weight_files(parts.vae)),
        text=weights_digest(weight_files(parts.text_encoder)),
        condition=weights_digest(weight_files(parts.condition_encoder)),
    )


@contextmanager
def opened_codec(parts: Parts, target: Target) -> Iterator[Codec]:
    """The codec alone, for as long as it is needed."""
    yield Codec(load_codec(parts.vae, target))
    _give_back(target)


@contextmanager
def opened_reader(parts: Parts, target: Target) -> Iterator[TextReader]:
    """The text encoder alone."""
    yield TextReader(load_text_encoder(parts.text_encoder, target), load_text_tokenizer(parts.text_tokenizer))
    _give_back(target)


@contextmanager
def opened_packer(parts: Parts, target: Target) -> Iterator[Packer]:
    """The condition encoder alone."""
    yield Packer(load_network("condition_encoder", parts, target), load_silence(parts))
    _give_back(target)


@dataclass(frozen=True)
class Packer:
    """The condition encoder, with silence as the reference for the timbre."""

    encoder: nn.Module
    silence: Tensor

    def pack(self, words: dict[str, Tensor]) -> Tensor:
        """What the text encoder made of a prompt -> states [L, H]."""
        assert isinstance(self.encoder, ConditionEncoder)
        timbre = silence(self.silence, TIMBRE_FRAMES)
        return self.encoder.encode(words["text"][None], words["lyrics"][None], timbre)[0]


def load_network(name: str, parts: Parts, target: Target, kind: type[nn.Module] | None = None) -> nn.Module:
    """One of a checkpoint's own networks, without the others; ``kind``: as another class.

    Raises `ModelMissing`, `BadCheckpoint`.
    """
    place = getattr(parts, name)
    index = {key: stored for key, stored in tensor_index(place, name).items() if key != SILENCE}
    return fill(build_component(name, parts, kind), read_tensors(index, target.check), target, f"{place.name}, {name}")


def load_dit(parts: Parts, target: Target) -> TrainedDit:
    """The transformer alone, in the class that trains: training needs no other network."""
    found = load_network("transformer", parts, target, TrainedDit)
    assert isinstance(found, TrainedDit)
    return found


def null_condition(parts: Parts) -> Tensor:
    """The unconditional condition [1, 1, H]. Raises `BadCheckpoint`."""
    return read_tensor(tensor_index(parts.condition_encoder, "condition_encoder")["null_condition_emb"])


def _give_back(target: Target) -> None:
    gc.collect()
    free_cache(target.device)


def float32_on(device: torch.device) -> Target:
    """Where sounds are encoded: latents are kept for good, so they are made as exactly as possible."""
    return Target(device, torch.float32, lambda: None)
