"""The table: every trial on the first songs of a split, averaged, as JSON and Markdown, with a picture of one song."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from acestep.training.evaluation import trials
from acestep.training.evaluation.pictures import draw_tasks
from acestep.training.evaluation.player import Player
from acestep.training.evaluation.presence import Presence, open_judge
from acestep.training.evaluation.trials import HeldOut, Row, held_out
from acestep.training.songs.bank import open_bank

LIMITS: dict[str, dict[str, tuple[str, float]]] = {
    # what issue and documentation promise: trial -> figure -> (comparison, bound)
    "codec": {"mel error dB": ("<=", 2.5), "chroma correlation": (">=", 0.93)},
    "extract": {"drums and bass: mel error dB": ("<=", 3.0), "harmonic: mel error dB": ("<=", 6.5),
                "closer than the mix": (">=", 1.0)},
    "generate, beat guide": {"tempo kept": (">=", 0.95), "in key": (">=", 0.93)},
    "generate, chord guide": {"tempo kept": (">=", 0.95), "in key": (">=", 0.93)},
    "instruments": {"instruments right": (">=", 0.85)},
    "repaint": {"beat kept": (">=", 0.9), "in key": (">=", 0.9), "change at the seams": ("<=", 1.3)},
    "lego": {"tempo kept": (">=", 0.95), "in key": (">=", 0.93), "follows the chords": (">=", 0.6)},
    "complete": {"tempo kept": (">=", 0.95), "in key": (">=", 0.93)},
    "cover": {"chroma with the source": (">=", 0.7)},
}  # fmt: skip


def evaluate(player: Player, split: str, songs: int, only: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Run every trial (or those named) on the first `songs` songs; figures and their count by trial."""
    bank = open_bank()

    @cache
    def judge() -> Presence:
        return open_judge(player, bank)

    suite: dict[str, Callable[[Player, HeldOut], Iterator[Row]]] = {
        "codec": trials.try_codec,
        "extract": trials.try_extract,
        "generate, beat guide": partial(trials.try_generate, guided=True),
        "generate, chord guide": partial(trials.try_generate, guided=True, chords=True),
        "generate, no guide": partial(trials.try_generate, guided=False),
        "instruments": lambda player, item: trials.try_instruments(player, item, judge()),
        "repaint": trials.try_repaint,
        "lego": trials.try_lego,
        "complete": trials.try_complete,
        "cover": partial(trials.try_cover, bank=bank),
    }
    items = list(held_out(split, songs, bank))
    figures = {}
    for name, trial in suite.items():
        if only and name not in only:
            continue
        started = time.monotonic()
        rows = [row for item in items for row in trial(player, item)]
        figures[name] = _average(rows) | {"count": len(rows), "seconds": round(time.monotonic() - started, 1)}
        print(json.dumps({name: figures[name]}), flush=True)
    return figures


def _average(rows: list[Row]) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            values[name].append(value)
    return {name: round(sum(series) / len(series), 3) for name, series in values.items()}


def as_markdown(figures: dict[str, dict[str, float]]) -> str:
    """One line per figure: model, the same measure on the real songs, what was asked, met or missed."""
    lines = ["| task | figure | nano | real songs | asked | |", "| --- | --- | --- | --- | --- | --- |"]
    for trial, values in figures.items():
        for name, value in values.items():
            if name.startswith("real ") or name in ("count", "seconds"):
                continue
            real = values.get(f"real {name}", "")
            comparison, bound = LIMITS.get(trial, {}).get(name, ("", None))
            met = (
                ""
                if bound is None
                else "met"
                if (value <= bound if comparison == "<=" else value >= bound)
                else "missed"
            )
            asked = "" if bound is None else f"{comparison} {bound}"
            lines.append(f"| {trial} ({values['count']}) | {name} | {value} | {real} | {asked} | {met} |")
    return "\n".join(lines) + "\n"


def write_report(player: Player, folder: Path, split: str, songs: int, only: list[str] | None = None) -> None:
    """`figures.json`, `figures.md` and the pictures in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = evaluate(player, split, songs, only)
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    (folder / "figures.md").write_text(as_markdown(figures))
    if not only:
        draw_tasks(player, next(held_out(split, 1, open_bank())), folder)
