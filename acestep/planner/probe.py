"""What the diffusion transformer looks at while it hears a song: attention from moments to lyric tokens.

One evaluation on the finished latents with a little noise, as in generation's last step; the probabilities of a few
cross-attention heads, which follow the lyrics, are kept. Source: the model authors' lyric timing, reference section 7.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from acestep.checkpoints.files import read_json
from acestep.checkpoints.load import Model
from acestep.conditioning.condition_cache import ConditionRequest, encode_condition, token_ids
from acestep.conditioning.context import join, silence
from acestep.conditioning.prompts import LYRIC_TOKENS, Prompt, lyric_text, plain_lyrics
from acestep.networks.dit import Probe
from acestep.planner.layout import token_bytes
from acestep.planner.timing import token_texts

HEADS = {2: (6,), 3: (10, 11), 4: (3,), 5: (8, 9), 6: (8,)}
"""Blocks and query heads of the 2B checkpoints that follow the lyrics."""

XL_HEADS = {3: (18, 27), 4: (22,), 5: (5, 6, 7), 6: (2, 12, 13), 7: (20, 21)}
"""The same of the XL checkpoints, which are another network: the 2B table would fit in and point at heads that do not listen."""

CONFIG_KEY = "lyric_alignment_layers_config"
"""Where a checkpoint names its own."""

PATCH = 2
"""Latent frames per patch: weights come at 12.5 a second."""


class LyricAttention(msgspec.Struct, frozen=True):
    """How strongly every lyric token is looked at: ``weights`` [heads, tokens, patches], and the text of each token."""

    weights: np.ndarray
    texts: list[str]
    exact: bool
    """False where the checkpoint has no known heads for this, so that others had to do."""


def alignment_heads(model: Model) -> tuple[dict[int, tuple[int, ...]], bool]:
    """Blocks and heads to look at, and whether they are known to follow lyrics.

    A checkpoint's own config stands first, then the published table of its size; where a smaller network has none of these,
    all heads of its first half.
    """
    own = own_heads(model)
    first: Any = model.transformer.layers[0]
    blocks, heads = len(model.transformer.layers), int(first.cross_attn.heads)
    table = _own_heads(own) or (XL_HEADS if model.info.xl else HEADS)
    there = {
        block: tuple(head for head in chosen if head < heads)
        for block, chosen in table.items()
        if block < blocks and any(head < heads for head in chosen)
    }
    if there == table:
        return there, True
    return {block: tuple(range(heads)) for block in range(max(1, blocks // 2))}, False


def own_heads(model: Model) -> Any:
    """What the checkpoint's config says of them; None in the layouts whose config does not."""
    root = Path(model.info.path)
    config = next(
        (path for path in (root / "config.json", root / "transformer" / "config.json") if path.is_file()), None
    )
    return None if config is None else read_json(config).get(CONFIG_KEY)


def _own_heads(own: Any) -> dict[int, tuple[int, ...]]:
    if not isinstance(own, Mapping):
        return {}
    return {int(block): tuple(int(head) for head in heads) for block, heads in own.items()}


def lyric_attention(model: Model, prompt: Prompt, latents: Tensor, t: float, seed: int) -> LyricAttention:
    """Attention of one evaluation at time ``t`` on latents [1, T, 64], noised from ``seed``; t = 1 is noise alone."""
    rows, texts = _lyric_rows(model, prompt)
    table, exact = alignment_heads(model)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
    x = t * noise + (1 - t) * latents.cpu()
    context = join(silence(model.silence, latents.shape[1]), torch.ones(1, latents.shape[1], 1))
    condition = model.transformer.condition(encode_condition(model, ConditionRequest(prompt)))
    kept = _Kept(table, rows)
    with torch.inference_mode():
        model.transformer.velocity(
            x.to(model.device), t, context.to(model.device), [condition], probe=Probe(frozenset(table), weights=kept)
        )
    patches = -(-latents.shape[1] // PATCH)
    weights = np.concatenate([kept[block] for block in sorted(table)])[:, :, :patches]
    return LyricAttention(weights, texts, exact)


class _Kept(dict[int, Any]):
    """Keeps the chosen heads and lyric rows of each block as [heads, tokens, patches] on the CPU; the rest is dropped at once,
    for all heads over all tokens of a long song are gigabytes."""

    def __init__(self, table: dict[int, tuple[int, ...]], rows: slice) -> None:
        super().__init__()
        self._table, self._rows = table, rows

    def __setitem__(self, block: int, weights: Tensor) -> None:
        chosen = weights[0, list(self._table[block]), :, self._rows]
        super().__setitem__(block, chosen.transpose(1, 2).float().cpu().numpy())


def _lyric_rows(model: Model, prompt: Prompt) -> tuple[slice, list[str]]:
    """Where the lyrics lie among the condition tokens (they come first), and the text of each of their tokens."""
    text = lyric_text(prompt)
    header = text[: text.index("# Lyric\n") + len("# Lyric\n")]
    start = token_ids(model, header, LYRIC_TOKENS).shape[1]
    ids = token_ids(model, text, LYRIC_TOKENS)[0].tolist()
    end_of_text = model.text_tokenizer.id_of("<|endoftext|>")
    end = ids.index(end_of_text) if end_of_text in ids else len(ids)
    return slice(start, end), token_texts(token_bytes(model.text_tokenizer.tokens(ids[start:end])))


def is_truncated(model: Model, prompt: Prompt) -> bool:
    """Whether the lyrics are longer than the lyric encoder reads."""
    return len(model.text_tokenizer.ids(plain_lyrics(prompt))) > LYRIC_TOKENS - 16
