"""What the core says to the doors, as plain typed data, and the calls a door may make.

Doors know nothing else of the core: they translate their bytes into these calls and these answers into bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec

from acestep.api.schema import Request, param
from bridge.core.access import OWNER, Access

if TYPE_CHECKING:
    from acestep.admission.outlook import Outlook
    from acestep.api.operation import Operation
    from acestep.api.registry import Registry
    from bridge.core.handovers import Handovers
    from bridge.core.history import History
    from bridge.core.presets import Presets
    from bridge.core.sounds import Sounds
    from bridge.performance.performance import Performance


PROTOCOL = 1
"""Level of the contract with clients. Within a level only optional keys, methods and trailing arguments are added."""

DoorAddress = Mapping[str, str | int] | str
"""Where clients find a door, as it stands in the connection file: host, ports and socket by name, or a folder."""


class JobState(StrEnum):
    """Where a job stands; the last four are terminal and never change again. A suspended one has saved its place, made way for
    another one, and continues when nothing else waits."""

    QUEUED = "queued"
    RUNNING = "running"
    SUSPENDED = "suspended"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self in TERMINAL


TERMINAL = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED})


class EventKind(StrEnum):
    """What an event tells; the last four are terminal, exactly one of them ends every job."""

    ACCEPTED = "accepted"
    PROGRESS = "progress"
    SUSPENDED = "suspended"
    PREVIEW = "preview"
    RESULT = "result"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def terminal(self) -> bool:
        """Whether the job's events end with it: the endings have the names of the states they leave."""
        return self in TERMINAL


SPARE = frozenset({EventKind.PROGRESS, EventKind.SUSPENDED, EventKind.PREVIEW})
"""What a reader who is too slow can do without. Results and endings never give way to these, at any door."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a job. ``seq`` grows by job, starting at 0 with ``accepted``.

    ``data`` by kind: accepted {position}; progress {stage, step, steps, fraction, eta, device}; suspended {reason, stage, step,
    steps, fraction}, the next progress tells that the job continues; preview and result: one file
    {index, role, path, start, length, rate, channels, variant, seed, lead_in, lead_out, track}; done {seconds, notes, files,
    device}; failed {error, device}; cancelled and interrupted {reason}. ``device`` is where the job runs or ran.
    """

    job: str
    seq: int
    kind: EventKind
    data: dict[str, Any] = {}
    time: float = 0.0


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job as clients see it. Times are Unix seconds."""

    id: str
    operation: str
    state: JobState
    seq: int
    position: int = 0
    """Place in the queue; 0 when it is not queued."""
    client: str = ""
    caption: str = ""
    priority: int = 0
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    attempt: int = 0
    device: str = ""
    """The device that runs it or ran it last; empty for what has not begun, and for what the daemon does itself."""
    only_on: str = ""
    """The device, or kind of device, that it was asked to run on; empty: any."""
    planner_on: str = ""
    """The device, or kind of device, that it was asked to be planned on; empty: the one that renders it."""
    progress: dict[str, Any] = {}
    error: dict[str, Any] | None = None
    request: dict[str, Any] = {}
    """The canonical request (the recipe)."""
    result: dict[str, Any] | None = None
    """The result, its files with absolute paths."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a submit. A repeated submit of the same id and request gives the same answer."""

    id: str
    seq: int
    position: int
    notes: tuple[str, ...] = ()


DeviceName = Annotated[
    str,
    param(
        "Device to run on, such as cuda:1, or a kind of device; empty: the next free one. Not part of the recipe.",
        max_length=32,
        example="",
    ),
]


PlannerDeviceName = Annotated[
    str,
    param(
        "Device that makes the plan of a new part (`thinking`), named like `device`, which then renders it; empty: the same "
        "one. Not part of the recipe.",
        max_length=32,
        example="",
    ),
]


class Submission(Request):
    """A job: an operation with its parameters."""

    operation: Annotated[str, param("Operation to run.", max_length=64, example="generate")]
    params: Annotated[
        dict[str, Any],
        param("Parameters of the operation, by name.", example={"caption": "warm lofi house", "duration": 15.0}),
    ] = {}
    id: Annotated[
        str,
        param(
            "Id of the job, so that you can safely send the request again; empty: the daemon makes one.",
            example="take-1",
        ),
    ] = ""
    priority: Annotated[
        int, param("Jobs with a higher number run earlier.", unit="level", ge=-10, le=10, example=0)
    ] = 0
    device: DeviceName = ""
    planner_device: PlannerDeviceName = ""


