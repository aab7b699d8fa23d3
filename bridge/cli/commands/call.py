"""`call`: every method of the daemon by its own name, for scripts and for what has no command of its own."""

from __future__ import annotations

import argparse

from bridge.cli.method_commands import add_method


def call(parser: argparse.ArgumentParser) -> None:
    """A sub-command for every method that makes sense in one call; docs/reference/rpc.md explains each."""
    from bridge.doors.methods import METHODS

    parser.description = "Call any method of the daemon by name, such as `call job.list --limit 5 --json`."
    commands = parser.add_subparsers(required=True, metavar="METHOD")
    for name, method in METHODS.items():
        if method.command is not None:
            add_method(commands, name, method)
