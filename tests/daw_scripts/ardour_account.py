"""A user who has never run Ardour: an empty home folder, the program's own welcome, its first session."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from .ardour_host import Ardour

PAGE = Path(__file__).parents[2] / "docs" / "hosts" / "ardour.md"


class NewUser(Ardour):
    """Ardour with the home folder of somebody new. There is no sound card here, so that Ardour's dummy is allowed beforehand."""

    def __init__(self, session: Path, home: Path) -> None:
        new = not home.exists()
        super().__init__(session, home / ".config" / "ardour7", desktop=True)
        if new:
            (self.config / ".a7").unlink()
        self.home = home

    def __enter__(self) -> NewUser:
        self.open_desktop()
        return self

    def environment(self) -> dict[str, str]:
        """What programs of this user see."""
        kept = {key: value for key, value in os.environ.items() if key != "XDG_CONFIG_HOME"}
        return {**kept, "HOME": str(self.home), "DISPLAY": self.display}

    def welcome(self) -> None:
        """The first start: through Ardour's welcome, then Quit where it asks for a session."""
        process = self.start(["ardour"], self.environment())
        self.wait_for(lambda: self.windows("^Ardour$"), "Ardour's welcome", 60)
        end = time.monotonic() + 60
        while not self.windows("Session Setup"):
            assert time.monotonic() < end, self.titles()
            for keys in ("alt+f", "alt+a"):  # Forward, on the last page Apply
                self.press(keys)
                time.sleep(0.3)
        self.press("alt+q")
        process.wait(60)

    def open_session(self) -> None:
        """A later start, into a session; Ardour is told to start the sound by itself."""
        state = self.session / f"{self.session.name}.ardour"
        self.start(["ardour", "-n", str(state)], {**self.environment(), "ARDOUR_TRY_AUTOSTART_ENGINE": "1"})
        self.wait_for(lambda: self.windows(" - Ardour"), "Ardour's window", 60)
        self.wait_for(self.listens, "Ardour's OSC", 60)

    def quit(self) -> None:
        """Ctrl+Q, until the program is gone."""
        process = self._processes[-1]
        end = time.monotonic() + 60
        while process.poll() is None:
            assert time.monotonic() < end, self.titles()
            if self.windows(" - Ardour"):
                self.focus()
                self.press("ctrl+q")
            time.sleep(1)


def commands(heading: str) -> list[list[str]]:
    """The commands of ours that a section of the page tells its reader to run, in order."""
    section = PAGE.read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    return [words.split() for words in re.findall(r"`(acestep-bridge [^`]+)`", section)]


def run_command(words: list[str], environment: dict[str, str]) -> str:
    """Run a command of the page as it stands there; its output."""
    program = Path(sys.executable).with_name(words[0])
    done = subprocess.run([str(program), *words[1:]], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def keys() -> dict[str, str]:
    """Action -> letter, as the page's table has them."""
    section = PAGE.read_text("utf-8").split("## Keys\n")[1].split("\n## ")[0]
    cells = re.findall(r"\| ([A-Z]) \| ([^|]+?) (?=\|)", section)
    return {title.partition(" (")[0]: letter for letter, title in cells}
