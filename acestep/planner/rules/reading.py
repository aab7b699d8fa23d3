"""A sentence as facts: what is named in it, what is refused, what contradicts itself, and what was not understood."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from acestep.planner.rules.figures import Figures, read_figures
from acestep.planner.rules.matching import Found, find_words, lowered, spaced
from acestep.planner.rules.vocabulary import COMMON, FILLER, LYRIC_LANGUAGES, Genre, Word


@dataclass
class Reading:
    """Everything a sentence says. Words of a kind stand in the order of the sentence."""

    figures: Figures = field(default_factory=Figures)
    genres: list[Genre] = field(default_factory=list)
    main: Genre | None = None
    """The style that decides tempo and rhythm: of "jazz house" the last one."""
    moods: list[Word] = field(default_factory=list)
    instruments: list[str] = field(default_factory=list)
    voices: list[str] = field(default_factory=list)
    feels: list[str] = field(default_factory=list)
    sounds: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Instruments that should not play."""
    tempo_word: str = ""
    alone: bool = False
    """Whether what is named plays by itself: "solo piano"."""
    instrumental: bool | None = None
    """True without, False with a voice; None: not said."""
    lyrics: str = ""
    language: str = ""
    left: list[str] = field(default_factory=list)
    """Words that nobody has understood so far, as they were written."""
    rest: str = ""
    """Those of them that the caption keeps."""
    notes: list[str] = field(default_factory=list)


Further = Callable[[str, Reading], None]
"""Another reader, which is asked where words are left: it gets the sentence without its quotes, adds what it understands and takes
its words out of `Reading.left`."""


def read_sentence(sentence: str, further: Further | None = None) -> Reading:
    """Read a sentence, or a caption. Never fails: what it can't use it notes."""
    reading = Reading()
    cased = spaced(_without_quotes(sentence, reading))
    text = lowered(cased)
    reading.figures = read_figures(text, cased)
    reading.notes += reading.figures.notes
    text = _blank(text, reading.figures.spans)
    _read_voice(text, reading)
    text = _read_language(text, reading)
    words = find_words(text)
    for one in words:
        _take(one, reading)
    _read_tempo_words([one.row.word for one in words if one.kind == "tempo" and not one.refused], reading)
    reading.main = _main_genre(text, words)
    reading.alone = any(_plays_alone(text, one, reading) for one in words if one.kind == "instrument")
    _find_left(text, cased, words, reading)
    if further is not None and reading.left:
        further(cased, reading)
    _settle(reading)
    _keep_rest(reading)
    return reading


# Quotes

_QUOTED = re.compile(
    r'"([^"]{1,4000})"|“([^”]{1,4000})”|„([^“”]{1,4000})[“”]|«([^»]{1,4000})»|「([^」]{1,4000})」|『([^』]{1,4000})』'
)
_TITLE = re.compile(
    r"(?:\b(?:called|titled|named|entitled|title|like|from|style of|namens|mit dem titel|wie)|という(?:曲|歌)?)\s*:?\s*$",
    re.IGNORECASE,
)


def _without_quotes(sentence: str, reading: Reading) -> str:
    """The sentence with quoted words taken out: they are its lyrics, or a title."""
    kept, at = [], 0
    for match in _QUOTED.finditer(sentence):
        inside = next(filter(None, match.groups())).strip()
        kept.append(sentence[at : match.start()])
        at = match.end()
        if _TITLE.search(sentence[: match.start()]) or not inside:
            reading.notes.append(f"“{inside[:60]}” was read as a title and left out")
        else:
            reading.lyrics += ("\n" if reading.lyrics else "") + re.sub(r"\s*/\s*", "\n", inside)
    return "".join((*kept, " ", sentence[at:])) if at else sentence


# Voice and language

_NO_VOICE = re.compile(
    r"\binstrumental\w*|\b(?:no|without(?: any)?|ohne|sans|sin) "
    r"(?:vocals?|voices?|singing|singers?|lyrics|words|gesang|stimmen?|voix|voz|voces)\b"
    r"|インスト(?:ゥルメンタル|ルメンタル)?|歌なし|ボーカルなし|纯音乐|无人声|没有人声|伴奏"
)
_SUNG = re.compile(
    r"\blyrics\b|\bsings?\b|\bsinging\b|\bsung\b|\bvocals?\b|\bvoice\b|\bgesungen\b|\bgesang\b|\btext\b|歌詞|歌って|歌う|演唱|歌词|ボーカル|人声"
)


