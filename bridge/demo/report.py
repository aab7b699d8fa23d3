"""What the demo tells at the end: what was checked, how long it took, and what the ear should expect."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from bridge.demo.verify import Check

UNTRAINED = (
    "The embedded model has random weights: everything it paints is noise. What this demo shows is the way there and back, "
    "exact to the sample. Music needs a trained checkpoint (`acestep-bridge models`)."
)


def table_of_times(session: dict[str, Any]) -> str:
    """Markdown: for each job how soon it was acknowledged, began, ended, and seconds of audio per second."""
    lines = [
        "| job | operation | ended as | acknowledged | first progress | finished | audio | times real time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for job in session["jobs"]:
        heard = max((file["length"] / file["rate"] for file in job["files"] if file.get("rate")), default=0.0)
        cells = [
            job["title"],
            job["operation"],
            job["state"],
            _milliseconds(job.get("ack")),
            _milliseconds(job.get("first_progress")),
            f"{job['seconds']:.2f} s",
            f"{heard:.1f} s" if heard else "",
            f"{heard / job['seconds']:.1f}" if heard else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    took = next((job["cancel_took"] for job in session["jobs"] if "cancel_took" in job), None)
    if took is not None:
        lines += ["", f"From the cancel message to the job's last word: {_milliseconds(took)}."]
    return "\n".join(lines) + "\n"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"


def untrained(session: dict[str, Any]) -> bool:
    """Whether the default model says of itself that nobody trained it."""
    return any(model.get("default") and model.get("trained") in (0, False) for model in session["models"])


def show_report(report: dict[str, Any], checks: Sequence[Check], *, as_json: bool) -> None:
    """Print the report: JSON on standard output, or the table, the checks and the notes for people."""
    if as_json:
        print(json.dumps(report, indent=2))
        return
    print(table_of_times(report))
    for check in checks:
        print(
            f"{'ok     ' if check.held else 'FAILED '} {check.rule}"
            + ("" if check.held or not check.found else f": {check.found}")
        )
    notes = dict.fromkeys(note for job in report["jobs"] for note in job["notes"])
    for note in notes:
        print(f"note    {note}")
    if untrained(report):
        print(f"\n{UNTRAINED}")
    print(f"\nfiles, picture and report: {report['out']}")
    sys.stdout.flush()
