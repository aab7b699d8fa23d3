"""What the embedded model costs a musician's machine: its speed, and its manners beside a program that keeps a core busy.

    python -m benchmarks.nano [--runs N]

Manners: the same generation under several thread policies, alone, beside a process that counts as fast as one core lets it
(the DAW), and beside audio callbacks. A good policy is slowed down little, leaves the counting process its core and the
callbacks their time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from acestep.worker.command_line import SHORT_SPIN, prepare_environment, usual_threads
from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon

RATE = 48_000
SONG = {"caption": "rock with drums, bass and guitar", "duration": 30.0, "bpm": 120.0, "steps": 8}
TEMPO = 120.0
BARS = 4
PERIOD = 128 / RATE
"""Seconds between audio callbacks."""
CORES = os.cpu_count() or 1
POLICIES = {
    "ours: all cores but one, at least two; a short spin, then sleep": (usual_threads(CORES), SHORT_SPIN),
    "the same, sleep at once": (usual_threads(CORES), "0"),
    "all cores but one; sleep at once": (max(1, CORES - 1), "0"),
    "every core, the libraries' own waiting": (CORES, ""),
}
"""Threads, and turns of a waiting thread before it sleeps (empty: what the libraries do)."""


def median_seconds(client: Client, operation: str, params: dict[str, Any], runs: int) -> tuple[float, dict[str, float]]:
    """From submit to the finished job by the client's clock, and the medians of the stages' own times; warmed up first."""
    clocks, stages = [], []
    for seed in range(runs + 1):
        begun = time.perf_counter()
        result = client.result(client.submit(operation, {**params, "seed": seed}), timeout=600)
        clocks.append(time.perf_counter() - begun)
        stages.append(result["stages"][0]["seconds"])
    return statistics.median(clocks[1:]), {
        name: statistics.median(stage.get(name, 0.0) for stage in stages[1:]) for name in stages[0]
    }


def speed(runs: int) -> None:
    """What musicians wait for, through a real daemon, doors and disk included, model warm."""
    with tempfile.TemporaryDirectory() as home:
        song = Path(home) / "song.wav"
        noise = np.random.default_rng(0).uniform(-0.2, 0.2, (40 * RATE, 2))
        soundfile.write(song, noise, RATE, "PCM_24")
        bar = round(4 * 60 / TEMPO * RATE)
        edit = {"source": str(song), "start": 2 * bar, "end": (2 + BARS) * bar, "bpm": TEMPO, "returns": ["patch"]}
        stem = {"source": str(song), "start": 0, "end": 30 * RATE, "track": "drums"}
        with start_daemon({**FREE_PORTS, "home": home, "read_roots": [home]}), Client(home) as client:
            for what, operation, params in (
                ("30 s in 8 steps", "generate", SONG),
                ("repaint of 4 bars", "repaint", edit),
                ("a stem of 30 s", "extract", stem),
            ):
                clock, stages = median_seconds(client, operation, params, runs)
                parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in stages.items())
                print(f"| {what}, through the daemon | {clock:.2f} s | {parts} |", flush=True)


def render_alone(runs: int) -> None:
    """The child of `manners`: denoising and decoding under this process's own thread settings; prints seconds a run, of one
    to warm up first."""
    import torch

    from acestep.admission.render import admit_render
    from acestep.api import Registry
    from acestep.engine import Engine
    from acestep.worker.backend import JobContext

    threads = int(os.environ["OMP_NUM_THREADS"])
    registry = Registry.load()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = {"home": home, "library": home / "library", "uploads": home, "threads": threads, "model": ""}
        engine = Engine({**settings, "checkpoints": [home / "checkpoints"], "device": "cpu", "dtype": "auto"})
        torch.set_num_threads(threads)
        for seed in range(runs + 1):
            admitted = admit_render(registry, "generate", {**SONG, "seed": seed}, engine.host)
            target = home / "library" / str(seed)
            target.mkdir(parents=True)
            context = JobContext(str(seed), target, registry, lambda *tick: None, backend=engine)
            begun = time.perf_counter()
            engine.run("render", admitted.render.to_recipe(), context)
            print(time.perf_counter() - begun, flush=True)


def child_seconds(threads: int, spin: str, runs: int, tally: Any = (0,)) -> tuple[float, list[float]]:
    """Median of a fresh process's runs under a thread policy, and what each place of `tally` gained per second of them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    environment["OMP_NUM_THREADS"] = str(threads)
    if spin:
        environment |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": spin, "KMP_BLOCKTIME": "0"}
    line = [sys.executable, "-m", "benchmarks.nano", "--child", "--runs", str(runs)]
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        child.stdout.readline()  # what came before is loading and warming up
        begun, before, seconds = time.perf_counter(), list(tally), []
        for word in child.stdout:
            seconds.append(float(word))
            ended, after = time.perf_counter(), list(tally)
    return statistics.median(seconds), [(y - x) / (ended - begun) for x, y in zip(before, after, strict=True)]


def count_on(tally: Any) -> None:
    """A program that counts without rest."""
    while True:
        for _ in range(10_000):
            pass
        tally[0] += 1


def call_back(tally: Any, real_time: bool) -> None:
    """An audio callback that works for a third of its period: how many there were, and how many were not done in time."""
    if real_time:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO)))
    due = time.perf_counter()
    while True:
        due += PERIOD
        time.sleep(max(0.0, due - time.perf_counter()))
        done = time.perf_counter() + PERIOD / 3
        while time.perf_counter() < done:
            pass
        tally[0] += 1
        if time.perf_counter() > due + PERIOD:
            tally[1] += 1
            due = time.perf_counter()


@contextmanager
def beside(work: Callable[..., None], *rest: Any) -> Iterator[Any]:
    """Another program on the same cores; yields its tally."""
    tally = multiprocessing.Array("q", 2, lock=False)
    process = multiprocessing.Process(target=work, args=(tally, *rest), daemon=True)
    process.start()
    try:
        yield tally
    finally:
        process.terminate()
        process.join()


def manners(runs: int) -> None:
    """Each policy alone, beside a busy core, and beside audio callbacks of a plain and (where it is granted) a real-time thread."""
    for name, (threads, spin) in POLICIES.items():
        alone, _ = child_seconds(threads, spin, runs)
        with beside(count_on) as tally:
            begun, before = time.perf_counter(), tally[0]
            time.sleep(3.0)
            undisturbed = (tally[0] - before) / (time.perf_counter() - begun)
            busy, (counted, _) = child_seconds(threads, spin, runs, tally)
        cells = [f"{alone:.2f} s", f"{busy:.2f} s", f"{busy / alone:.2f}", f"{counted / undisturbed:.0%}"]
        for real_time in (False, True):
            with beside(call_back, real_time) as tally:
                _, (calls, missed) = child_seconds(threads, spin, runs, tally)
            cells.append(f"{missed / calls:.2%}" if calls else "not granted")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return render_alone(options.runs)
    prepare_environment(CORES)
    print("| what | submit to done | stages |\n| --- | --- | --- |")
    speed(options.runs)
    print(
        "\n| 30 s in 8 steps | alone | one core busy | ratio | the busy process keeps | callbacks missed, plain | real-time |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    manners(options.runs)
    return None


if __name__ == "__main__":
    main()
