"""`call`: every method of the daemon by its own name, for scripts and for what has no command of its own."""

from __future__ import annotations

import argparse

from bridge.cli.verbs import add_verb


def call(parser: argparse.ArgumentParser) -> None:
    """A sub-command for every verb that makes sense in one call; docs/reference/rpc.md explains each."""
    from bridge.doors.table import VERBS

    parser.description = "Any method of the daemon by its name, such as `call job.list --limit 5 --json`."
    commands = parser.add_subparsers(required=True, metavar="METHOD")
    for name, verb in VERBS.items():
        if verb.command is not None:
            add_verb(commands, name, verb)
