"""What the doors count, for the metrics page: each door leaves a function that reads its numbers."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from bridge.core.interface import Core

Reading = Callable[[], dict[str, float]]

_METERS: weakref.WeakKeyDictionary[Core, dict[str, Reading]] = weakref.WeakKeyDictionary()


def attach(core: Core, door: str, reading: Reading) -> None:
    """Let a door of this core be read."""
    _METERS.setdefault(core, {})[door] = reading


def read(core: Core) -> dict[str, dict[str, float]]:
    """The numbers of every door of this core."""
    return {door: reading() for door, reading in _METERS.get(core, {}).items()}
