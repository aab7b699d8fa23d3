"""The training that has stepped aside in this worker: its networks wait in memory, and are given up when that is needed."""

from __future__ import annotations

import gc
from typing import Any

from acestep.api.errors import Unavailable
from acestep.api.training import TrainOptions
from acestep.api.variants import ModelInfo
from acestep.runtime.devices import free_cache
from acestep.training.adapters.setup import Setup, set_up
from acestep.training.adapters.store import Prepared

_resting: dict[str, Setup] = {}
"""Job -> what it stands on; at most one."""


def open_setup(prepared: Prepared, info: ModelInfo, options: TrainOptions) -> Setup:
    """A new training's parts, in place of whatever rests. Raises as `set_up` does."""
    forget()
    return set_up(prepared, info, options)


def take(job: str) -> Setup | None:
    """What a job left here, for it to continue with; another job's is given up."""
    found = _resting.pop(job, None)
    forget()
    return found


def put(job: str, setup: Setup) -> None:
    """Keep what a job stands on while another runs."""
    _resting[job] = setup


def forget() -> bool:
    """Give it up; whether there was one."""
    if not _resting:
        return False
    devices = {setup.device for setup in _resting.values()}
    _resting.clear()
    gc.collect()
    for device in devices:
        free_cache(device)
    return True


def require_engine(backend: Any) -> Any:
    """The worker's backend, if it is one with models. Raises `Unavailable`."""
    if getattr(backend, "models", None) is None:
        raise Unavailable("this worker's backend has no models that could be trained", field="backend")
    return backend
