"""What the command line prints: answers on standard output, everything else on standard error, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from acestep.api.errors import AceError
from bridge.plain import escaped, plain, plain_lines


def show_json(value: Any) -> None:
    """One JSON value on standard output, on one line per top-level list item kept readable by indentation."""
    print(escaped(json.dumps(value, indent=2, ensure_ascii=False, default=str)))


def show_table(rows: Sequence[Sequence[Any]], headings: Sequence[str]) -> None:
    """Columns as wide as their longest entry; the last one is not padded."""
    cells = [[str(heading) for heading in headings], *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        padded = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        print("  ".join(padded).rstrip())


def show_pairs(pairs: Iterable[tuple[str, Any]]) -> None:
    """Name and value per line, values aligned; empty values are left out."""
    kept = [(name, _cell(value)) for name, value in pairs if value not in (None, "", [], {}, ())]
    width = max((len(name) for name, _ in kept), default=0)
    for name, text in kept:
        print(f"{name.ljust(width)}  {text}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{plain(str(key))} {_cell(inner)}" for key, inner in value.items())
    return plain(str(value))


def tell(text: str) -> None:
    """A sentence for the person at the terminal."""
    print(plain_lines(text), file=sys.stderr, flush=True)


def show_error(error: AceError, *, as_json: bool = False) -> None:
    """An error as its sentence, its field and what would have been allowed; with ``as_json`` as the map of the wire."""
    if as_json:
        show_json({"error": error.to_wire()})
        return
    tell(f"{error.code}: {error.message}")
    if error.field:
        tell(f"  field:   {error.field}")
    limits = {key: value for key, value in error.limits.items() if value is not None}
    if limits:
        tell(f"  allowed: {describe_limits(limits)}")
    if error.retryable:
        tell("  The same request may succeed later.")


def describe_limits(limits: dict[str, Any]) -> str:
    """Limits of an error in a few words."""
    parts = []
    for key, value in limits.items():
        if key in ("choices", "fields", "roots") and isinstance(value, (list, tuple)):
            parts.append(", ".join(map(str, value[:24])) + (", ..." if len(value) > 24 else ""))
        else:
            parts.append(f"{key.replace('_', ' ')} {_cell(value)}")
    return "; ".join(parts)


def clock(seconds: float | None) -> str:
    """A duration for people: 0.4 s, 12 s, 3:05, 1:02:09."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(count: int | float | None) -> str:
    """Bytes for people."""
    if not count:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""
