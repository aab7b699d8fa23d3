"""Finding the daemon that a command talks to, and starting one where the rule says so.

The rule: an operation (and whatever gets ``--start-daemon``) starts a daemon in the background when none runs; commands that
only ask or change things never do. ``--no-start-daemon`` keeps an operation from it, ``--connect`` always means another machine's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from acestep.api.errors import BadRequest, DaemonUnreachable
from bridge.cli.show import tell

if TYPE_CHECKING:
    from bridge.client import Client


NAME = "command line"
"""How job lists call jobs that were started here."""


class Contact:
    """A connection to the daemon, made at the first question and made anew on request."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._client: Client | None = None

    @property
    def remote(self) -> bool:
        """Whether the daemon sees another file system: sources are uploaded to it and results downloaded."""
        return bool(self._options.connect)

    @property
    def client(self) -> Client:
        """The open client. Raises `DaemonUnreachable`."""
        if self._client is None:
            self._client = _connect(self._options)
        return self._client

    def call(self, method: str, **params: Any) -> Any:
        """Ask the daemon. Raises the `AceError` it answers with, or `DaemonUnreachable`."""
        return self.client.call(method, params)

    def again(self) -> None:
        """Drop the connection; the next question makes a new one."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _connect(options: argparse.Namespace) -> Client:
    from bridge.client import Client

    if options.connect:
        host, port = parse_address(options.connect)
        return Client(host=host, port=port, token=options.token, name=NAME)
    return Client(options.home, token=options.token, name=NAME)


def parse_address(text: str, default: int = 9701) -> tuple[str, int]:
    """``HOST:PORT`` or ``HOST``. Raises `BadRequest`."""
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, default
    if not port.isdigit() or not 0 < int(port) < 65_536 or not host:
        raise BadRequest(f"{text!r} is not a HOST:PORT", field="connect")
    return host.strip("[]"), int(port)


def open_contact(
    options: argparse.Namespace, *, starts: bool = False, check: Callable[[], None] | None = None
) -> Contact:
    """A contact to a daemon that answers; ``starts`` says whether this command may start one, ``check`` may refuse before it does.

    Raises `DaemonUnreachable` with what to do about it.
    """
    contact = Contact(options)
    try:
        contact.call("ping")
    except DaemonUnreachable as failure:
        contact.close()
        wanted = options.start_daemon if options.start_daemon is not None else starts
        if options.connect or not wanted:
            advice = "" if options.connect else "; start one with `acestep-bridge serve`"
            raise DaemonUnreachable(f"{failure.message}{advice}") from None
        if check is not None:
            check()
        _start_in_background(options)
        contact.call("ping")
    return contact


def _start_in_background(options: argparse.Namespace) -> None:
    from bridge.launch import start_daemon

    started = start_daemon({"home": options.home} if options.home else {}, detached=True)
    tell(f"started a daemon (process {started.process.pid}); `acestep-bridge stop` stops it")
