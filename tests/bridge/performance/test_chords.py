"""Held notes become the words a musician would use."""

import pytest

from acestep.api.music import key_name
from bridge.performance.chords import CHORDS, NOTE_NAMES, name_chord, suggest_key


@pytest.mark.parametrize(
    ("notes", "name", "key"),
    [
        ([60, 64, 67], "C", "C major"),
        ([66, 69, 73], "F#m", "F# minor"),
        ([57, 60, 64, 67], "Am7", "A minor"),
        ([60, 64, 67, 69], "C6", "C major"),
        ([64, 67, 72], "C", "C major"),
        ([48, 60, 64, 67], "C", "C major"),
        ([60, 61], "", ""),
        ([], "", ""),
    ],
)
def test_notes_name_their_chord_and_key(notes, name, key):
    assert (name_chord(notes), suggest_key(notes)) == (name, key)


def test_every_suggested_key_is_one_the_model_knows():
    for root in range(12):
        for shape in CHORDS:
            assert key_name(suggest_key([48 + root, *(60 + root + step for step in shape)]))
    assert len(set(NOTE_NAMES)) == 12
