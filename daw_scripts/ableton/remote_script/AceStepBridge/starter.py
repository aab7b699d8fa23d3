"""Starts the daemon in the background, without waiting: the installer's command does it, and ends once the daemon answers."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from subprocess import Popen
    from typing import IO, Any

    from .kinds import Facts


def _own_group(subprocess: Any) -> Facts:
    """Options that let a process outlive Live."""
    if os.name == "nt":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


class Starter:
    """The command that starts a daemon where none runs, and where that daemon's home is."""

    def __init__(self, command: list[str], home: str) -> None:
        self._command = command
        self._home = home
        self._process: Popen[Any] | None = None
        self._words: IO[bytes] | None = None

    def start(self) -> None:
        """Run the command, unless it still runs. Raises `OSError` where its program is gone, `ImportError` in a Live without
        processes."""
        if self._process is not None:
            return
        import subprocess  # a Live without it still has everything else

        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - read once the command has ended
        environment = {**os.environ, "ACESTEP_BRIDGE_HOME": self._home}
        quiet: Facts = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": self._words}
        self._process = subprocess.Popen(self._command, env=environment, **quiet, **_own_group(subprocess))

    def outcome(self) -> str | None:
        """What came of it, as a sentence, once; None before and afterwards."""
        if self._process is None or self._words is None or self._process.poll() is None:
            return None
        code, self._process = self._process.returncode, None
        with self._words as words:
            words.seek(0)
            reason = " ".join(words.read().decode("utf-8", "replace").split())
        return "The daemon is running." if code == 0 else f"The daemon did not start: {reason}"
