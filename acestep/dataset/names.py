"""What a file's name says of its song: ``03 - Night Bus_120bpm_Am.wav`` -> a caption, a tempo, a key."""

from __future__ import annotations

import re
from typing import Any

from acestep.api.errors import AceError
from acestep.dataset.labels import read_label

_TEMPO = re.compile(r"(?<![\w.])(\d{2,3})\s*bpm(?!\w)", re.IGNORECASE)
_KEY = re.compile(r"(?<![\w#])([A-G][#b♯♭]?)\s*(m|min|minor|maj|major)(?=\s*(?:$|[)\]]|-))")
"""A key stands at the end, in brackets or before a dash, so that ``I Am Here`` is none."""
_NUMBER = re.compile(r"^\d{1,3}(?:\s*[.)-]\s*|\s+)(?=\S)")


def name_labels(stem: str) -> dict[str, Any]:
    """Labels out of a file's name without its ending; the words that are left make a caption."""
    text = re.sub(r"[_\s]+", " ", stem).strip()
    found: dict[str, Any] = {}
    for label, pattern in (("bpm", _TEMPO), ("keyscale", _KEY)):
        match = pattern.search(text)
        if match is None:
            continue
        words = (
            match[1]
            if label == "bpm"
            else f"{match[1]} {'minor' if match[2].startswith('mi') or match[2] == 'm' else 'major'}"
        )
        try:
            found[label] = read_label(label, words)
        except AceError:
            continue
        text = f"{text[: match.start()]} {text[match.end() :]}"
    text = _NUMBER.sub("", re.sub(r"[\[({]\s*[\])}]", " ", text).strip(" -.,"))
    caption = re.sub(r"\s+", " ", re.sub(r"\s+-+\s+|-{2,}", ", ", text)).strip(" -.,").replace(" ,", ",")
    if re.search(r"[^\W\d_]{2}", caption):
        found["caption"] = caption
    return found
