"""What an actor hands to its driver while a job runs, one object of Ray's each, and how both name a lane's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 8 << 20
"""Bytes of a file in one object: large enough for a fast network, small enough for the smallest object store."""

UNREAD = 8
"""Objects that an actor makes ahead of its driver."""


class Said(NamedTuple):
    """A frame of the worker."""

    frame: bytes


class Wanted(NamedTuple):
    """Bytes [start, end) of a file of the daemon's machine, to be given back under a number."""

    number: int
    path: str
    start: int
    end: int


class Piece(NamedTuple):
    """A piece of a file of the result, in order; ``name`` is relative to the job's staging folder."""

    name: str
    start: int
    data: NDArray[np.uint8]
    last: bool


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon decides for its nodes; everything else is each node's own settings."""

    backend: str
    model: str
    warm: str
    keep_latents: bool
    features: list[str] = []


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor says of itself when it is ready, or why it is not."""

    pid: int = 0
    info: dict[str, Any] = {}
    models: list[str] = []
    """Names of the models on the node's disk."""
    error: dict[str, Any] | None = None
