"""What the demo tells at the end: what was checked, how long it took, and what the ear should expect."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from bridge.check import Check

UNTRAINED = (
    "This model has random weights, so everything it makes is noise. The demo only shows that results return to "
    "the exact sample. For music, use a trained checkpoint (`acestep-bridge models`)."
)

SKETCH = (
    "This is nano, the small model that comes with the program. It only sketches: General MIDI sounds, no sung "
    "words. The full ACE-Step 1.5 checkpoints work in the same way (`acestep-bridge models download turbo`)."
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
        lines += ["", f"From the cancel message to the job's end: {_milliseconds(took)}."]
    return "\n".join(lines) + "\n"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"


def what_to_expect(session: dict[str, Any]) -> str:
    """A sentence about how the model sounds that is used when none is named; none for a full-size one."""
    default: dict[str, Any] = next((model for model in session["models"] if model.get("default")), {})
    if default.get("trained") in (0, False):
        return UNTRAINED
    return SKETCH if default.get("variant") == "nano" else ""


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
    if sentence := what_to_expect(report):
        print(f"\n{sentence}")
    print(f"\nfiles, picture and report: {report['out']}")
    sys.stdout.flush()