def _read_voice(text: str, reading: Reading) -> None:
    if match := _NO_VOICE.search(text):
        reading.instrumental = True
        if _SUNG.search(text[: match.start()] + " " + text[match.end() :]) or reading.lyrics:
            reading.notes.append("the sentence asks for music without a voice and for singing; it was read as without")
            reading.lyrics = ""
    elif reading.lyrics or _SUNG.search(text):
        reading.instrumental = False


_IN_LANGUAGE = (
    r"(?:in|auf|en|(?:sung|singing|sings|gesungen|lyrics|vocals?|chanté|cantada) (?:in|auf|en))\s+(?:{0})"
    r"|(?:{0})[ の]*(?:lyrics|vocals?|singing|singer|text|gesang|song|で歌\w*|歌詞|歌|演唱|歌词)"
)


def _read_language(text: str, reading: Reading) -> str:
    """Find the language of the singing; its words are blanked."""
    for code, names in LYRIC_LANGUAGES.items():
        if match := re.search(rf"(?<![a-z])(?:{_IN_LANGUAGE.format('|'.join(names))})", text):
            reading.language = code
            if reading.instrumental is None:
                reading.instrumental = False
            return _blank(text, [match.span()])
    if reading.lyrics:
        reading.language = language_of(reading.lyrics)
    return text


_SCRIPTS = (
    ("ja", r"[\u3040-\u30ff]"),
    ("ko", r"[\uac00-\ud7af]"),
    ("zh", r"[\u4e00-\u9fff]"),
    ("ru", r"[\u0400-\u04ff]"),
    ("ar", r"[\u0600-\u06ff]"),
    ("he", r"[\u0590-\u05ff]"),
    ("el", r"[\u0370-\u03ff]"),
    ("hi", r"[\u0900-\u097f]"),
    ("th", r"[\u0e00-\u0e7f]"),
)
"""Letters that one language alone is written in, or nearly so."""


def language_of(text: str) -> str:
    """The language of a text by its script, or by its commonest words; empty where nothing speaks for one."""
    for code, letters in _SCRIPTS:
        if len(re.findall(letters, text)) * 4 >= len(re.sub(r"\W", "", text)) > 0 or (
            code == "ja" and re.search(letters, text)
        ):
            return code
    words = re.findall(r"[a-zà-ÿ]+", text.lower())
    counts = {code: sum(word in common for word in words) for code, common in COMMON.items()}
    best = max(counts, key=lambda code: counts[code])
    return best if counts[best] else ""


# Words

_LISTS = {"instrument": "instruments", "voice": "voices", "feel": "feels", "sound": "sounds"}


def _take(one: Found, reading: Reading) -> None:
    """Put a word of the vocabulary where it belongs."""
    if one.refused:
        if one.kind in ("instrument", "voice"):
            reading.refused.append(one.row.word)
        else:
            reading.notes.append(f"“no {one.row.word}”: the rules can't leave that out, so the word was dropped")
    elif isinstance(one.row, Genre):
        if one.row not in reading.genres:
            reading.genres.append(one.row)
    elif one.kind == "mood":
        if one.row not in reading.moods:
            reading.moods.append(one.row)
    elif one.kind in _LISTS:
        words: list[str] = getattr(reading, _LISTS[one.kind])
        if one.row.word not in words:
            words.append(one.row.word)


def _read_tempo_words(words: list[str], reading: Reading) -> None:
    """The word for the tempo; two that pull apart cancel each other."""
    said = list(dict.fromkeys(words))
    slow, fast = [one for one in said if "slow" in one], [one for one in said if "fast" in one or one == "upbeat"]
    if slow and fast:
        reading.notes.append(f"{slow[0]} and {fast[0]} contradict each other; neither was followed")
    elif said:
        reading.tempo_word = said[0]


def _main_genre(text: str, words: list[Found]) -> Genre | None:
    """The first style, or the last of those that follow it at once: the last word of a compound is what it is."""
    main: Found | None = None
    for one in words:
        if isinstance(one.row, Genre) and not one.refused and (main is None or not text[main.end : one.start].strip()):
            main = one
    return main.row if main is not None and isinstance(main.row, Genre) else None


