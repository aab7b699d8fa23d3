"""What Ray's errors about an actor mean: the node is gone, or the actor alone, or something that it lacked."""

from __future__ import annotations

import re
import time

from acestep.api.errors import AceError, DiskFull, InternalError, Unavailable, WorkerDied
from bridge.cluster import joining
from bridge.cluster.joining import ActorPlace

SURE_AFTER = 10.0
"""Seconds in which a node that has died is known to be dead."""

_MODULE = re.compile(r"No module named '([\w.]+)'")


class NodeLost(Exception):
    """The node is gone, and with it whatever ran there."""


def explain_loss(failure: Exception, place: ActorPlace) -> Exception:
    """A `NodeLost`, or an `AceError`, for what Ray raised about an actor; waits until it is clear whether its node lives."""
    from ray import exceptions as raised

    if isinstance(failure, raised.GetTimeoutError):
        return Unavailable(
            f"the node {place.node} gives no room: another program of the cluster holds its GPU, or it is too busy to start",
            field="device",
        )
    told = explain_words(str(failure), place.node)
    if told is not None:
        return told
    if isinstance(failure, raised.OutOfDiskError):
        return DiskFull(
            f"the object store of the node {place.node} is full, and so is the disk behind it; free some of that disk"
        )
    if isinstance(failure, raised.ObjectStoreFullError):
        return store_full(f"the node {place.node}")
    if isinstance(failure, raised.RayTaskError) and not isinstance(failure, raised.RayActorError):
        return InternalError(
            f"the job failed on the node {place.node}: {type(failure.cause).__name__}; its log has more"
        )
    return NodeLost(f"the node {place.node} was lost") if _is_gone(place) else _actor_ended(str(failure), place.node)


def explain_words(words: str, node: str) -> AceError | None:
    """What only the words of an error tell: packages that the node lacks."""
    missing = _MODULE.search(words)
    if missing is None:
        return None
    lacks = "acestep-bridge" if missing[1].split(".")[0] in ("acestep", "bridge", "plugins") else missing[1]
    return Unavailable(
        f"the node {node} has no {lacks}; install this version of acestep-bridge there, with the extras engine and cluster, in "
        "the environment that runs `ray start`",
        field="device",
    )


def store_full(machine: str) -> AceError:
    """The sentence about an object store without room, of a node or of the daemon's machine."""
    return DiskFull(
        f"the object store of {machine} is full; start Ray there with a larger --object-store-memory, or run less beside it"
    )


def _actor_ended(words: str, node: str) -> WorkerDied:
    memory = "out of memory" in words.lower() or "oom" in words.lower().split()
    because = ": the node had too little memory, and Ray ended it" if memory else ""
    return WorkerDied(f"the process that did the job on the node {node} ended{because}")


def _is_gone(place: ActorPlace) -> bool:
    """Whether the node is found dead within `SURE_AFTER` seconds. Its processes do not end in one moment."""
    until = time.monotonic() + SURE_AFTER
    while time.monotonic() < until:
        if not joining.lives(place):
            return True
        time.sleep(0.25)
    return False
