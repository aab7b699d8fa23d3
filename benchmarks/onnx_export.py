"""Nano by torch and by its export in ONNX Runtime: first sound of a fresh process, parts after it, memory.

``python -m benchmarks.onnx_export [--home HOME]``: HOME holds an export of nano (``export-onnx nano``); without it one is made in a
temporary home, which takes a minute more. The two backends take turns, each in processes of its own, on one thread.
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
from pathlib import Path
from typing import Any

BACKENDS = ("torch", "onnx")
SECONDS = (10, 60)
PARTS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="processes of each backend [3]")
    parser.add_argument("--child", choices=BACKENDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = given.home or Path(place)
        if given.child:
            print(json.dumps(measure(given.child, home, Path(place))))
            return
        if not (home / "onnx").is_dir():
            made = backend("torch", home)
            asked = {"model": "nano", "parts": [], "dtype": "float32", "folder": ""}
            made.run("export-onnx", asked, context(Path(place) / "export", made))
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in BACKENDS}
        for _ in range(given.rounds):
            for name in BACKENDS:
                found[name].append(child(name, home))
    report(found)


def child(name: str, home: Path) -> dict[str, Any]:
    """One process of a backend."""
    command = [sys.executable, "-m", "benchmarks.onnx_export", "--child", name, "--home", str(home)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, home: Path, place: Path) -> dict[str, Any]:
    """Seconds of processor: until the first part is written, imports included, and of further parts by length."""
    made = backend(name, home)
    first = part(made, place / "first", SECONDS[0], 0)
    times = {"first": time.process_time(), "first_part": first}
    for seconds in SECONDS:
        times[str(seconds)] = statistics.median(
            part(made, place / f"{seconds}-{n}", seconds, n + 1) for n in range(PARTS)
        )
    return {**times, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def part(made: Any, folder: Path, seconds: int, seed: int) -> float:
    """Render a new part; the processor seconds that it took."""
    from acestep.admission.render import admit_render

    begun, at = time.process_time(), context(folder)
    asked = {"caption": "slow piano, warm strings", "duration": seconds, "seed": seed, "model": "nano", "guide": "none",
             "width": "model", "drums": "model", "check": "off", "instrumental": True}  # fmt: skip
    recipe = admit_render(at.registry, "generate", asked, made.host).render.to_recipe()
    made.run("render", recipe, at)
    return time.process_time() - begun


def backend(name: str, home: Path) -> Any:
    """A backend on one thread."""
    from acestep.api.registry import Registry
    from acestep.api.targets import resolve_target

    settings = {"home": home, "library": home / "library", "uploads": home / "uploads", "checkpoints": [], "device": "cpu",
                "dtype": "float32", "threads": 1, "keep_latents": False}  # fmt: skip
    return resolve_target(Registry.load().backend(name).target)(settings)


def context(folder: Path, made: Any = None) -> Any:
    """A job's context with a folder of its own."""
    from acestep.api.registry import Registry
    from acestep.worker.backend import JobContext

    folder.mkdir(parents=True, exist_ok=True)
    return JobContext("job", folder, Registry.load(), lambda *told: None, backend=made)


def report(found: dict[str, list[dict[str, Any]]]) -> None:
    """Medians of the rounds, and torch's over ONNX Runtime's."""
    for key in found["torch"][0]:
        torch, onnx = (statistics.median(one[key] for one in found[name]) for name in BACKENDS)
        unit = "GB" if key == "memory" else "s"
        print(f"{key}: torch {torch:.2f} {unit}, onnx {onnx:.2f} {unit}, ratio {torch / onnx:.2f}")


if __name__ == "__main__":
    main()
