"""What each verb does, as small functions over the core. The table in `bridge.doors.table` names them."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, UnknownJob
from bridge.core.interface import JobState, JobView, Submission
from bridge.core.reruns import again
from bridge.doors import limits, requests
from bridge.doors.desk import Caller, Desk
from bridge.doors.verb import Verb, describe_verbs

HEAVY = frozenset({"request", "result"})
"""Fields of a job that lists leave out."""

TO_STRANGERS = ("program", "version", "protocol", "state", "uptime", "model")
"""What of the status concerns everybody."""


def plain(view: JobView, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A job as a map."""
    data = msgspec.to_builtins(view)
    return {key: value for key, value in data.items() if key not in without}


async def hello(desk: Desk, caller: Caller, request: requests.Hello) -> dict[str, Any]:
    """The version, and what this connection may do."""
    return {
        **desk.core.version(),
        "protocol": limits.PROTOCOL,
        "client": caller.name,
        "heartbeat": limits.HEARTBEAT_SECONDS if request.heartbeat else 0.0,
        "limits": {"message": limits.RPC_MESSAGE, "chunk": limits.CHUNK, "in_flight": limits.RPC_IN_FLIGHT},
    }


async def ping(desk: Desk, caller: Caller, request: requests.Ping) -> dict[str, Any]:
    """The same number."""
    return {"n": request.n}


async def version(desk: Desk, caller: Caller, request: requests.Nothing) -> dict[str, Any]:
    """Program, version, protocol level."""
    return {**desk.core.version(), "protocol": limits.PROTOCOL}


async def status(desk: Desk, caller: Caller, request: requests.Nothing) -> dict[str, Any]:
    """How the daemon is; to strangers without its folders, its doors and other people's names."""
    facts = desk.core.status()
    return {name: facts[name] for name in TO_STRANGERS if name in facts} if caller.access.stranger else facts


async def describe(desk: Desk, caller: Caller, request: requests.Describe) -> dict[str, Any]:
    """Operations with their fields and, without a name, every method and address."""
    operations = desk.core.describe(request.operation)
    if request.operation:
        return {"operations": operations}
    return {"operations": operations, "methods": _methods(tuple(desk.verbs.values()))}


@functools.lru_cache(maxsize=4)
def _methods(verbs: tuple[Verb, ...]) -> list[dict[str, Any]]:
    return describe_verbs(verbs)


async def plugins(desk: Desk, caller: Caller, request: requests.Nothing) -> list[dict[str, Any]]:
    """Plug-ins with state and reason."""
    return desk.core.plugins()


async def models(desk: Desk, caller: Caller, request: requests.Nothing) -> list[dict[str, Any]]:
    """Known checkpoints."""
    return desk.core.models()


async def unload(desk: Desk, caller: Caller, request: requests.Model) -> dict[str, Any]:
    """Free the memory of a model."""
    await desk.core.unload(request.model)
    return {}


async def set_feature(desk: Desk, caller: Caller, request: requests.Feature) -> dict[str, Any]:
    """Show or hide what a feature flag hides, until the daemon ends."""
    return {"features": sorted(desk.core.set_feature(request.name, request.on))}


async def submit(desk: Desk, caller: Caller, request: Submission) -> dict[str, Any]:
    """Hand in a job."""
    accepted = await desk.submit(caller, request)
    return msgspec.to_builtins(accepted)


async def job_rerun(desk: Desk, caller: Caller, request: requests.Rerun) -> dict[str, Any]:
    """Hand a job in once more."""
    operation, params = again(await desk.job(caller, request.job, field="job"), vary=request.vary)
    submission = Submission(operation=operation, params=params, id=request.id, priority=request.priority)
    return msgspec.to_builtins(await desk.submit(caller, submission))


async def job_status(desk: Desk, caller: Caller, request: requests.JobId) -> dict[str, Any]:
    """Where a job stands."""
    return plain(await desk.job(caller, request.id), without=HEAVY)


async def job_result(desk: Desk, caller: Caller, request: requests.JobId) -> dict[str, Any]:
    """A job with its recipe and its files."""
    return plain(await desk.job(caller, request.id))


async def job_wait(desk: Desk, caller: Caller, request: requests.Wait) -> dict[str, Any]:
    """Events as soon as there are any, for clients that only make requests."""
    await desk.job(caller, request.id)
    events = await desk.core.wait(request.id, request.after, request.timeout)
    state = desk.core.job(request.id).state
    return {"state": str(state), "terminal": state.terminal, "events": [msgspec.to_builtins(event) for event in events]}


async def job_cancel(desk: Desk, caller: Caller, request: requests.JobId) -> dict[str, Any]:
    """Cancel a job; one that has ended is left as it is."""
    await desk.job(caller, request.id)
    return plain(await desk.core.cancel(request.id), without=HEAVY)


async def job_list(desk: Desk, caller: Caller, request: requests.ListJobs) -> list[dict[str, Any]]:
    """Jobs, newest first."""
    known = [str(state) for state in JobState]
    if unknown := next((state for state in request.states if state not in known), None):
        raise BadRequest(f"there is no job state {unknown!r}", field="states", limits={"choices": known})
    states = frozenset(JobState(state) for state in request.states)
    origin = caller.access.origin if caller.access.stranger else ""
    found = await desk.core.jobs(
        states=states, search=request.search, limit=request.limit, before=request.before, origin=origin
    )
    return [plain(view, without=HEAVY) for view in found]


async def subscribe(desk: Desk, caller: Caller, request: requests.Subscribe) -> dict[str, Any]:
    """Send events of some jobs (or all) on this connection from now on."""
    ids = list(dict.fromkeys(request.ids))
    for job in ids:
        await desk.stored(job)
    async with desk.slowly:
        known = await desk.core.clients(ids) if ids else {}
    for job in ids:
        if job not in known or not caller.access.owns(known[job]):
            raise UnknownJob(f"there is no job {job!r}", field="id")
    for job in ids:
        caller.follow(job, request.after.get(job, -1))
    if not ids:
        caller.follow_all(request.after)
    return {"ids": ids}


async def unsubscribe(desk: Desk, caller: Caller, request: requests.Unsubscribe) -> dict[str, Any]:
    """Send them no longer."""
    caller.unfollow(request.ids)
    return {}


async def pause(desk: Desk, caller: Caller, request: requests.Nothing) -> dict[str, Any]:
    """Start no further job."""
    await desk.core.pause()
    return {}


async def resume(desk: Desk, caller: Caller, request: requests.Nothing) -> dict[str, Any]:
    """Go on."""
    await desk.core.resume()
    return {}


async def clear(desk: Desk, caller: Caller, request: requests.Nothing) -> dict[str, Any]:
    """Cancel what waits."""
    return {"cancelled": await desk.core.clear()}
