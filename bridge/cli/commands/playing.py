"""Commands of playing (slots, capture, tempo, MIDI), made from the table of methods: `slot launch 4 --quantise bar`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bridge.cli.app import common_options
from bridge.cli.exits import Exit
from bridge.cli.method_commands import add_method
from bridge.cli.show import show_json


def slot(parser: argparse.ArgumentParser) -> None:
    """Everything about slots."""
    _add_group(parser, "slot")


def capture(parser: argparse.ArgumentParser) -> None:
    """Everything about the capture ring."""
    _add_group(parser, "capture")


def tempo(parser: argparse.ArgumentParser) -> None:
    """Everything about musical time."""
    _add_group(parser, "tempo")


def midi(parser: argparse.ArgumentParser) -> None:
    """Learning hits, and checking a mapping file without a daemon."""
    commands = _add_group(parser, "midi")
    own = common_options(below=True)
    check = commands.add_parser("check", help="check a mapping file; an error names its line", parents=[own])
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(run=_check)


def _add_group(parser: argparse.ArgumentParser, group: str) -> Any:
    """A sub-command for every method of the group."""
    from bridge.doors.methods import METHODS

    parser.description = "Needs a daemon that was started with --performance."
    commands = parser.add_subparsers(required=True, metavar="WHAT")
    for name, method in METHODS.items():
        if name.startswith(f"{group}."):
            add_method(commands, name.partition(".")[2], method)
    return commands


def _check(options: argparse.Namespace) -> int:
    from acestep.api.errors import BadRequest, NotFound
    from bridge.performance.mapping import load_mapping

    try:
        mapping = load_mapping(options.file)
    except BadRequest as error:
        raise BadRequest(f"{options.file}, {error.message}", field=error.field, limits=error.limits) from None
    except OSError as failure:
        raise NotFound(f"{options.file} cannot be read: {failure.strerror}", field="file") from None
    if options.json:
        show_json({"file": str(options.file), "triggers": len(mapping.trigger)})
    else:
        print(f"{options.file}: {len(mapping.trigger)} triggers, all valid")
    return Exit.OK
