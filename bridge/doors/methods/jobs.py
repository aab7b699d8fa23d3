"""Methods about jobs and their queue."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from acestep.api.errors import BadRequest, UnknownJob
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.interface import DeviceName, JobState, JobView, PlannerDeviceName, Submission
from bridge.core.reruns import again
from bridge.doors import limits
from bridge.doors.method import Ability, Nothing, method
from bridge.doors.method_context import MethodContext
from bridge.doors.operation_methods import ENVELOPE

JobName = Annotated[str, param("Id of the job.", max_length=64, example="take-1")]

COLUMNS = ("id", "operation", "state", "seq", "position", "fraction")
"""What OSC says of a job."""

HEAVY = frozenset({"request", "result"})
"""Fields of a job that lists leave out."""


def job_map(view: JobView, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A job as a map."""
    return {name: value for name, value in msgspec.to_builtins(view).items() if name not in without}


@method(
    "job.submit",
    right=Right.ANYBODY,
    fast=False,
    submits=True,
    answer="Id, seq and place in the queue; then events until the job ends.",
)
async def submit(context: MethodContext, request: Submission) -> dict[str, Any]:
    """Hand in a job."""
    return dict(msgspec.to_builtins(await context.submit(request)))


class LookAt(Request):
    """A job that is only looked at."""

    operation: Annotated[str, param("Operation to run.", max_length=64, example="generate")]
    params: Annotated[
        dict[str, Any], param("Parameters of the operation, by name.", example={"caption": "warm lofi house"})
    ] = {}


@method(
    "job.check",
    right=Right.ANYBODY,
    fast=False,
    reads=True,
    answer="`notes`: what would be changed, rounded or left out; `stages`: model, steps, sampler and timesteps of each. "
    "What cannot run is refused as by `job.submit`.",
)
async def check(context: MethodContext, request: LookAt) -> dict[str, Any]:
    """Find out whether a job could run, without handing it in."""
    found = await context.check(Submission(operation=request.operation, params=request.params))
    return dict(msgspec.to_builtins(found))


class Rerun(Request):
    """Which job to run once more, and whether as another take."""

    job: JobName
    vary: Annotated[bool, param("Whether to use new seeds; otherwise you get the same samples.", example=False)] = False
    id: Annotated[str, param("Id of the new job; empty: the daemon makes one.", example="take-2")] = ""
    priority: Annotated[
        int, param("Jobs with a higher number run earlier.", unit="level", ge=-10, le=10, example=0)
    ] = 0
    device: DeviceName = ""
    planner_device: PlannerDeviceName = ""


@method(
    "job.rerun",
    osc="/ace/job/rerun",
    right=Right.ANYBODY,
    fast=False,
    submits=True,
    positional=("job", "vary", "id"),
    answer="Id, seq and place in the queue of the new job; then its events until it ends.",
    command="rerun",
)
async def rerun(context: MethodContext, request: Rerun) -> dict[str, Any]:
    """Run a job once more: the same samples again, or another take."""
    operation, params = again(await context.job(request.job, field="job"), vary=request.vary)
    beside = {name: getattr(request, name) for name in ENVELOPE}
    new = Submission(operation=operation, params=params, **beside)
    return dict(msgspec.to_builtins(await context.submit(new)))


class WhichJob(Request):
    """Which job."""

    id: JobName


@method(
    "job.status",
    osc="/ace/job/status",
    right=Right.ANYBODY,
    reads=True,
    positional=("id",),
    columns=COLUMNS,
    answer="State, seq, place in the queue, progress, error.",
)
async def job_status(context: MethodContext, request: WhichJob) -> dict[str, Any]:
    """Where a job stands."""
    return job_map(await context.job(request.id), without=HEAVY)


class WaitForEvents(Request):
    """Which job, and the last event already seen."""

    id: JobName
    after: Annotated[int, param("Return only events with a larger seq.", unit="seq", ge=-1, example=-1)] = -1
    timeout: Annotated[
        float, param("Longest time to wait.", unit="s", ge=0.0, le=limits.WAIT_SECONDS, example=30.0)
    ] = 30.0


@method(
    "job.wait",
    right=Right.ANYBODY,
    reads=True,
    needs=Ability.TIME,
    answer="State, whether it is final, and the events since.",
)
async def wait(context: MethodContext, request: WaitForEvents) -> dict[str, Any]:
    """Wait for the next events of a job."""
    await context.job(request.id)
    events = await context.core.wait(request.id, request.after, request.timeout)
    state = context.core.job(request.id).state
    return {"state": str(state), "terminal": state.terminal, "events": [msgspec.to_builtins(event) for event in events]}


@method(
    "job.cancel",
    osc="/ace/job/cancel",
    right=Right.ANYBODY,
    positional=("id",),
    columns=COLUMNS,
    answer="The current state of the job; it ends as cancelled, unless it had already ended.",
    command="cancel",
)
async def cancel(context: MethodContext, request: WhichJob) -> dict[str, Any]:
    """Cancel a queued or running job."""
    await context.job(request.id)
    return job_map(await context.core.cancel(request.id), without=HEAVY)


