"""Waiting for a job in front of a terminal: a bar where there is one, plain lines elsewhere, and Ctrl-C as cancel."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from acestep.api.errors import AceError
from bridge.cli.contact import Contact
from bridge.cli.show import clock, tell
from bridge.core.interface import TERMINAL
from bridge.plain import plain

POLL = 20.0
"""Seconds that one question for further events may take; the answer comes as soon as there is one."""


class Display(Protocol):
    """Something that shows how far a job is."""

    def progress(self, data: dict[str, Any]) -> None:
        """Show a progress event: stage, step, steps, fraction, eta."""

    def close(self) -> None:
        """Leave the terminal clean."""


class Silent:
    """Shows nothing: for ``--quiet`` and ``--json``."""

    def progress(self, data: dict[str, Any]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """A line at every new stage and every tenth, for logs and pipes."""

    def __init__(self) -> None:
        self._shown: tuple[str, int] | None = None

    def progress(self, data: dict[str, Any]) -> None:
        """Print the line if there is news."""
        mark = (str(data.get("stage", "")), int(float(data.get("fraction", 0.0)) * 10))
        if mark != self._shown:
            self._shown = mark
            tell(f"{float(data.get('fraction', 0.0)):4.0%}  {describe_stage(data)}")

    def close(self) -> None:
        """Nothing to clean."""


class UnitRate:
    """How many units of a stage come a minute, since its first one was seen; no word on those that come every second or quicker."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._first = (0.0, 0)
        self._last = (0.0, 0)

    def words(self, data: dict[str, Any]) -> str:
        """The rate with a comma in front, or nothing."""
        stage, step, now = str(data.get("stage", "")), int(data.get("step", 0) or 0), self._clock()
        if stage != self._stage or step < self._first[1]:
            self._stage, self._first, self._last = stage, (now, step), (now, step)
        if step != self._last[1]:
            self._last = (now, step)
        seconds, units = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return f", {60 * units / seconds:.1f} a minute" if units > 0 and seconds > units else ""


class Bar:
    """A live bar with stage, steps, their rate and the time that is left."""

    def __init__(self, title: str) -> None:
        self._rate = UnitRate()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[stage]}"),
            TextColumn("{task.fields[left]}"),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(plain(title), total=1.0, stage="waiting", left="")
        self._progress.start()

    def progress(self, data: dict[str, Any]) -> None:
        """Move the bar."""
        eta = data.get("eta")
        left = f"{clock(eta)} left" if eta is not None and eta >= 0 else ""
        stage = f"{describe_stage(data)}{self._rate.words(data)}"
        self._progress.update(self._task, completed=float(data.get("fraction", 0.0)), stage=stage, left=left)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


def describe_stage(data: dict[str, Any]) -> str:
    """Stage and step in words."""
    steps = int(data.get("steps", 0) or 0)
    count = f" {int(data.get('step', 0))}/{steps}" if steps > 1 else ""
    return plain(f"{data.get('stage', '')}{count}")


def display_for(title: str, *, quiet: bool) -> Display:
    """The display that fits where standard error goes."""
    if quiet:
        return Silent()
    return Bar(title) if sys.stderr.isatty() else Lines()


def follow(contact: Contact, job: str, display: Display) -> tuple[dict[str, Any], bool]:
    """Wait until the job has ended; its view, and whether Ctrl-C was pressed meanwhile.

    Ctrl-C asks the daemon to cancel and goes on waiting for the end; a second one leaves at once (`KeyboardInterrupt`).
    """
    asked = False
    events = watch(contact, job)
    try:
        while True:
            try:
                for event in events:
                    if event["kind"] == "progress":
                        display.progress(event["data"])
                    elif event["kind"] == "suspended":
                        display.progress({**event["data"], "stage": "waiting for another job"})
                break
            except KeyboardInterrupt:
                if asked:
                    raise
                asked = True
                tell("cancelling ... (press Ctrl-C again to stop waiting)")
                contact.again()  # the interrupted call may have left half an answer on the old connection
                contact.call("job.cancel", id=job)
                events = watch(contact, job)
    finally:
        display.close()
    view: dict[str, Any] = contact.call("job.result", id=job)
    return view, asked


def watch(contact: Contact, job: str, after: int = -1) -> Iterator[dict[str, Any]]:
    """The job's events in order until its terminal one; a lost connection is tried again once."""
    retried = False
    while True:
        try:
            answer = contact.call("job.wait", id=job, after=after, timeout=POLL)
        except AceError as error:
            if error.code != "daemon_unreachable" or retried:
                raise
            retried = True
            contact.again()
            continue
        for event in answer["events"]:
            after = event["seq"]
            yield event
            if event["kind"] in TERMINAL:
                return
        if answer["terminal"] and not answer["events"]:
            return
