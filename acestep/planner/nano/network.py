"""The nano planner's network: Qwen3 as in `acestep.networks.text_encoder`, its embedding read backwards as the head."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from acestep.networks.layers import Sizes
from acestep.networks.text_encoder import TextEncoder
from acestep.planner.nano.language import ASK, LISTS, PLACES, TOKENS, Answer, allowed, read_answer, word_of

WEIGHTS = Path(__file__).parent / "weights"
"""``config.json``, ``model.safetensors`` and ``tokenizer.json`` as transformers would write them."""

LONGEST = 160
"""Pieces of a sentence that are read; what comes after them the model does not see."""


def build(config: dict[str, Any]) -> TextEncoder:
    """The network of a published ``config.json``, with whatever weights it is born with."""
    known = {name: config[name] for name in Sizes.__dataclass_fields__ if config.get(name) is not None}
    return TextEncoder(config["vocab_size"], config["num_hidden_layers"], Sizes(**known))


def sentence_tokens(tokenizer: Tokenizer, sentence: str) -> list[int]:
    """A sentence as the model reads it, with the sign to answer at its end."""
    return [*tokenizer.encode(sentence).ids[:LONGEST], ASK]


def logits(network: TextEncoder, ids: Tensor) -> Tensor:
    """Token ids [B, L] -> scores [B, L, tokens] of what comes next."""
    return functional.linear(network(ids), network.embed_tokens.weight)


@dataclass(frozen=True)
class NanoReading:
    """An answer, and how sure the network is of each of its values (0 to 1, by the names of `PLACES`, ``with X`` and ``no X``)."""

    answer: Answer
    tokens: tuple[int, ...]
    sure: dict[str, float]


class NanoReader:
    """Reads sentences on the CPU; a sentence takes a few hundredths of a second."""

    def __init__(self, folder: Path = WEIGHTS) -> None:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        if config["vocab_size"] != TOKENS:
            raise ValueError(f"{folder} has {config['vocab_size']} tokens; this version's language has {TOKENS}")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._network = build(config)
        tensors = load_file(folder / "model.safetensors")
        self._network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        self._network.eval().requires_grad_(False)

    @torch.inference_mode()
    def read(self, sentence: str) -> NanoReading:
        """The likeliest answer, token by token under the grammar."""
        asked, answer, chances = sentence_tokens(self._tokenizer, sentence), list[int](), list[float]()
        while options := allowed(answer):
            scores = logits(self._network, torch.tensor([[*asked, *answer]]))[0, -1, list(options)].float()
            best = int(scores.argmax())
            chances.append(math.exp(float(scores.log_softmax(0)[best])))
            answer.append(options[best])
        return NanoReading(read_answer(answer), tuple(answer), _sure(answer, chances))

    @torch.inference_mode()
    def likelihoods(self, sentences: Sequence[str], answer: Sequence[int]) -> list[list[float]]:
        """How likely each token of an answer is after each sentence."""
        rows = []
        for sentence in sentences:
            asked = sentence_tokens(self._tokenizer, sentence)
            scores = logits(self._network, torch.tensor([[*asked, *answer]]))[0, len(asked) - 1 : -1].float()
            rows.append([_chance(scores[place], answer, place) for place in range(len(answer))])
        return rows


def _chance(scores: Tensor, answer: Sequence[int], place: int) -> float:
    options = allowed(answer[:place])
    return float(scores[list(options)].softmax(0)[options.index(answer[place])])


def _sure(answer: Sequence[int], chances: Sequence[float]) -> dict[str, float]:
    sure = {name: math.prod(chances[start:end]) for name, (start, end) in PLACES.items()}
    return sure | {word_of(token): chance for token, chance in zip(answer[LISTS:], chances[LISTS:], strict=True)}
