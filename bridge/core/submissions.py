"""Submits: each id is checked once, and its job is stored before anybody is answered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from acestep.admission.admit import admit
from acestep.admission.host import CallerHostInfo
from acestep.admission.outlook import Outlook, look_at
from acestep.api.errors import (
    AceError,
    BadRequest,
    Busy,
    Degraded,
    DeviceLost,
    IdConflict,
    Quarantined,
    Unavailable,
    UnknownName,
)
from acestep.api.operation import Operation
from acestep.api.registry import Registry
from acestep.api.rights import Right
from acestep.api.sampling import BackendSpec
from bridge.core.access import OWNER, Access
from bridge.core.fleet import Fleet
from bridge.core.host_info import DaemonHostInfo
from bridge.core.interface import Accepted, Submission
from bridge.core.job_runner import JobRunner
from bridge.core.job_table import JobTable
from bridge.core.job_tracker import JobTracker
from bridge.core.limited import Admissions
from bridge.core.models import Models
from bridge.core.packages import require_engine
from bridge.core.planning_phase import FIELD, require_planning
from bridge.core.queue import QueueBounds, check_bounds
from bridge.core.records import JobRecord, check_id, digest_of
from bridge.devices import AUTO, check_name

log = logging.getLogger(__name__)

MAX_CRASHES_PER_REQUEST = 2
"""Requests that ended the worker this often are refused."""

MAX_PENDING = 4096
"""Submits whose answer is still being made."""

STOP_SECONDS = 2.0
"""Time that requests still being checked get when the daemon is stopping; whoever sent them is gone by then."""


class _Pending(NamedTuple):
    """A submit that is being checked."""

    answer: asyncio.Task[Accepted]
    request_digest: str
    client: str


@dataclass
class Submissions:
    """Takes in what clients submit. ``runner_of`` says which runner does an operation; ``accepted`` hears of every new job."""

    registry: Registry
    host: DaemonHostInfo
    table: JobTable
    tracker: JobTracker
    fleet: Fleet
    models: Models
    backend: BackendSpec
    admissions: Admissions
    bounds: QueueBounds
    runner_of: Callable[[str], JobRunner]
    accepted: Callable[[], None]
    _pending: dict[str, _Pending] = field(default_factory=dict, init=False)

    async def submit(self, submission: Submission, client: str, access: Access = OWNER) -> Accepted:
        """Admit a job and store it durably before answering; a repeat gets the answer of the first."""
        _check_priority(submission.priority, access)
        job = check_id(submission.id)
        digest = digest_of(submission.operation, submission.params)
        pending = self._pending.get(job)
        if pending is not None:  # however many repeats there are, one answer is for them all
            _refuse_another(job, pending, digest, access)
            return await asyncio.shield(pending.answer)
        known = self.tracker.known(job)
        if known is not None:
            _refuse_another(job, known, digest, access)
            return Accepted(id=known.id, seq=0, position=known.position, notes=known.notes)
        if len(self._pending) >= MAX_PENDING:
            raise Busy(f"{MAX_PENDING} requests are being checked", limits={"pending": MAX_PENDING})
        record = JobRecord(
            id=job,
            request_digest=digest,
            client=client,
            operation=submission.operation,
            priority=submission.priority,
            request=submission.params,  # canonical once it is admitted
            only_on="" if submission.device == AUTO else submission.device,
            planner_on="" if submission.planner_device == AUTO else submission.planner_device,
        )
        task = asyncio.create_task(self._admit(record, access), name=f"admit {job}")
        self._pending[job] = _Pending(task, digest, client)
        task.add_done_callback(lambda done: self._settle(job, done))
        return await asyncio.shield(task)

    def _settle(self, job: str, done: asyncio.Task[Accepted]) -> None:
        """A check has ended. Where the client has gone meanwhile, nobody asks for a refusal, and that is no fault of ours."""
        self._pending.pop(job, None)
        if not done.cancelled() and isinstance(failure := done.exception(), AceError):
            log.debug("refused: %s", failure.message, extra={"job": job})

    async def check(self, submission: Submission, client: str, access: Access = OWNER) -> Outlook:
        """Look at a request as `submit` would, and leave it at that."""
        operation = self.registry.operation(submission.operation)
        digest = digest_of(submission.operation, submission.params)
        host = self._host_for(operation, digest, submission.device, access)
        return await self.admissions.run(client, look_at, self.registry, operation, submission.params, host)

    def _host_for(self, operation: Operation, digest: str, device: str, access: Access) -> CallerHostInfo:
        """What the caller may name, once it is known that the operation can run here at all."""
        if operation.runs == "worker" and not self.fleet.only_far:
            require_engine(self.backend)
        self._check_device(operation, device)
        self._reject_quarantined(operation, digest, device)
        return self.host.for_caller(access, self.table.client_of)

    async def _admit(self, record: JobRecord, access: Access) -> Accepted:
        """Check a request, store its canonical form and let it wait for its turn."""
        operation = self.registry.operation(record.operation)
        host = self._host_for(operation, record.request_digest, record.only_on, access)
        self._check_planner_device(record)
        self._check_bounds(record)
        admitted = await self.admissions.run(record.client, admit, self.registry, operation, record.request, host)
        if record.planner_on:
            require_planning(admitted)
        record.request, record.notes = admitted.to_data(), admitted.notes
        record.size = len(msgspec.msgpack.encode(record.request))
        record.caption = _caption(record.request)
        record.steps_aside = steps_aside(self.registry, record.operation, record.request)
        record.at_home = operation.at_home
        record.models, record.weights = models_needed(self.models, record.request)
        record.created = time.time()
        self._check_bounds(record)
        runner = self.runner_of(record.operation)
        record.position = runner.queue.place_for(record)
        await self.tracker.accept(record)
        self.accepted()
        log.info("accepted %s from %s", record.operation, record.client, extra={"job": record.id})
        runner.add(record)
        return Accepted(id=record.id, seq=0, position=record.position, notes=record.notes)

    def _check_device(self, operation: Operation, device: str) -> None:
        """Refuse a device that is no name, that this operation cannot have, or that is not here. Raises `AceError`."""
        check_name(device)
        if device and operation.runs != "worker":
            raise BadRequest(f"{operation.name} runs in the daemon, not on a device", field="device")
        if operation.at_home and self.fleet.only_far:
            raise Unavailable(
                f"{operation.name} works on folders of this machine, and this daemon computes on other machines only; start it "
                "with --device as well (auto, cuda, cpu), or a second daemon with its own home",
                field="operation",
            )
        self._check_there(operation.name, device, "device")

    def _check_there(self, operation: str, device: str, field: str) -> None:
        if sentence := self.runner_of(operation).missing(device):
            kind = DeviceLost if self.fleet.has(device) else UnknownName
            raise kind(sentence, field=field, limits={"choices": self.fleet.names()})

    def _check_planner_device(self, record: JobRecord) -> None:
        """Refuse a device for the plan that is no name, that is not here, or whose worker was given up. Raises `AceError`."""
        if not record.planner_on:
            return
        check_name(record.planner_on, FIELD)
        self._check_there(record.operation, record.planner_on, FIELD)
        if death := self.fleet.given_up(record.planner_on):
            raise Degraded(f"the worker that should plan keeps failing and is not restarted: {death}")

    def _reject_quarantined(self, operation: Operation, digest: str, device: str) -> None:
        if operation.runs == "worker" and (death := self.fleet.given_up(device)):
            raise Degraded(f"the worker keeps failing and is not restarted: {death}")
        if self.table.crashes(digest) >= MAX_CRASHES_PER_REQUEST:
            raise Quarantined(
                f"this request crashed the worker {MAX_CRASHES_PER_REQUEST} times and is not run again; change "
                "it, or resume the queue"
            )

    def _check_bounds(self, record: JobRecord) -> None:
        queue, own = self.runner_of(record.operation).queue, self.tracker.active.share(record.client)
        check_bounds(len(queue), own, record.size, self.bounds)

    async def settled(self, job: str = "") -> None:
        """Return when the submit of a job (empty: every submit) that was made before this call is stored or refused."""
        pending = [one.answer for name, one in self._pending.items() if not job or name == job]
        if pending:
            await asyncio.wait(pending)

    async def stop(self) -> None:
        """Give what is being checked a moment, then end it."""
        pending = [one.answer for one in self._pending.values()]
        if pending:
            await asyncio.wait(pending, timeout=STOP_SECONDS)
        for answer in pending:
            answer.cancel()


def _check_priority(priority: int, access: Access) -> None:
    if not -10 <= priority <= 10:
        raise BadRequest("a priority is -10 to 10", field="priority", limits={"min": -10, "max": 10})
    if priority > 0:
        access.require(Right.OWNER, "a priority above 0", "priority")


def _refuse_another(job: str, known: JobRecord | _Pending, digest: str, access: Access) -> None:
    """Raises `IdConflict` when an id that is known is used for another request, or by somebody else."""
    if known.request_digest != digest or not access.owns(known.client):
        raise IdConflict(f"the job id {job!r} is known, with another request", field="id")


def steps_aside(registry: Registry, operation: str, request: dict[str, Any]) -> bool:
    """Whether a job makes way for others: its operation can, and its request does not forbid it."""
    found = registry.operations.get(operation)
    return found is not None and found.steps_aside and bool(request.get("step_aside", True))


def models_needed(models: Models, request: dict[str, Any]) -> tuple[tuple[str, ...], int]:
    """The models that a request uses, as far as it says so, and the bytes of the largest. Looks at no disk."""
    stages = [stage for stage in request.get("stages") or () if isinstance(stage, dict)]
    named = [stage.get("model") for stage in stages] if stages else [request["model"]] if "model" in request else []
    names = tuple(dict.fromkeys(str(name or models.default()) for name in named))
    known = models.known()
    return names, max((known[name].size_bytes for name in names if name in known), default=0)


def _caption(request: dict[str, Any]) -> str:
    conditioning = request.get("conditioning")
    words = conditioning if isinstance(conditioning, dict) else request
    text = words.get("caption") or words.get("query")
    return text if isinstance(text, str) else ""
