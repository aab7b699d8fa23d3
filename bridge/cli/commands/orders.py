"""The commands `autogen` (a standing order) and `features` (flags), made from the table of methods."""

from __future__ import annotations

import argparse

from bridge.cli.method_commands import add_method


def autogen(parser: argparse.ArgumentParser) -> None:
    """Start, stop and look at the standing order."""
    parser.description = (
        "Make one batch after another while you listen: "
        '`autogen start song --params \'{"query": "calm piano", "variants": 2}\' --batches 5`.'
    )
    _add_group(parser, "autogen")


def features(parser: argparse.ArgumentParser) -> None:
    """List and switch feature flags."""
    parser.description = (
        "List or set feature flags of this program and of plug-ins. A change lasts until the daemon ends. To "
        "keep it, use the setting `features` or ACESTEP_FEATURE_<NAME> (1 or 0)."
    )
    _add_group(parser, "features")


def _add_group(parser: argparse.ArgumentParser, group: str) -> None:
    from bridge.doors.methods import METHODS

    commands = parser.add_subparsers(required=True, metavar="WHAT")
    for name, method in METHODS.items():
        if name.startswith(f"{group}."):
            add_method(commands, name.partition(".")[2], method)
