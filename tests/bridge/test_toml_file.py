"""Files that people write by hand: what is wrong in them is said with file and line, in our words."""

from __future__ import annotations

import pytest

from acestep.api.errors import BadRequest
from bridge.cli import main
from bridge.settings import read_config
from bridge.toml_file import parse_toml

WRONG = [
    ("osc_port = 9700\nosc_port = 9701\n", 2, "stands in the file already"),
    ("osc_port = 97x0\n", 1, "a value is a number"),
    ("\nlibrary = C:\\Music\n", 2, "a value is a number"),
    ('library = "C:\\Users\\me"\n', 1, "'C:\\Music'"),
    ('library = "open\nosc_port = 1\n', 1, "a text is not closed"),
    ("library = 'open", 1, "a text is not closed"),
    ('osc_port = 1\nlibrary = """open\n\n', 2, "a text is not closed"),
    ("osc_allow = ['a'\nosc_port = 1\n", 2, "a list is not closed"),
    ("a = {b = 1\n", 1, "a map is not closed"),
    ("osc port = 1\n", 1, "name = value"),
    ("just words\n", 1, "name = value"),
    ("a = 1\n[[trigger]\n", 2, "a heading is not closed"),
    ("[a]\n\n[a]\n", 3, "stands in the file already"),
    ("a = true false\n", 1, "nothing may follow it"),
    ("a = " + "[" * 5_000, 1, "nest too deep"),
]


@pytest.mark.parametrize(("text", "line", "words"), WRONG, ids=[words[:20] for _, _, words in WRONG])
def test_the_line_and_what_is_wrong_in_it(text, line, words, tmp_path):
    """In the config file as in any other; the words are ours, not the parser's."""
    with pytest.raises(BadRequest) as caught:
        parse_toml(text)
    assert caught.value.limits == {"line": line}
    assert caught.value.message.startswith(f"line {line}: ") and words in caught.value.message
    config = tmp_path / "config.toml"
    config.write_text(text, "utf-8")
    with pytest.raises(BadRequest) as caught:
        read_config(config)
    assert caught.value.message.startswith(f"{config}, line {line}: ") and caught.value.field == "config"


def test_what_is_right_is_read():
    """As TOML says."""
    assert parse_toml("a = 1\n[[t]]\nb = 'x'\n") == {"a": 1, "t": [{"b": "x"}]}


def test_a_mapping_is_checked_on_the_command_line(tmp_path, capsys):
    """The message names the file too."""
    mapping = tmp_path / "pads.toml"
    mapping.write_text("[[trigger]]\non = note\n", "utf-8")
    assert main(["midi", "check", str(mapping)]) != 0
    assert f"{mapping}, line 2: a value is a number" in capsys.readouterr().err
