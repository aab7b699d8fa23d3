"""Whatever the model would like to say: what it says is a valid block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acestep.api import music
from acestep.api.errors import InternalError
from acestep.api.metadata import Metadata, parse_block, split_answer, write_block
from acestep.planner.grammar import BLOCK_TOKENS, BlockOptions, Constraint, TextVocabulary, allowed_values

FREE = BlockOptions(caption_tokens=24)


def speak(vocabulary: TextVocabulary, options: BlockOptions, logits, limit: int = BLOCK_TOKENS) -> str:
    """The text of a mouth that says the likeliest allowed token of ``logits(step)`` at every step."""
    constraint = vocabulary.constrain(options)
    ids: list[int] = []
    while not constraint.done and len(ids) < limit:
        for token in constraint.forced() or [int(np.where(constraint.mask(), logits(len(ids)), -np.inf).argmax())]:
            constraint.accept(token)
            ids.append(token)
    return vocabulary.text([token for token in ids if token != vocabulary.end])


def random_mouth(vocabulary: TextVocabulary, seed: int):
    """Fresh random logits at every step."""
    generator = np.random.default_rng(seed)
    return lambda step: generator.standard_normal(vocabulary.size)


def check(text: str, options: BlockOptions) -> Metadata:
    """The parsed block, after everything that must hold of any block."""
    assert text.startswith("<think>\n") and text.count("</think>") == 1
    block, _ = split_answer(text)
    metadata = parse_block(block)
    for field in ("bpm", "duration", "keyscale", "language", "timesignature"):
        assert str(getattr(metadata, field)) in allowed_values(field, options.max_duration)
    names = [line.partition(":")[0] for line in block.split("\n") if not line.startswith(" ")]
    assert names == sorted(names)
    assert metadata.caption and not set("`<\t\r\x00\u2028") & set(metadata.caption)
    return metadata


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.long
def test_random_logits_make_valid_blocks(vocabulary: TextVocabulary, seed: int) -> None:
    """Every field is there once, in order, with a value from its table; captions hold no forbidden character."""
    check(speak(vocabulary, FREE, random_mouth(vocabulary, seed)), FREE)


@pytest.mark.parametrize(
    "stubborn", ["\n", "  ", " ", "`", "<", "</", "#", "0", "9", ":", "\u00e9", "\n\n", "'", '"', "A"]
)
def test_stubborn_mouths_make_valid_blocks(vocabulary: TextVocabulary, tokenizer, stubborn: str) -> None:
    """A model that wants one thing only, be it line feeds, quotes or control characters, still makes a valid block."""
    wanted = tokenizer(stubborn, add_special_tokens=False)["input_ids"]
    logits = np.random.default_rng(5).standard_normal(vocabulary.size)
    logits[wanted] = 100.0
    check(speak(vocabulary, FREE, lambda step: logits), FREE)


def test_characters_cut_in_half_are_left_out(vocabulary: TextVocabulary) -> None:
    """A model that says only bytes, cut off inside a character by the limit, still makes whole text."""
    logits = np.random.default_rng(6).standard_normal(vocabulary.size)
    logits[:256] += np.where(np.arange(256) >= 128, 50.0, 0.0)
    text = speak(vocabulary, FREE, lambda step: logits + np.random.default_rng(step).standard_normal(vocabulary.size))
    assert "\ufffd" not in text
    check(text, FREE)


NATURAL = [
    Metadata(bpm=120, caption="short", duration=30, keyscale="F# minor", language="en", timesignature="4"),
    Metadata(
        bpm=98,
        caption="many words " * 30 + "end",
        duration=600,
        keyscale="C major",
        language="unknown",
        timesignature="6",
    ),
    Metadata(bpm=300, caption="quoted: yes, it's", duration=10, keyscale="B♭ major", language="zh", timesignature="3"),
    Metadata(bpm=30, caption="日本の歌、夜の街", duration=101, keyscale="A minor", language="ja", timesignature="2"),
]


@pytest.mark.parametrize("metadata", NATURAL)
def test_blocks_as_in_the_training_data_are_allowed(vocabulary: TextVocabulary, metadata: Metadata) -> None:
    """What the writer writes, the grammar lets the model say, token by token, and ends there: captions end by themselves."""
    constraint = vocabulary.constrain(BlockOptions())
    for token in vocabulary._tokens.tokenize_str(f"<think>\n{write_block(metadata)}\n</think>", parse_special=True):
        assert constraint.mask()[token]
        constraint.accept(token)
    assert constraint.done


def test_a_mouth_that_wants_line_feeds_ends_its_caption(vocabulary: TextVocabulary, tokenizer) -> None:
    """A caption goes on only as long as the model wants it to."""
    logits = np.random.default_rng(5).standard_normal(vocabulary.size)
    logits[tokenizer("\n", add_special_tokens=False)["input_ids"]] = 100.0
    logits[tokenizer("d", add_special_tokens=False)["input_ids"]] = 50.0
    assert len(check(speak(vocabulary, FREE, lambda step: logits), FREE).caption) < 10


fixed_values = st.fixed_dictionaries(
    {},
    optional={
        "bpm": st.integers(30, 300),
        "duration": st.integers(10, 600),
        "keyscale": st.sampled_from(music.KEYS),
        "language": st.sampled_from(music.LANGUAGES),
        "timesignature": st.sampled_from(music.MODEL_METRES),
        "caption": st.sampled_from(["slow", 'a "quoted" options: yes', "many words " * 20, "日本の歌"]).map(str.strip),
    },
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=fixed_values, seed=st.integers(0, 99))
def test_given_values_appear_verbatim(vocabulary: TextVocabulary, values: dict, seed: int) -> None:
    """What the user said stands in the block, letter by letter, whatever the model would rather say."""
    options = BlockOptions(fixed=Metadata(**values), caption_tokens=12)
    text = speak(vocabulary, options, random_mouth(vocabulary, seed))
    metadata = check(text, options)
    for field, value in values.items():
        assert getattr(metadata, field) == value
        if field != "caption":
            assert f"\n{field}: {value}\n" in text


def test_durations_stay_below_the_machines_limit(vocabulary: TextVocabulary, tokenizer) -> None:
    """A model that loves nines plans no more than the memory tier allows."""
    options = BlockOptions(max_duration=240, caption_tokens=8)
    logits = np.zeros(vocabulary.size)
    logits[tokenizer("9", add_special_tokens=False)["input_ids"]] = 9.0
    metadata = check(speak(vocabulary, options, lambda step: logits), options)
    assert metadata.duration is not None and metadata.duration <= 240


def test_skipped_fields_are_absent_and_optional_ones_are_the_models_choice(vocabulary: TextVocabulary) -> None:
    """`skip` leaves no trace; an optional field appears for some models and not for others."""
    skipping = BlockOptions(skip=frozenset({"genres", "caption", "language"}))
    text = speak(vocabulary, skipping, random_mouth(vocabulary, 1))
    assert "caption:" not in text and "language:" not in text and "genres" not in text
    optional = BlockOptions(skip=frozenset({"caption"}), optional=frozenset({"genres"}), caption_tokens=6)
    constraint = vocabulary.constrain(optional)
    for token in vocabulary._tokens.tokenize_str("<think>\nbpm: 120\nduration: 30\n", parse_special=True):
        constraint.accept(token)
    firsts = {vocabulary.text([int(token)])[:1] for token in np.flatnonzero(constraint.mask())}
    assert firsts == {"g", "k"}


def test_tail_goes_on_after_the_block_and_stops_at_its_limit(vocabulary: TextVocabulary) -> None:
    """Lyrics may follow, never a control token, and no more than asked for."""
    options = BlockOptions(skip=frozenset({"genres", "caption"}), tail_tokens=20)
    text = speak(vocabulary, options, random_mouth(vocabulary, 3))
    _, rest = split_answer(text)
    assert rest and "<" not in rest and "`" not in rest
    assert len(vocabulary._tokens.tokenize_str(rest)) <= 40


def test_sequences_keep_their_own_state(vocabulary: TextVocabulary) -> None:
    """Two constraints of one vocabulary advance apart: the second is where it began."""
    first, second = vocabulary.constrain(FREE), vocabulary.constrain(FREE)
    before = second.mask()
    for token in first.forced():
        first.accept(token)
    assert np.array_equal(second.mask(), before)
    assert not np.array_equal(first.mask(), before)


def test_language_is_taken_by_likelihood(vocabulary: TextVocabulary) -> None:
    """Only where the language begins is the next token to be the likeliest one."""
    constraint = vocabulary.constrain(BlockOptions(skip=frozenset({"genres", "caption", "keyscale"})))
    seen = []
    for token in vocabulary._tokens.tokenize_str(
        "<think>\nbpm: 120\nduration: 30\nlanguage: en\ntimesignature: 4\n", parse_special=True
    ):
        if constraint.greedy:
            seen.append(vocabulary.text([token]))
        constraint.accept(token)
    assert "".join(seen).strip() == "en"


def test_forbidden_token_is_an_error(vocabulary: TextVocabulary) -> None:
    """A token that the mask forbids is refused loudly: it would mean a bug in the loop."""
    constraint: Constraint = vocabulary.constrain(FREE)
    with pytest.raises(InternalError):
        constraint.accept(0)


def test_no_mask_reaches_the_audio_codes(vocabulary: TextVocabulary, layout) -> None:
    """Text masks end where the codes begin, so no grammar can ever allow one."""
    assert len(vocabulary.constrain(FREE).mask()) == vocabulary.size == layout.first_code
