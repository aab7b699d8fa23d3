"""The texts the model was trained on, to the letter. No torch.

Templates and limits come from the model's own code; a changed newline is a changed condition.
"""

from __future__ import annotations

import msgspec

from acestep.api.conditioning import Conditioning
from acestep.api.instructions import TEXT_TO_MUSIC
from acestep.api.music import INSTRUMENTAL_FORMS, model_metre_name
from acestep.api.request import StageParams
from acestep.api.rounding import half_up

CAPTION_TOKENS = 256
LYRIC_TOKENS = 2048
"""Where the text branch and the lyric branch are cut off."""

END_OF_TEXT = "<|endoftext|>"
INSTRUMENTAL = "[Instrumental]"
SEGMENT = "a segment"
"""In an instruction: only a part of the song is in front of the model."""

DEFAULT_SECONDS = 30
"""Length that the prompt states when nobody gave one."""

METAS_FORM = "- bpm: {bpm}\n- timesignature: {time_signature}\n- keyscale: {key}\n- duration: {seconds} seconds\n"
PROMPT_FORM = f"# Instruction\n{{instruction}}\n\n# Caption\n{{caption}}\n\n# Metas\n{{metas}}{END_OF_TEXT}\n"
LYRIC_FORM = f"# Languages\n{{language}}\n\n# Lyric\n{{lyrics}}{END_OF_TEXT}"
"""What the text encoder reads, and the lyric encoder."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is said in words. ``bpm`` may be a fraction (the model sees it rounded), ``seconds`` is what is rendered."""

    instruction: str = TEXT_TO_MUSIC
    caption: str = ""
    global_caption: str = ""
    stem_captions: bool = False
    """Whether the caption is written as models tuned on stems read it; only they read ``global_caption``."""
    lyrics: str = ""
    language: str = "unknown"
    instrumental: bool = False
    bpm: float | None = None
    key: str = ""
    time_signature: str = ""
    seconds: float = DEFAULT_SECONDS


def prompt_of(
    conditioning: Conditioning, params: StageParams, instruction: str, stem_captions: bool, seconds: float
) -> Prompt:
    """The words of a stage; its own caption and lyrics stand above the shared ones."""
    return Prompt(
        global_caption=conditioning.global_caption,
        stem_captions=stem_captions,
        instruction=instruction,
        caption=conditioning.caption if params.caption is None else params.caption,
        lyrics=conditioning.lyrics if params.lyrics is None else params.lyrics,
        language=conditioning.language,
        instrumental=conditioning.instrumental,
        bpm=conditioning.bpm,
        key=conditioning.key,
        time_signature=conditioning.time_signature,
        seconds=seconds,
    )


def metas(prompt: Prompt) -> str:
    """The four metadata lines, each with its newline."""
    bpm = "N/A" if prompt.bpm is None or prompt.bpm <= 0 else str(half_up(prompt.bpm))
    seconds = int(prompt.seconds) if prompt.seconds > 0 else DEFAULT_SECONDS
    metre, key = model_metre_name(prompt.time_signature) or "N/A", prompt.key.strip() or "N/A"
    return METAS_FORM.format(bpm=bpm, time_signature=metre, key=key, seconds=seconds)


def caption_text(prompt: Prompt) -> str:
    """What the text encoder reads: instruction, caption, metadata."""
    instruction = prompt.instruction if prompt.instruction.endswith(":") else f"{prompt.instruction}:"
    caption = _stem_caption(prompt, instruction) if prompt.stem_captions else prompt.caption
    return PROMPT_FORM.format(instruction=instruction, caption=caption, metas=metas(prompt))


def _stem_caption(prompt: Prompt, instruction: str) -> str:
    """The caption of models tuned on stems: the whole song (left out where the instruction is about a segment), the part, the mask.

    The mask is always given here, never left to the model.
    """
    lines = [f"Local: {prompt.caption}", "Mask Control: true"]
    if SEGMENT not in instruction.lower():
        lines.insert(0, f"Global: {prompt.global_caption}")
    return "\n".join(lines)


def lyric_text(prompt: Prompt) -> str:
    """What the lyric encoder reads: language and lyrics; instrumental music has a tag in their place."""
    return LYRIC_FORM.format(language=prompt.language or "unknown", lyrics=plain_lyrics(prompt))


def plain_lyrics(prompt: Prompt) -> str:
    """The lyrics, or the model's word for none."""
    if prompt.instrumental or prompt.lyrics.strip().lower() in INSTRUMENTAL_FORMS:
        return INSTRUMENTAL
    return prompt.lyrics
