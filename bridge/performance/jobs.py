"""Jobs that playing asks for: ahead of other work, and in the tempo that rules."""

from __future__ import annotations

from typing import Any

from acestep.api.errors import BadRequest
from acestep.api.schema import describe
from bridge.core.interface import Accepted, Core, Submission
from bridge.performance.tempo import Tempo

CLIENT = "performance"
"""The name under which hits and slots submit jobs."""

URGENCY = 5
"""Priority of what a stage waits for, above ordinary work."""

DIGITS = 2
"""Decimals of a tempo that is put into a request: what MIDI clock measures beyond them is jitter."""


class Jobs:
    """Submits jobs for hits and slots."""

    def __init__(self, core: Core, tempo: Tempo) -> None:
        self._core = core
        self._tempo = tempo

    async def submit(self, operation: str, params: dict[str, Any], job: str = "", bars: int = 0) -> Accepted:
        """Ask for a job. A request that names no tempo gets the current one, if its operation knows tempos; with ``bars`` what
        is made lasts so many."""
        fields = self._fields(operation)
        if "bpm" not in params and "bpm" in fields:
            params = {**params, "bpm": round(self._tempo.timeline().bpm, DIGITS)}
        if bars:
            if not {"bpm", "duration"} <= fields:
                raise BadRequest(f"{operation} makes nothing of a length in bars", field="bars")
            params = {**params, "duration": bars * self._tempo.timeline().metre.bar * 60 / params["bpm"]}
        submission = Submission(operation=operation, params=params, id=job, priority=URGENCY)
        return await self._core.submit(submission, CLIENT)

    async def cancel(self, job: str) -> None:
        """Cancel a job; one that has ended stays as it is."""
        await self._core.cancel(job)

    async def wait(self, job: str) -> None:
        """Until a job has ended."""
        async for event in self._core.subscribe(CLIENT, frozenset({job}), {job: -1}):
            if event.kind.terminal:
                return

    def _fields(self, operation: str) -> set[str]:
        """Names of the fields of an operation's request; none for one that the core does not know."""
        found = self._core.operations().get(operation)
        return set() if found is None else {info.name for info in describe(found.schema)}
