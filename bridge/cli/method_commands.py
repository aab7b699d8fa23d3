"""Commands made from the table of methods: required parameters in order, the others as options, the answer shown as it comes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acestep.api.limits import MAX_PATH
from acestep.api.schema import FieldInfo
from bridge.cli.app import common_options
from bridge.cli.contact import open_contact
from bridge.cli.exits import Exit
from bridge.cli.fields import COMMON_OPTIONS, add_fields, option_name, read_fields
from bridge.cli.show import show_json, show_pairs, show_table, tell

if TYPE_CHECKING:
    from bridge.doors.method import Method


PATIENCE = 60.0
"""Seconds to wait for an answer, beyond those that the request itself wants to wait."""


def add_method(commands: Any, name: str, method: Method) -> None:
    """Add a sub-command that calls a method."""
    about = f"{method.summary} Answer: {method.answer}"
    command = commands.add_parser(name, help=method.summary, description=about, parents=[common_options(below=True)])
    required = [info for info in method.parameters if info.required]
    rest = [info for info in method.parameters if not info.required]
    for info in required:
        command.add_argument(
            f"given_{info.name}",
            metavar=option_name(info.name).lstrip("-").upper(),
            help=info.summary,
            type={"int": int, "float": float}.get(info.type, str),
        )
    add_fields(command, rest, lambda table: [], COMMON_OPTIONS)
    command.set_defaults(run=_run, method=method.name, required=required, rest=rest)


def _run(options: argparse.Namespace) -> int:
    params = {info.name: _given(info, getattr(options, f"given_{info.name}")) for info in options.required}
    params |= read_fields(vars(options), options.rest)
    contact = open_contact(options)
    try:
        answer = contact.client.call(options.method, params, timeout=PATIENCE + params.get("timeout", 0.0))
    finally:
        contact.close()
    _show(answer, options)
    return Exit.OK


def _given(info: FieldInfo, value: Any) -> Any:
    """A required value as it is sent: the daemon has another working folder."""
    return str(Path(value).expanduser().absolute()) if info.max_length == MAX_PATH and value else value


def _show(answer: Any, options: argparse.Namespace) -> None:
    if options.json:
        show_json(answer)
    elif isinstance(answer, list):
        if not answer:
            tell("nothing there")
            return
        headings = list(answer[0])
        show_table([[row.get(name) for name in headings] for row in answer], headings)
    else:
        lines = answer.pop("toml", "")
        show_pairs(answer.items())
        if lines:
            print(f"\n{lines}", end="")
