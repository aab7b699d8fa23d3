"""The command line has the whole table of verbs: each by a command of its own or by `call`."""

from __future__ import annotations

import pytest

from bridge.cli import main
from bridge.cli.fields import option_name
from bridge.doors.table import VERBS

ALONE = [verb for verb in VERBS.values() if verb.command is not None]


@pytest.mark.parametrize("verb", ALONE, ids=lambda verb: verb.name)
def test_every_verb_can_be_called(verb, capsys):
    """`call NAME` takes every parameter of the table: required ones in their order, the others as options."""
    with pytest.raises(SystemExit) as ended:
        main(["call", verb.name, "--help"])
    page = capsys.readouterr().out
    assert ended.value.code == 0
    shown = [option_name(info.name) for info in verb.parameters]
    assert [name for name in shown if name not in page and name.lstrip("-").upper() not in page] == []


@pytest.mark.parametrize("verb", [verb for verb in ALONE if verb.command], ids=lambda verb: verb.name)
def test_the_command_that_the_table_names_is_there(verb, capsys):
    """And its help says what it does."""
    with pytest.raises(SystemExit) as ended:
        main([*verb.command.split(), "--help"])
    assert ended.value.code == 0
    assert f"acestep-bridge {verb.command.split()[0]}" in capsys.readouterr().out


def test_only_what_is_about_a_connection_or_a_piece_of_a_file_has_no_command():
    """Whatever else the daemon offers can be had from a shell."""
    left = {name for name, verb in VERBS.items() if verb.command is None}
    pieces = {"upload.begin", "upload.chunk", "download.begin", "download.chunk"}
    assert left == {"hello", "job.subscribe", "job.unsubscribe", "notify", "sync", "dump"} | pieces
