"""The control surface: Live's ticks drive it, notes and OSC messages start actions, nothing here ever waits."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from .jobs import Jobs
from .link import START, Link, home_folder
from .starter import Starter

if TYPE_CHECKING:
    from typing import Any

    from .kinds import Facts

COMMAND_PORT = 9703
"""UDP port for what controllers send: `/ace/live/run <action> [key value ...]`, or `place [n]`, `cancel [n]`, `drop`, `start`."""

NOTE_ON = 0x90


def load_data(folder: str) -> Facts:
    """The shared tables and the settings that the installer wrote beside this file."""
    data = {}
    for name in ("actions", "messages", "settings"):
        try:
            with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as file:
                data[name] = json.load(file)
        except OSError:
            data[name] = {}
    return {
        "actions": data["actions"].get("actions", []),
        "messages": data["messages"].get("messages", {}),
        "settings": data["settings"],
    }


class Surface:
    """One instance in Live's list of control surfaces. Live calls the methods by these names."""

    def __init__(self, c_instance: Any) -> None:
        self._c = c_instance
        data = load_data(os.path.dirname(os.path.abspath(__file__)))
        settings = data["settings"]
        self._midi = settings.get("midi", {})
        home = home_folder(installed=settings.get("home", ""))
        starter = Starter(settings.get("starter", []), home)
        self.link = Link(home, starter, int(settings.get("command_port", COMMAND_PORT)))
        self.jobs = Jobs(c_instance.song(), self.link, data, self._tell)
        c_instance.log_message(f"acestep-bridge listens on UDP port {self.link.port}")

    def _tell(self, text: str) -> None:
        self._c.show_message(text)
        self._c.log_message(text)

    def update_display(self) -> None:
        """Live's tick, about ten times a second."""
        for address, values in self.link.receive():
            if address == "/ace/live/run" and values:
                self._command(str(values[0]), values[1:])
            elif address == "/ace/live/place":
                self.jobs.place(*values[:1])
            elif address == "/ace/live/cancel":
                self.jobs.cancel(*values[:1])
            elif address == "/ace/live/drop":
                self.jobs.drop()
            elif address == START:
                self.jobs.start()
            else:
                self.jobs.hear(address, values)
        self.jobs.tick()

    def _command(self, action: str, rest: list[Any]) -> None:
        if len(rest) % 2:
            return self._tell(f"{action}: every parameter needs a value")
        values = dict(zip(map(str, rest[::2]), rest[1::2]))  # noqa: B905 - Live 11 runs Python 3.7
        for name, value in values.items():
            if name == "track" and isinstance(value, str):
                values[name] = [part.strip() for part in value.split(",") if part.strip()]
        self.jobs.run(action, values)

    def receive_midi(self, message: tuple[int, ...]) -> None:
        """A note that the settings name starts its action: ``{"channel": 16, "notes": {"60": "repaint"}}``."""
        status, note, velocity = (*message, 0, 0, 0)[:3]
        if status == NOTE_ON | (int(self._midi.get("channel", 16)) - 1) and velocity > 0:
            action = self._midi.get("notes", {}).get(str(note))
            if action:
                self.jobs.run(action)

    def build_midi_map(self, handle: int) -> None:
        """Ask Live for the notes of the settings."""
        notes = self._midi.get("notes", {})
        if not notes:
            return
        import Live  # only inside Live

        for note in notes:
            channel = int(self._midi.get("channel", 16)) - 1
            Live.MidiMap.forward_midi_note(self._c.handle(), handle, channel, int(note))

    def disconnect(self) -> None:
        """Live closes or another surface was chosen."""
        self.jobs.close()
        self.link.close()

    def refresh_state(self) -> None:
        """Nothing to light up."""

    def suggest_input_port(self) -> str:
        """No device of its own."""
        return ""

    def suggest_output_port(self) -> str:
        """No device of its own."""
        return ""

    def can_lock_to_devices(self) -> bool:
        """It controls the set, not a device."""
        return False

    def suggest_map_mode(self, cc_no: int, channel: int) -> int:
        """No mapping requests."""
        return -1

    def suggest_needs_takeover(self, cc_no: int, channel: int) -> bool:
        """No mapping requests."""
        return False

    def supports_pad_translation(self) -> bool:
        """No pads of its own."""
        return False

    def connect_script_instances(self, instances: Any) -> None:
        """It talks to no other surface."""

    def instance_identifier(self) -> int:
        """Live's own number of this instance."""
        return self._c.instance_identifier()
