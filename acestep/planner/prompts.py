"""The prompts of the 5 Hz language model, exactly as it was trained to read them.

Turns are rendered through the tokenizer's own chat template. Three mistakes of early programs are avoided here: the
assistant's turn stays open after ``</think>`` and a blank line when codes follow (no ``<|im_end|>`` in between); the
unconditional side of the codes is the bare negative prompt with an empty chain of thought, not the caption again; and
thinking stays enabled in the template, which would otherwise append an empty thought of its own.
"""

from __future__ import annotations

from typing import Any

from acestep.api.errors import BadCheckpoint
from acestep.api.planning import NO_INPUT
from acestep.planner.layout import code_text
from acestep.planner.plan_inputs import INSTRUMENTAL

GENERATE = "Generate audio semantic tokens based on the given conditions:"
UNDERSTAND = "Understand the given musical conditions and describe the audio semantics accordingly:"
INSPIRE = "Expand the user's input into a more detailed and specific musical description:"
FORMAT = "Format the user's input into a more detailed and specific musical description:"
"""System instructions: the model was trained on these very sentences."""

HEADER = "<|im_start|>assistant\n"


def chat(tokenizer: Any, instruction: str, user: str) -> str:
    """One system and one user turn, ending with the open header of the assistant's turn.

    Raises `BadCheckpoint` if the tokenizer's template adds anything after the header.
    """
    turns = [
        {"role": "system", "content": f"# Instruction\n{instruction}\n\n"},
        {"role": "user", "content": user},
    ]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    if not text.endswith(HEADER):
        raise BadCheckpoint("the tokenizer's chat template does not end with the assistant's header")
    return text


def is_real_negative(negative: str) -> bool:
    """Whether a negative prompt says something."""
    return bool(negative.strip()) and negative.strip() != NO_INPUT


def _prompt(caption: str, lyrics: str) -> str:
    return f"# Caption\n{caption}\n\n# Lyric\n{lyrics}\n"


def thought_prompt(tokenizer: Any, caption: str, lyrics: str) -> str:
    """Phase 1, conditional: the model goes on with its chain of thought."""
    return chat(tokenizer, GENERATE, _prompt(caption, lyrics))


def thought_negative(tokenizer: Any, lyrics: str, negative: str = "") -> str:
    """Phase 1, unconditional: the lyrics alone, or a real negative prompt in the caption's place."""
    user = _prompt(negative, lyrics) if is_real_negative(negative) else f"# Lyric\n{lyrics}\n"
    return chat(tokenizer, GENERATE, user)


def codes_prompt(tokenizer: Any, caption: str, lyrics: str, block: str) -> str:
    """Phase 2, conditional: the same prompt, the finished thought, and the codes follow in the same turn."""
    return thought_prompt(tokenizer, caption, lyrics) + f"<think>\n{block}\n</think>\n\n"


def codes_negative(tokenizer: Any, negative: str = "") -> str:
    """Phase 2, unconditional: the bare negative prompt and an empty thought."""
    user = negative if is_real_negative(negative) else NO_INPUT
    return chat(tokenizer, GENERATE, user) + "<think>\n\n</think>\n\n"


def understand_prompt(tokenizer: Any, codes: list[int]) -> str:
    """Codes in, description out; no codes gives the neutral context that scores are measured against."""
    return chat(tokenizer, UNDERSTAND, code_text(codes) if codes else NO_INPUT)


def inspire_prompt(tokenizer: Any, query: str, instrumental: bool) -> str:
    """A sentence in, a full sample out."""
    prompt = query.strip() or NO_INPUT
    return chat(tokenizer, INSPIRE, f"{prompt}\n\ninstrumental: {str(instrumental).lower()}")


def format_prompt(tokenizer: Any, caption: str, lyrics: str) -> str:
    """Caption and lyrics in, better caption and lyrics out."""
    return chat(
        tokenizer, FORMAT, f"# Caption\n{caption.strip() or NO_INPUT}\n\n# Lyric\n{lyrics.strip() or INSTRUMENTAL}"
    )
