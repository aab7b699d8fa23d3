"""A job as the core itself holds it, and the pure rules of its names, numbers and digests."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from typing import Any, NamedTuple

import msgspec

from acestep.api.errors import BadRequest
from bridge.core.interface import Event, EventKind, JobState, JobView
from bridge.paths import DEVICE_NAMES

JOB_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
SEQ_GAP = 1_000_000
"""How far ``seq`` jumps when a job that was running in a crashed daemon goes on: more than one attempt can have sent."""

MAX_EVENTS = 256
"""Events kept per job. Results are at most 8 variants of 7 roles; what exceeds this can only be previews."""

MAX_DEPTH = 32
"""Containers within containers in a request; the deepest real one has six."""

MAX_ENTRIES = 8_192
"""Entries of one list or map in a request; the longest real one is ten minutes of semantic codes, 3,000."""

MAX_VALUES = 32_768
"""Values in a request, all containers together."""

BEHIND = 1_000_000
"""Levels that a job which steps aside stands behind every other, however long it waits."""

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*")


class Needs(NamedTuple):
    """What a job asks of the device that runs it. Few jobs differ in it, so it is looked at instead of each of them."""

    device: str = ""
    """A device's name or kind; empty: any."""
    models: tuple[str, ...] = ()
    weights: int = 0
    """Bytes of the largest of the models."""
    at_home: bool = False
    """Whether it works on folders of the daemon's machine."""


class JobRecord(msgspec.Struct, kw_only=True):
    """Everything about one job. ``number`` is its place in the order of acceptance."""

    id: str
    request_digest: str
    """Of what the client sent (`digest_of`); the same for a repeat."""
    client: str
    operation: str
    priority: int
    request: dict[str, Any]
    caption: str = ""
    number: int = 0
    place: float = 0.0
    """Among the waiting jobs of its client, when somebody moved it; 0: its number."""
    state: JobState = JobState.QUEUED
    seq: int = 0
    position: int = 0
    attempt: int = 0
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    progress: dict[str, Any] = {}
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    size: int = 0
    """Bytes of the stored request."""
    only_on: str = ""
    """The device, or kind of device, that it was asked to run on; empty: any."""
    planner_on: str = ""
    """The device, or kind of device, that is to plan it before it is rendered; empty: the one that renders it, if it is planned."""
    planned: dict[str, Any] | None = None
    """The plan that it has from there, a `PlannedConditioning` as a map; none until it is made, and after the job's end."""
    device: str = ""
    """The device that runs it or ran it last; empty for what has not begun, and for what the daemon does itself."""
    models: tuple[str, ...] = ()
    """The models it uses; told by its request, so they are not stored."""
    weights: int = 0
    """Bytes of the largest of them on the disk."""
    steps_aside: bool = False
    """Whether it makes way for any job that does not; told by its operation, so it is not stored."""

    at_home: bool = False
    """Whether only this machine can do it, with the folders it works on; told by its operation."""

    waits_because: str = ""
    """Why it waits for its turn once more as soon as this attempt has ended; empty: it does not."""

    cancelled: bool = False
    """Whether it was asked to stop while it ran."""

    @property
    def level(self) -> int:
        """Its priority in the queue."""
        return self.priority - BEHIND if self.steps_aside else self.priority

    @property
    def plans_first(self) -> bool:
        """Whether its next part is its plan alone."""
        return bool(self.planner_on) and self.planned is None

    @property
    def needs(self) -> Needs:
        """What it asks of a device."""
        if self.plans_first:
            return Needs(self.planner_on)
        return Needs(self.only_on, self.models, self.weights, self.at_home)

    def view(self, position: int = 0, result: dict[str, Any] | None = None) -> JobView:
        """The job as clients see it, with its present place in the queue and its files' absolute paths."""
        shown = {name: getattr(self, name) for name in JobView.__struct_fields__}
        return JobView(**{**shown, "position": position, "result": result})

    def event(self, kind: EventKind, data: dict[str, Any]) -> Event:
        """The job's next event; takes the next ``seq``."""
        self.seq += 1
        return Event(job=self.id, seq=self.seq, kind=kind, data=data, time=time.time())


def check_id(name: str) -> str:
    """A client's job id, or a new one for the empty string. Raises `BadRequest`."""
    if not name:
        return "job-" + secrets.token_hex(6)
    if not JOB_ID.fullmatch(name):
        raise BadRequest(
            "a job id has 1 to 64 characters of A-Z a-z 0-9 . _ -",
            field="id",
            limits={"pattern": JOB_ID.pattern, "max_length": 64},
        )
    return name


def digest_of(operation: str, params: dict[str, Any]) -> str:
    """Digest of a request as the client sent it, the same for every order of its keys. Raises `BadRequest`."""
    _check_size(params)
    try:
        encoded = msgspec.msgpack.encode([operation, params], order="deterministic")
    except (TypeError, ValueError, OverflowError, RecursionError) as failure:
        raise BadRequest(f"the request cannot be stored: {failure}") from None
    return hashlib.sha256(encoded).hexdigest()


def _check_size(params: dict[str, Any]) -> None:
    """Bound what one request can cost, level by level. Raises `BadRequest`."""
    containers: list[Any] = [params]
    count = 0
    for _ in range(MAX_DEPTH):
        level: list[Any] = []
        for container in containers:
            if len(container) > MAX_ENTRIES:
                most = {"max_length": MAX_ENTRIES}
                raise BadRequest(f"a list in a request has at most {MAX_ENTRIES} entries", limits=most)
            level.extend(container.values() if isinstance(container, dict) else container)
            if count + len(level) > MAX_VALUES:
                raise BadRequest(f"a request has at most {MAX_VALUES} values", limits={"max": MAX_VALUES})
        count += len(level)
        containers = [value for value in level if isinstance(value, (dict, list, tuple))]
        if not containers:
            return
    raise BadRequest(f"a request has at most {MAX_DEPTH} levels", limits={"max": MAX_DEPTH})


def folder_name(job: str) -> str:
    """A folder name for a job id: different for different ids on every file system, never a device, ``.`` or ``..``."""
    if _PLAIN.fullmatch(job) and job.split(".")[0] not in DEVICE_NAMES:
        return job
    digest = hashlib.sha256(job.encode()).hexdigest()[:10]
    return f"{job.strip('.').lower() or 'job'}~{digest}".replace(".", "_")
