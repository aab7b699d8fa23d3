"""The worker's command line: a plain map for the backend, and the environment that numeric libraries read when imported."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

SHORT_SPIN = "1000"
"""Turns of a waiting thread's loop before it sleeps: some twenty microseconds."""

ATTENTION = ("auto", "flash", "efficient", "cudnn", "math")


def parse_arguments(arguments: list[str]) -> dict[str, Any]:
    """The settings map of the worker and its backend, every key always present."""
    parser = argparse.ArgumentParser(prog="python -m acestep.worker", description=__doc__)
    parser.add_argument("--backend", required=True, help="name of a registered backend")
    parser.add_argument("--home", type=Path, required=True, help="the daemon's home folder")
    parser.add_argument("--library", type=Path, help="folder of results; default: library in the home")
    parser.add_argument("--uploads", type=Path, help="folder of uploaded files; default: uploads in the home")
    parser.add_argument("--checkpoints", type=Path, action="append", default=[], help="folder of models; repeatable")
    parser.add_argument("--plugins", type=Path, help="folder of single-file plug-ins")
    parser.add_argument("--disable", action="append", default=[], help="name of a plug-in not to load; repeatable")
    parser.add_argument("--feature", action="append", default=[], help="feature flag to switch on; repeatable")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, xpu")
    parser.add_argument("--insist", action="store_true", help="exit rather than compute on another device")
    parser.add_argument("--workers", type=int, default=1, help="number of workers on this machine, including this one")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, float16")
    parser.add_argument("--int8", choices=("auto", "on", "off"), default="auto", help="8-bit weights")
    parser.add_argument(
        "--offload", choices=("auto", "none", "parts", "all"), default="auto", help="which networks wait in main memory"
    )
    parser.add_argument("--attention", choices=ATTENTION, default="auto", help="torch's attention kernel to prefer")
    parser.add_argument("--compile", choices=("off", "on"), default="off", help="torch.compile for the DiT")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 takes a share of all cores but one")
    parser.add_argument(
        "--no-latents", dest="keep_latents", action="store_false", help="store latents only if requested"
    )
    parser.add_argument("--warm", choices=("auto", "on", "off"), default="auto", help="open the default model at start")
    parser.add_argument("--model", default="", help="default model; empty: nano")
    parser.add_argument("--log-level", default="info", help="debug, info, warning, error")
    settings = vars(parser.parse_args(arguments))
    settings["library"] = settings["library"] or settings["home"] / "library"
    settings["uploads"] = settings["uploads"] or settings["home"] / "uploads"
    settings["checkpoints"] = [settings["home"] / "checkpoints", *settings["checkpoints"]]
    settings["threads"] = settings["threads"] or max(1, usual_threads(_cores()) // settings["workers"])
    return settings


def usual_threads(cores: int) -> int:
    """One core stays with the DAW, where that leaves more than one. Of two cores both are taken: threads that sleep while they
    wait leave a busy program its core, and without such a program the second one saves a third of the time."""
    return min(cores, max(2, cores - 1))


def _cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2


def prepare_environment(threads: int) -> None:
    """Make OpenMP wait passively and bound its threads; must run before torch or numpy are imported.

    With default spinning one busy core (a DAW's audio thread) made denoising steps 25 times slower. Sleeping at once costs a fifth
    and more with two threads, because a step waits for them some hundred times and waking takes longer than most of these waits.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["KMP_BLOCKTIME"] = "0"
    os.environ["GOMP_SPINCOUNT"] = SHORT_SPIN
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
