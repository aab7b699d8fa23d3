"""Adapters on the embedded model: whether one learns what its labels say, and how quickly; and what power cuts do to a training.

    python -m benchmarks.training trait   [--out FOLDER] [--epochs N] [--seeds N]   # docs/training.md's example
    python -m benchmarks.training rates   [--model NAME] [--device NAME]  # prepare and step rate, memory against the estimate
    python -m benchmarks.training kills   [--count 50]                    # kill -9 at random moments, against the unbroken run

`trait` makes twelve songs: chords, and in half of them a bell on every beat, which their captions tell from the others. An adapter
is trained on them, and another one with the captions dealt out at random. Then both captions are rendered with the same seeds at
three strengths. Measured is how much louder the bell's band is with the bell's caption than with the other, in dB.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import soundfile
from numpy.typing import NDArray

from acestep.admission.render import admit_render
from acestep.api import Registry
from acestep.api.training import AdapterShape, TrainOptions
from acestep.dataset.edit import edit_dataset, edit_sample
from acestep.dataset.sample import Dataset
from acestep.dataset.scan import scan
from acestep.worker.command_line import prepare_environment
from benchmarks.kills import count_kills

RATE = 48_000
SECONDS = 10.0
SONGS = 12
BELL = 1760.0
"""Hz; no chord of the songs has it."""

STRENGTHS = (0.0, 0.5, 1.0)
SEEDS = (1, 2)

FIRST_SEED = 42
"""Of the trainings, a training's own default; further ones follow."""

TRAIT = TrainOptions(
    shape=AdapterShape(
        rank=16, alpha=32, dropout=0.0, targets=("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj")
    ),
    batch=6, accumulation=1, learning_rate=3e-3, warmup=5, save_every=10_000, save_minutes=1.0, condition_dropout=0.1,
)  # fmt: skip
"""Settings that suit twelve songs and a small model."""

CAPTIONS = {True: "dreamy orchestra theme, velvet", False: "dark metal riff, gritty"}
"""Of songs with the bell and without."""


def song(index: int, bell: bool) -> NDArray[np.float32]:
    """Chords at 120 bpm, others in every song, with a bell on the beat or without."""
    chance = np.random.default_rng(index)
    time_, sound = np.arange(int(SECONDS * RATE)) / RATE, np.zeros(int(SECONDS * RATE))
    for bar in range(int(SECONDS / 2)):
        root = 110.0 * 2 ** (chance.integers(0, 12) / 12)
        inside = (time_ >= 2 * bar) & (time_ < 2 * bar + 2)
        fade = np.exp(-(time_ - 2 * bar)[inside])
        for ratio in (1.0, 1.25, 1.5):
            sound[inside] += 0.12 * fade * np.sin(2 * np.pi * root * ratio * time_[inside])
    if bell:
        beat = np.exp(-8 * (time_ % 0.5))
        sound += 0.25 * beat * np.sin(2 * np.pi * BELL * time_)
    return (sound + 0.003 * chance.standard_normal(len(sound))).astype(np.float32)


def dataset(folder: Path, shuffled: bool) -> Dataset:
    """The songs with captions that are true, or dealt out again so that half of either kind are wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(SONGS):
        soundfile.write(folder / f"song {index:02}.flac", song(index, index % 2 == 0), RATE)
    found = edit_dataset(scan([folder], name="bells").dataset, {"all_instrumental": True})
    for index, sample in enumerate(found.samples):
        bell = (index // 2) % 2 == 0 if shuffled else index % 2 == 0
        found = edit_sample(found, sample.id, {"caption": CAPTIONS[bell], "bpm": 120})
    return found


def loudness(path: Path) -> float:
    """The share of the bell's band in the whole, in dB."""
    sound, rate = soundfile.read(path, always_2d=True)
    power = np.abs(np.fft.rfft(sound.mean(axis=1))) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / rate)
    inside = (hertz > BELL * 0.97) & (hertz < BELL * 1.03)
    return float(10 * np.log10(power[inside].sum() / power[hertz > 40].sum()))


