"""Labels by measurement and by name: right where the sound is clear, and unsure where it is not."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.api.errors import BadRequest
from acestep.dataset.edit import edit_sample
from acestep.dataset.label import LabelOptions, label
from acestep.dataset.measure import measure_sound
from acestep.dataset.names import name_labels
from acestep.dataset.scan import scan

RATE = 22_050
A_MINOR = ((57, 60, 64), (65, 69, 72), (60, 64, 67), (64, 68, 71))
"""Am F C E."""


def test_a_steady_song_is_measured(song):
    """Tempo, key and four beats to the bar, all of them sure."""
    found = measure_sound(song(32.0, bpm=126.0, chords=A_MINOR), RATE, 32.0)
    assert found.labels == {"bpm": 126, "keyscale": "A minor", "timesignature": "4"}
    assert found.unsure == {}


def test_three_beats_to_a_bar(song):
    found = measure_sound(song(32.0, bpm=120.0, beats=3, chords=A_MINOR), RATE, 32.0)
    assert found.labels["timesignature"] == "3" and "timesignature" not in found.unsure


def test_a_tempo_that_changes_is_unsure(song):
    """The value of the whole with a sentence that names what its parts were heard as."""
    sound = np.concatenate([song(12.0, bpm=90.0), song(12.0, bpm=131.0), song(12.0, bpm=163.0)])
    found = measure_sound(sound, RATE, 36.0)
    assert "bpm" not in found.labels or "bpm" in found.unsure


def test_noise_and_silence_have_neither_tempo_nor_key():
    """No value, and why."""
    for sound in (np.zeros((2, 30 * RATE)), 0.1 * np.random.default_rng(0).standard_normal((1, 30 * RATE))):
        found = measure_sound(sound, RATE, 30.0)
        assert "bpm" not in found.labels and found.unsure["bpm"] == "no steady beat was found"
    assert measure_sound(np.zeros((2, 30 * RATE)), RATE, 30.0).unsure["keyscale"] == "no pitches were found"


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("03 - Night Bus_120bpm_Am", {"bpm": 120, "keyscale": "A minor", "caption": "Night Bus"}),
        ("Night_Bus", {"caption": "Night Bus"}),
        ("Ana - Sol (98 BPM) [F# major]", {"bpm": 98, "keyscale": "F# major", "caption": "Ana, Sol"}),
        ("track 999bpm", {"caption": "track 999bpm"}),
        ("0001", {}),
        ("I Am Here", {"caption": "I Am Here"}),
        ("1979", {}),
    ],
)
def test_what_a_name_says(stem, expected):
    found = name_labels(stem)
    assert found == expected


@pytest.fixture
def dataset(tmp_path, song):
    soundfile.write(tmp_path / "Night Bus 77bpm.wav", song(32.0, bpm=126.0, chords=A_MINOR), RATE)
    soundfile.write(tmp_path / "Fog.wav", 0.1 * np.random.default_rng(0).standard_normal(30 * RATE), RATE)
    return scan([tmp_path]).dataset


def test_labelling_fills_in_what_is_missing(dataset):
    """Measurement before the name's tempo, the name for the caption; what a person wrote stays, doubts are kept and told."""
    fog = dataset.samples[0].id
    dataset = edit_sample(dataset, fog, {"caption": "grey", "keyscale": "D minor"})
    seen = []
    made = label(dataset, advance=lambda *step: seen.append(step))
    first, second = made.dataset.samples
    assert (first.caption, first.keyscale, first.bpm, first.labeled) == ("grey", "D minor", None, True)
    assert (second.caption, second.bpm, second.keyscale, second.timesignature) == ("Night Bus", 126, "A minor", "4")
    assert "bpm" in first.own.unsure and "keyscale" not in first.own.unsure
    assert "Fog.wav: no steady beat was found" in made.notes
    assert [done for done, _, _ in seen] == [0, 1, 2]
    assert "bpm" not in edit_sample(made.dataset, fog, {"bpm": 60}).samples[0].own.unsure


def test_labels_may_be_skipped_or_all_instrumental(dataset):
    skipped = label(dataset, LabelOptions(skip=True)).dataset.samples
    assert [(sample.bpm, sample.caption) for sample in skipped] == [(None, "Fog"), (77, "Night Bus")]
    sung = edit_sample(dataset, dataset.samples[0].id, {"lyrics": "oh"})
    silent = label(sung, LabelOptions(skip=True, instrumental=True)).dataset.samples[0]
    assert silent.is_instrumental and silent.lyrics == "[Instrumental]"
    with pytest.raises(BadRequest, match="no samples nobody"):
        label(dataset, LabelOptions(only=("nobody",)))


def test_a_planner_says_the_words_and_never_the_tempo(dataset):
    """Caption, lyrics and language are the planner's; tempo and key stay measured."""
    heard = {"caption": "a bus at night", "bpm": 240, "keyscale": "C major", "language": "de", "lyrics": "[verse]\nBus"}
    made = label(dataset, LabelOptions(only=(dataset.samples[1].id,)), understand=lambda sample: heard)
    bus = made.dataset.samples[1]
    assert (bus.caption, bus.language, bus.lyrics, bus.is_instrumental) == (
        "a bus at night",
        "de",
        "[verse]\nBus",
        False,
    )
    assert (bus.bpm, bus.keyscale) == (126, "A minor")
