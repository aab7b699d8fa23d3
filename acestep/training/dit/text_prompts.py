"""The engine's own prompts, in the form that training needs: what a song is told by, part by part."""

from __future__ import annotations

from acestep.conditioning.prompts import Prompt, caption_text, lyric_text


def text_prompt(instruction: str, caption: str, bpm: int | None, metre: str, key: str, seconds: int) -> str:
    return caption_text(
        Prompt(instruction=instruction, caption=caption, bpm=bpm, time_signature=metre, key=key, seconds=seconds)
    )


def lyric_prompt(lyrics: str, language: str = "unknown") -> str:
    return lyric_text(Prompt(lyrics=lyrics, language=language))
