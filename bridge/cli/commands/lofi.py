"""`lofi`, also as the program `lofi-daemon`: the daemon that lofi.nvim starts and talks to."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from bridge.cli.contact import open_contact, parse_address
from bridge.cli.exits import Exit


def lofi(parser: argparse.ArgumentParser) -> None:
    """How it is started, and when it ends."""
    parser.description = (
        "Act as the daemon of lofi.nvim: serve its JSON-RPC methods on standard input and output until the input "
        "ends. The acestep-bridge daemon makes the tracks; if none is running, it is started in the background. "
        "docs/lofi.md shows how to set up the editor."
    )
    parser.add_argument("--daemon", action="store_true", help="required; lofi.nvim starts it this way")
    parser.add_argument(
        "--cache", default="", metavar="FOLDER", help="folder of finished tracks [default: lofi.nvim's own]"
    )
    parser.add_argument(
        "--idle-timeout", type=float, default=0.0, metavar="SECONDS", help="exit after this time without a request"
    )
    parser.add_argument("--pid-file", default="", metavar="FILE", help="write the process id to this file")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from bridge.client.aio import AsyncClient
    from bridge.doors.lofi.cache import TrackCache, default_folder
    from bridge.doors.lofi.stdio import daemon_variables, defaults_of, serve

    defaults = defaults_of(os.environ)
    os.environ.update(daemon_variables(os.environ))
    with _pid_file(options.pid_file):
        open_contact(options, starts=True).close()
        name = f"lofi-{os.getpid()}"
        if options.connect:
            host, port = parse_address(options.connect)
            client = AsyncClient(host=host, port=port, token=options.token, name=name, cancel_on_close=True)
        else:
            client = AsyncClient(options.home, token=options.token, name=name, cancel_on_close=True)
        cache = TrackCache(Path(options.cache).expanduser() if options.cache else default_folder())
        asyncio.run(serve(client, cache, defaults, options.idle_timeout))
    return Exit.OK


@contextlib.contextmanager
def _pid_file(path: str) -> Iterator[None]:
    """A file that holds the process id while this runs."""
    if not path:
        yield
        return
    file = Path(path).expanduser()
    file.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def main() -> int:
    """The program `lofi-daemon`: `acestep-bridge lofi` under the name that lofi.nvim looks for."""
    from bridge.cli.app import run

    return run(["lofi", *sys.argv[1:]])
