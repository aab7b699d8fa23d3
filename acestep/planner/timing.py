"""Lyrics with times: tokens to lines and words, and the LRC format."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence

import msgspec


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """A line or word and when it is sung, in seconds."""

    text: str
    start: float
    end: float
    words: tuple[Timed, ...] = ()


def token_texts(pieces: Iterable[bytes]) -> list[str]:
    """The text that every token adds. A character whose bytes lie in several tokens belongs to the last of them."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(piece) for piece in pieces]


def timed_lines(texts: Sequence[str], spans: Sequence[tuple[float, float]]) -> list[Timed]:
    """Lines with their words. A line ends with the token that holds a line feed; blank lines are dropped, tags stay."""
    lines: list[Timed] = []
    characters: list[tuple[str, tuple[float, float]]] = []
    for text, span in zip(texts, spans, strict=True):
        head, feed, tail = text.partition("\n")
        characters += [(char, span) for char in head]
        if feed:
            lines += _line(characters)
            characters = [(char, span) for char in tail.rpartition("\n")[2]]
    return lines + _line(characters)


def _line(characters: list[tuple[str, tuple[float, float]]]) -> list[Timed]:
    words: list[Timed] = []
    current: list[tuple[str, tuple[float, float]]] = []
    for char, span in [*characters, (" ", (0.0, 0.0))]:
        if not char.isspace():
            current.append((char, span))
        elif current:
            text = "".join(char for char, _ in current)
            words.append(Timed(text=text, start=current[0][1][0], end=current[-1][1][1]))
            current = []
    if not words:
        return []
    text = "".join(char for char, _ in characters).strip()
    return [Timed(text=text, start=words[0].start, end=words[-1].end, words=tuple(words))]


def write_lrc(lines: Sequence[Timed], *, words: bool = False) -> str:
    """Lines as LRC (``[mm:ss.xx]text``); with ``words`` every word has its time too (``<mm:ss.xx>``, enhanced LRC)."""
    rows = []
    for line in lines:
        text = " ".join(f"<{_clock(word.start)}>{word.text}" for word in line.words) if words else line.text
        rows.append(f"[{_clock(line.start)}]{text}")
    return "\n".join(rows) + ("\n" if rows else "")


def _clock(seconds: float) -> str:
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000:02d}:{hundredths % 6000 / 100:05.2f}"
