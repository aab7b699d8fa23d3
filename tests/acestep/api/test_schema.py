"""One annotation gives the check, the error's limits and the published field."""

from typing import Annotated, Literal

import pytest

from acestep.api import Registry
from acestep.api.errors import AceError, BadRequest
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


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"name": "x", "bpm": 301.0}, "bpm is 301.0; it takes a number from 30 to 300 bpm"),
        ({"name": "x", "bpm": "fast"}, "bpm is 'fast'; it takes a number from 30 to 300 bpm"),
        ({"name": "abcde"}, "name is 'abcde'; it takes a text of at most 4 characters"),
        ({"name": 5}, "name is 5; it takes a text of at most 4 characters"),
        ({"name": "x", "mode": "c"}, "mode is 'c'; it takes one of a, b"),
        ({"name": "x", "seeds": [1, "2"]}, "seeds[1] is '2'; it takes a whole number"),
        ({"name": "x", "seeds": 4}, "seeds is 4; it takes a list of whole numbers"),
        ({"name": "x", "naem": 1}, "there is no field 'naem' here; did you mean 'name'?"),
        ({}, "name is missing; it takes a text of at most 4 characters"),
        ({"name": None}, "name is null; it takes a text of at most 4 characters"),
        (["name"], "a request is a map of field names to values, not a list of 1"),
    ],
)
def test_a_refusal_is_a_sentence_of_ours(data, sentence):
    """Field, given value, and what the field takes with its limits and unit, in words."""
    with pytest.raises(BadRequest) as caught:
        convert(data, Wish)
    assert caught.value.message == sentence


def test_no_field_of_any_operation_answers_in_a_librarys_words():
    """Every field of every operation, given values of every wrong kind and beyond its limits."""
    for operation in Registry.load().operations.values():
        for info in describe(operation.schema):
            for wrong in (None, True, -(10**30), 1e300, "x" * 100_000, ["x", None, {}], {"a": 1}, b"\0"):
                try:
                    convert({info.name: wrong}, operation.schema)
                    continue
                except AceError as refused:
                    said = refused.message
                assert "`" not in said and "Expected" not in said and "Object" not in said and "$" not in said, said
                assert len(said) < 600
