"""The table of verbs: complete, and the one source of dispatch, pages and the OSCQuery tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from acestep.api import Operation
from acestep.api.schema import convert, describe
from bridge.doors import reference
from bridge.doors.osc.codec import Message
from bridge.doors.osc.grammar import Call, Job, parse
from bridge.doors.table import ADDRESSES, OPERATION_ADDRESS, VERBS, operation_example, unit
from bridge.doors.verb import describe_verbs
from bridge.testing.core import Sketch

REGISTRY = reference.built_in()
DOCS = Path(__file__).resolve().parents[3] / "docs" / "reference"


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_every_verb_is_complete(verb):
    """Summary, answer, a door; every parameter with type, unit, meaning and example; the example passes its own schema."""
    assert verb.summary
    assert verb.answer
    assert verb.doors
    for info in verb.parameters:
        assert info.type
        assert info.summary
        assert unit(info) != "number", f"{verb.name}: {info.name} has no unit"
        assert info.example is not None, f"{verb.name}: {info.name} has no example"
    example = {name: b"x" if name == "data" else value for name, value in verb.example.items()}
    lenient = {name: bool(value) if name in ("on", "events", "heartbeat") else value for name, value in example.items()}
    lenient = {name: float(value) if name in ("timeout", "lease") else value for name, value in lenient.items()}
    convert(lenient, verb.request)
    assert bool(verb.osc) == ("osc" in verb.doors)
    assert set(verb.positional) <= {info.name for info in verb.parameters}


@pytest.mark.parametrize("operation", REGISTRY.operations.values(), ids=lambda operation: operation.name)
def test_every_operation_is_complete(operation):
    """Every field with type, unit and meaning; and an example that passes the schema."""
    for info in describe(operation.schema):
        assert info.type
        assert info.summary, f"{operation.name}: {info.name} has no summary"
        assert unit(info)
    convert(operation_example(operation), operation.schema)


@pytest.mark.parametrize("verb", ADDRESSES.values(), ids=lambda verb: verb.osc)
def test_the_osc_example_of_a_verb_is_understood(verb):
    """What the page shows can be sent."""
    words = tuple(verb.example[name] for name in verb.positional if name in verb.example)
    question = parse(Message(verb.osc, words), REGISTRY.operation)
    assert isinstance(question, Call)
    convert(question.params, verb.request)


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
    assert isinstance(question, Job)
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


def test_describe_lists_every_verb():
    """Clients see the same table."""
    assert [row["name"] for row in describe_verbs(VERBS.values())] == list(VERBS)
    assert all(
        {"summary", "fields", "example", "answer", "since"} <= set(row) for row in describe_verbs(VERBS.values())
    )
