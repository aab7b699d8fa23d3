"""The first song as fast as the second: the default model is opened, and a small one also played through, before anybody asks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from acestep.api.errors import AceError
from acestep.api.result import Result
from acestep.checkpoints.memory import free_ram
from acestep.engine.model_pool import ModelPool
from acestep.worker.backend import JobContext

Run = Callable[[str, dict[str, Any], JobContext], Result]

log = logging.getLogger(__name__)

SMALL = 200_000_000
"""Bytes of weights up to which a model is always opened: the embedded one has 40 million."""

AMPLE = 4
"""How many times a larger model's files must fit into the free memory: converted they may take twice their size, and the DAW
needs the rest."""

SONG: dict[str, Any] = {
    "stages": [{"type": "generate", "steps": 1, "seed": 1}],
    "conditioning": {"caption": "warm-up", "bpm": 120.0},
    "output": {"rate": 48_000, "channels": 2, "length": 48_000, "format": "wav"},
}
"""A second of sound in one step: everything that a first job would meet for the first time."""


def warm_up(settings: Mapping[str, Any], models: ModelPool, run: Run, context: JobContext) -> None:
    """Open the default model and, if it is small, make a sound that nobody hears. Nothing that goes wrong here stops anything:
    the first job meets it again and can tell."""
    wanted = str(settings.get("warm") or "auto")
    if wanted == "off":
        return
    try:
        info = models.info("")
        if info.size_bytes <= SMALL:
            models.open("", lambda: None)  # in one piece: a job that comes meanwhile would begin it again
            run("render", SONG, context)
        elif wanted == "on" or _ample(info.size_bytes * int(settings.get("workers") or 1)):
            models.open("", context.check)
    except AceError as failure:
        log.info("not warmed up: %s", failure.message)


def _ample(size: int) -> bool:
    free = free_ram()
    return free is not None and size * AMPLE <= free
