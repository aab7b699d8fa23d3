"""Lyrics to the tokens that the lyric encoder knows: line by line, each behind the mark of its language. No torch, and
`tokenizers`, which only the engine brings, when there is a vocabulary to read.

The vocabulary is no part of the hub's checkpoint (`acestep.families.ace_step_v1.published`). Without it there is instrumental music
only, which needs no tokens at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from acestep.api.errors import BadCheckpoint, BadRequest, ModelMissing
from acestep.families.ace_step_v1.lyric_text import clean
from acestep.families.ace_step_v1.published import VOCABULARY, VOCABULARY_URL

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START, SPACE, END_OF_LINE, UNKNOWN = "[START]", "[SPACE]", "[SPACE]", "[UNK]"
SPECIAL = ("[STOP]", UNKNOWN, SPACE, START)

LANGUAGE_TOKENS = {code: f"[{code}]" for code in "en de fr ru es it pt cs pl tr nl ar ja hu ko hi".split()} | {
    "zh": "[zh-cn]"
}
"""Language -> its token."""

STRUCTURE = tuple(
    f"[{name}]" for name in "start intro verse chorus bridge outro end inst solo hook pre-chorus break".split()
)
"""The marks of a song's parts that the model knows; any other would be sung letter by letter."""

ALIASES = {
    "instrumental": "inst", "interlude": "inst", "instrumental break": "inst", "refrain": "chorus", "post-chorus": "chorus",
    "pre chorus": "pre-chorus", "prechorus": "pre-chorus", "pre-refrain": "pre-chorus", "guitar solo": "solo",
    "piano solo": "solo", "sax solo": "solo", "breakdown": "break", "ending": "end", "fade out": "outro", "coda": "outro",
    "middle 8": "bridge", "intro music": "intro",
}  # fmt: skip
"""What people call a part -> the model's name for it."""

SCRIPTS = (
    ("ja", r"[\u3040-\u30ff]"),
    ("ko", r"[\uac00-\ud7a3]"),
    ("zh", r"[\u3400-\u9fff]"),
    ("ru", r"[\u0400-\u04ff]"),
    ("ar", r"[\u0600-\u06ff]"),
    ("hi", r"[\u0900-\u097f]"),
)
"""Languages that are known by their letters. Kana come first: Japanese has Chinese characters too."""

TAG = re.compile(r"\[([^\[\]]*)\]")
LANGUAGE_PREFIX = re.compile(r"\[([A-Za-z]{2})(?:-[A-Za-z]{2})?\]\s*(?=\S)")

MAX_TOKENS = 4096
"""Tokens up to which the model was trained."""


@dataclass
class LyricTokens:
    """The tokens of a song's lyrics, and what was changed on the way, in sentences for the user."""

    ids: list[int]
    notes: list[str] = field(default_factory=list)

    @property
    def silent(self) -> bool:
        """Whether there is nothing to sing."""
        return self.ids == NO_LYRICS


NO_LYRICS = [0]
"""Tokens of instrumental music; their mask is 0."""


def instrumental() -> LyricTokens:
    """No lyrics, for which no vocabulary is needed."""
    return LyricTokens(list(NO_LYRICS))


