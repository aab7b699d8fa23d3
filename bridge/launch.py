"""A daemon as a child or background process: started, waited for until its doors are open, stopped. The command line uses it
to start a daemon where none runs; the demo, the tests and the benchmarks use it to have one of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from acestep.api.errors import DaemonUnreachable
from acestep.api.text import read_text
from bridge import children
from bridge.paths import Paths
from bridge.settings import Settings

READY_TIMEOUT = 20.0
"""Seconds until the doors must be open. It takes well under one; a machine that builds software in the background may need more."""

STOP_TIMEOUT = 20.0
"""Seconds that a daemon gets to store its queue and stop its worker."""

FREE_PORTS = {"osc_port": 0, "rpc_port": 0, "jsonrpc_port": 0, "http_port": 0}
"""Settings of a daemon that should not meet another one."""


if sys.platform == "win32":
    STOP_SIGNAL = signal.CTRL_BREAK_EVENT
else:
    STOP_SIGNAL = signal.SIGTERM


class DaemonProcess:
    """One running daemon that we started. As a context manager it stops the daemon at the end."""

    def __init__(self, process: subprocess.Popen[bytes], paths: Paths, output: Path) -> None:
        self.process = process
        self.paths = paths
        self.output = output
        """File that holds what the daemon printed."""

    @property
    def connection(self) -> dict[str, Any]:
        """The daemon's connection file: where its doors are. Raises `DaemonUnreachable` when there is none."""
        return read_connection(self.paths)

    def stop(self) -> int:
        """Ask it to stop, wait, and kill it if it does not; the exit code. A second call changes nothing."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(STOP_SIGNAL)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def start_daemon(
    settings: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float = READY_TIMEOUT,
    detached: bool = False,
) -> DaemonProcess:
    """Start a daemon with these settings (by name, as for `serve`) and return when its doors are open.

    ``detached`` leaves it running when this process and its terminal end. Raises `DaemonUnreachable` with the daemon's own
    last words when it does not come up.
    """
    given = dict(settings or {})
    paths = Paths.of(Settings(**{key: given[key] for key in ("home", "library") if key in given}))
    paths.create()
    paths.connection.unlink(missing_ok=True)
    output = paths.logs / "daemon-output.log"
    variables = children.environment(environment)
    if token := given.pop("token", ""):  # a command line can be read by every user of the machine
        variables["ACESTEP_BRIDGE_TOKEN"] = token
    elif inherited := (os.environ if environment is None else environment).get("ACESTEP_BRIDGE_TOKEN"):
        variables["ACESTEP_BRIDGE_TOKEN"] = inherited
    line = children.python("-m", "bridge.cli", "serve", *_flags(given))
    with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as sink:
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=variables, **_own_group(detached)
        )
    started = DaemonProcess(process, paths, output)
    try:
        _wait_until_ready(started, timeout)
    except BaseException:  # also Ctrl-C: a daemon that nobody waits for any more must not stay behind
        started.stop()
        raise
    return started


def _flags(settings: Mapping[str, Any]) -> Iterable[str]:
    for name, value in settings.items():
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        yield f"--{name.replace('_', '-')}={text}"


def _own_group(detached: bool) -> dict[str, Any]:
    """Options that keep the terminal's Ctrl-C away from the daemon: whoever started it decides when it stops."""
    if sys.platform == "win32":
        lonely = subprocess.DETACHED_PROCESS if detached else 0
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | lonely}
    return {"start_new_session": True}


def _wait_until_ready(daemon: DaemonProcess, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while daemon.process.poll() is None:
        if any(line.startswith(b"ready") for line in daemon.output.read_bytes().splitlines()):
            return
        if time.monotonic() > deadline:
            raise DaemonUnreachable(f"the daemon was not ready after {timeout:.0f} s: {_last_words(daemon.output)}")
        time.sleep(0.02)
    raise DaemonUnreachable(f"the daemon ended at once: {_last_words(daemon.output)}")


def _last_words(output: Path) -> str:
    lines = output.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"it printed nothing (see {output})"


def read_connection(paths: Paths) -> dict[str, Any]:
    """The connection file of the daemon with these paths. Raises `DaemonUnreachable` when none runs there."""
    try:
        data: dict[str, Any] = json.loads(read_text(paths.connection))
    except (OSError, ValueError):
        raise DaemonUnreachable(f"no daemon is running (there is no {paths.connection})") from None
    pid = data.get("pid") if isinstance(data, dict) else None
    if not isinstance(pid, int) or isinstance(pid, bool):
        raise DaemonUnreachable(f"{paths.connection} is damaged; stop the daemon and start it again")
    if not process_alive(pid):
        raise DaemonUnreachable(f"the daemon of {paths.connection} has ended unexpectedly")
    return data


def process_alive(pid: int) -> bool:
    """Whether a process of that id runs. On Windows, where a signal 0 would kill, the question goes to the client's connect."""
    if pid <= 0:
        return False
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