class Bench:
    """An engine with a home of its own."""

    def __init__(self, home: Path, model: str, device: str) -> None:
        from acestep.engine import Engine

        self.home, self.registry = home, Registry.load()
        settings = {"home": home, "library": home / "library", "uploads": home, "threads": 2, "model": model}
        self.engine = Engine({**settings, "checkpoints": [home / "checkpoints"], "device": device, "dtype": "auto"})
        self.info = self.engine.models.info(model)

    def render(self, caption: str, seed: int, lora: Sequence[str]) -> Path:
        """One part of `SECONDS`, bare of the planner."""
        from acestep.worker.backend import JobContext

        params = {
            "caption": caption,
            "bpm": 120.0,
            "duration": SECONDS,
            "seed": seed,
            "lora": list(lora),
            "instrumental": True,
            "drums": "model",  # as the adapter plays it: taking drums out of one caption's sound would count as a trait
        }
        folder = Path(tempfile.mkdtemp(dir=self.home))
        admitted = admit_render(self.registry, "generate", params, self.engine.host)
        context = JobContext("bench", folder, self.registry, lambda *tick: None, backend=self.engine)
        result = self.engine.run("render", admitted.render.to_recipe(), context)
        return folder / result.files[0].name

    def train(self, name: str, songs: Dataset, options: TrainOptions) -> dict[str, float]:
        """Prepare and train; seconds of both, steps a second."""
        import torch

        from acestep.training.adapters.prepare import PrepareOptions, prepare
        from acestep.training.adapters.train import train

        begun = time.monotonic()
        prepared = prepare(
            songs, self.info, self.home / "prepared" / name, PrepareOptions(device=str(self.engine.device))
        )
        ready = time.monotonic()
        with torch.enable_grad():
            outcome = train(prepared, self.info, self.home / "loras" / name, options)
        done = time.monotonic()
        figures = {
            "prepare_seconds": round(ready - begun, 1),
            "train_seconds": round(done - ready, 1),
            "steps_per_second": round(outcome.steps / (done - ready), 3),
            "loss": round(outcome.history[-1]["loss"], 4),
        }
        return figures  # fmt: skip


def run_trait(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """For each training seed both adapters, and what they do to the bell."""
    bench = Bench(home, "nano", "cpu")
    found: dict[str, Any] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        for name, shuffled in (("bells", False), ("shuffled", True)):
            settings = msgspec.structs.replace(TRAIT, epochs=options.epochs, seed=seed)
            begun = time.monotonic()
            figures = bench.train(f"{name} {seed}", dataset(home / "songs", shuffled), settings)
            figures["seconds"] = round(time.monotonic() - begun, 1)
            found[f"{name} {seed}"] = figures | _gaps(bench, f"{name} {seed}")
            print(f"{name} {seed}", found[f"{name} {seed}"], flush=True)
    return found


def _gaps(bench: Bench, name: str) -> dict[str, float]:
    """How much louder the bell is with its caption than with the other, in dB, by strength."""
    gaps = {}
    for strength in STRENGTHS:
        levels = [
            float(np.mean([loudness(bench.render(CAPTIONS[bell], seed, [f"{name}={strength:g}"])) for seed in SEEDS]))
            for bell in (True, False)
        ]
        gaps[f"gap_db_at_{strength:g}"] = round(levels[0] - levels[1], 1)
    return gaps


def run_rates(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Seconds of sound prepared a second, steps a second, and peak memory against the estimate."""
    import torch

    from acestep.training.adapters.prepare import PrepareOptions, prepare
    from acestep.training.adapters.setup import set_up
    from acestep.training.adapters.train import Hooks, Training

    bench = Bench(home, options.model, options.device)
    begun = time.monotonic()
    prepared = prepare(
        dataset(home / "songs", False), bench.info, home / "prepared", PrepareOptions(device=options.device)
    )
    ready = time.monotonic()
    settings = TrainOptions(epochs=2, batch=2, accumulation=1, device=options.device)
    cuda = bench.engine.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    setup = set_up(prepared, bench.info, settings)
    before = psutil.Process().memory_info().rss
    with torch.enable_grad():
        outcome = Training(setup, home / "loras" / "rates", Hooks()).run()
    peak = (
        torch.cuda.max_memory_allocated()
        if cuda
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    )
    seconds = time.monotonic() - ready
    return {
        "model": bench.info.name, "device": str(bench.engine.device), "dtype": str(setup.dtype),
        "prepared_seconds_per_second": round(SONGS * SECONDS / (ready - begun), 2),
        "steps_per_second": round(outcome.steps / seconds, 3), "estimate": msgspec.to_builtins(setup.need),
        "estimate_bytes": setup.need.total, "measured_bytes": int(peak),
    }  # fmt: skip


def run_kills(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """What ``--count`` deaths do to a training."""
    return count_kills(lambda folder: dataset(folder, False), home, options.count)


RUNS = {"trait": run_trait, "rates": run_rates, "kills": run_kills}


def main(arguments: list[str]) -> None:
    """Run one of them and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=RUNS)
    parser.add_argument("--out", type=Path, help="folder for songs, adapters and renders; default: one that is removed")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of `trait`, each with a seed of its own")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--count", type=int, default=50)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        home = (options.out or Path(folder)).absolute()
        home.mkdir(parents=True, exist_ok=True)
        print(json.dumps(RUNS[options.what](options, home), indent=1))


if __name__ == "__main__":
    prepare_environment(2)
    main(sys.argv[1:])