class LyricTokenizer:
    """The model's vocabulary at work."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        missing = [
            token for token in (*SPECIAL, *LANGUAGE_TOKENS.values(), *STRUCTURE) if tokenizer.token_to_id(token) is None
        ]
        if missing:
            raise BadCheckpoint(f"the lyric vocabulary lacks {', '.join(missing[:4])}", field="model")

    @classmethod
    def load(cls, path: Path | None, tokens: int) -> LyricTokenizer:
        """The vocabulary of a model with so many lyric tokens. Raises `ModelMissing`, `BadCheckpoint`."""
        if path is None:
            raise ModelMissing(
                f"lyrics need the model's vocabulary, {VOCABULARY}, which is not beside its weights: put {VOCABULARY_URL} there; "
                "instrumental music works without it",
                field="lyrics",
            )
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as failure:  # the library raises nothing narrower
            raise BadCheckpoint(
                f"{path} is not a lyric vocabulary; put {VOCABULARY_URL} there", field="model"
            ) from failure
        if tokenizer.get_vocab_size() > tokens:
            raise BadCheckpoint(
                f"{path} has {tokenizer.get_vocab_size()} tokens and the model knows {tokens}", field="model"
            )
        return cls(tokenizer)

    def encode(self, lyrics: str, language: str = "") -> LyricTokens:
        """Tokens of lyrics; ``language`` is that of lines in Latin letters (English where it is left open).

        A line may begin with its own language in brackets, ``[de] ...``. Raises `Unavailable` for a language whose package is not
        installed, `BadRequest` for lyrics that are too long.
        """
        found = LyricTokens([self._token(START)])
        if not lyrics.strip():
            return instrumental()
        spoken = self._spoken(language, found)
        for line in lyrics.strip().splitlines():
            found.ids += [*self._line(line.strip(), spoken, found), self._token(END_OF_LINE)]
        if len(found.ids) > MAX_TOKENS:
            raise BadRequest(
                f"the lyrics have {len(found.ids)} tokens; the model knows up to {MAX_TOKENS}",
                field="lyrics", limits={"max": MAX_TOKENS},
            )  # fmt: skip
        found.notes = list(dict.fromkeys(found.notes))
        return found

    def _spoken(self, language: str, found: LyricTokens) -> str:
        """The language of lines in Latin letters."""
        code = language.partition("-")[0].lower()
        if code and code not in (*LANGUAGE_TOKENS, "unknown"):
            found.notes.append(f"ACE-Step v1 knows no {code!r}; these lyrics are read as English")
        return code if code in LANGUAGE_TOKENS else "en"

    def _line(self, line: str, spoken: str, found: LyricTokens) -> Iterator[int]:
        """Tokens of one line; nothing for an empty one."""
        own = LANGUAGE_PREFIX.match(line)
        if own and own[1].lower() in LANGUAGE_TOKENS:
            language, line = own[1].lower(), line[own.end() :]
        else:
            language = language_of(line, spoken)
        marked = line.startswith("[")
        line = TAG.sub(lambda tag: self._tag(tag, found), line).strip()
        if not line:
            return
        if marked:
            language = "en"
        text = line if marked and line in STRUCTURE else self._cleaned(line, language, found)
        yield from self._tokenizer.encode(LANGUAGE_TOKENS[language] + text.replace(" ", SPACE)).ids

    def _cleaned(self, line: str, language: str, found: LyricTokens) -> str:
        """A line's words, marks of parts in it left as they are."""
        pieces = []
        for piece in re.split(r"(\[[^\[\]]*\])", line):
            if piece in STRUCTURE:
                pieces.append(piece)
                continue
            text, figures = clean(piece, language)
            pieces.append(text)
            if figures:
                found.notes.append("numbers in the lyrics are sung as figures; the package num2words spells them out")
        return " ".join(piece for piece in pieces if piece)

    def _tag(self, tag: re.Match[str], found: LyricTokens) -> str:
        """A mark as the model knows it; one that it does not know is left out, with a note."""
        name = structure_of(tag[1])
        if name is None:
            known = " ".join(STRUCTURE)
            found.notes.append(f"the model knows no {tag[0]}, which was left out; it knows {known}")
            return " "
        return name

    def _token(self, token: str) -> int:
        """The number of a special token; that they are all there was seen to at the beginning."""
        number = self._tokenizer.token_to_id(token)
        assert number is not None
        return number


def language_of(line: str, spoken: str) -> str:
    """A line's language by its letters; Chinese characters are read as Japanese in a Japanese song."""
    plain = TAG.sub("", line)
    for language, letters in SCRIPTS:
        if re.search(letters, plain):
            return "ja" if language == "zh" and spoken == "ja" else language
    return spoken if spoken not in {language for language, _ in SCRIPTS} else "en"


def structure_of(name: str) -> str | None:
    """The mark of a song's part under whatever name: ``Chorus 2``, ``Verse: softly``, ``Instrumental``; None: no such part."""
    plain = re.split(r"[:–—|(]| - ", name.lower(), maxsplit=1)[0]
    plain = re.sub(r"(\s*#?\d+|\s+[ivx]+|\s+[a-d])$", "", plain.strip())
    found = f"[{ALIASES.get(name.strip().lower(), ALIASES.get(plain, plain))}]"
    return found if found in STRUCTURE else None
