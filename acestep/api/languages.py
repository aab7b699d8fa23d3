"""Languages of lyrics as people write them: the model's codes in any case, with a region behind them, or the language's name."""

from __future__ import annotations

import difflib

from acestep.api.errors import UnknownName
from acestep.api.music import LANGUAGES

NAMES: dict[str, str] = dict(
    entry.rsplit(" ", 1)
    for entry in (
        "arabic ar,azerbaijani az,bulgarian bg,bengali bn,bangla bn,catalan ca,czech cs,danish da,german de,deutsch de,"
        "greek el,english en,spanish es,español es,persian fa,farsi fa,finnish fi,french fr,français fr,hebrew he,"
        "hindi hi,croatian hr,haitian creole ht,hungarian hu,indonesian id,icelandic is,italian it,italiano it,"
        "japanese ja,korean ko,latin la,lithuanian lt,malay ms,nepali ne,dutch nl,norwegian no,punjabi pa,polish pl,"
        "portuguese pt,português pt,romanian ro,russian ru,sanskrit sa,slovak sk,serbian sr,swedish sv,swahili sw,"
        "tamil ta,telugu te,thai th,tagalog tl,filipino tl,turkish tr,ukrainian uk,urdu ur,vietnamese vi,cantonese yue,"
        "chinese zh,mandarin zh,jp ja,kr ko,cn zh,iw he,in id,nb no,nn no,none unknown,instrumental unknown"
    ).split(",")
)
"""English names, a few own ones, and codes that other programs write -> the model's code."""


def language_name(text: str, *, field: str = "language") -> str:
    """The model's code: ``EN``, ``en-US``, ``en_GB`` and ``English`` are ``en``. Raises `UnknownName` with the nearest."""
    plain = text.strip().lower()
    code = plain.replace("_", "-").partition("-")[0]
    found = NAMES.get(plain, NAMES.get(code, code))
    if plain in LANGUAGES:
        return plain
    if found in LANGUAGES:
        return found
    near = difflib.get_close_matches(plain, NAMES, 1)
    hint = f"; did you mean {NAMES[near[0]]} ({near[0]})?" if near else ""
    raise UnknownName(f"there is no language {text!r}{hint}", field=field, limits={"choices": list(LANGUAGES)})
