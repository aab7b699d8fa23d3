"""A core of its own for each test: real SQLite, real worker process, fake backend."""

from __future__ import annotations

import pytest

from bridge.core.interface import EventKind, JobState, Submission
from bridge.core.service import Service
from bridge.paths import Paths
from bridge.settings import Settings

ENDS = {EventKind(state.value) for state in JobState if state.terminal}


class Desk:
    """A service with shorthands for what tests ask."""

    length = 480
    """Samples of a job's part."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def submit(self, script="", job="", *, client="me", priority=0, operation="generate", device="", **params):
        """Submit a fake job; ``script`` is for the fake backend."""
        if operation == "generate":
            params = {"caption": f"fake: {script}", "length": self.length, "seed": 1, **params}
        submission = Submission(operation=operation, params=params, id=job, priority=priority, device=device)
        return await self.service.submit(submission, client)

    async def until(self, job, kind=None):
        """All events of a job up to one of this kind (none: its end)."""
        seen = []
        after = -1
        while True:
            for event in await self.service.wait(job, after, 30.0):
                seen.append(event)
                after = event.seq
                if event.kind == kind or event.kind in ENDS:
                    return seen

    async def run(self, script="", job="", **more):
        """Submit and wait; the job's view at its end."""
        accepted = await self.submit(script, job, **more)
        await self.until(accepted.id)
        return self.service.job(accepted.id)


@pytest.fixture
async def desk(tmp_path):
    """``await desk(**settings)``: a started core; a second call with the same home needs `stop` of the first."""
    opened = []

    async def start(**settings):
        wish = Settings(
            **{"home": str(tmp_path / "home"), "backend": "fake", "read_roots": [str(tmp_path)], **settings}
        )
        paths = Paths.of(wish)
        paths.create()
        service = Service(wish, paths)
        opened.append(service)
        await service.start()
        return Desk(service)

    yield start
    for service in opened:
        await service.stop()


STEPS_ASIDE = """
from acestep.api import Operation, Request, hookimpl

class Long(Request):
    script: str = ""
    step_aside: bool = True

@hookimpl
def register_operations(register):
    register(Operation(name="long", summary="A long job.", schema=Long, steps_aside=True))
"""


@pytest.fixture
def steps_aside(tmp_path):
    """A folder of plug-ins, with one whose operation `long` makes way for other jobs."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "long.py").write_text(STEPS_ASIDE)
    return str(folder)
