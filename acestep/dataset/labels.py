"""Labels as people and programs write them -> the model's own form; what cannot be one is refused in one sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from acestep.api.errors import AceError, BadRequest
from acestep.api.languages import language_name
from acestep.api.limits import BPM_RANGE, MAX_CAPTION, MAX_LYRICS
from acestep.api.music import key_name, metre_name
from acestep.dataset.sample import OVERRIDES

ABSENT = frozenset(("", "n/a", "na", "none", "null", "nan", "-", "--", "?", "auto"))
"""What is written where a label is not known."""

MAX_WORDS = 200
"""Characters of a tag or a name."""

TRUE, FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


def is_absent(value: Any) -> bool:
    """Whether a label says that it is not known."""
    return value is None or (isinstance(value, str) and value.strip().lower() in ABSENT)


def read_label(name: str, value: Any) -> Any:
    """The value of a label in the model's form. Raises `BadRequest`, `UnknownName`, or `KeyError` for a label there is none of."""
    return LABELS[name](value, name)


def lenient_label(name: str, value: Any, place: str) -> tuple[Any, str]:
    """As `read_label`; for what cannot be read, None and a sentence that says where it stood."""
    try:
        return read_label(name, value), ""
    except AceError as failure:
        return None, f"{place}: {failure.message}; the label was left out"


def _tempo(value: Any, field: str) -> int | None:
    if is_absent(value):
        return None
    found = re.fullmatch(r"\s*(\d+(?:[.,]\d+)?)\s*(?:bpm)?\s*", str(value), re.IGNORECASE)
    tempo = float(found[1].replace(",", ".")) if found and not isinstance(value, bool) else math.nan
    low, high = BPM_RANGE
    if not low <= tempo <= high:
        raise BadRequest(
            f"a tempo is {low:g} to {high:g} bpm, not {value!r}", field=field, limits={"min": low, "max": high}
        )
    return int(tempo + 0.5)


def _key(value: Any, field: str) -> str:
    return "" if is_absent(value) else key_name(str(value), field=field)


def _metre(value: Any, field: str) -> str:
    return "" if is_absent(value) else metre_name(str(value), field=field)


def _language(value: Any, field: str) -> str:
    return "unknown" if is_absent(value) else language_name(str(value), field=field)


def _text(longest: int) -> Callable[[Any, str], str]:
    def read(value: Any, field: str) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise BadRequest(f"{field} is text, not {value!r}", field=field)
        if len(value) > longest:
            raise BadRequest(
                f"{field} has {len(value):,} characters; {longest:,} are read", field=field, limits={"max": longest}
            )
        return value.strip()

    return read


def _flag(value: Any, field: str) -> bool:
    word = str(value).strip().lower()
    if word not in (*TRUE, *FALSE):
        raise BadRequest(f"{field} is true or false, not {value!r}", field=field)
    return word in TRUE


def _override(value: Any, field: str) -> str | None:
    if is_absent(value):
        return None
    if value not in OVERRIDES:
        raise BadRequest(
            f"{field} is caption, genre or nothing, not {value!r}", field=field, limits={"choices": list(OVERRIDES)}
        )
    return str(value)


LABELS: dict[str, Callable[[Any, str], Any]] = {
    "caption": _text(MAX_CAPTION),
    "genre": _text(MAX_CAPTION),
    "lyrics": _text(MAX_LYRICS),
    "raw_lyrics": _text(MAX_LYRICS),
    "formatted_lyrics": _text(MAX_LYRICS),
    "bpm": _tempo,
    "keyscale": _key,
    "timesignature": _metre,
    "language": _language,
    "is_instrumental": _flag,
    "custom_tag": _text(MAX_WORDS),
    "labeled": _flag,
    "prompt_override": _override,
}
"""Label -> how it is read. These are the keys of a sample that can be edited."""
