"""The metadata block as a grammar, and what a sequence that follows it may say next.

The block is described once, in `block_grammar`, from one table of fields; llguidance compiles it against the real
tokenizer (benchmarks/planner.py compares it with xgrammar). State belongs to the sequence, so a batch may hold
sequences in different fields.
"""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from acestep.api import limits, music
from acestep.api.errors import BadCheckpoint, InternalError, Unavailable
from acestep.api.metadata import FIELDS, Metadata, write_block
from acestep.planner.layout import TokenLayout

if TYPE_CHECKING:
    from llguidance import LLMatcher

CAPTION_TOKENS = 512
"""Longest caption in tokens."""

BLOCK_TOKENS = CAPTION_TOKENS + 512
"""No block is longer than this: a full caption, genres, and the short fields."""

_CHARACTER = r"[^\n`<\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]"
_LINE = rf"[^\s`<\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]{_CHARACTER}*"
"""One line of free text: no back-ticks, no control characters, and no ``<``, so it can spell no control token."""

FOLDED_TEXT = f"""\
%lark {{
  start: LINE ("\\n  " LINE)*
  LINE: /{_LINE}/
}}"""
"""Folded YAML: further lines are indented by two spaces, so a line that is not begins the next field.

A grammar of its own, not one regular expression: a lexer takes the longest match, would wait for more lines at every line
feed, and no caption could ever end before its token limit.
"""

FREE_TEXT = r"[^`<\x00-\x09\x0b-\x1f\x7f-\x9f\ufeff]*"
"""What may follow a block: lines of lyrics."""

LANGUAGE_CUES = ("\nlanguage:", "\nlanguage: ")
"""Where the language begins. Its first token is taken by likelihood alone: a language is detected, not invented."""


class BlockOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which block a sequence writes.

    Values in ``fixed`` appear verbatim, fields in ``skip`` not at all, those in ``optional`` if the model likes. After
    the block the model goes on with free text of at most ``tail_tokens``.
    """

    fixed: Metadata = Metadata()
    skip: frozenset[str] = frozenset({"genres"})
    optional: frozenset[str] = frozenset()
    max_duration: int = int(limits.MAX_DURATION)
    caption_tokens: int = CAPTION_TOKENS
    tail_tokens: int = 0


def allowed_values(field: str, max_duration: int = int(limits.MAX_DURATION)) -> tuple[str, ...]:
    """The closed list of values of a field, empty for free text."""
    tables = {
        "bpm": tuple(str(bpm) for bpm in range(int(limits.BPM_RANGE[0]), int(limits.BPM_RANGE[1]) + 1)),
        "duration": tuple(str(seconds) for seconds in range(int(limits.MIN_DURATION), max_duration + 1)),
        "keyscale": music.KEYS,
        "language": music.LANGUAGES,
        "timesignature": music.MODEL_METRES,
    }
    return tables.get(field, ())


def block_grammar(options: BlockOptions) -> str:
    """The block in llguidance's Lark dialect, from ``<think>`` to ``</think>`` (and free text where wished)."""
    rules: list[str] = []
    body: list[str] = []
    for field in FIELDS:
        line = _field_line(field, options, rules)
        if line:
            body.append(line)
    tail = []
    if options.tail_tokens:
        tail = ["tail"]
        rules += [f"tail[max_tokens={options.tail_tokens}]: TAIL", f"TAIL: /{FREE_TEXT}/"]
    start = " ".join(["start: <think>", '"\\n"', *body, "</think>", *tail])
    return "\n".join([start, *rules])


def _field_line(field: str, options: BlockOptions, rules: list[str]) -> str:
    """One field as a sequence of the grammar; the rule of its value is appended to ``rules``."""
    value = getattr(options.fixed, field)
    if value not in ("", None):
        line = write_block(Metadata(**{field: value})) if field in ("caption", "genres") else f"{field}: {value}"
        return _literal(line + "\n")
    if field in options.skip:
        return ""
    choices = allowed_values(field, options.max_duration)
    if choices:
        rules.append(f"{field}: " + " | ".join(_literal(choice) for choice in choices))
    else:
        rules.append(f"{field}[max_tokens={options.caption_tokens}]: {FOLDED_TEXT}")
    line = f'{_literal(field + ": ")} {field} "\\n"'
    return f"({line})?" if field in options.optional else line


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _compiler() -> Any:
    """llguidance, which comes with the extra ``planner``. Raises `Unavailable` without it."""
    try:
        return importlib.import_module("llguidance")
    except ImportError as failure:
        raise Unavailable(
            "the planner needs the package llguidance (pip install 'acestep-bridge[planner]'); "
            "generating without 'thinking' works",
            field="model",
        ) from failure


class TextVocabulary:
    """The tokens below the audio codes, compiled for masks: no grammar can ever ask for a code.

    Building it takes about a second; keep one per tokenizer.
    """

    def __init__(self, tokenizer: Any, layout: TokenLayout) -> None:
        tables = json.loads(tokenizer.backend_tokenizer.to_str())
        tables["padding"] = tables["truncation"] = None
        tables["added_tokens"] = [token for token in tables["added_tokens"] if token["id"] < layout.first_code]
        self.size = layout.first_code
        self._tokens = _compiler().LLTokenizer(json.dumps(tables), n_vocab=self.size, eos_token=layout.end)
        self.end = layout.end

    def constrain(self, options: BlockOptions) -> Constraint:
        """A fresh constraint for one sequence."""
        return Constraint(self, block_grammar(options))

    def compile(self, grammar: str) -> LLMatcher:
        """A matcher at the start of a grammar. Raises `BadCheckpoint` if the tokenizer cannot write it."""
        matcher: LLMatcher = _compiler().LLMatcher(self._tokens, grammar)
        if matcher.is_error():
            raise BadCheckpoint(f"the tokenizer cannot write the metadata block: {matcher.get_error()}")
        return matcher

    def text(self, ids: list[int]) -> str:
        """The text of ids, special tokens spelled out.

        A character that the token limit of a caption cut in half is left out.
        """
        return self._tokens.decode_bytes(ids).decode("utf-8", errors="ignore")


class Constraint:
    """What one sequence may say next; one per sequence, advanced by every token it takes."""

    def __init__(self, vocabulary: TextVocabulary, grammar: str) -> None:
        self._vocabulary = vocabulary
        self._matcher = vocabulary.compile(grammar)
        self._spoken = ""

    @property
    def done(self) -> bool:
        """Whether the grammar is complete and nothing may follow."""
        return self._matcher.is_stopped()

    @property
    def greedy(self) -> bool:
        """Whether the next token is to be the likeliest one (the first of the language)."""
        return self._spoken.endswith(LANGUAGE_CUES)

    def forced(self) -> list[int]:
        """Tokens that must follow, as the tokenizer itself would cut them; empty where there is a choice."""
        return [] if self.done else self._matcher.compute_ff_tokens()

    def mask(self) -> np.ndarray:
        """Which ids may follow: bool, one per text id."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return np.unpackbits(bits, bitorder="little")[: self._vocabulary.size].astype(bool)

    def accept(self, token: int) -> None:
        """Take a token. Raises `InternalError` for one that the mask forbids."""
        if not self._matcher.consume_token(token):
            raise InternalError(f"token {token} does not fit the metadata grammar: {self._matcher.get_error()}")
        self._spoken = (self._spoken + self._vocabulary.text([token]))[-32:]