class Core(Protocol):
    """The calls of the core. All return at once whatever the worker does, and raise `AceError` subclasses."""

    registry: Registry
    """Everything that plug-ins offer."""
    presets: Presets
    """The user's presets."""
    sounds: Sounds
    """The user's named sounds."""
    history: History
    """What people have noted on results."""
    handovers: Handovers
    """What waits for hosts."""
    performance: Performance | None
    """The part that plays; None when it is off."""

    def readable(self, path: str, access: Access, field: str = "path") -> Path:
        """A file that a client named, if this caller may have it read. Raises `BadRequest`, `NotAllowed` or `NotFound`."""

    async def submit(self, submission: Submission, client: str, access: Access = OWNER) -> Accepted:
        """Admit a job and store it durably before answering.

        ``client`` says who asks, for fairness and limits: ``osc:127.0.0.1:9000``, ``rpc:7``, ``spool:reaper`` ...; ``access``
        what it may do: which files it may name, whose jobs it may see.
        """

    async def check(self, submission: Submission, client: str, access: Access = OWNER) -> Outlook:
        """Look at a job as `submit` would, without taking it: what it would run as. Raises what `submit` would."""

    async def cancel(self, job: str) -> JobView:
        """Cancel a queued or running job; a job that has ended is left as it is (idempotent)."""

    def job(self, job: str) -> JobView:
        """One job. Raises `UnknownJob`."""

    async def jobs(
        self,
        *,
        states: frozenset[JobState] = frozenset(),
        search: str = "",
        limit: int = 100,
        before: str = "",
        origin: str = "",
    ) -> list[JobView]:
        """Jobs, newest first; ``search`` looks in id, operation and caption; ``origin`` keeps those of one machine
        (`bridge.core.access.Access`). Ended ones come without request and result.
        """

    def newest(self, endings: frozenset[str], back: int = 0, origin: str = "") -> JobView | None:
        """The newest done job with a file of one of these endings (``.wav``), or the one ``back`` before it; none when there
        is no such job among the last few dozen. ``origin``: of that machine only.
        """

    async def clients(self, jobs: list[str]) -> dict[str, str]:
        """Who handed these jobs in; unknown ones are left out. Many at once cost nobody else's time."""

    async def wait(self, job: str, after: int = -1, timeout: float = 30.0) -> list[Event]:
        """Events with a larger ``seq`` than ``after``, as soon as there is one or the time (s) is up."""

    def subscribe(
        self,
        client: str,
        jobs: frozenset[str] = frozenset(),
        after: dict[str, int] | None = None,
        access: Access = OWNER,
    ) -> AsyncIterator[Event]:
        """Events of some jobs (empty: all jobs that ``access`` may see), beginning after the given seqs. Progress a slow
        reader has not taken is merged; terminal events are never dropped."""

    async def barrier(self) -> None:
        """Return when every submit made before this call is stored."""

    def status(self) -> dict[str, Any]:
        """Version, uptime, queue, worker (state, device, models, memory), doors, limits, warnings."""

    def version(self) -> dict[str, Any]:
        """Program version, protocol level."""

    def describe(self, operation: str = "", model: str = "") -> list[dict[str, Any]]:
        """Visible operations with their fields (`acestep.api.schema.FieldInfo` as maps), as a named ``model`` has them."""

    def operations(self) -> dict[str, Operation]:
        """Visible operations by name."""

    def plugins(self) -> list[dict[str, Any]]:
        """Plug-ins with state and reason."""

    def models(self) -> list[dict[str, Any]]:
        """Known checkpoints and language models: present or downloadable, default marked."""

    async def unload(self, model: str = "") -> None:
        """Free the memory of a model (empty: of all)."""

    async def look(self) -> None:
        """See which models are on the disk now, instead of within a minute."""

    def features(self) -> list[dict[str, Any]]:
        """Every feature flag: whether it is on, its default and the reason."""

    def set_feature(self, name: str, on: bool) -> frozenset[str]:
        """Show or hide what a feature flag hides, from now on; returns the flags that are on. Raises `UnknownName`."""

    async def start_order(self, asked: Submission, batches: int, client: str) -> dict[str, Any]:
        """Begin a standing order for a client; its state."""

    async def stop_order(self) -> dict[str, Any]:
        """End the standing order; its state."""

    def order(self) -> dict[str, Any]:
        """The standing order and how far it is."""

    async def move(self, job: str, ahead_of: str = "") -> JobView:
        """Let a waiting job run before another one, or (empty) after its client's others."""

    async def pause(self) -> None:
        """Start no further job until `resume`."""

    async def resume(self) -> None:
        """Go on after `pause`."""

    async def clear(self) -> int:
        """Cancel every queued job; returns how many."""
