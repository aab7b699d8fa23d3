"""`serve` runs the daemon, `stop` ends it."""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path
from typing import Any

from acestep.api.errors import Unavailable
from acestep.api.schema import FieldInfo
from bridge.cli.exits import Exit
from bridge.cli.fields import help_text
from bridge.cli.show import show_json, tell

GRACE = 30.0
"""Seconds that `stop` waits; the daemon itself gives its worker ten."""


def serve(parser: argparse.ArgumentParser) -> None:
    """Every setting is an option."""
    from bridge.settings import table

    parser.description = (
        "Run the daemon in this terminal. It prints a line `ready` with its addresses; Ctrl-C stops it."
    )
    parser.usage = "%(prog)s [--SETTING VALUE ...]"
    parser.add_argument("--config", metavar="FILE", help="config file (TOML) to use instead of config.toml in the home")
    for info in table():
        if info.name not in ("home", "token"):  # those two are options of every command
            parser.add_argument(f"--{info.name.replace('_', '-')}", **_option(info))
    parser.set_defaults(run=_serve)


def _option(info: FieldInfo) -> dict[str, Any]:
    metavar = {"bool": "on|off"}.get(info.type, "A,B,..." if info.type.startswith("list") else info.type.upper())
    bare = {"nargs": "?", "const": "on"} if info.type == "bool" else {}
    return {**bare, "dest": f"setting_{info.name}", "metavar": metavar, "help": help_text(info, lambda table: ())}


def _serve(options: argparse.Namespace) -> int:
    from bridge.daemon import main
    from bridge.settings import resolve

    return main(resolve(given_settings(options), config=Path(options.config) if options.config else None))


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that stand on the command line, typed. Raises `BadRequest`."""
    from bridge.settings import parse_text, table

    given: dict[str, Any] = {"home": options.home or None, "token": options.token or None}
    for info in table():
        text = getattr(options, f"setting_{info.name}", None)
        if text is not None:
            given[info.name] = parse_text(info.name, info.type, text)
    return {name: value for name, value in given.items() if value is not None}


def stop(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""
    parser.description = (
        "Stop the daemon of this home. A running job finishes, or runs again at the next start; waiting jobs "
        "stay in the queue."
    )
    parser.set_defaults(run=_stop)


def _stop(options: argparse.Namespace) -> int:
    from bridge.launch import process_alive, read_connection
    from bridge.paths import Paths
    from bridge.settings import resolve

    if options.connect:
        raise Unavailable("a daemon on another machine is stopped there")
    paths = Paths.of(resolve({"home": options.home or None}).settings)
    pid = int(read_connection(paths)["pid"])
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while process_alive(pid) and paths.connection.exists():
        if time.monotonic() > deadline:
            tell(f"the daemon (process {pid}) is still finishing")
            return Exit.FAILED
        time.sleep(0.05)
    show_json({"stopped": pid}) if options.json else tell(f"stopped (process {pid})")
    return Exit.OK
