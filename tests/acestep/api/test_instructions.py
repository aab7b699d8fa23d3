"""The model's instruction sentences, to the letter (published in its constants file)."""

from __future__ import annotations

import pytest

from acestep.api import instruction


@pytest.mark.parametrize(
    ("task", "tracks", "sentence"),
    [
        ("text2music", (), "Fill the audio semantic mask based on the given conditions:"),
        ("cover", (), "Generate audio semantic tokens based on the given conditions:"),
        ("repaint", ("drums",), "Repaint the mask area based on the given conditions:"),
        ("extract", ("backing_vocals",), "Extract the BACKING_VOCALS track from the audio:"),
        ("extract", ("",), "Extract the track from the audio:"),
        ("lego", ("bass",), "Generate the BASS track based on the audio context:"),
        ("lego", (), "Generate the track based on the audio context:"),
        ("complete", ("drums", "bass"), "Complete the input track with DRUMS | BASS:"),
        ("complete", (), "Complete the input track:"),
    ],
)
def test_sentences(task, tracks, sentence):
    """A changed word is a changed condition; tasks without tracks do not name one."""
    assert instruction(task, *tracks) == sentence
