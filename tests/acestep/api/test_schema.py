"""One annotation gives the check, the error's limits and the published field."""

from typing import Annotated, Literal

import pytest

from acestep.api.errors import BadRequest
from acestep.api.schema import Request, convert, describe, merge_schemas, param


class Wish(Request):
    name: Annotated[str, param("A name.", max_length=4)]
    bpm: Annotated[float, param("Tempo.", unit="bpm", ge=30, le=300)] | None = None
    mode: Annotated[Literal["a", "b"], param("Mode.")] = "a"
    seeds: Annotated[list[int], param("Seeds.")] | None = None


def test_a_description_carries_type_unit_range_choices_and_default():
    name, bpm, mode, seeds = describe(Wish)
    assert (name.type, name.required, name.max_length) == ("str", True, 4)
    assert (bpm.type, bpm.unit, bpm.min, bpm.max, bpm.required) == ("float", "bpm", 30, 300, False)
    assert (mode.type, mode.choices, mode.default) == ("str", ["a", "b"], "a")
    assert seeds.type == "list[int]"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "name"),
        ({"name": "x", "nope": 1}, "nope"),
        ({"name": "x", "bpm": 301.0}, "bpm"),
        ({"name": "x", "bpm": "fast"}, "bpm"),
        ({"name": "x", "bpm": float("nan")}, "bpm"),
        ({"name": "x", "bpm": float("inf")}, "bpm"),
        ({"name": "abcde"}, "name"),
        ({"name": "x", "mode": "c"}, "mode"),
        ({"name": "x", "seeds": [1, "2"]}, "seeds[1]"),
    ],
)
def test_every_failure_is_one_bad_request_that_names_the_field(data, field):
    with pytest.raises(BadRequest) as caught:
        convert(data, Wish)
    assert caught.value.field == field


def test_limits_of_the_field_travel_with_the_error():
    with pytest.raises(BadRequest) as caught:
        convert({"name": "x", "bpm": 5.0}, Wish)
    assert caught.value.limits == {"type": "float", "min": 30, "max": 300, "unit": "bpm"}


def test_a_whole_float_is_no_integer_in_a_strict_schema():
    with pytest.raises(BadRequest):
        convert({"name": "x", "seeds": [8.0]}, merge_schemas("Strict", [Wish]))


def test_merged_schemas_keep_order_checks_and_defaults():
    class More(Request):
        extra: Annotated[int, param("More.", ge=1)] = 3
        name: Annotated[str, param("Another meaning.")] = ""

    merged = merge_schemas("Both", [Wish, More], drop=frozenset({"seeds"}))
    assert [info.name for info in describe(merged)] == ["name", "bpm", "mode", "extra"]
    assert convert({"name": "x"}, merged).extra == 3
    with pytest.raises(BadRequest):
        convert({"name": "x", "extra": 0}, merged)
