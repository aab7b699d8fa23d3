"""The grammar of the OSC door: what arguments mean, and what leniency there is."""

from __future__ import annotations

import pytest

from acestep.api.errors import BadRequest, UnknownOperation
from bridge.doors.osc.codec import Message
from bridge.doors.osc.grammar import CallMessage, DraftValue, parse
from bridge.doors.reference import built_in
from bridge.testing.core import SKETCH


def find(name):
    if name != SKETCH.name:
        raise UnknownOperation("no")
    return SKETCH


def ask(address, *arguments):
    return parse(Message(address, arguments), find)


def test_an_even_number_of_arguments_are_pairs():
    """``key value key value``."""
    assert ask("/ace/op/sketch", "caption", "x", "steps", 2) == CallMessage("op.sketch", {"caption": "x", "steps": 2})


def test_an_odd_number_begins_with_the_id():
    """The first argument of an odd number is the job's id; a number is taken as its text."""
    assert ask("/ace/op/sketch", "take-1", "steps", 2) == CallMessage("op.sketch", {"id": "take-1", "steps": 2})
    assert ask("/ace/op/sketch", 7.0, "steps", 2) == CallMessage("op.sketch", {"id": "7", "steps": 2})
    assert ask("/ace/op/sketch", "take-1") == CallMessage("op.sketch", {"id": "take-1"})


def test_codes_of_each_variant_come_as_json():
    """A list of lists, in a draft and in a submit; one sequence alone may be words and commas."""
    registry = built_in()
    codes = [[1, 2, 63_999], [], [7]]
    text = "[[1, 2, 63999], [], [7]]"
    draft = parse(Message("/ace/op/generate/codes", (text,)), registry.operation)
    assert (draft.name, draft.value) == ("codes", codes)
    job = parse(Message("/ace/op/generate", ("codes", text, "variants", 3)), registry.operation)
    assert job.params == {"codes": codes, "variants": 3}
    assert parse(Message("/ace/op/generate/audio_codes", ("1, 2,3",)), registry.operation).value == [1, 2, 3]
    for wrong in ("[[1, 2]", "1,2;3", "[[1], [2]] x"):
        with pytest.raises(BadRequest, match="codes is not JSON"):
            parse(Message("/ace/op/generate/codes", (wrong,)), registry.operation)


def test_a_lone_number_is_the_count_of_the_draft():
    """As int or as the float that Max and Pd send."""
    assert ask("/ace/op/sketch", 3) == CallMessage("op.sketch", {}, 3) == ask("/ace/op/sketch", 3.0)
    for wrong in (1.5, -1, float("nan"), float("inf")):
        with pytest.raises(BadRequest):
            ask("/ace/op/sketch", wrong)


LENIENT = [
    ("steps", 8.0, 8),
    ("steps", 8.5, 8.5),
    ("bpm", 120, 120.0),
    ("instrumental", 1, True),
    ("instrumental", 0.0, False),
    ("instrumental", True, True),
    ("instrumental", 2, 2),
    ("caption", 5.0, "5"),
    ("caption", 5.5, "5.5"),
    ("tracks", "drums, bass", ["drums", "bass"]),
    ("tracks", ["drums"], ["drums"]),
    ("seeds", "1,2", [1, 2]),
    ("seeds", "1,x", [1, "x"]),
    ("seeds", [1.0, 2], [1, 2]),
    ("seeds", 5.0, [5]),
    ("stages", '[{"type":"a"}]', [{"type": "a"}]),
    ("stages", 5, 5),
    ("id", 12.0, "12"),
    ("priority", 3.0, 3),
]


@pytest.mark.parametrize(("name", "sent", "meant"), LENIENT, ids=repr)
def test_numbers_switches_and_lists_may_come_in_other_types(name, sent, meant):
    """Where nothing is lost by it the value becomes what the field wants; else the schema will refuse it as it came."""
    job = ask("/ace/op/sketch", name, sent)
    assert job.params == {name: meant}
    assert type(job.params[name]) is type(meant)


def test_a_draft_takes_one_value_or_a_list():
    """``/ace/op/<operation>/<param> value``; several values fill a list."""
    for name, sent, meant in (("bpm", (96,), 96.0), ("seeds", (1.0, 2.0), [1, 2]), ("id", ("a",), "a")):
        value = ask(f"/ace/op/sketch/{name}", *sent)
        assert isinstance(value, DraftValue)
        assert (value.operation, value.name, value.value) == ("sketch", name, meant)


def test_positions_of_a_verb_are_filled_in_order():
    """What is left out keeps its default."""
    call = ask("/ace/notify", 1.0, 9001.0)
    assert isinstance(call, CallMessage)
    assert (call.method, call.params) == ("notify", {"on": True, "port": 9001})


WRONG = [
    ("/ace/op/sketch", ("caption", "a", "caption", "b"), "caption"),
    ("/ace/op/sketch", ("nonsense", 1), "nonsense"),
    ("/ace/op/sketch", (1, 2), "1"),
    ("/ace/op/sketch/nonsense", (1,), "nonsense"),
    ("/ace/op/sketch/bpm", (), "bpm"),
    ("/ace/op/sketch/bpm", (1, 2), "bpm"),
    ("/ace/op/sketch", ("stages", "{"), "stages"),
    ("/ace/op/sketch", ("stages", "[" * 100_000), "stages"),
    ("/ace/job/status", ("a", "b"), None),
]


@pytest.mark.parametrize(("address", "arguments", "field"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_arguments_name_the_field(address, arguments, field):
    """A pair twice, an unknown name, too many or too few values, text that is not JSON."""
    with pytest.raises(BadRequest) as caught:
        ask(address, *arguments)
    assert caught.value.field == field


@pytest.mark.parametrize("address", ["/ace/op/*", "/ace/op/sketch*", "/ace/nothing", "/other", "/ace/op/", "/"])
def test_addresses_are_exact(address):
    """There are no patterns; what is not an address is unknown."""
    with pytest.raises(UnknownOperation):
        ask(address)
