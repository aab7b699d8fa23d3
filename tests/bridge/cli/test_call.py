"""The command line has the whole table of methods: each by a command of its own or by `call`."""

from __future__ import annotations

import pytest

from bridge.cli import main
from bridge.cli.fields import option_name
from bridge.doors.methods import METHODS

ALONE = [method for method in METHODS.values() if method.command is not None]


@pytest.mark.parametrize("method", ALONE, ids=lambda method: method.name)
def test_every_method_can_be_called(method, capsys):
    """`call NAME` takes every parameter of the table: required ones in their order, the others as options."""
    with pytest.raises(SystemExit) as ended:
        main(["call", method.name, "--help"])
    page = capsys.readouterr().out
    assert ended.value.code == 0
    shown = [option_name(info.name) for info in method.parameters]
    assert [name for name in shown if name not in page and name.lstrip("-").upper() not in page] == []


@pytest.mark.parametrize("method", [method for method in ALONE if method.command], ids=lambda method: method.name)
def test_the_command_that_the_table_names_is_there(method, capsys):
    """And its help says what it does."""
    with pytest.raises(SystemExit) as ended:
        main([*method.command.split(), "--help"])
    assert ended.value.code == 0
    assert f"acestep-bridge {method.command.split()[0]}" in capsys.readouterr().out


def test_only_what_is_about_a_connection_or_a_piece_of_a_file_has_no_command():
    """Whatever else the daemon offers can be had from a shell."""
    left = {name for name, method in METHODS.items() if method.command is None}
    pieces = {"upload.begin", "upload.chunk", "download.begin", "download.chunk"}
    assert left == {"hello", "job.subscribe", "job.unsubscribe", "notify", "sync", "dump"} | pieces
