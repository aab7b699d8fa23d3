"""Lyrics as the models read them: a tag above each section, a blank line between sections. No word is changed."""

from __future__ import annotations

import re

SECTIONS = (
    "intro|verse|pre chorus|pre-chorus|chorus|post-chorus|bridge|hook|refrain|outro|interlude|breakdown|drop|strophe|"
    "solo|ending"
)

_HEADING = re.compile(rf"[\[(<*#\s]*((?:{SECTIONS})(?: ?\d{{1,2}})?)[\])>*:\s]*", re.IGNORECASE)
_TRANSLATED = {"refrain": "Chorus", "strophe": "Verse", "ending": "Outro", "pre chorus": "Pre-Chorus"}


def tidy(lyrics: str) -> tuple[str, list[str]]:
    """The lyrics with tags as the models know them, and a sentence for what was done."""
    lines = [line.strip() for line in lyrics.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    made: list[str] = []
    notes: list[str] = []
    tagged = False
    for line in lines:
        tag = line if line.startswith("[") and line.endswith("]") else _tag(line)
        if tag:
            tagged = True
            if made and made[-1]:
                made.append("")
            if tag != line:
                notes.append(f"“{line}” was read as the tag {tag}")
            made.append(tag)
        elif line or (made and made[-1]):
            made.append(line)
    if not tagged and any(lines):
        made = [*_sections(made)]
        notes.append("the lyrics had no tags, so their sections got [Verse]")
    return "\n".join(made).strip(), notes


def _tag(line: str) -> str:
    """The tag that a line means: ``Chorus:``, ``(verse 2)``, ``[chorus``; empty for a line that is sung."""
    match = _HEADING.fullmatch(line)
    if match is None or (line == match[1] and line.islower()):
        return ""
    name, _, number = match[1].strip().lower().partition(" ")
    if match[1].lower().startswith("pre"):
        name, number = "pre chorus", re.sub(r"\D", "", match[1])
    word = _TRANSLATED.get(name, "-".join(part.capitalize() for part in name.split("-")))
    return f"[{word} {number}]" if number else f"[{word}]"


def _sections(lines: list[str]) -> list[str]:
    made: list[str] = []
    for index, line in enumerate(lines):
        if line and (index == 0 or not lines[index - 1]):
            made.append("[Verse]")
        made.append(line)
    return made
