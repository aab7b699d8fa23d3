"""The daemon over OSC: one socket that never blocks, read once per tick of Live."""

import json
import os
import socket
import sys

from . import osc

PORT = 9700
LARGEST = 65_535
PER_TICK = 64
"""Packets read in one tick, so that a flood cannot hold up Live's interface."""


def home_folder(environment=os.environ, platform=sys.platform, installed=""):
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


def daemon_address(home):
    """Where the running daemon listens for OSC: from its connection file, else the default port. ``(host, port, running)``."""
    try:
        with open(os.path.join(home, "runtime", "connection.json"), encoding="utf-8") as file:
            facts = json.load(file)["osc"]
        return facts.get("host", "127.0.0.1"), int(facts["udp"]), True
    except (OSError, ValueError, KeyError, TypeError):
        return "127.0.0.1", PORT, False


class Link:
    """A UDP socket to the daemon and back; also where controllers send commands for Live."""

    def __init__(self, home, command_port=0):
        self.home = home
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", command_port))
        self.port = self._socket.getsockname()[1]

    def running(self):
        """Whether a daemon left its connection file."""
        return daemon_address(self.home)[2]

    def send(self, address, *values):
        """Send a message to the daemon; the reason if it could not be sent."""
        host, port, _ = daemon_address(self.home)
        try:
            self._socket.sendto(osc.encode(address, values), (host, port))
        except OSError as failure:
            return str(failure)
        return None

    def receive(self):
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

    def close(self):
        """Give the port back."""
        self._socket.close()
