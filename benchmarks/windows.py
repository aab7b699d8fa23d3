"""What an edit costs by the length of the song around it, and what encoding costs, as ratios of one run.

    python -m benchmarks.windows [--runs N] [--model NAME] [--home FOLDER]

Two questions. Is a repaint of 8 s inside ten minutes as cheap as inside 40 seconds? Is the second take of the same region, with
another seed, cheaper by the cost of encoding? Runs alternate, and medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from acestep.admission.render import admit_render
from acestep.api import Registry
from acestep.api.result import Result
from acestep.engine import Engine
from acestep.worker.backend import JobContext
from acestep.worker.command_line import prepare_environment

RATE = 44_100
REGION = (15, 23)
"""Seconds; both files are the same up to the end of the short one."""


class Bench:
    """An engine and two files that differ in length only."""

    def __init__(self, folder: Path, home: Path, model: str) -> None:
        self.folder = folder
        self.registry = Registry.load()
        settings = {"home": home, "library": folder / "library", "uploads": folder, "threads": 1, "model": model}
        self.engine = Engine({**settings, "checkpoints": [home / "checkpoints"], "device": "auto", "dtype": "auto"})
        self._count = 0

    def song(self, seconds: int) -> Path:
        """Noise over a tone, the same beginning for every length."""
        path = self.folder / f"song-{seconds}.wav"
        blocks = np.random.default_rng(0)
        with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
            for _ in range(seconds):
                file.write(blocks.uniform(-0.3, 0.3, (RATE, 2)))
        return path

    def repaint(self, path: Path, seed: int, returns: list[str]) -> tuple[float, Result]:
        """One repaint; seconds from the canonical request to the synced file, and the result."""
        request: dict[str, Any] = {
            "source": str(path),
            "start": REGION[0] * RATE,
            "end": REGION[1] * RATE,
            "seed": seed,
        }
        admitted = admit_render(self.registry, "repaint", {**request, "returns": returns}, self.engine.host)
        self._count += 1
        folder = self.folder / "library" / str(self._count)
        folder.mkdir(parents=True)
        context = JobContext(str(self._count), folder, self.registry, lambda *tick: None, backend=self.engine)
        begun = time.perf_counter()
        result = self.engine.run("render", admitted.render.to_recipe(), context)
        return time.perf_counter() - begun, result


def length_of_the_song(bench: Bench, runs: int) -> None:
    """The same edit in 600 s and in 40 s, every run with an empty cache."""
    times: dict[int, list[float]] = {40: [], 600: []}
    paths = {seconds: bench.song(seconds) for seconds in times}
    bench.repaint(paths[40], 0, ["patch"])
    for run in range(runs):
        for seconds in times:
            bench.engine.forget()
            times[seconds].append(bench.repaint(paths[seconds], run, ["patch"])[0])
    short, long = (statistics.median(times[seconds]) for seconds in (40, 600))
    print(f"| repaint of 8 s in 600 s against in 40 s | {long / short:.3f} | {long:.2f} s, {short:.2f} s |")


def second_take(bench: Bench, runs: int) -> None:
    """First take with an empty cache, second with another seed; what is saved, against what encoding took."""
    path = bench.song(40)
    firsts, seconds, encodings = [], [], []
    for run in range(runs):
        bench.engine.forget()
        first, result = bench.repaint(path, run, ["patch"])
        firsts.append(first)
        encodings.append(result.stages[0].seconds["encode"])
        seconds.append(bench.repaint(path, run + 1_000, ["patch"])[0])
    first, second, encoding = map(statistics.median, (firsts, seconds, encodings))
    print(f"| second take against the first | {second / first:.3f} | {second:.2f} s, {first:.2f} s |")
    print(
        f"| time saved against the cost of encoding | {(first - second) / encoding:.3f} | {encoding:.2f} s encoding |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--home", type=Path, help="a home with checkpoints; default: an empty one")
    options = parser.parse_args()
    prepare_environment(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.home or Path(folder), options.model)
        print("| what | ratio | medians |\n| --- | --- | --- |")
        length_of_the_song(bench, options.runs)
        second_take(bench, options.runs)


if __name__ == "__main__":
    main()
