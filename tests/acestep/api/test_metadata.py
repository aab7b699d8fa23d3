"""The metadata block: written as in the training data, read from whatever the model makes of it."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from acestep.api.metadata import Metadata, parse_block, parse_lyrics, split_answer, write_block

LONG = "warm lo-fi hip hop with dusty electric piano chords and brushed drums over a round bass line, late at night, far away"

WRITTEN = [
    (Metadata(), ""),
    (Metadata(bpm=120), "bpm: 120"),
    (Metadata(timesignature="4/4"), "timesignature: 4"),
    (Metadata(timesignature="6"), "timesignature: 6"),
    (Metadata(keyscale="F# minor"), "keyscale: F# minor"),
    (Metadata(language="no"), "language: 'no'"),
    (Metadata(caption="a: b"), "caption: 'a: b'"),
    (Metadata(caption="müde Straße"), "caption: müde Straße"),
    (
        Metadata(timesignature="3", bpm=90, keyscale="C major", duration=30, language="en", caption="x"),
        "bpm: 90\ncaption: x\nduration: 30\nkeyscale: C major\nlanguage: en\ntimesignature: 3",
    ),
    (
        Metadata(caption=LONG),
        "caption: warm lo-fi hip hop with dusty electric piano chords and brushed drums over\n"
        "  a round bass line, late at night, far away",
    ),
]

READ = [
    ("bpm: 120", Metadata(bpm=120)),
    ("BPM: 98.6", Metadata(bpm=98)),
    ("bpm: fast", Metadata()),
    ("caption: one\n  two\n  three\nbpm: 90", Metadata(caption="one two three", bpm=90)),
    ("caption: style: punk, loud\nduration: 30", Metadata(caption="style: punk, loud", duration=30)),
    ("caption: 'it''s: here'", Metadata(caption="it's: here")),
    ("caption: 'unfinished", Metadata(caption="'unfinished")),
    ('caption: "a\n  b"', Metadata(caption="a b")),
    ("language: 'no'", Metadata(language="no")),
    ("language: no", Metadata(language="no")),
    ("timesignature: 4/4", Metadata(timesignature="4")),
    ("keyscale: F# minor", Metadata(keyscale="F# minor")),
    ("genres: funk, soul\nmood: happy", Metadata(genres="funk, soul")),
    ("caption:\n  only below", Metadata(caption="only below")),
    ("stray text\nbpm: 60", Metadata(bpm=60)),
    ("duration: 1e999", Metadata()),
    ("", Metadata()),
]


@pytest.mark.parametrize(("metadata", "block"), WRITTEN)
def test_blocks_are_written_as_yaml_in_the_training_style(metadata: Metadata, block: str) -> None:
    """Sorted keys, plain numbers, unicode as it is, lines folded at 80 columns with two spaces, nothing that is not said."""
    assert write_block(metadata) == block


@pytest.mark.parametrize(("block", "metadata"), READ)
def test_blocks_are_read_line_by_line(block: str, metadata: Metadata) -> None:
    """A line without indentation opens a field, the others belong to it; what is not a number is not said."""
    assert parse_block(block) == metadata


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        ("<think>\nbpm: 1\n</think>\n\nrest", ("bpm: 1", "\n\nrest")),
        ("bpm: 1\n</think>x", ("bpm: 1", "x")),
        ("<think>\nbpm: 1\n<|audio_code_7|>", ("bpm: 1", "<|audio_code_7|>")),
        ("<think>\nbpm: 1", ("bpm: 1", "")),
    ],
)
def test_answers_are_split_at_the_closing_tag_or_the_first_code(answer: str, parts: tuple[str, str]) -> None:
    """The block is what stands between the tags; a missing one is made up for."""
    assert split_answer(answer) == parts


@pytest.mark.parametrize(
    ("rest", "lyrics"),
    [
        ("\n\n# Lyric\n[Verse]\nHello\n<|im_end|>", "[Verse]\nHello"),
        ("\n# Lyrics\nHello", "Hello"),
        ("Hello\nthere", "Hello\nthere"),
        ("\n\n# Lyric", ""),
        ("", ""),
    ],
)
def test_lyrics_lose_their_heading_and_the_end_of_turn(rest: str, lyrics: str) -> None:
    """What follows the thought is lyrics, with or without a heading."""
    assert parse_lyrics(rest) == lyrics


words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(
    caption=st.lists(words, max_size=30).map(" ".join), bpm=st.integers(30, 300), key=st.sampled_from(["", "Bb major"])
)
def test_what_was_written_is_read_back(caption: str, bpm: int, key: str) -> None:
    """Any caption survives folding and quoting, and PyYAML reads the same block."""
    metadata = Metadata(caption=caption, bpm=bpm, keyscale=key)
    block = write_block(metadata)
    assert yaml.safe_load(block)["bpm"] == bpm
    assert parse_block(block) == metadata
