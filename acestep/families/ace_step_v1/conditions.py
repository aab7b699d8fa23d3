"""What the transformer is told: the words, what guidance steers away from, and the text without the lyrics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.families.ace_step_v1.transformer import Condition, Transformer

WEAK = 0.01
"""What entropy-rectifying guidance multiplies queries by in the branch that it steers away from."""


@dataclass(frozen=True)
class Prompt:
    """Encoded text [1, S, 768] and lyric tokens [1, L] with their masks; no lyrics: one token 0 whose mask is 0.

    ``weak_text`` [1, S, 768] are the weak states of the same text (`acestep.families.ace_step_v1.text`).
    """

    text: Tensor
    text_mask: Tensor
    lyrics: Tensor
    lyric_mask: Tensor
    weak_text: Tensor | None = None


@dataclass(frozen=True)
class Switches:
    """Entropy-rectifying guidance, switch by switch. Weak text only counts together with weak lyrics, as in the original."""

    text: bool = True
    lyric: bool = True
    diffusion: bool = True


NO_SWITCHES = Switches(False, False, False)


@dataclass(frozen=True)
class Words:
    """The branches of a run. ``weaken`` multiplies the queries of the branch ``null``."""

    main: Condition
    null: Condition | None = None
    text_only: Condition | None = None
    weaken: float = 1.0


def words_for(transformer: Transformer, prompt: Prompt, switches: Switches, *, apart: bool = False) -> Words:
    """The branches of a prompt; ``apart``: with the text alone, for guidance with a scale each."""
    nothing, silent = torch.zeros_like(prompt.text), torch.zeros_like(prompt.lyrics)
    away = prompt.weak_text if switches.text and prompt.weak_text is not None else nothing
    if switches.lyric:
        null = _condition(transformer, prompt, away, prompt.lyrics, WEAK)
    else:
        null = _condition(transformer, prompt, nothing, silent)
    alone = None
    if apart:
        sung, weaken = (prompt.lyrics, WEAK) if switches.lyric else (silent, 1.0)
        alone = _condition(transformer, prompt, prompt.text, sung, weaken)
    main = _condition(transformer, prompt, prompt.text, prompt.lyrics)
    return Words(main, null, alone, WEAK if switches.diffusion else 1.0)


def words_for_edit(transformer: Transformer, prompt: Prompt) -> Words:
    """The branches for one side of an edit, where guidance steers away from no words at all."""
    silent = torch.zeros_like(prompt.lyric_mask)
    nobody = Prompt(torch.zeros_like(prompt.text), prompt.text_mask, torch.zeros_like(prompt.lyrics), silent)
    null = _condition(transformer, nobody, nobody.text, nobody.lyrics)
    return Words(_condition(transformer, prompt, prompt.text, prompt.lyrics), null)


def _condition(
    transformer: Transformer, prompt: Prompt, text: Tensor, lyrics: Tensor, weaken: float = 1.0
) -> Condition:
    states = transformer.encode(text, prompt.text_mask, lyrics, prompt.lyric_mask, weaken=weaken)
    return transformer.condition(*states)
