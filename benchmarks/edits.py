"""Whole jobs against diffusers' AceStepPipeline: a repaint inside a long song, and a long generation; time and memory.

    python -m benchmarks.edits [--size tiny|full] [--layers N] [--job repaint|generate] [--song 240] [--runs 1] ...

Both sides open the same checkpoint of random weights, each run in a process of its own, in turns. A run is what a user waits
for with a loaded model: read the file, make the music, write the file. Times are the clock's and, on a CPU, processor time
of all threads, so that other programs on the machine count less. Memory is the highest resident set of the process (on
CUDA also what torch ever allocated there). diffusers runs with tiling on.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 48_000
CAPTION, LYRICS = "warm lofi house with a round bass", "la la la\n" * 40
GiB = 2**30


def song(path: Path, seconds: float) -> None:
    """Noise, which is as dear to encode as music."""
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, (int(seconds * RATE), 2))
    soundfile.write(path, samples, RATE, "PCM_16")


def ours(options: argparse.Namespace, folder: Path) -> Callable[[], dict[str, Any]]:
    """Our engine with the model loaded; returns the job."""
    from acestep.admission.render import admit_render
    from acestep.api import Registry
    from acestep.engine import Engine
    from acestep.worker.backend import JobContext

    registry = Registry.load()
    engine = Engine(
        {
            "home": folder,
            "library": folder / "library",
            "uploads": folder,
            "checkpoints": [folder / "checkpoints"],
            "device": options.device,
            "dtype": options.dtype,
            "threads": options.threads,
            "model": "turbo",
        }
    )
    engine.models.open("", lambda: None)
    request: dict[str, Any] = {"caption": CAPTION, "lyrics": LYRICS, "steps": options.steps, "schedule": "linear"}
    if options.job == "repaint":
        start = int(options.song / 2) * RATE
        request |= {"source": str(folder / "song.wav"), "start": start, "end": start + int(options.region * RATE)}
        request |= {"returns": ["whole"]}
    else:
        request |= {"duration": float(options.song), "returns": ["part"]}

    def job() -> dict[str, Any]:
        admitted = admit_render(registry, options.job, request, engine.host)
        staging = folder / "library" / str(os.getpid())
        staging.mkdir(parents=True)
        context = JobContext("bench", staging, registry, lambda *tick: None, backend=engine)
        result = engine.run("render", admitted.render.to_recipe(), context)
        return {"parts": {key: round(value, 2) for key, value in result.stages[0].seconds.items()}}

    return job


def theirs(options: argparse.Namespace, folder: Path) -> Callable[[], dict[str, Any]]:
    """diffusers' pipeline with the model loaded; returns the job."""
    import torch

    from acestep.checkpoints.load import open_checkpoint
    from benchmarks.checkpoint import pipeline_over

    torch.set_num_threads(options.threads)
    path = folder / "checkpoints" / "acestep-v15-turbo"
    pipeline = pipeline_over(
        open_checkpoint(path, device=options.device, dtype=getattr(torch, options.dtype), keep=False)
    )
    shared = {"prompt": CAPTION, "lyrics": LYRICS, "num_inference_steps": options.steps, "shift": 3.0}

    def job() -> dict[str, Any]:
        request: dict[str, Any] = {"audio_duration": float(options.song)}
        if options.job == "repaint":
            sound, _ = soundfile.read(folder / "song.wav", dtype="float32")
            start = float(int(options.song / 2))
            request |= {"task_type": "repaint", "repainting_start": start, "repainting_end": start + options.region}
            request |= {"src_audio": torch.from_numpy(np.ascontiguousarray(sound.T))}
        audio = pipeline(**shared, **request, return_dict=False)[0]
        soundfile.write(folder / "theirs.wav", audio[0].float().cpu().numpy().T, RATE, "PCM_16")
        return {}

    return job


SIDES = {"ours": ours, "diffusers": theirs}


def measure(options: argparse.Namespace) -> None:
    """One side, once, in this process; prints one line of JSON."""
    import torch

    job = SIDES[options.side](options, options.folder)
    before = peak()
    clock, processor = time.perf_counter(), time.process_time()
    more = job()
    if options.device.startswith("cuda"):
        torch.cuda.synchronize()
        more["device_peak"] = torch.cuda.max_memory_allocated()
    facts = {"seconds": time.perf_counter() - clock, "processor": time.process_time() - processor}
    print(json.dumps({**facts, "loaded": before, "peak": peak(), **more}))


def peak() -> int:
    """Bytes of the highest resident set of this process so far."""
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):  # no Linux; there the figure may include the process that started this one
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def in_a_process(options: argparse.Namespace, side: str) -> dict[str, Any]:
    """What `measure` says about one side, measured in a fresh process."""
    names = ("job", "device", "dtype", "steps", "song", "region", "threads", "folder")
    flags = [f"--{name}={getattr(options, name)}" for name in names]
    command = [sys.executable, "-m", "benchmarks.edits", f"--side={side}", *flags]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare(options: argparse.Namespace) -> None:
    """Both sides in turns; prints the medians and their ratios."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(options.runs):
        for side, found in runs.items():
            found.append(in_a_process(options, side))
            print(side, json.dumps(found[-1]), file=sys.stderr, flush=True)
    print("| what | diffusers | ours | ratio |\n| --- | --- | --- | --- |")
    rows = (
        ("clock", "seconds", "s", 1.0),
        ("processor time", "processor", "s", 1.0),
        ("peak memory", "peak", "GiB", GiB),
    )
    for label, key, unit, scale in rows:
        here, there = (statistics.median(run[key] for run in runs[side]) / scale for side in ("ours", "diffusers"))
        print(f"| {options.job}, {label} | {there:.2f} {unit} | {here:.2f} {unit} | {there / here:.2f} |")


def main() -> None:
    """Build the checkpoint and the song, then compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--layers", type=int, default=0, help="fewer DiT layers than the size has, for slow machines")
    parser.add_argument("--job", choices=("repaint", "generate"), default="repaint")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--song", type=float, default=240.0, help="seconds of the whole song")
    parser.add_argument("--region", type=float, default=8.0, help="seconds that are repainted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--side", choices=tuple(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options)
        return
    import torch

    from benchmarks.checkpoint import build

    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        build(options.folder / "checkpoints", options.size, getattr(torch, options.dtype), options.layers)
        song(options.folder / "song.wav", options.song)
        compare(options)


if __name__ == "__main__":
    main()
