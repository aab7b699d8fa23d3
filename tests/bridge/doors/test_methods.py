"""The table of methods: complete, and the one source of dispatch, pages and the OSCQuery tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from acestep.api import Operation
from acestep.api.errors import Unavailable, UnknownOperation
from acestep.api.schema import convert, describe
from bridge.core.access import OWNER
from bridge.doors import reference
from bridge.doors.method import describe_methods
from bridge.doors.methods import ADDRESSES, METHODS
from bridge.doors.operation_methods import OPERATION_ADDRESS, operation_example
from bridge.doors.osc.codec import Message
from bridge.doors.osc.grammar import CallMessage, parse
from bridge.doors.reference_parts import unit
from bridge.testing.core import Sketch

REGISTRY = reference.built_in()
DOCS = Path(__file__).resolve().parents[3] / "docs" / "reference"


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_every_method_is_complete(method):
    """Summary, answer, a door; every parameter with type, unit, meaning and example; the example passes its own schema."""
    assert method.summary
    assert method.answer
    assert method.doors
    for info in method.parameters:
        assert info.type
        assert info.summary
        assert unit(info) != "number", f"{method.name}: {info.name} has no unit"
        assert info.example is not None, f"{method.name}: {info.name} has no example"
    example = {name: b"x" if name == "data" else value for name, value in method.example.items()}
    lenient = {name: bool(value) if name in ("on", "events", "heartbeat") else value for name, value in example.items()}
    lenient = {name: float(value) if name in ("timeout", "lease") else value for name, value in lenient.items()}
    convert(lenient, method.request)
    assert bool(method.osc) == ("osc" in method.doors)
    assert set(method.positional) <= {info.name for info in method.parameters}


@pytest.mark.parametrize("operation", REGISTRY.operations.values(), ids=lambda operation: operation.name)
def test_every_operation_is_complete(operation):
    """Every field with type, unit and meaning; and an example that passes the schema."""
    for info in describe(operation.schema):
        assert info.type
        assert info.summary, f"{operation.name}: {info.name} has no summary"
        assert unit(info)
    convert(operation_example(operation), operation.schema)


@pytest.mark.parametrize("method", ADDRESSES.values(), ids=lambda method: method.osc)
def test_the_osc_example_of_a_method_is_understood(method):
    """What the page shows can be sent."""
    words = tuple(method.example[name] for name in method.positional if name in method.example)
    question = parse(Message(method.osc, words), REGISTRY.operation)
    assert isinstance(question, CallMessage)
    convert(question.params, method.request)


@pytest.mark.parametrize("operation", REGISTRY.operations.values(), ids=lambda operation: operation.name)
def test_the_osc_example_of_an_operation_is_understood(operation):
    """The pairs of the example message mean the example's parameters."""
    import json

    example = operation_example(operation)
    pairs = [
        word
        for name, value in example.items()
        for word in (
            name,
            json.dumps(value)
            if isinstance(value, dict) or (value and isinstance(value, list) and isinstance(value[0], dict))
            else value,
        )
    ]
    question = parse(Message(OPERATION_ADDRESS + operation.name, ("take-1", *pairs)), REGISTRY.operation)
    assert isinstance(question, CallMessage)
    assert question.params == {"id": "take-1", **example}


def test_the_pages_are_what_the_table_says():
    """``python -m bridge.doors.reference`` has been run after the last change."""
    stale = [name for name, text in reference.pages(REGISTRY).items() if (DOCS / name).read_text("utf-8") != text]
    assert stale == [], "run: python -m bridge.doors.reference"


def test_a_new_operation_appears_on_every_page_by_itself():
    """Nothing is edited for a plug-in's operation."""
    registry = reference.built_in()
    registry.operations["brand-new"] = Operation(name="brand-new", summary="Just added.", schema=Sketch)
    pages = reference.pages(registry)
    for page, form in (("osc.md", "/ace/op/brand-new"), ("rpc.md", "op.brand-new"), ("operations.md", "## brand-new")):
        assert form in pages[page]


def test_describe_lists_every_method():
    """Clients see the same table."""
    assert [row["name"] for row in describe_methods(METHODS.values())] == list(METHODS)
    assert all(
        {"summary", "fields", "example", "answer", "since"} <= set(row) for row in describe_methods(METHODS.values())
    )


@pytest.mark.parametrize("name", ["performance", "slot.list", "tempo.get", "capture.cancel"])
async def test_playing_says_when_it_is_off(dispatcher, name):
    """One sentence that says how to turn it on, at every method of playing."""
    with pytest.raises(Unavailable, match="playing is off; start the daemon with --performance"):
        await dispatcher.call(name, {}, OwnCaller())


async def test_a_door_calls_what_it_can_do_and_nothing_else(dispatcher):
    """What needs a connection, bytes or a sender is not a method at the spool; the choices are those that are."""
    with pytest.raises(UnknownOperation) as caught:
        await dispatcher.call("upload.begin", {}, OwnCaller())
    choices = caught.value.limits["choices"]
    assert "job.submit" in choices and not {"upload.begin", "job.subscribe", "notify", "job.wait"} & set(choices)


class OwnCaller:
    """A caller of the spool door: this machine's user, who follows nothing."""

    door = "spool"
    name = "spool:test"
    access = OWNER
