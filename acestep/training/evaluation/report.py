"""The table: every trial on the first songs of a split, averaged, as JSON and Markdown, with a picture of one song."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from acestep.training.errors import NoSuchTrial
from acestep.training.evaluation import trials
from acestep.training.evaluation.pictures import draw_tasks
from acestep.training.evaluation.presence import open_judge
from acestep.training.evaluation.trained_model import TrainedModel
from acestep.training.evaluation.trials import HeldOut, Row, held_out
from acestep.training.parallel import side_by_side
from acestep.training.songs import Song
from acestep.training.songs.bank import NoteBank, open_bank

SUITE: dict[str, Callable[[TrainedModel, HeldOut, NoteBank], Iterable[Row]]] = {
    "codec": lambda trained, item, bank: trials.try_codec(trained, item),
    "extract": lambda trained, item, bank: trials.try_extract(trained, item),
    "generate, beat guide": lambda trained, item, bank: trials.try_generate(trained, item, guided=True),
    "generate, chord guide": lambda trained, item, bank: trials.try_generate(trained, item, guided=True, chords=True),
    "generate, no guide": lambda trained, item, bank: trials.try_generate(trained, item, guided=False),
    "instruments": lambda trained, item, bank: trials.try_instruments(trained, item, open_judge(trained, bank)),
    "repaint": lambda trained, item, bank: trials.try_repaint(trained, item),
    "lego": lambda trained, item, bank: trials.try_lego(trained, item),
    "complete": lambda trained, item, bank: trials.try_complete(trained, item),
    "cover": lambda trained, item, bank: trials.try_cover(trained, item, bank),
}

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


Measured = dict[str, tuple[list[Row], float]]
"""Rows and seconds of one song, by trial."""


@dataclass(frozen=True, slots=True)
class Examination:
    """Whom to measure, by which trials (none named: all), on the first `songs` songs of a split. Raises `NoSuchTrial`."""

    open_model: Callable[[], TrainedModel]
    split: str
    songs: int
    trials: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := set(self.trials) - set(SUITE):
            raise NoSuchTrial(sorted(unknown), list(SUITE))

    def evaluate(self, processes: int = 1, threads: int = 1) -> dict[str, dict[str, float]]:
        """Figures by trial, and of how many rows and seconds. Prints a line per song. Raises `TrainingError`."""
        started, bank = time.monotonic(), open_bank()
        trained = self.open_model()  # what is wrong with it is said here, not by every process
        if not self.trials or "instruments" in self.trials:
            open_judge(trained, bank)  # made here once, read by every process
        rows: dict[str, list[Row]] = defaultdict(list)
        seconds: dict[str, float] = defaultdict(float)
        with side_by_side(self._examiner, processes, threads) as examine:
            for count, measured in enumerate(examine(held_out(self.split, self.songs)), 1):
                for name, (found, took) in measured.items():
                    rows[name] += found
                    seconds[name] += took
                clock = round(time.monotonic() - started, 1)
                print(json.dumps({"song": count, "of": self.songs, "seconds": clock}), flush=True)
        return {
            name: _average(found) | {"count": len(found), "seconds": round(seconds[name], 1)}
            for name, found in rows.items()
        }

    def _examiner(self) -> Callable[[Song], Measured]:
        trained, bank = self.open_model(), open_bank()

        def examine(song: Song) -> Measured:
            item, measured = HeldOut.of(song, bank), {}
            for name in self.trials or SUITE:
                begun = time.monotonic()
                measured[name] = list(SUITE[name](trained, item, bank)), time.monotonic() - begun
            return measured

        return examine


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


def write_report(examination: Examination, folder: Path, processes: int = 1, threads: int = 1) -> None:
    """`figures.json`, `figures.md` and, where no trial is named, the pictures in `folder`. Raises `TrainingError`."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = examination.evaluate(processes, threads)
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    (folder / "figures.md").write_text(as_markdown(figures))
    if not examination.trials:
        (song,) = held_out(examination.split, 1)
        draw_tasks(examination.open_model(), HeldOut.of(song, open_bank()), folder)
