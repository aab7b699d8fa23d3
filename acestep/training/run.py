"""What every training run shares: a folder, a clock that survives interruptions, checkpoints, progress, plots.

Schedules follow the wall clock, not steps: a run is asked to use a time, on whatever machine it finds.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from acestep.training.errors import CheckpointUnreadable, CheckpointUnwritable


def save_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, sync it and rename it: a crash or a full disk leaves the old one whole."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        partial.unlink(missing_ok=True)
        raise CheckpointUnwritable(path, error) from error


def _sync_folder(folder: Path) -> None:
    """Bring a renaming to the disk, where the system lets a folder be synced: otherwise a power cut can undo it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def state_file(folder: Path) -> Path:
    """Where the run in a folder keeps what it needs to go on."""
    return folder / "state.pt"


def read_state(path: Path) -> dict[str, Any]:
    """A saved state. Raises `CheckpointUnreadable`."""
    try:
        return torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, OSError, UnpicklingError) as error:
        raise CheckpointUnreadable(path, error) from error


def decay(fraction: float, step: int, warmup: int = 60, hold: float = 0.4) -> float:
    """Learning rate factor: linear warm-up in steps, constant until `hold` of the time, then cosine to 1 %."""
    rise = min(1.0, (step + 1) / warmup)
    if fraction < hold:
        return rise
    turn = min(1.0, (fraction - hold) / (1.0 - hold))
    return rise * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * turn)))


@dataclass
class TrainingRun:
    """A training run in `folder`. `seconds` is the time asked for, `elapsed` the time used by all its sittings."""

    folder: Path
    seconds: float
    leads: bool = True  # only the leader of a group saves and reports
    save_every: float = 120.0
    report_every: float = 20.0
    elapsed: float = 0.0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    _origin: float = field(default=0.0, repr=False)
    _saved: float = field(default=0.0, repr=False)
    _reported: float = field(default=0.0, repr=False)
    _means: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def checkpoint(self) -> Path:
        return state_file(self.folder)

    @property
    def fraction(self) -> float:
        return min(1.0, self.elapsed / self.seconds)

    def resume(self) -> dict[str, Any] | None:
        """The saved state, or None for a fresh run; the clock goes on where it stopped."""
        if not self.checkpoint.is_file():
            return None
        state = read_state(self.checkpoint)
        try:
            self.elapsed, self.step, self.history = state["elapsed"], state["step"], state["history"]
        except KeyError as error:
            raise CheckpointUnreadable(self.checkpoint, error) from error
        return state

    def clock(self) -> float:
        """Seconds used until now. The loop stores it in `elapsed` once a step, the same value in every process."""
        return time.monotonic() - self._origin

    def steps(self, state: Callable[[], dict[str, Any]]) -> Iterable[int]:
        """Count steps until the time is used; saves `state()` now and then, at the end and on Ctrl-C."""
        self._origin = time.monotonic() - self.elapsed
        self._saved = self._reported = self.elapsed
        try:
            while self.elapsed < self.seconds:
                yield self.step
                self.step += 1
                if self.elapsed - self._saved > self.save_every:
                    self._saved = self.elapsed
                    self.save(state())
        finally:
            self.save(state())

    def save(self, state: dict[str, Any]) -> None:
        if not self.leads:
            return
        state = state | {"elapsed": self.elapsed, "step": self.step, "history": self.history}
        save_atomically(self.checkpoint, lambda path: torch.save(state, path))

    def track(self, **losses: float) -> None:
        """Keep running means."""
        for name, value in losses.items():
            self._means[name] = 0.97 * self._means.get(name, value) + 0.03 * value

    def report(self) -> None:
        """Print the means and add a row to the history every `report_every` seconds."""
        if self.elapsed - self._reported >= self.report_every:
            self._reported = self.elapsed
            if not self.leads:
                return
            row = {"seconds": round(self.elapsed, 1), "step": self.step}
            row |= {name: round(value, 4) for name, value in sorted(self._means.items())}
            self.history.append(row)
            print(json.dumps(row), flush=True)


def _scale(history: list[dict[str, float]], names: list[str]) -> str:
    """Logarithmic where the values span more than a decade."""
    values = [value for row in history for name in names if (value := row.get(name)) is not None and value > 0]
    return "log" if values and max(values) > 10 * min(values) else "linear"


def plot_history(history: list[dict[str, float]], path: Path, title: str, against: str = "seconds") -> None:
    """One line per quantity over the seconds of training (or ``against`` another entry), as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = sorted({name for row in history for name in row} - {"seconds", "step", "epoch"})
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name in names:
        rows = [row for row in history if name in row]
        axes.plot([row[against] for row in rows], [row[name] for row in rows], label=name, linewidth=1)
    axes.set(xlabel=f"{against} of training", title=title, yscale=_scale(history, names))
    if names:
        axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
