"""The commands that open the studio page: as a whole, or at its library."""

from __future__ import annotations

import argparse
import webbrowser
from typing import Any

from acestep.api.errors import Unavailable
from bridge.cli.contact import open_contact, parse_address
from bridge.cli.exits import Exit
from bridge.cli.show import show_json, tell
from bridge.doors.http import STUDIO

EVERYWHERE = ("0.0.0.0", "::")


def audition(parser: argparse.ArgumentParser) -> None:
    """Whether to open a browser."""
    parser.description = (
        "Open the library of the studio page in the browser. Hear the newest results at equal loudness, drag or "
        "save them."
    )
    _add_options(parser, "#library")


def studio(parser: argparse.ArgumentParser) -> None:
    """Whether to open a browser."""
    parser.description = "Open the studio page in the browser: create, edit by marking the waveform, compare takes."
    _add_options(parser, "")


def _add_options(parser: argparse.ArgumentParser, view: str) -> None:
    parser.add_argument("--no-browser", action="store_true", help="only print the page's address")
    parser.set_defaults(run=_open_page, view=view)


def _open_page(options: argparse.Namespace) -> int:
    contact = open_contact(options)
    door = contact.call("status")["doors"].get("http")
    contact.close()
    remote = parse_address(options.connect)[0] if options.connect else ""
    address = page_address(door, remote) + options.view
    if options.json:
        show_json({"address": address})
        return Exit.OK
    print(address)
    if not options.no_browser and not webbrowser.open(address):
        tell("no browser could be started; open the address in your browser")
    return Exit.OK


def page_address(door: dict[str, Any] | None, remote: str = "") -> str:
    """Where the page is: at the door's own address, or at the other machine's name. Raises `Unavailable` without an HTTP door."""
    if not door:
        raise Unavailable("the daemon's HTTP door is off; set http = true and restart it", field="http")
    host = remote or ("127.0.0.1" if door["host"] in EVERYWHERE else door["host"])
    return f"http://{f'[{host}]' if ':' in host else host}:{door['port']}{STUDIO}"
