"""The closed vocabularies of the model: tracks, keys, metres, languages. Facts of the training data, not opinions."""

from __future__ import annotations

import difflib

from acestep.api.errors import BadRequest, UnknownName
from acestep.api.metre import MODEL_METRES, model_metre, parse_metre
from acestep.api.sentences import quoted

TRACKS = (
    "woodwinds",
    "brass",
    "fx",
    "synth",
    "strings",
    "percussion",
    "keyboard",
    "guitar",
    "bass",
    "drums",
    "backing_vocals",
    "vocals",
)
"""The twelve stem classes of the model."""

TRACK_ALIASES = {
    "wind": "woodwinds",
    "winds": "woodwinds",
    "woodwind": "woodwinds",
    "flute": "woodwinds",
    "sax": "woodwinds",
    "horns": "brass",
    "horn": "brass",
    "trumpet": "brass",
    "effects": "fx",
    "sfx": "fx",
    "effect": "fx",
    "synths": "synth",
    "synthesizer": "synth",
    "synthesiser": "synth",
    "lead": "synth",
    "pad": "synth",
    "string": "strings",
    "violin": "strings",
    "orchestra": "strings",
    "perc": "percussion",
    "shaker": "percussion",
    "keys": "keyboard",
    "keyboards": "keyboard",
    "piano": "keyboard",
    "organ": "keyboard",
    "ep": "keyboard",
    "guitars": "guitar",
    "gtr": "guitar",
    "acoustic_guitar": "guitar",
    "electric_guitar": "guitar",
    "bass_guitar": "bass",
    "basses": "bass",
    "drum": "drums",
    "kit": "drums",
    "drum_kit": "drums",
    "beat": "drums",
    "bv": "backing_vocals",
    "bvs": "backing_vocals",
    "bgv": "backing_vocals",
    "bgvs": "backing_vocals",
    "backing": "backing_vocals",
    "backing_vocal": "backing_vocals",
    "choir": "backing_vocals",
    "background_vocals": "backing_vocals",
    "harmonies": "backing_vocals",
    "vocal": "vocals",
    "vox": "vocals",
    "voice": "vocals",
    "lead_vocals": "vocals",
    "lead_vocal": "vocals",
    "singer": "vocals",
}
"""Names musicians give their tracks -> the model's class."""

NOTES = tuple(letter + accidental for letter in "ABCDEFG" for accidental in ("", "#", "b", "♯", "♭"))
MODES = ("major", "minor")
KEYS = tuple(f"{note} {mode}" for note in NOTES for mode in MODES)
"""The 70 key strings the model knows, written like ``F# minor``."""

METRES = (*MODEL_METRES, "5/4", "7/8", "9/8", "12/8")
"""Time signatures that forms offer: the four the model knows, by their numerator, and the usual others. Any other may be typed."""

LANGUAGES = tuple(
    "ar az bg bn ca cs da de el en es fa fi fr he hi hr ht hu id is it ja ko la lt ms ne nl no pa pl pt ro ru "
    "sa sk sr sv sw ta te th tl tr uk ur vi yue zh unknown".split()
)
"""Language codes of the lyric header; ``unknown`` for instrumental music."""

INSTRUMENTAL_FORMS = frozenset({"", "[inst]", "[instrumental]", "inst", "instrumental"})
"""What lyrics say, in lower case, that ask for music without a voice."""


def track_name(name: str, *, field: str = "track") -> str:
    """The model's name of a track: case, spaces, hyphens and a plural do not matter, aliases are resolved.

    Raises `UnknownName` with the closest known names.
    """
    plain = name.strip().lower().replace(" ", "_").replace("-", "_")
    found = TRACK_ALIASES.get(plain, plain)
    if found in TRACKS:
        return found
    close = difflib.get_close_matches(plain, [*TRACKS, *TRACK_ALIASES], n=3)
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    raise UnknownName(f"there is no track class {quoted(name)}{hint}", field=field, limits={"choices": list(TRACKS)})


def key_name(text: str, *, field: str = "key") -> str:
    """The model's spelling of a key: ``f#m``, ``F# minor`` and ``F♯ Minor`` are the same.

    An empty string stays empty (not given). Raises `BadRequest`.
    """
    plain = " ".join(text.split())
    if not plain:
        return ""
    head, _, tail = plain.partition(" ")
    if not tail:
        head, tail = (head[:-1], "minor") if head.endswith("m") and len(head) > 1 else (head, "major")
    mode = {"maj": "major", "min": "minor", "m": "minor", "dur": "major", "moll": "minor"}.get(
        tail.lower(), tail.lower()
    )
    candidate = f"{head[:1].upper()}{head[1:]} {mode}"
    if candidate in KEYS:
        return candidate
    raise BadRequest(
        f"{quoted(text)} is not a key the model knows, like 'F# minor'", field=field, limits={"choices": list(KEYS)}
    )


def metre_name(text: str, *, field: str = "time_signature") -> str:
    """A metre as requests write it: ``4/4`` and ``4`` are ``4``, ``12/8`` stays; empty stays empty. Raises `BadRequest`."""
    return parse_metre(text, field=field).name if text.strip() else ""


def model_metre_name(text: str) -> str:
    """The model's nearest word for a metre (one of `MODEL_METRES`); empty stays empty. Raises `BadRequest`."""
    return model_metre(parse_metre(text, field="time_signature")) if text.strip() else ""
