"""`acestep-bridge demo`: the whole loop of this product, closed once and checked.

A daemon with a home of its own is started on free ports; a second process that speaks nothing but OSC drives it as a DAW would
(`bridge.demo.session`); what comes back is checked here to the sample (`bridge.demo.verify`), drawn (`bridge.demo.picture`) and
written small for listening (`bridge.demo.listen`).
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import Unavailable
from bridge.children import python
from bridge.demo.listen import write_mp3s
from bridge.demo.report import show_report, table_of_times
from bridge.demo.verify import verify
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon
from bridge.package_data import data_folder
from bridge.paths import Paths, make_report_folder

SESSION_TIMEOUT = 1800.0
"""Seconds the four jobs may take together: a full-size model on a CPU needs minutes for each."""


def run_demo(out: Path, *, model: str = "", as_json: bool = False, settings: dict[str, Any] | None = None) -> int:
    """Run everything into ``out``; 0 when every check held, 1 otherwise. Raises an `AceError` when it cannot run at all.

    ``settings`` are further settings of the daemon, by name.
    """
    loop = data_folder("loop")
    make_report_folder(out, "report.json")
    with _stopped_in_order(), _daemon(loop, model, settings or {}) as daemon:
        session = drive(daemon, loop, out, model)
    checks = verify(session, loop)
    picture = _draw(session, loop, out)
    write_mp3s(session, loop, out / "listen")
    (out / "times.md").write_text(table_of_times(session), "utf-8")
    report = {"out": str(out), "picture": picture, **session, "checks": msgspec.to_builtins(checks)}
    (out / "report.json").write_text(json.dumps(report, indent=2), "utf-8")
    show_report(report, checks, as_json=as_json)
    return 0 if all(check.held for check in checks) else 1


@contextmanager
def _stopped_in_order() -> Iterator[None]:
    """Make SIGTERM end this process the orderly way, so that the daemon is stopped with it."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _daemon(loop: Path, model: str, settings: dict[str, Any]) -> Iterator[DaemonProcess]:
    """A daemon that shares nothing with one that may be running, except the downloaded models if one of them is asked for."""
    checkpoints = {"checkpoints": [str(Paths.of().checkpoints)]} if model else {}
    with tempfile.TemporaryDirectory(prefix="acestep-demo-", ignore_cleanup_errors=True) as home:
        given = {**FREE_PORTS, "home": home, "read_roots": [str(loop)], **checkpoints, **settings}
        with start_daemon(given) as daemon:
            yield daemon


def drive(daemon: DaemonProcess, loop: Path, out: Path, model: str) -> dict[str, Any]:
    """Run the OSC session in a process of its own and copy what it was given; its report.

    Raises the `AceError` that the daemon refused a job with, or `Unavailable` when the session breaks off.
    """
    osc = daemon.connection["osc"]
    plan = json.dumps({"host": osc["host"], "port": osc["udp"], "loop": str(loop), "model": model})
    line = python("-m", "bridge.demo.session", plan)
    try:
        done = subprocess.run(
            line, stdout=subprocess.PIPE, text=True, timeout=SESSION_TIMEOUT, check=False, encoding="utf-8"
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"the session did not end within {SESSION_TIMEOUT:.0f} s") from None
    if done.returncode != 0:
        raise Unavailable(f"the OSC session failed (code {done.returncode}); see its last messages above")
    session: dict[str, Any] = json.loads(done.stdout)
    for job in session["jobs"]:
        for file in job["files"]:
            file["path"] = str(_keep(Path(file["path"]), out, job["title"], file["role"]))
    return session


def _keep(source: Path, out: Path, title: str, role: str) -> Path:
    """Copy a result out of the library, which goes away with the daemon's home."""
    target = out / f"{title}-{role}{source.suffix}"
    shutil.copyfile(source, target)
    return target


def _draw(session: dict[str, Any], loop: Path, out: Path) -> str:
    try:
        from bridge.demo.picture import draw
    except ModuleNotFoundError as missing:
        print(f"no picture: {missing.name} is not installed", file=sys.stderr)
        return ""
    target = out / "demo.png"
    draw(session, loop, target)
    return str(target)
