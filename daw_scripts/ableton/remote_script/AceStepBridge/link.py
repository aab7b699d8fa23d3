"""The daemon over OSC: one socket that never blocks, read once per tick of Live."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING

from . import osc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .kinds import Facts
    from .starter import Starter

PORT = 9700

EVERYWHERE = ("0.0.0.0", "::")

PROTOCOL = 1
"""Level of the daemon's messages that this script knows."""

START = "/ace/live/start"
"""The message of controllers that starts a daemon."""

IN_A_TERMINAL = "(in a terminal: acestep-bridge serve)"

LARGEST = 65_535
PER_TICK = 64
"""Packets read in one tick, so that a flood cannot hold up Live's interface."""


def home_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform, installed: str = "") -> str:
    """The daemon's home: the same rule as the daemon's own."""
    if environment.get("ACESTEP_BRIDGE_HOME"):
        return environment["ACESTEP_BRIDGE_HOME"]
    if installed:
        return installed
    user = environment.get("USERPROFILE") or environment.get("HOME") or os.path.expanduser("~")
    if platform == "win32":
        return os.path.join(environment.get("LOCALAPPDATA") or os.path.join(user, "AppData", "Local"), "acestep-bridge")
    if platform == "darwin":
        return os.path.join(user, "Library", "Application Support", "acestep-bridge")
    return os.path.join(environment.get("XDG_DATA_HOME") or os.path.join(user, ".local", "share"), "acestep-bridge")


def connection(home: str) -> Facts:
    """What the running daemon wrote about itself; empty when none runs."""
    try:
        with open(os.path.join(home, "runtime", "connection.json"), encoding="utf-8") as file:
            facts = json.load(file)
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def daemon_address(home: str) -> tuple[str, int]:
    """Where the running daemon listens for OSC: ``(host, port)``, from its connection file, else the default port."""
    facts = connection(home).get("osc") or {}
    return facts.get("host") or "127.0.0.1", int(facts.get("udp") or PORT)


class Link:
    """A UDP socket to the daemon and back; also where controllers send commands for Live. ``starter`` starts a daemon."""

    def __init__(self, home: str, starter: Starter, command_port: int = 0) -> None:
        self.home = home
        self.starter = starter
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", command_port))
        self.port = self._socket.getsockname()[1]

    def trouble(self) -> Facts | None:
        """Why the daemon cannot be asked, as ``{code, ...}``: not running, or of another protocol level. None otherwise."""
        facts = connection(self.home)
        if not facts.get("osc"):
            return {"code": "daemon_not_running", "command": f"{START} to UDP port {self.port} {IN_A_TERMINAL}"}
        level = facts.get("protocol", PROTOCOL)
        if level == PROTOCOL:
            return None
        code = "daemon_older" if level < PROTOCOL else "daemon_newer"
        return {"code": code, "daemon": level, "script": PROTOCOL, "host": "ableton"}

    def page(self) -> str | None:
        """Address of the daemon's page on which results are heard; None where its HTTP door is off."""
        door = connection(self.home).get("http")
        if not door:
            return None
        host = "127.0.0.1" if door["host"] in EVERYWHERE else door["host"]
        return f"http://{f'[{host}]' if ':' in host else host}:{door['port']}/audition"

    def spool(self) -> str:
        """The folder in which the daemon takes requests as files; empty where it does not."""
        return str(connection(self.home).get("spool") or "")

    def send(self, address: str, *values: Any) -> str | None:
        """Send a message to the daemon; the reason if it could not be sent."""
        host, port = daemon_address(self.home)
        try:
            self._socket.sendto(osc.encode(address, values), (host, port))
        except OSError as failure:
            return str(failure)
        return None

    def receive(self) -> list[tuple[str, list[Any]]]:
        """The messages that have come since the last call: a list of ``(address, values)``. Never waits."""
        found = []
        for _ in range(PER_TICK):
            try:
                data, _ = self._socket.recvfrom(LARGEST)
            except (BlockingIOError, ConnectionError):
                break
            try:
                found.append(osc.decode(data))
            except osc.BadPacket:
                continue
        return found

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()
