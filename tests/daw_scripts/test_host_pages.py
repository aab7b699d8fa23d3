"""The commands that the pages of the hosts tell their readers to run: each is one of ours, with the options it is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.cli import main

PAGES = sorted((Path(__file__).parents[2] / "docs" / "hosts").glob("*.md"))
COMMANDS = sorted(
    {command for page in PAGES for command in re.findall(r"`acestep-bridge ([a-z][^`]*)`", page.read_text("utf-8"))}
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_page(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its help knows every option that the page writes, and the hosts that it lists."""
    word, *rest = command.split()
    with pytest.raises(SystemExit) as ended:
        main([word, "--help"])
    known = capsys.readouterr().out
    assert ended.value.code == 0
    for part in rest:
        names = part.split("|") if word == "install-scripts" and not part.startswith("-") else [part]
        assert not part.startswith("-") or part in known, part
        assert word != "install-scripts" or all(name in known or name.isupper() for name in names), part