_ALONE_BEFORE = re.compile(r"(?:\bsolo|\bonly|\bjust(?: a| an| one)?|\bnothing but(?: a)?|\bnur(?: ein\w*)?|独奏)\s*$")
_ALONE_AFTER = re.compile(r"^\s*(?:only\b|alone\b|のみ|だけ|独奏|ソロ)")
_SOLO_PIECE = re.compile(r"^\s*solo\s*(?:$|[,.;])")


def _plays_alone(text: str, one: Found, reading: Reading) -> bool:
    """Whether nothing plays beside an instrument: a piano solo is a piece of its own, a rock song's guitar solo a part of it."""
    after = text[one.end :]
    if _ALONE_BEFORE.search(text[: one.start]) or _ALONE_AFTER.match(after):
        return True
    return not reading.genres and bool(_SOLO_PIECE.match(after))


def _settle(reading: Reading) -> None:
    """Weigh words against each other: what is asked for and refused at once, moods that contradict."""
    both = [word for word in reading.refused if word in reading.instruments or word in reading.voices]
    for word in dict.fromkeys(both):
        reading.notes.append(f"{word} is asked for and refused in one sentence; it was left out")
    reading.instruments = [word for word in reading.instruments if word not in reading.refused]
    reading.voices = [word for word in reading.voices if word not in reading.refused]
    if "vocals" in reading.refused and reading.instrumental is None:
        reading.instrumental = True
    if reading.voices and reading.instrumental is None:
        reading.instrumental = False
    if reading.instrumental:
        reading.voices = []
    dark = [mood.word for mood in reading.moods if mood.minor >= 0.9]
    light = [mood.word for mood in reading.moods if mood.minor <= -0.9]
    if dark and light:
        reading.notes.append(
            f"{dark[0]} and {light[0]} pull apart; both stand in the caption, and neither decides the key"
        )


# What is left

LONGEST_REST = 12
"""Words beyond which what is left is told and dropped: a caption is a description and no story."""

_THEME = re.compile(r"\b(?:about|über|sobre|à propos de|handelt von)\b\s+(.*)$|(.+?)(?:について|をテーマに)")


def _find_left(text: str, cased: str, words: list[Found], reading: Reading) -> None:
    """The words that no rule knows. What a song is *about* is told and left out."""
    left = _blank(text, [(one.start, one.end) for one in words])
    left = re.sub(_NO_VOICE, lambda match: " " * len(match[0]), left)
    if theme := _THEME.search(text):
        start, end = theme.span()
        about = cased[start:end].strip(" .,!?")
        left = left[:start] + " " * (end - start) + left[end:]
        reading.notes.append(
            f"“{_short(about)}” is for the lyrics, which rules don't write; it was left out of the caption"
        )
    kept = [
        cased[match.start() : match.end()] for match in re.finditer(r"[^\W\d_][\w'&]*", left) if match[0] not in FILLER
    ]
    reading.left = [word for word in map(_content, kept) if len(word) > 1]


def _keep_rest(reading: Reading) -> None:
    """Keep what nobody understands for the caption, where it's short, and tell it."""
    rest = " ".join(reading.left)
    if not rest:
        return
    if len(reading.left) > LONGEST_REST or len(rest) > 160:
        reading.notes.append(
            f"{len(reading.left)} words are not in the rules' vocabulary and were left out: “{_short(rest)}”"
        )
        return
    reading.rest = rest
    reading.notes.append(f"not in the rules' vocabulary, so kept as it is: “{_short(rest)}”")


_JOINING = re.compile(
    r"[\u3040-\u309f]+|曲|歌|音楽|音乐|音樂|風|一[首个段]|首|的|了|和|有|用|在|是|请|請|做|写|我|想|要|给|带|个|拍|节奏|伴"
)
"""Kana that join words, and the signs that every request in Chinese or Japanese has."""


def _content(word: str) -> str:
    """What of a word of a script without spaces says something; any other word as it is."""
    return _JOINING.sub("", word) if re.search(r"[\u3040-\u9fff]", word) else word


def _short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _blank(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with blanks where something has been read."""
    letters = list(text)
    for start, end in spans:
        letters[start:end] = " " * (end - start)
    return "".join(letters)
