"""Commands of playing (slots, capture, tempo, MIDI), made from the table of verbs: `slot launch 4 --quantise bar`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bridge.cli.contact import open_contact
from bridge.cli.exits import Exit
from bridge.cli.fields import add_fields, option_name, read_fields
from bridge.cli.show import show_json, show_pairs, show_table, tell


def slot(parser: argparse.ArgumentParser) -> None:
    """Everything about slots."""
    _verbs(parser, "slot")


def capture(parser: argparse.ArgumentParser) -> None:
    """Everything about the capture ring."""
    _verbs(parser, "capture")


def tempo(parser: argparse.ArgumentParser) -> None:
    """Everything about musical time."""
    _verbs(parser, "tempo")


def midi(parser: argparse.ArgumentParser) -> None:
    """Learning hits, and checking a mapping file without a daemon."""
    commands = _verbs(parser, "midi")
    check = commands.add_parser("check", help="check a mapping file; an error names its line")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(run=_check)


def _verbs(parser: argparse.ArgumentParser, group: str) -> Any:
    """A sub-command for every verb of the group; the parameters OSC takes in order may stand without their options."""
    from bridge.doors.table import VERBS

    parser.description = "Needs a daemon that was started with --performance."
    commands = parser.add_subparsers(required=True, metavar="WHAT")
    for name, verb in VERBS.items():
        if not name.startswith(f"{group}."):
            continue
        command = commands.add_parser(name.partition(".")[2], help=verb.summary, description=verb.answer)
        required = [info for info in verb.parameters if info.required]
        rest = [info for info in verb.parameters if not info.required]
        for info in required:
            command.add_argument(
                f"given_{info.name}",
                metavar=option_name(info.name).lstrip("-").upper(),
                help=info.summary,
                type={"int": int, "float": float}.get(info.type, str),
            )
        add_fields(command, rest, lambda table: [])
        command.set_defaults(run=_run, method=name, required=[info.name for info in required], rest=rest)
    return commands


def _run(options: argparse.Namespace) -> int:
    params = {name: getattr(options, f"given_{name}") for name in options.required}
    params |= read_fields(vars(options), options.rest)
    contact = open_contact(options)
    try:
        answer = contact.call(options.method, **params)
    finally:
        contact.close()
    _show(answer, options)
    return Exit.OK


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


def _check(options: argparse.Namespace) -> int:
    from acestep.api.errors import NotFound
    from bridge.performance.mapping import load_mapping

    try:
        mapping = load_mapping(options.file)
    except OSError as failure:
        raise NotFound(f"{options.file} cannot be read: {failure.strerror}", field="file") from None
    if options.json:
        show_json({"file": str(options.file), "triggers": len(mapping.trigger)})
    else:
        print(f"{options.file}: {len(mapping.trigger)} triggers, all valid")
    return Exit.OK
