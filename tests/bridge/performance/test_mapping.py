"""A mapping file is checked whole, and an error names its line."""

from pathlib import Path

import pytest

from acestep.api.errors import BadRequest
from bridge.performance import mapping
from bridge.performance.mapping import load_mapping, parse_mapping

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
        (("low = 36", "low = 99"), 8),
        (('seed = "$note"', 'seed = "$mood"'), 11),
        (("slot = 2", "slot = = 2"), 18),
        (("low = 36", "nope = 1"), 8),
        (('ports = ["Launchpad"]', "ports = 3"), 2),
    ],
)
def test_an_error_names_its_line(change, line):
    with pytest.raises(BadRequest, match=f"line {line}:") as caught:
        parse_mapping(GOOD.replace(*change))
    assert caught.value.limits["line"] == line


def test_the_example_in_the_documentation_is_valid():
    example = mapping.__doc__.split("```toml")[1].split("```")[0]
    assert parse_mapping(example).trigger[0].slot == 4


@pytest.mark.parametrize("name", ["pads-4x4.toml", "pedalboard.toml"])
def test_the_example_mappings_are_valid(name):
    examples = Path(__file__).parents[3] / "examples" / "mappings"
    assert load_mapping(examples / name).trigger
