"""The daemon's numbers in the text format of Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    yield from _devices(status.get("devices") or [])
    yield _metric("subscribers", "gauge", "Open event subscriptions.", [({}, status.get("subscribers", 0))])
    for door, numbers in sorted(doors.items()):
        rows = [({"fact": fact}, value) for fact, value in sorted(numbers.items())]
        yield _metric(f"{door}_door", "gauge", f"What the {door} door has counted.", rows)


def _devices(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """What each device's worker does and holds."""

    def each(value: Callable[[dict[str, Any]], float]) -> list[tuple[dict[str, str], float]]:
        return [({"device": str(row.get("device", ""))}, value(row)) for row in rows]

    deaths = each(lambda row: row.get("deaths", 0))
    yield _metric("worker_deaths_total", "counter", "Deaths of each device's worker.", deaths)
    states = [
        ({**labels, "state": str(row.get("state", ""))}, 1.0) for row, (labels, _) in zip(rows, deaths, strict=True)
    ]
    yield _metric("worker_state", "gauge", "The state of each device's worker, as a label.", states)
    jobs = each(lambda row: int(bool(row.get("job"))))
    yield _metric("device_busy", "gauge", "1 while a job runs on the device.", jobs)
    held = each(lambda row: (row.get("info") or {}).get("memory_bytes", 0))
    yield _metric("model_memory_bytes", "gauge", "Memory of the models that are open on the device.", held)


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
