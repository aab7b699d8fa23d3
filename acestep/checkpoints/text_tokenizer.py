"""The text encoder's tokenizer: from its files, or put together from the tokens that a GGUF file carries along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints import gguf_header
from acestep.checkpoints.borrowing import TOKENIZER

TOKENS, MERGES = "tokenizer.ggml.tokens", "tokenizer.ggml.merges"

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen's tokenizer cuts text before merging: digits stand alone, a word takes its space along."""

END_OF_TEXT = "<|endoftext|>"
"""What the text encoder's tokenizer puts behind every text."""


class Words:
    """A text encoder's tokenizer: text -> token ids and back, with the markers that its file puts around a text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer

    def ids(self, text: str, limit: int | None = None) -> list[int]:
        """Token ids, no more than ``limit``: what is too long loses its end, not the marker behind it."""
        if limit is None:
            return list(self._tokenizer.encode(text).ids)
        self._tokenizer.enable_truncation(limit)
        try:
            return list(self._tokenizer.encode(text).ids)
        finally:
            self._tokenizer.no_truncation()

    def save(self, path: Path) -> None:
        """Write it as a ``tokenizer.json``."""
        self._tokenizer.save(str(path))

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of token ids."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens))

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Token ids as their entries of the vocabulary."""
        return [str(self._tokenizer.id_to_token(one)) for one in ids]

    def id_of(self, token: str) -> int | None:
        """The id of one token; None where there is no such token."""
        found = self._tokenizer.token_to_id(token)
        return None if found is None else int(found)


def load_text_tokenizer(place: Path) -> Words:
    """The text encoder's tokenizer, from its folder or a GGUF file. Raises `BadCheckpoint`."""
    if place.is_file():
        return Words(_from_tokens(place))
    try:
        return Words(Tokenizer.from_file(str(place / TOKENIZER)))
    except Exception as failure:  # the library raises nothing narrower
        raise BadCheckpoint(f"the tokenizer in {place} cannot be read: {failure}", field="model") from failure


def _from_tokens(file: Path) -> Tokenizer:
    words = qwen_words(file, [])
    end = words.token_to_id(END_OF_TEXT)
    words.post_processor = processors.TemplateProcessing(
        single=f"$A {END_OF_TEXT}", pair=f"$A {END_OF_TEXT} $B {END_OF_TEXT}", special_tokens=[(END_OF_TEXT, end)]
    )
    return words


def qwen_words(file: Path, added: list[AddedToken]) -> Tokenizer:
    """Qwen's tokenizer over the plain vocabulary of a GGUF file: its own added tokens at their ids, then ``added``.

    Raises `BadCheckpoint`.
    """
    tokens, merges = gguf_header.read_strings(file, TOKENS), gguf_header.read_strings(file, MERGES)
    own = [] if END_OF_TEXT in tokens else [*qwen_tokens()]
    pairs = [(first, second) for first, _, second in (line.partition(" ") for line in merges)]
    if not tokens or any(not second or " " in second for _, second in pairs):
        raise BadCheckpoint(f"{file} carries no readable tokenizer", field="model")
    try:
        words = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=pairs))
    except Exception as failure:  # the library raises nothing narrower
        raise BadCheckpoint(f"{file} carries a damaged tokenizer", field="model") from failure
    words.normalizer = normalizers.NFC()
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words.decoder = decoders.ByteLevel()
    words.add_tokens([*own, *added])
    return words


def qwen_tokens() -> list[AddedToken]:
    """Qwen3's added tokens in the order of their ids, which follow those of the plain vocabulary."""
    from acestep.planner.layout import PLAIN_TOKENS, QWEN_TOKENS

    return [AddedToken(name, normalized=False, special=name not in PLAIN_TOKENS) for name in QWEN_TOKENS]
