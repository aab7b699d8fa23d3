"""A training through the daemon that is killed at random moments, against one that nobody interrupts.

By turns of chance the worker alone dies, and the daemon tries again, or daemon and worker die at once, as in a power cut, and the
next daemon takes the job up. Each time at a random moment after a further step: a job ends that dies twice without one.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from safetensors.numpy import load_file

from bridge import Client
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

JOB, WHOLE, BROKEN = "broken", "whole", "broken"
WAIT = 3600.0

STEPS_BETWEEN = (2, 6)
"""Steps that are waited for before a kill: the first of two is saved when the second is in the log. A training has twelve for
every kill."""

PAUSE = 0.3
"""Longest wait after that step, in seconds: a kill meets a step, a save or the beginning of the next one."""

ENDED = ("done", "failed", "interrupted", "cancelled")


def count_kills(make_songs: Callable[[Path], object], home: Path, kills: int) -> dict[str, Any]:
    """Kill a training so often; kills of either kind, its state at the end, and whether its weights are the unbroken one's."""
    make_songs(home / "songs")
    settings = {
        **FREE_PORTS,
        "home": home / "home",
        "model": "tiny",
        "device": "cpu",
        "threads": 1,
        "read_roots": [home],
    }
    daemon = start_daemon(settings)
    try:
        _begin(home, epochs=kills)
        found = {"worker": 0, "power": 0}
        chance = random.Random(1)
        for _ in range(kills):
            if not _wait_for_steps(home, chance.randint(*STEPS_BETWEEN)):
                break
            time.sleep(chance.uniform(0.0, PAUSE))
            power = chance.random() < 0.5
            _kill(daemon, power)
            found["power" if power else "worker"] += 1
            if power:
                daemon = start_daemon(settings)
            print(found, flush=True)
        with Client(home=str(home / "home")) as client:
            state = client.wait(JOB, timeout=WAIT)["state"]
    finally:
        daemon.stop()
    return {"kills": found, "state": state, "same_bits": _same_weights(home)}


def _begin(home: Path, epochs: int) -> None:
    """Prepare the songs, train the unbroken one, and hand in the one that will be killed; an epoch has twelve steps."""
    params = {
        "dataset": "songs",
        "rank": 2,
        "alpha": 4,
        "accumulation": 1,
        "epochs": max(epochs, 2),
        "save_minutes": 0.001,
    }
    with Client(home=str(home / "home")) as client:
        for operation, given in (
            ("dataset-scan", {"folders": [str(home / "songs")]}),
            ("dataset-label", {"dataset": "songs", "skip": True}),
            ("dataset-prepare", {"dataset": "songs", "max_seconds": 2.0}),
            ("train", {**params, "name": WHOLE}),
        ):
            client.run(operation, given, timeout=WAIT)
        client.submit("train", {**params, "name": BROKEN}, id=JOB)


def _wait_for_steps(home: Path, steps: int) -> bool:
    """Wait until the training's log has so many more steps than now; False when the job ended before."""
    path = home / "home" / "loras" / BROKEN / "training.log"
    begun = path.stat().st_size if path.is_file() else 0
    with Client(home=str(home / "home")) as client:
        while client.job(JOB)["state"] not in ENDED:
            if path.is_file() and path.read_bytes()[begun:].count(b'"event": "step"') >= steps:
                return True
            time.sleep(0.05)
    return False


def _kill(daemon: DaemonProcess, power: bool) -> None:
    process = psutil.Process(daemon.process.pid)
    family = ([process] if power else []) + process.children(
        recursive=True
    )  # a daemon that sees its worker die is no power cut
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # a worker ends by itself when its daemon is gone
            one.kill()
    psutil.wait_procs(family, timeout=30)
    if power:
        daemon.process.wait()


def _same_weights(home: Path) -> bool:
    """Whether both adapters are there and equal to the bit."""
    whole, broken = (
        load_file(path) if path.is_file() else {}
        for name in (WHOLE, BROKEN)
        for path in [home / "home" / "loras" / name / "final" / "adapter" / "adapter_model.safetensors"]
    )
    return (
        bool(whole) and whole.keys() == broken.keys() and all(np.array_equal(whole[key], broken[key]) for key in whole)
    )