class ListJobs(Request):
    """Which jobs, newest first."""

    states: Annotated[
        list[str],
        param("States to show (queued, running, done ...); empty: all.", max_length=16, example=["done"]),
    ] = []
    search: Annotated[str, param("Text in id, operation or caption.", max_length=256, example="")] = ""
    limit: Annotated[
        int, param("How many jobs to return at most.", unit="jobs", ge=1, le=limits.LIST_JOBS, example=20)
    ] = 100
    before: Annotated[str, param("Only jobs older than this one (for the next page).", max_length=64, example="")] = ""


@method(
    "job.list",
    osc="/ace/job/list",
    right=Right.ANYBODY,
    reads=True,
    slow=True,
    positional=("limit", "search"),
    columns=COLUMNS,
    answer="One row per job.",
    command="jobs",
)
async def list_jobs(context: MethodContext, request: ListJobs) -> list[dict[str, Any]]:
    """List jobs, newest first."""
    known = [str(state) for state in JobState]
    if unknown := next((state for state in request.states if state not in known), None):
        raise BadRequest(f"there is no job state {unknown!r}", field="states", limits={"choices": known})
    found = await context.core.jobs(
        states=frozenset(JobState(state) for state in request.states),
        search=request.search,
        limit=request.limit,
        before=request.before,
        origin=context.access.origin if context.access.stranger else "",
    )
    return [job_map(view, without=HEAVY) for view in found]


@method(
    "job.result",
    osc="/ace/job/result",
    right=Right.ANYBODY,
    reads=True,
    slow=True,
    positional=("id",),
    columns=COLUMNS,
    answer="Over OSC a /ace/result for each file and the job's last word; else the whole job, files with their paths.",
    command="job",
)
async def job_result(context: MethodContext, request: WhichJob) -> dict[str, Any]:
    """A job with its recipe and its files."""
    return job_map(await context.job(request.id))


class Subscribe(Request):
    """Whose events to send, and from where on."""

    ids: Annotated[list[str], param("Jobs; empty: all.", max_length=limits.SUBSCRIPTIONS, example=["take-1"])] = []
    after: Annotated[
        dict[str, int],
        param(
            "The last seq you have seen, by job: later events are sent again.",
            max_length=limits.SUBSCRIPTIONS,
            example={"take-1": 3},
        ),
    ] = {}


@method(
    "job.subscribe",
    right=Right.ANYBODY,
    needs=Ability.CONNECTION,
    answer="The ids; then notifications named event.",
    command=None,
)
async def subscribe(context: MethodContext, request: Subscribe) -> dict[str, Any]:
    """Send the events of some jobs, or of all, from a seq on."""
    ids = list(dict.fromkeys(request.ids))
    for job in ids:
        await context.submits.stored(job)
    async with context.slowly:
        known = await context.core.clients(ids) if ids else {}
    for job in ids:
        if job not in known or not context.access.owns(known[job]):
            raise UnknownJob(f"there is no job {job!r}", field="id")
    for job in ids:
        context.caller.follow(job, request.after.get(job, -1))
    if not ids:
        context.caller.follow_all(request.after)
    return {"ids": ids}


class Unsubscribe(Request):
    """Whose events are no longer wanted."""

    ids: Annotated[list[str], param("Jobs; empty: all.", max_length=limits.SUBSCRIPTIONS, example=["take-1"])] = []


@method("job.unsubscribe", right=Right.ANYBODY, needs=Ability.CONNECTION, answer="Nothing.", command=None)
async def unsubscribe(context: MethodContext, request: Unsubscribe) -> dict[str, Any]:
    """Send them no longer."""
    context.caller.unfollow(request.ids)
    return {}


@method("queue.pause", osc="/ace/queue/pause", right=Right.OWNER, answer="Nothing.", command="queue pause")
async def pause(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """Start no further job until the queue is resumed or the daemon restarts; what runs finishes."""
    await context.core.pause()
    return {}


@method("queue.resume", osc="/ace/queue/resume", right=Right.OWNER, answer="Nothing.", command="queue resume")
async def resume(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """Start jobs again."""
    await context.core.resume()
    return {}


class MoveJob(Request):
    """Which waiting job, and before which other one it should run."""

    id: JobName
    ahead_of: Annotated[
        str, param("Put it before this waiting job; empty: after all others.", max_length=64, example="take-2")
    ] = ""


@method(
    "queue.move",
    osc="/ace/queue/move",
    right=Right.OWNER,
    positional=("id", "ahead_of"),
    columns=COLUMNS,
    answer="The current state of the job.",
)
async def move(context: MethodContext, request: MoveJob) -> dict[str, Any]:
    """Let a waiting job run before another one, or after all others."""
    return job_map(await context.core.move(request.id, request.ahead_of), without=HEAVY)


@method(
    "queue.clear",
    osc="/ace/queue/clear",
    right=Right.OWNER,
    columns=("cancelled",),
    answer="How many jobs were cancelled.",
    command="queue clear",
)
async def clear(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """Cancel every job that waits."""
    return {"cancelled": await context.core.clear()}
