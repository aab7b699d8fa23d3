"""Names musicians use become the model's own, or one clear error."""

import pytest

from acestep.api import music
from acestep.api.errors import BadRequest, UnknownName


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Drums", "drums"),
        ("BV", "backing_vocals"),
        ("keys", "keyboard"),
        ("Backing Vocals", "backing_vocals"),
        ("lead-vocals", "vocals"),
        ("FX", "fx"),
    ],
)
def test_track_aliases_become_the_models_class(given, expected):
    assert music.track_name(given) == expected


def test_every_alias_leads_to_one_of_the_twelve_classes():
    assert len(music.TRACKS) == 12
    assert set(music.TRACK_ALIASES.values()) <= set(music.TRACKS)
    assert not set(music.TRACK_ALIASES) & set(music.TRACKS)


def test_an_unknown_track_names_the_closest():
    with pytest.raises(UnknownName, match="drums") as caught:
        music.track_name("drumz")
    assert caught.value.limits["choices"] == list(music.TRACKS)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("F# minor", "F# minor"),
        ("f#m", "F# minor"),
        ("bb Major", "Bb major"),
        ("C", "C major"),
        ("a moll", "A minor"),
        ("E♭ min", "E♭ minor"),
        ("", ""),
    ],
)
def test_keys_have_one_spelling(given, expected):
    assert music.key_name(given) == expected


@pytest.mark.parametrize("given", ["H minor", "C dorian", "m", "C # minor", "minor"])
def test_a_key_the_model_does_not_know_is_refused(given):
    with pytest.raises(BadRequest):
        music.key_name(given)


def test_there_are_seventy_keys_and_each_is_its_own_spelling():
    assert len(set(music.KEYS)) == 70
    assert all(music.key_name(key) == key for key in music.KEYS)


@pytest.mark.parametrize(("given", "expected"), [("4/4", "4"), ("3", "3"), ("6/8", "6"), ("2/4", "2"), ("", "")])
def test_metres_are_numerators(given, expected):
    assert music.metre_name(given) == expected


@pytest.mark.parametrize(("given", "expected"), [("5/4", "5/4"), (" 12/8 ", "12/8"), ("4/8", "4/8"), ("6/4", "6/4")])
def test_other_metres_are_kept_and_the_model_reads_the_nearest(given, expected):
    assert music.metre_name(given) == expected
    assert music.model_metre_name(given) in music.MODEL_METRES


@pytest.mark.parametrize("given", ["x", "4/5", "0/4", "5"])
def test_what_is_no_metre_is_refused(given):
    with pytest.raises(BadRequest) as caught:
        music.metre_name(given)
    assert caught.value.field == "time_signature"
