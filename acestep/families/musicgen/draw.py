"""Codes drawn by the library's own ``generate``, with progress and cancel at every token."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from acestep.families.musicgen.network import Model

ONE_AT_A_TIME = threading.Lock()
"""The library draws from the process's own random numbers."""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """How codes are drawn. ``guidance`` 1 is none; ``top_k`` 0 and ``top_p`` 1 leave all codes in play."""

    guidance: float = 3.0
    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 1.0

    def to_library(self) -> dict[str, Any]:
        """Arguments of ``generate``."""
        return {
            "do_sample": True,
            "guidance_scale": self.guidance,
            "temperature": self.temperature,
            "top_k": self.top_k,
            "top_p": self.top_p,
        }


@dataclass(frozen=True)
class Told:
    """What the model is told: a description as tokens [1, n], and the melody to follow [frames, 12], of models that can."""

    words: Tensor
    melody: Tensor | None = None

    def to_library(self, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
        """Arguments of ``generate``."""
        ids = self.words.to(device)
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if self.melody is not None:
            given["input_features"] = self.melody[None].to(device, dtype)
        return given


@dataclass
class EveryToken:
    """A step of the library's loop that changes nothing and is called once for each token. What ``heard`` raises ends the loop;
    the network can be used afterwards."""

    heard: Callable[[], None]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores as they are."""
        self.heard()
        return scores


def delay(model: Model) -> int:
    """Tokens beyond the frames: every codebook (of a channel) is drawn one token later than the one before."""
    return model.layout.codebooks // (2 if model.layout.stereo else 1) - 1


def token_ids(model: Model, text: str) -> Tensor:
    """A description as tokens [1, n]."""
    return torch.tensor([model.tokenizer.encode(text).ids])


def continued(model: Model, told: Told, shown: Tensor, new: int, how: Draw, heard: Callable[[], None]) -> Tensor:
    """Codes [kept + new, C] that begin with ``shown`` [kept, C] and go on; draws from torch's global random numbers."""
    device = model.network.device
    given = {"decoder_input_ids": shown.T.contiguous().to(device)} if len(shown) else {}
    with torch.inference_mode(), caught_codes(model) as caught:
        model.network.generate(
            max_new_tokens=new + delay(model),
            logits_processor=[EveryToken(heard)],
            **told.to_library(device, model.dtype),
            **how.to_library(),
            **given,
        )
    codes = caught[0] if len(caught) == 1 else torch.stack(caught, 3).flatten(2, 3)
    return codes[0, 0].T.cpu()


@contextmanager
def caught_codes(model: Model) -> Iterator[list[Tensor]]:
    """What ``generate`` hands to the codec, [1, 1, books, T] a channel, in the place of its sound: the codec runs once, over all
    codes of a piece."""
    codec, found = model.network.audio_encoder, []

    def keep(codes: Tensor, *_: Any, **__: Any) -> SimpleNamespace:
        found.append(codes)
        return SimpleNamespace(audio_values=codes)

    codec.decode = keep
    try:
        yield found
    finally:
        del codec.decode


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """The process's random numbers begin at a seed, and are afterwards what they were. Held by one job at a time."""
    devices = [] if device.type == "cpu" else [device]
    kind = "cuda" if device.type == "cpu" else device.type
    with ONE_AT_A_TIME, torch.random.fork_rng(devices=devices, device_type=kind):
        torch.manual_seed(seed)
        yield
