"""`mcp`: the daemon as a server of the Model Context Protocol, on standard input and output."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable

from bridge.cli.contact import open_contact, parse_address
from bridge.cli.exits import Exit


def mcp(parser: argparse.ArgumentParser) -> None:
    """Which tools are offered."""
    parser.description = (
        "Serve assistants (Claude, editors, agents) over the Model Context Protocol on standard input and "
        "output. The assistant's program starts this command; docs/mcp.md shows how. If no daemon is running, "
        "one is started in the background."
    )
    parser.add_argument(
        "--tools",
        default="",
        metavar="A,B,...",
        help="offer only these tools, which leaves more of the assistant's context free",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from bridge.doors.mcp import require_package

    require_package()
    from bridge.doors.mcp.link import ClientLink
    from bridge.doors.mcp.stdio import serve

    open_contact(options, starts=True).close()
    if options.connect:
        host, port = parse_address(options.connect)
        link = ClientLink(host=host, port=port, token=options.token)
    else:
        link = ClientLink(options.home, token=options.token, start=_starter(options))
    asyncio.run(serve(link, [name.strip() for name in options.tools.split(",") if name.strip()]))
    return Exit.OK


def _starter(options: argparse.Namespace) -> Callable[[], object] | None:
    """What starts a daemon again that has ended meanwhile; none where that is not wanted."""
    if options.start_daemon is False:
        return None
    return lambda: open_contact(options, starts=True).close()
