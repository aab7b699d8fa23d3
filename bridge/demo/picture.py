"""One picture of the demo: the mix before and after with the region marked, the drums, the new part; waveforms and spectra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import soundfile

matplotlib.use("Agg")  # before pyplot: no display is needed to write a file

from matplotlib import pyplot
from matplotlib.axes import Axes

from bridge.demo.verify import files

POINTS = 2000
"""Columns of a waveform; each shows the lowest and highest sample of its stretch."""

MARK = "#d95f02"
WAVE = "#3b6ea5"


def draw(session: dict[str, Any], loop: Path, target: Path) -> None:
    """Write the picture as PNG. Jobs that made nothing are left out."""
    jobs = {job["title"]: files(job) for job in session["jobs"]}
    region = (session["region"]["start"], session["region"]["end"])
    rows: list[tuple[str, Path, tuple[int, int] | None]] = [("before: the loop", loop / "mix.flac", region)]
    for title, job, role, marked in (
        ("after: bars 5 to 8 repainted", "repaint", "whole", region),
        ("drums, extracted", "drums", "stem", None),
        ("a new part, 8 bars", "part", "part", None),
    ):
        if role in jobs[job]:
            rows.append((title, jobs[job][role], marked))
    figure, axes = pyplot.subplots(len(rows), 2, figsize=(15, 2.6 * len(rows)), squeeze=False, layout="constrained")
    for (title, path, marked), (left, right) in zip(rows, axes, strict=True):
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        _waveform(left, audio.mean(axis=1), rate, title)
        _spectrum(right, audio.mean(axis=1), rate)
        for axis in (left, right):
            _bars(axis, session["bar"] / rate, len(audio) / rate)
            if marked:
                axis.axvspan(marked[0] / rate, marked[1] / rate, color=MARK, alpha=0.18 if axis is left else 0.0)
                for edge in marked:
                    axis.axvline(edge / rate, color=MARK, linewidth=1.5)
    figure.savefig(target, dpi=110)
    pyplot.close(figure)


def _waveform(axis: Axes, mono: np.ndarray, rate: int, title: str) -> None:
    columns = np.array_split(mono, min(POINTS, len(mono)))
    times = np.linspace(0, len(mono) / rate, len(columns))
    axis.fill_between(
        times, [part.min() for part in columns], [part.max() for part in columns], color=WAVE, linewidth=0
    )
    axis.set(title=title, ylim=(-1, 1), xlim=(0, len(mono) / rate), ylabel="amplitude")


def _spectrum(axis: Axes, mono: np.ndarray, rate: int) -> None:
    size = min(2048, len(mono))
    with np.errstate(divide="ignore"):  # digital silence has no level in dB
        axis.specgram(mono, NFFT=size, Fs=rate, noverlap=size // 2, vmin=-140, vmax=-30, cmap="magma")
    axis.set(ylim=(0, 16_000), xlim=(0, len(mono) / rate), ylabel="Hz")


def _bars(axis: Axes, bar: float, seconds: float) -> None:
    starts = np.arange(0, seconds, bar)
    axis.set_xticks(starts, [str(index + 1) for index in range(len(starts))], fontsize=7)
    axis.set_xlabel("bar", fontsize=7)
