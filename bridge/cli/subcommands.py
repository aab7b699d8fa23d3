"""Commands with commands of their own, as `preset save` and `sound list` are."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from bridge.cli.app import common_options
from bridge.cli.contact import open_contact

Run = Callable[[argparse.Namespace], int]
Add = Callable[..., argparse.ArgumentParser]


def subcommands(parser: argparse.ArgumentParser) -> Add:
    """What adds one: ``add(name, help, run, *arguments)`` returns its parser."""
    actions = parser.add_subparsers(required=True, metavar="WHAT")

    def add(name: str, about: str, run: Run, *words: str) -> argparse.ArgumentParser:
        command = actions.add_parser(name, help=about, description=about, parents=[common_options(below=True)])
        for word in words:
            command.add_argument(word, metavar=word.upper())
        command.set_defaults(run=run)
        return command

    return add


def ask(options: argparse.Namespace, method: str, **params: Any) -> Any:
    """The daemon's answer to one method. Raises the `AceError` that it answers with."""
    contact = open_contact(options)
    try:
        return contact.call(method, **params)
    finally:
        contact.close()
