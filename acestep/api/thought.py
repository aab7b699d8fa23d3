"""A thought of the planner that somebody brings along: read by the rules that the planner's own thoughts keep. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from acestep.api import limits, music
from acestep.api.errors import AceError, BadRequest
from acestep.api.metadata import NUMBERS, Metadata, block_values, parse_block, split_answer
from acestep.api.metre import MODEL_METRES
from acestep.api.planning import refuse_control_text
from acestep.api.sentences import quoted

FIELD = "cot_text"

RANGES = {"bpm": limits.BPM_RANGE, "duration": (limits.MIN_DURATION, limits.MAX_DURATION)}
"""What the numbers of a thought may be."""


def read_thought_text(text: str) -> Metadata:
    """What a thought says. Raises `BadRequest` for a text that is none, or that the planner could not have written."""
    block = split_answer(text)[0]
    metadata = parse_block(block)
    said = block_values(block)
    for name in sorted(NUMBERS & said.keys()):
        _check_number(name, said[name], getattr(metadata, name))
    if metadata == Metadata():
        raise BadRequest(
            f"{FIELD} holds no thought: lines such as 'bpm: 120' between <think> and </think>", field=FIELD
        )
    for value in (metadata.caption, metadata.genres, metadata.keyscale, metadata.language, metadata.timesignature):
        refuse_control_text(value, FIELD)
    for name in ("caption", "genres"):
        _check_length(name, getattr(metadata, name))
    _check_choice("keyscale", metadata.keyscale, music.KEYS, music.key_name)
    _check_choice("language", metadata.language, music.LANGUAGES)
    _check_choice("timesignature", metadata.timesignature, MODEL_METRES)
    return metadata


def _check_number(name: str, said: str, value: int | None) -> None:
    least, most = RANGES[name]
    if value is None or not least <= value <= most:
        raise BadRequest(
            f"the {name} in {FIELD} is {quoted(said)}; it takes a whole number from {least:.0f} to {most:.0f}",
            field=FIELD,
            limits={"min": least, "max": most},
        )


def _check_length(name: str, value: str) -> None:
    if len(value) > limits.MAX_CAPTION:
        raise BadRequest(
            f"the {name} in {FIELD} has {len(value)} characters; it may have {limits.MAX_CAPTION}",
            field=FIELD,
            limits={"max_length": limits.MAX_CAPTION},
        )


def _check_choice(
    name: str, value: str, choices: tuple[str, ...], spelled: Callable[[str], Any] = lambda value: value
) -> None:
    """See that a word is one that the model knows; ``spelled`` gives its spelling, or raises."""
    try:
        known = not value or spelled(value) in choices
    except AceError:
        known = False
    if not known:
        raise BadRequest(
            f"the {name} in {FIELD} is {quoted(value)}; it takes one of {', '.join(choices)}",
            field=FIELD,
            limits={"choices": list(choices)},
        )
