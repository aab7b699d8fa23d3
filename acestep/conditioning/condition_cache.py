"""Words and reference sound -> condition tokens, each computed once per content.

Items are encoded one by one and never padded together: the DiT attends to padding, so padding would change the music.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from acestep.checkpoints.load import Model
from acestep.checkpoints.text_tokenizer import Words
from acestep.conditioning.context import silence
from acestep.conditioning.prompts import CAPTION_TOKENS, LYRIC_TOKENS, Prompt, caption_text, lyric_text
from acestep.networks.text_encoder import TextEncoder


class ReadsText(Protocol):
    """What turns words into numbers: an opened model, or its text encoder alone."""

    @property
    def text_encoder(self) -> TextEncoder: ...

    @property
    def text_tokenizer(self) -> Words: ...


TIMBRE_FRAMES = 750
"""Latent frames of one reference (30 s), in every published checkpoint."""

CACHE_ENTRIES = 64
"""Conditions kept: about 2 MB each at 2B size with long lyrics in bfloat16, far less as a rule."""


@dataclass(frozen=True)
class ConditionRequest:
    """One item's condition: the prompt, and reference latents [n, 750, 64] (None: the silence latent)."""

    prompt: Prompt
    timbre: Tensor | None = None


class ConditionCache:
    """Encoded conditions by content: model, text, lyrics and reference. Least recently used ones go first."""

    def __init__(self, entries: int = CACHE_ENTRIES) -> None:
        self._entries = entries
        self._kept: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def encode(self, model: Model, request: ConditionRequest) -> Tensor:
        """The packed condition [1, L, H_enc] of one item, from the cache or freshly encoded."""
        key = model.digest, request_key(model, request)
        found = self._kept.get(key)
        if found is not None:
            self.hits += 1
            self._kept.move_to_end(key)
            return found
        self.misses += 1
        found = self._kept[key] = encode_condition(model, request)
        while len(self._kept) > self._entries:
            self._kept.popitem(last=False)
        return found

    def forget(self, digest: str) -> None:
        """Forget what the model with weights of this digest made of words (it is unloaded)."""
        for key in [key for key in self._kept if key[0] == digest]:
            del self._kept[key]

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


def request_key(model: Model, request: ConditionRequest) -> str:
    """A hash of everything the condition depends on."""
    digest = hashlib.sha256()
    for part in (
        model.digest,
        str(model.dtype),
        str(model.device),
        *encoder_adapters(model),
        caption_text(request.prompt),
        lyric_text(request.prompt),
    ):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    if request.timbre is not None:
        digest.update(request.timbre.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def encoder_adapters(model: Model) -> list[str]:
    """The adapters in the condition encoder with their scales: they change what it makes of the same words."""
    return [
        f"{adapter.digest}={adapter.scale}"
        for adapter in model.adapters
        if adapter.enabled and any(layer.startswith("condition_encoder/") for layer in adapter.factors)
    ]


@torch.inference_mode()
def encode_condition(model: Model, request: ConditionRequest) -> Tensor:
    """The packed condition [1, L, H_enc]: lyrics, timbre, text."""
    timbre = request.timbre
    if timbre is None:
        timbre = silence(model.silence, TIMBRE_FRAMES)
    return model.condition_encoder.encode(
        encode_text(model, request.prompt), embed_lyrics(model, request.prompt), timbre
    )


def token_ids(model: ReadsText, text: str, limit: int) -> Tensor:
    """Token ids [1, L], cut off at ``limit``, on the text encoder's device."""
    return torch.tensor([model.text_tokenizer.ids(text, limit)], device=model.text_encoder.device)


SHOWN_END = 40
"""Characters of a text's end that a sentence quotes."""


def cut_notes(model: Model, prompt: Prompt) -> list[str]:
    """A sentence for each text that is longer than the model reads, with where it ends."""
    caption = _cut_note(model, "caption and music facts", caption_text(prompt), CAPTION_TOKENS)
    lyrics = _cut_note(model, "lyrics", lyric_text(prompt), LYRIC_TOKENS)
    return [note for note in (caption, lyrics) if note]


def _cut_note(model: Model, what: str, text: str, limit: int) -> str:
    if len(text.encode()) <= limit:  # no token is shorter than a byte
        return ""
    ids = model.text_tokenizer.ids(text)
    if len(ids) <= limit:
        return ""
    kept = model.text_tokenizer.decode(ids[:limit], skip_special_tokens=True)
    end = " ".join(kept[-SHOWN_END:].split())
    return f"the {what} are {len(ids)} tokens and the model reads {limit}: they end with '...{end}'"


@torch.inference_mode()
def encode_text(model: ReadsText, prompt: Prompt) -> Tensor:
    """Hidden states [1, L <= 256, D] of the caption branch: the whole text encoder, no mask."""
    return model.text_encoder(token_ids(model, caption_text(prompt), CAPTION_TOKENS))


@torch.inference_mode()
def embed_lyrics(model: ReadsText, prompt: Prompt) -> Tensor:
    """Embeddings [1, L <= 2048, D] of the lyric branch: only the embedding table; the lyric encoder does the rest."""
    return model.text_encoder.embed_tokens(token_ids(model, lyric_text(prompt), LYRIC_TOKENS))
