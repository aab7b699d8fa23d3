"""Parameters take from a hit what the mapping says, and nothing is guessed."""

from __future__ import annotations

import pytest

from acestep.api.errors import BadRequest
from bridge.performance.parameters import check_params, fill_params

FACTS = {"note": 60, "velocity": 127, "value": 0.5, "chord": "F#m7", "key": "F# minor", "bpm": 97.5, "cc74": 0.25}


@pytest.mark.parametrize(
    ("wish", "value"),
    [
        ("$note", 60),
        ("$cc74", 0.25),
        ("$key", "F# minor"),
        ("dub over $chord in $key, $bpm bpm", "dub over F#m7 in F# minor, 97.5 bpm"),
        ("a $$5 beat", "a $5 beat"),
        ("no  variable", "no  variable"),
        ({"from": "velocity", "low": 1, "high": 8}, 8),
        ({"from": "value", "low": 1, "high": 8}, 4),
        ({"from": "cc74", "low": 0.0, "high": 1.0}, 0.25),
        ({"from": "cc74", "low": 10.0, "high": 2.0}, 8.0),
        ({"folder": "x"}, {"folder": "x"}),
        (["drums"], ["drums"]),
    ],
)
def test_a_value_is_taken_from_the_hit(wish, value):
    filled = fill_params({"it": wish}, FACTS)["it"]
    assert filled == value
    assert type(filled) is type(value)


@pytest.mark.parametrize("wish", ["$program", "$cc1", {"from": "program", "low": 1, "high": 2}])
def test_what_the_hit_does_not_know_is_left_out(wish):
    assert fill_params({"it": wish}, FACTS) == {}


def test_a_text_closes_over_what_is_not_known():
    assert fill_params({"caption": "pads over $chord, slow"}, {"chord": ""}) == {"caption": "pads over , slow"}
    assert fill_params({"caption": "pads $chord slow"}, {"chord": ""}) == {"caption": "pads slow"}


@pytest.mark.parametrize(
    "wish",
    [
        "$mood",
        "over $mood",
        "$cc128",
        {"from": "key", "low": 0, "high": 1},
        {"from": "velocity", "low": 0},
        {"from": "cc999", "low": 0, "high": 1},
    ],
)
def test_what_cannot_be_taken_is_refused(wish):
    with pytest.raises(BadRequest):
        check_params({"it": wish})


@pytest.mark.parametrize("wish", ["$note", "in $key", "$cc0", "$cc127", "$$", {"from": "cc74", "low": 0, "high": 1}])
def test_what_can_be_taken_passes(wish):
    check_params({"it": wish})
