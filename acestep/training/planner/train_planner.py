"""Train the nano planner: sentences that are made as they are needed, the answer's tokens as the target, by the clock."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional

from acestep.networks.layers import Embedding
from acestep.networks.text_encoder import TextEncoder
from acestep.planner.nano.language import PIECES, TOKENS
from acestep.planner.nano.network import build, sentence_tokens
from acestep.training.planner.sentences import SentenceExample, batch

CONFIG: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": TOKENS,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "attention_bias": False,
    "tie_word_embeddings": True,
    "max_position_embeddings": 1024,
    "dtype": "float16",
}

NOTHING = -100
"""A place that has no target."""


@dataclass(frozen=True)
class ReaderTraining:
    """``seconds`` by the clock; ``size`` sentences a step; ``rate`` the largest learning rate; ``warm_up`` and ``report`` in
    steps; the pieces of words are learned from ``tokenizer_sentences``.
    """

    seconds: float = 3600.0
    size: int = 64
    rate: float = 2e-3
    warm_up: int = 100
    tokenizer_sentences: int = 20_000
    report: int = 50


def learn_tokenizer(sentences: int) -> Tokenizer:
    """Byte pairs of small letters, each digit by itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=True), pre_tokenizers.Digits(individual_digits=True)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator((one.sentence for one in batch("train", 0, sentences)), trainer)
    return tokenizer


def collate(tokenizer: Tokenizer, examples: list[SentenceExample]) -> tuple[Tensor, Tensor]:
    """Ids [B, L], padded at the end with zeros, and targets [B, L]: the answer's tokens where they are to come, else `NOTHING`."""
    rows = [(sentence_tokens(tokenizer, one.sentence), one.answer.tokens()) for one in examples]
    longest = max(len(asked) + len(answer) for asked, answer in rows) - 1
    ids, targets = torch.zeros(len(rows), longest, dtype=torch.long), torch.full((len(rows), longest), NOTHING)
    for row, (asked, answer) in enumerate(rows):
        whole = [*asked, *answer]
        ids[row, : len(whole) - 1] = torch.tensor(whole[:-1])
        targets[row, len(asked) - 1 : len(whole) - 1] = torch.tensor(answer)
    return ids, targets


def batches(tokenizer: Tokenizer, split: str, size: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end, four at a time sorted by length, so that little is padded."""
    while True:
        examples = sorted(batch(split, first, 4 * size), key=lambda one: len(one.sentence))
        first += 4 * size
        yield from (collate(tokenizer, examples[start : start + size]) for start in range(0, 4 * size, size))


def loss_of(network: TextEncoder, ids: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of the answers' tokens."""
    wanted = targets != NOTHING
    scores = functional.linear(network(ids)[wanted], network.embed_tokens.weight)
    return functional.cross_entropy(scores, targets[wanted])


def born(seed: int = 0) -> TextEncoder:
    """A network with its first weights."""
    torch.manual_seed(seed)
    network = build(CONFIG)
    for module in network.modules():
        if isinstance(module, nn.Linear | Embedding):
            nn.init.normal_(module.weight, std=0.02)
    return network


def train_planner(folder: Path, settings: ReaderTraining) -> None:
    """Train from nothing for the time that is given, and write ``config.json`` and ``model.safetensors`` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = learn_tokenizer(settings.tokenizer_sentences)
    tokenizer.save(str(folder / "tokenizer.json"))
    network = born()
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.rate, betas=(0.9, 0.98), weight_decay=0.01)
    began, sums = time.monotonic(), [0.0, 0]
    for step, (ids, targets) in enumerate(batches(tokenizer, "train", settings.size), 1):
        elapsed = time.monotonic() - began
        if elapsed >= settings.seconds:
            break
        done = elapsed / settings.seconds
        rate = settings.rate * min(step / settings.warm_up, 1.0) * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = loss_of(network, ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        sums = [sums[0] + loss.item(), sums[1] + 1]
        if step % settings.report == 0:
            print(f"step {step}, {done:.0%}: loss {sums[0] / sums[1]:.4f}", flush=True)
            sums = [0.0, 0]
        if step % (10 * settings.report) == 0:
            save(folder, network)
    save(folder, network)


def save(folder: Path, network: TextEncoder) -> None:
    """The weights in half precision, and what they are of."""
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", "utf-8")
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
