"""The most memory that jobs of the 2B turbo model take on a processor, by the way its weights are kept, and where it is taken.

    python -m benchmarks.memory [--ways ...] [--jobs generate repaint tiles] [--seconds 30] [--steps 8] [--threads 2]

Random weights of the published layout and full size (bfloat16, 6.5 GB) are written to a disk first. Each run is a process of its
own that opens the model and does one job. *Peak* is its highest resident set, which is what the system's monitor shows: pages of
the mapped weight files count in full while it holds them, though the system may take them at any time. *Own* is the most that it
held beside them, sampled every 20 ms. A way with a size in GiB plans as if the machine had no more (``MAX_CPU_RAM``); with
``--held`` it has no more: its process runs in a memory control group of that size (Linux, as root), no file in memory at first.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.edits import GiB, peak, song
from benchmarks.opening import write_bundle

WAYS: dict[str, dict[str, str]] = {
    "bfloat16 weights, float32 arithmetic": {"dtype": "float32", "int8": "off"},
    "the same in 7 GiB": {"dtype": "float32", "int8": "off", "room": "7"},
    "bfloat16 arithmetic": {"dtype": "bfloat16", "int8": "off"},
    "int8": {"dtype": "float32", "int8": "on"},
    "int8 in 4 GiB": {"dtype": "float32", "int8": "on", "room": "4"},
}
TILES = (33, 66, 133, 266)
"""Frames."""

REGION = 4
"""Seconds that are repainted."""


class OwnMemory(threading.Thread):
    """The most that this process holds beside pages of files, by phase."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.phase, self.most = "open", dict[str, int]()

    def run(self) -> None:
        """Look, until the process ends."""
        from acestep.checkpoints.memory import own_memory

        while True:
            self.most[self.phase] = max(self.most.get(self.phase, 0), own_memory())
            time.sleep(0.02)


