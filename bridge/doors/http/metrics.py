"""The daemon's numbers in the text format of Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

PREFIX = "acestep_bridge"


def render(status: dict[str, Any], doors: dict[str, dict[str, float]]) -> str:
    """The page: one block a metric, with help and type."""
    return "\n".join([line for block in _blocks(status, doors) for line in block] + [""])


def _blocks(status: dict[str, Any], doors: dict[str, dict[str, float]]) -> Iterator[list[str]]:
    version = str(status.get("version", ""))
    yield _metric("info", "gauge", "The running program.", [({"version": version}, 1)])
    yield _metric("uptime_seconds", "gauge", "Time since the start.", [({}, status.get("uptime", 0))])
    state = status.get("state", "ok")
    yield _metric(
        "degraded", "gauge", "1 when the worker keeps failing and is not restarted.", [({}, int(state == "degraded"))]
    )
    yield _metric("queue", "gauge", "The queue by fact.", _numbers(status.get("queue"), "fact"))
    yield _metric("jobs", "gauge", "Remembered jobs by state.", _numbers(status.get("jobs"), "state"))
    worker = status.get("worker") or {}
    yield _metric("worker_deaths_total", "counter", "Deaths of the worker.", [({}, worker.get("deaths", 0))])
    facts = [({"state": str(worker.get("state", "")) or "none"}, 1)]
    yield _metric("worker_state", "gauge", "The worker's state, as a label.", facts)
    yield _metric("subscribers", "gauge", "Open event subscriptions.", [({}, status.get("subscribers", 0))])
    for door, numbers in sorted(doors.items()):
        rows = [({"fact": fact}, value) for fact, value in sorted(numbers.items())]
        yield _metric(f"{door}_door", "gauge", f"What the {door} door has counted.", rows)


def _numbers(data: Any, label: str) -> list[tuple[dict[str, str], float]]:
    rows = data.items() if isinstance(data, dict) else ()
    return [({label: str(key)}, value) for key, value in rows if isinstance(value, (int, float))]


def _metric(name: str, kind: str, text: str, rows: Sequence[tuple[dict[str, str], float]]) -> list[str]:
    full = f"{PREFIX}_{name}"
    lines = [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
    for labels, value in rows:
        inside = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
        lines.append(f"{full}{{{inside}}} {float(value):g}" if inside else f"{full} {float(value):g}")
    return lines


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
