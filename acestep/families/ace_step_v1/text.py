"""The prompt: UMT5's states of it, and the weak ones that entropy-rectifying guidance steers away from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import UMT5EncoderModel

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints.files import SAFETENSORS
from acestep.families.ace_step_v1.conditions import WEAK
from acestep.families.ace_step_v1.layout import SPIECE
from acestep.families.ace_step_v1.spiece import read_tokenizer

MAX_TOKENS = 256
"""Tokens of a prompt that the encoder gets; the rest is cut off."""

WEAK_BLOCKS = range(8, 10)
"""Encoder blocks whose queries are weakened."""


class PromptEncoder:
    """UMT5 with its tokenizer. An empty prompt is a prompt too: guidance's own null text is zeros, not the states of ""."""

    def __init__(self, encoder: UMT5EncoderModel, tokenizer: Tokenizer) -> None:
        self._encoder: Any = encoder
        self._tokenizer = tokenizer

    def token_count(self, text: str) -> int:
        """Tokens of a prompt, its end mark included; those beyond `MAX_TOKENS` are not heard."""
        return len(self._tokenizer.encode(text).ids)

    @torch.inference_mode()
    def encode(self, text: str) -> tuple[Tensor, Tensor]:
        """States, float32 [1, S, 768] on the CPU, and their mask [1, S]."""
        return self._states(text), torch.ones(1, len(self._ids(text)), dtype=torch.long)

    @torch.inference_mode()
    def encode_weakly(self, text: str) -> Tensor:
        """The weak states [1, S, 768] of a prompt."""
        with self._weakened():
            return self._states(text)

    def _ids(self, text: str) -> list[int]:
        """The tokens that fit; a prompt that is cut keeps its end mark."""
        ids = self._tokenizer.encode(text).ids
        return ids if len(ids) <= MAX_TOKENS else [*ids[: MAX_TOKENS - 1], ids[-1]]

    def _states(self, text: str) -> Tensor:
        ids = torch.tensor([self._ids(text)], device=self._encoder.shared.weight.device)
        states = self._encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return states.float().cpu()

    @contextmanager
    def _weakened(self) -> Iterator[None]:
        blocks = list(self._encoder.encoder.block)
        layers = [blocks[index].layer[0].SelfAttention.q for index in WEAK_BLOCKS if index < len(blocks)]
        hooks = [layer.register_forward_hook(_scaled_output) for layer in layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _scaled_output(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return output * WEAK


def load_tokenizer(place: Path) -> Tokenizer:
    """The tokenizer of a ``tokenizer.json``, or the one that a weight file carries. Raises `BadCheckpoint`."""
    if place.suffix.lower() == SAFETENSORS:
        return read_tokenizer(_carried(place))
    read: Callable[[], Tokenizer] = partial(Tokenizer.from_file, str(place))
    try:
        tokenizer = read()
    except Exception as failure:  # the library raises nothing narrower
        raise BadCheckpoint(f"{place} is not a tokenizer; download it again", field="model") from failure
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _carried(file: Path) -> bytes:
    try:
        with safe_open(file, framework="pt", device="cpu") as tensors:
            name = next(name for name in tensors.keys() if name.rpartition(".")[2] == SPIECE)  # noqa: SIM118
            return bytes(tensors.get_tensor(name).to(torch.uint8).numpy())
    except (SafetensorError, StopIteration) as failure:
        raise BadCheckpoint(f"{file} carries no readable tokenizer", field="model") from failure
