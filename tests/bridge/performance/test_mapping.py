"""A mapping file is checked whole, and an error names its line."""

from pathlib import Path

import pytest

from acestep.api.errors import BadRequest
from acestep.api.schema import describe
from bridge.doors.reference import built_in
from bridge.performance import mapping
from bridge.performance.mapping import load_mapping, parse_mapping

OPERATIONS = set(built_in().operations)
"""What a daemon offers."""

EXAMPLES = Path(__file__).parents[3] / "examples" / "mappings"

GOOD = """
ports = ["Launchpad"]

[[trigger]]
on = "note"
action = "submit"
operation = "generate"
low = 36
high = 51

[trigger.params]
caption = "dub techno"
seed = "$note"

[[trigger]]
on = "cc"
action = "launch"
slot = 2
quantise = "2 bars"
"""


def test_a_good_file_becomes_typed_triggers():
    parsed = parse_mapping(GOOD)
    assert [trigger.action for trigger in parsed.trigger] == ["submit", "launch"]
    assert parsed.trigger[0].params == {"caption": "dub techno", "seed": "$note"}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("high = 51", "high = 200"), 9),
        (('on = "cc"', 'on = "sneeze"'), 16),
        (("slot = 2", "slot = 64"), 18),
        (('quantise = "2 bars"', 'quantise = "soon"'), 19),
        (('operation = "generate"', ""), 4),
        (('operation = "generate"', 'operation = "generale"'), 7),
        (('operation = "generate"', 'preset = "none-of-these"'), 4),
        (('action = "submit"', 'action = "submit"\npreset = "generate"'), 7),
        (('ports = ["Launchpad"]', 'default_metre = "4/5"'), 2),
        (("low = 36", "low = 99"), 8),
        (('seed = "$note"', 'seed = "$mood"'), 11),
        (("slot = 2", "slot = = 2"), 18),
        (("low = 36", "nope = 1"), 8),
        (('ports = ["Launchpad"]', "ports = 3"), 2),
    ],
)
def test_an_error_names_its_line(change, line):
    with pytest.raises(BadRequest, match=f"line {line}:") as caught:
        parse_mapping(GOOD.replace(*change), OPERATIONS)
    assert caught.value.limits["line"] == line


def test_the_example_in_the_documentation_is_valid():
    example = mapping.__doc__.split("```toml")[1].split("```")[0]
    assert parse_mapping(example).trigger[0].slot == 4


@pytest.mark.parametrize("name", ["pads-4x4.toml", "pedalboard.toml"])
def test_the_example_mappings_are_valid(name):
    assert load_mapping(EXAMPLES / name, OPERATIONS).trigger


@pytest.mark.parametrize("name", ["pads-4x4.toml", "pedalboard.toml"])
def test_the_example_mappings_give_their_operations_what_these_take(name):
    """Every parameter exists."""
    for trigger in load_mapping(EXAMPLES / name).trigger:
        if trigger.task:
            fields = {info.name for info in describe(built_in().operations[trigger.task].schema)}
            assert set(trigger.params) <= fields