def noise(name: str, shape: tuple[int, ...]) -> bytes:
    """Random numbers of sensible size, cheaply: one block, repeated."""
    import torch

    block = torch.randn(2**20, generator=torch.Generator().manual_seed(0))
    count, leaf = max(1, int(torch.Size(shape).numel())), name.rsplit(".", 1)[-1]
    gain = leaf == "weight_g" or (leaf == "weight" and len(shape) == 1)
    fan = max(1, count // shape[0]) if len(shape) > 1 and leaf not in ("alpha", "beta") else 100
    block = 1 + 0.1 * block if gain else block / fan**0.5
    flat = block.bfloat16().repeat(-(-count // len(block)))[:count]
    return flat.view(torch.int16).numpy().tobytes()


def run_job(options: argparse.Namespace) -> dict[str, Any]:
    """Open the model and do the job, in this process."""
    memory = OwnMemory()
    memory.start()
    begun = time.process_time()
    work = encode_tile if options.job.startswith("tiles") else render
    notes = work(options, memory)
    phase, own = max(memory.most.items(), key=lambda row: row[1])
    return {
        "peak": peak(),
        "own": own,
        "phase": phase,
        "seconds": time.process_time() - begun,
        "notes": [note for note in notes if "memory" in note],
        "phases": memory.most,
    }


def encode_tile(options: argparse.Namespace, memory: OwnMemory) -> tuple[str, ...]:
    """One tile of sound to latents, by the codec alone."""
    import torch

    from acestep.checkpoints.load import Target, load_codec
    from acestep.codec.latent_codec import Codec
    from acestep.codec.tiles import Tiling

    torch.set_num_threads(options.threads)
    target = Target(torch.device("cpu"), torch.float32, lambda: None)
    codec = Codec(load_codec(options.folder / "checkpoints" / "vae", target))
    frames = int(options.job.removeprefix("tiles"))
    codec._encode_tiling = Tiling(frames, 0)
    memory.phase = "encode"
    codec.encode(0.3 * torch.randn(2, frames * 1920), lambda done, of: None)
    return tuple(codec.notes)


def render(options: argparse.Namespace, memory: OwnMemory) -> tuple[str, ...]:
    """A generation, or the repaint of a few seconds in a song."""
    from acestep.admission.render import admit_render
    from acestep.api import Registry
    from acestep.engine import Engine
    from acestep.worker.backend import JobContext

    registry, folder = Registry.load(), options.folder
    wish = {key: value for key, value in WAYS[options.way].items() if key != "room"}
    paths = {"home": folder, "library": folder / "library", "uploads": folder, "checkpoints": [folder / "checkpoints"]}
    engine = Engine({**paths, **wish, "device": "cpu", "threads": options.threads, "model": "turbo"})
    request: dict[str, Any] = {
        "caption": "warm house",
        "lyrics": "la la la\n" * 40,
        "steps": options.steps,
        "schedule": "linear",
    }
    if options.job == "repaint":
        start = int(options.seconds / 2) * 48_000
        request |= {
            "source": str(folder / "song.wav"),
            "start": start,
            "end": start + REGION * 48_000,
            "returns": ["patch"],
        }
    else:
        request |= {"duration": float(options.seconds), "returns": ["part"]}
    admitted = admit_render(registry, options.job, request, engine.host)
    staging = folder / "library" / str(os.getpid())
    staging.mkdir(parents=True)

    def tick(phase: str, *_: Any) -> None:
        memory.phase = phase

    context = JobContext("bench", staging, registry, tick, backend=engine)
    return engine.run("render", admitted.render.to_recipe(), context).notes


@contextlib.contextmanager
def held(gib: float) -> Iterator[Callable[[], object]]:
    """A memory control group of that size, and how a process joins it. A process that needs more is killed by the system."""
    roots = (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), "memory.max")
    root, limit = next((root, limit) for root, limit in roots if (root / "cgroup.procs").exists())
    group = root / f"acestep-bridge-{os.getpid()}"
    group.mkdir()
    try:
        (group / limit).write_text(str(int(gib * GiB)))
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")  # pages that are in memory already count for nobody here
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        group.rmdir()


def in_a_process(options: argparse.Namespace, job: str, way: str) -> dict[str, Any]:
    """What `run_job` says in a fresh process."""
    names = ("seconds", "steps", "threads", "folder")
    flags = [f"--child={job}", f"--way={way}", *(f"--{name}={getattr(options, name)}" for name in names)]
    room = WAYS.get(way, {}).get("room")
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **({"MAX_CPU_RAM": room} if room else {})}
    line = [sys.executable, "-m", "benchmarks.memory", *flags]
    with held(float(room)) if room and options.held else contextlib.nullcontext() as join:
        done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=join)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps({"job": job, "way": way, **found}), file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Write the weights, then measure; prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=list(WAYS))
    parser.add_argument(
        "--jobs", nargs="+", choices=("generate", "repaint", "tiles"), default=["generate", "repaint", "tiles"]
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the weights are kept for the next time; none: nowhere")
    parser.add_argument("--held", action="store_true", help="a way with a size has really no more memory")
    parser.add_argument("--child", dest="job", help=argparse.SUPPRESS)
    parser.add_argument("--way", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(run_job(options)))
        return
    with tempfile.TemporaryDirectory() as made:
        options.folder = options.folder or Path(made)
        if not (options.folder / "checkpoints").is_dir():
            write_bundle(options.folder / "checkpoints", noise)
        song(options.folder / "song.wav", options.seconds)
        print("| job | weights | peak | own | most in | processor |\n| --- | --- | --- | --- | --- | --- |", flush=True)
        rows = [(job, way) for job in options.jobs if job != "tiles" for way in options.ways]
        rows += [(f"tiles{frames}", "") for frames in TILES if "tiles" in options.jobs]
        for job, way in rows:
            found = in_a_process(options, job, way)
            sizes = f"{found['peak'] / GiB:.2f} GiB | {found['own'] / GiB:.2f} GiB"
            what = way or f"an encode tile of {job.removeprefix('tiles')} frames"
            print(
                f"| {job.rstrip('0123456789')} | {what} | {sizes} | {found['phase']} | {found['seconds']:.0f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
