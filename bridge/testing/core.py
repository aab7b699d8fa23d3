"""A core without store, library and worker: jobs live in memory and do what their request says.

It keeps every rule that doors rely on (ids, seqs, one terminal event, idempotent submits) and runs a thousand jobs in a moment.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from acestep.admission.outlook import Outlook
from acestep.api.errors import FeatureDisabled, IdConflict, UnknownJob, UnknownOperation
from acestep.api.operation import Operation
from acestep.api.rights import Right
from acestep.api.schema import Request, convert, describe, param
from bridge.core.access import OWNER, Access
from bridge.core.events import EventHub
from bridge.core.interface import Accepted, Event, EventKind, JobState, JobView, Submission


class Sketch(Request):
    """A request with a field of every type."""

    caption: Annotated[str, param("Text.", max_length=4096, example="warm lofi house")] = ""
    lyrics: Annotated[str, param("Long text.", max_length=32_768)] = ""
    steps: Annotated[int, param("Progress events.", unit="count", ge=0, le=100, example=3)] = 1
    bpm: Annotated[float, param("Tempo.", unit="bpm", ge=30.0, le=300.0, example=96.5)] = 120.0
    instrumental: Annotated[bool, param("Switch.")] = False
    tracks: Annotated[list[str], param("Names.")] = []
    seeds: Annotated[list[int], param("Numbers.")] = []
    stages: Annotated[list[dict], param("Maps.")] = []
    start: Annotated[int, param("First sample.", unit="samples")] = 0
    hold: Annotated[bool, param("Wait for a cancel.")] = False
    fail: Annotated[str, param("Code to fail with.")] = ""


SKETCH = Operation(
    name="sketch",
    summary="Does what it is told.",
    schema=Sketch,
    runs="daemon",
    target="none:none",
    right=Right.ANYBODY,
)
SECRET = Operation(name="secret", summary="Hidden.", schema=Sketch, runs="daemon", target="none:none", feature="secret")


class ScriptedCore:
    """A `bridge.core.interface.Core`. ``pace`` is the time (s) a job takes for each step; ``folder`` is where its results lie."""

    def __init__(self, folder: Path | None = None, pace: float = 0.0) -> None:
        self.folder = folder or Path("/nowhere")
        self.pace = pace
        self.paused = False
        self.performance = None
        self.submits = 0
        self.hub = EventHub()
        self._submitted: dict[str, Any] = {}
        self._jobs: dict[str, JobView] = {}
        self._events: dict[str, list[Event]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def submit(self, submission: Submission, client: str, access: Access = OWNER) -> Accepted:
        """Take a job and run it."""
        self.submits += 1
        asked = (submission.operation, submission.params)
        known = self._jobs.get(submission.id)
        if known is not None:
            if self._submitted[known.id] != asked or not access.owns(known.client):
                raise IdConflict(f"the job id {known.id!r} is known, with another request", field="id")
            return Accepted(id=known.id, seq=0, position=0)
        if submission.operation not in self.operations():
            self.describe(submission.operation)
        request = convert(submission.params, Sketch)
        job = JobView(
            id=submission.id or uuid.uuid4().hex,
            operation=submission.operation,
            state=JobState.QUEUED,
            seq=0,
            client=client,
            caption=request.caption,
            priority=submission.priority,
            only_on=submission.device,
            planner_on=submission.planner_device,
            created=time.time(),
            request=submission.params,
        )
        self._jobs[job.id], self._submitted[job.id], self._events[job.id] = job, asked, []
        self.hub.open(job.id, client=job.client)
        self._publish(job.id, EventKind.ACCEPTED, {"position": 0})
        self._tasks[job.id] = asyncio.get_running_loop().create_task(self._run(job.id, request))
        return Accepted(id=job.id, seq=0, position=0)

    async def check(self, submission: Submission, client: str, access: Access = OWNER) -> Outlook:
        """Look at a job without taking it."""
        if submission.operation not in self.operations():
            self.describe(submission.operation)
        convert(submission.params, Sketch)
        return Outlook(notes=())

    async def _run(self, job: str, request: Sketch) -> None:
        try:
            for step in range(1, request.steps + 1):
                await asyncio.sleep(self.pace)
                fraction = step / (request.steps + 1)
                facts = {"stage": "sketch", "step": step, "steps": request.steps, "fraction": fraction, "eta": None}
                self._publish(job, EventKind.PROGRESS, facts, state=JobState.RUNNING, progress=facts)
            if request.hold:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._publish(job, EventKind.CANCELLED, {"reason": "cancelled on request"}, state=JobState.CANCELLED)
            return
        if request.fail:
            error = {"code": request.fail, "message": "as told", "retryable": False, "field": None, "limits": {}}
            self._publish(job, EventKind.FAILED, {"error": error}, state=JobState.FAILED, error=error)
            return
        file = self._file(job, request)
        self._publish(job, EventKind.RESULT, {"index": 0, **file})
        result = {"files": [file], "notes": ["a sketch"], "seconds": 0.5}
        self._publish(
            job, EventKind.DONE, {"seconds": 0.5, "notes": ["a sketch"], "files": 1}, state=JobState.DONE, result=result
        )

    def _file(self, job: str, request: Sketch) -> dict[str, Any]:
        path = self.folder / f"{job}.wav"
        if self.folder.is_dir():
            path.write_bytes(job.encode() * 10_000)
        place = {"start": request.start, "length": 48_000, "rate": 48_000, "channels": 2}
        return {"role": "part", "path": str(path), **place, "variant": 0, "track": "", "sha256": ""}

    def _publish(self, job: str, kind: EventKind, data: dict[str, Any], **changes: Any) -> None:
        events = self._events[job]
        event = Event(job=job, seq=len(events), kind=kind, data=data, time=time.time())
        events.append(event)
        self._jobs[job] = msgspec.structs.replace(self._jobs[job], seq=event.seq, **changes)
        self.hub.publish(event)

    async def cancel(self, job: str) -> JobView:
        """Cancel a job."""
        self.job(job)
        self._tasks[job].cancel()
        await asyncio.wait([self._tasks[job]])
        if not self.job(job).state.terminal:  # it had not even begun
            self._publish(job, EventKind.CANCELLED, {"reason": "cancelled on request"}, state=JobState.CANCELLED)
        return self.job(job)

    def job(self, job: str) -> JobView:
        """One job."""
        if job not in self._jobs:
            raise UnknownJob(f"there is no job {job!r}", field="id")
        return self._jobs[job]

    async def jobs(
        self,
        *,
        states: frozenset[JobState] = frozenset(),
        search: str = "",
        limit: int = 100,
        before: str = "",
        origin: str = "",
    ) -> list[JobView]:
        """List jobs, newest first."""
        found = [job for job in self._of(origin) if not states or job.state in states]
        return [job for job in found if search in job.id][:limit]

    def _of(self, origin: str) -> list[JobView]:
        """The jobs of a machine (empty: all), newest first."""
        return [job for job in reversed(self._jobs.values()) if origin in ("", job.client.rpartition(":")[0])]

    def newest(self, endings: frozenset[str], back: int = 0, origin: str = "") -> JobView | None:
        """The newest done job; every result here is a WAV file."""
        done = [job for job in self._of(origin) if job.state is JobState.DONE]
        return done[back] if ".wav" in endings and back < len(done) else None

    async def clients(self, jobs: list[str]) -> dict[str, str]:
        """Who handed these jobs in."""
        return {job: self._jobs[job].client for job in jobs if job in self._jobs}

    async def wait(self, job: str, after: int = -1, timeout: float = 30.0) -> list[Event]:
        """Events behind ``after``."""
        state = self.job(job).state
        found = [event for event in self._events[job] if event.seq > after]
        if not found and not state.terminal:
            await self.hub.changed(job, timeout)
            found = [event for event in self._events[job] if event.seq > after]
        return found

    def subscribe(
        self,
        client: str,
        jobs: frozenset[str] = frozenset(),
        after: dict[str, int] | None = None,
        access: Access = OWNER,
    ) -> AsyncIterator[Event]:
        """Events from the given seqs on."""
        since = after or {}
        past = [event for job, seq in since.items() for event in self._events.get(job, ()) if event.seq > seq]
        return self.hub.subscribe(client, jobs, past, access)

    async def barrier(self) -> None:
        """Every submit is stored at once here."""

    def status(self) -> dict[str, Any]:
        """A few facts."""
        return {
            **self.version(),
            "state": "ok",
            "uptime": 1.0,
            "queue": {"length": 0, "paused": self.paused},
            "jobs": {"done": 1},
            "worker": {"device": "fake", "state": "idle", "deaths": 0, "job": ""},
            "devices": [{"device": "fake", "state": "idle", "deaths": 0, "job": ""}],
            "doors": {"osc": {"host": "127.0.0.1", "udp": 9700}},
            "subscribers": len(self.hub),
        }

    def version(self) -> dict[str, Any]:
        """Program and version."""
        return {"program": "acestep-bridge", "version": "0.0.0", "protocol": 1}

    def operations(self) -> dict[str, Operation]:
        """The one operation that is not hidden."""
        return {SKETCH.name: SKETCH}

    def describe(self, operation: str = "", model: str = "") -> list[dict[str, Any]]:
        """Operations with their fields."""
        if operation == SECRET.name:
            raise FeatureDisabled("secret is experimental; enable the feature 'secret'", field="operation")
        if operation not in ("", SKETCH.name):
            raise UnknownOperation(f"there is no operation {operation!r}", limits={"choices": [SKETCH.name]})
        fields = [msgspec.to_builtins(info) for info in describe(Sketch)]
        return [{"name": SKETCH.name, "summary": SKETCH.summary, "group": "render", "fields": fields}]

    def features(self) -> list[dict[str, Any]]:
        """The flag that hides the hidden operation."""
        return [{"name": "secret", "summary": "Hidden.", "default": False, "reason": "To hide it.", "on": False}]

    async def start_order(self, asked: Submission, batches: int, client: str) -> dict[str, Any]:
        """An order that stands and makes nothing."""
        return {
            "state": "running",
            "id": "autogen-1",
            "operation": asked.operation,
            "done": 0,
            "batches": batches,
        }

    async def stop_order(self) -> dict[str, Any]:
        """It has ended."""
        return {"state": "ended", "id": "autogen-1", "reason": "stopped on request"}

    def order(self) -> dict[str, Any]:
        """No order."""
        return {"state": "none"}

    def set_feature(self, name: str, on: bool) -> frozenset[str]:
        """Remember nothing: the hidden operation stays hidden here."""
        return frozenset({name} if on else ())

    def plugins(self) -> list[dict[str, Any]]:
        """One plug-in."""
        return [{"name": "stages", "version": "1", "state": "enabled", "reason": ""}]

    def models(self) -> list[dict[str, Any]]:
        """No models."""
        return []

    async def unload(self, model: str = "") -> None:
        """Nothing to unload."""

    async def look(self) -> None:
        """No models."""

    async def pause(self) -> None:
        """Remember it."""
        self.paused = True

    async def resume(self) -> None:
        """Remember it."""
        self.paused = False
        self.performance = None

    async def clear(self) -> int:
        """Nothing waits here."""
        return 0

    async def close(self) -> None:
        """End every job's task."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self.hub.close()
