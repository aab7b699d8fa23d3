"""The prompts of the model, by the published templates (text, metas, lyrics)."""

from __future__ import annotations


def text_prompt(instruction: str, caption: str, bpm: int | None, metre: str, key: str, seconds: int) -> str:
    metas = (f"- bpm: {bpm or 'N/A'}\n- timesignature: {metre or 'N/A'}\n- keyscale: {key or 'N/A'}\n"
             f"- duration: {seconds} seconds\n")  # fmt: skip
    return f"# Instruction\n{instruction}\n\n# Caption\n{caption}\n\n# Metas\n{metas}<|endoftext|>\n"


def lyric_prompt(lyrics: str, language: str = "unknown") -> str:
    return f"# Languages\n{language}\n\n# Lyric\n{lyrics}<|endoftext|>"
