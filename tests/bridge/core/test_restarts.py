"""The next daemon of the same home: nothing lost, nothing done twice."""

from pathlib import Path

import pytest

from bridge.core.interface import EventKind, JobState
from bridge.core.records import SEQ_GAP


async def test_a_restart_goes_on_with_what_waited(desk):
    """An orderly stop: the running job and the queued ones are done after the next start, no attempt counted."""
    one = await desk()
    await one.submit("steps=50 delay=0.02", "running")
    await one.submit("", "queued")
    seen = (await one.until("running", EventKind.PROGRESS))[-1].seq
    await one.service.stop()
    two = await desk()
    assert {view.state for view in await two.service.jobs()} <= {JobState.QUEUED, JobState.RUNNING}
    events = await two.until("running")
    assert (await two.until("queued"))[-1].kind is EventKind.DONE
    assert events[-1].kind is EventKind.DONE and events[1].seq > seen
    assert two.service.job("running").attempt == 1


def crashed(home, job, **columns):
    """Leave the store as a killed daemon leaves it."""
    import sqlite3

    connection = sqlite3.connect(home / "jobs.sqlite3")
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*columns.values(), job))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(("attempt", "state"), [(1, JobState.DONE), (2, JobState.INTERRUPTED)])
async def test_a_job_that_ran_in_a_crashed_daemon_is_tried_once_more(desk, attempt, state):
    """The first time it runs again, with a seq beyond any that was sent; the second time it ends as interrupted."""
    one = await desk()
    await one.service.pause()
    await one.submit("", "x")
    await one.service.stop()
    crashed(one.service.paths.home, "x", state="running", attempt=attempt)
    two = await desk()
    events = await two.until("x")
    assert events[-1].kind is EventKind(state.value) and events[-1].seq > SEQ_GAP
    assert sum(event.kind.value in set(JobState) - {"queued", "running"} for event in events) == 1


async def test_a_job_that_was_committed_before_the_crash_is_done(desk):
    """The rename is the commit: it is not run again, and its result is the one in the library."""
    one = await desk()
    await one.run("", "x", length=777)
    made = Path(one.service.job("x").result["files"][0]["path"])
    written = made.stat().st_mtime_ns
    await one.service.stop()
    crashed(one.service.paths.home, "x", state="running", ended=None, result=None)
    import sqlite3

    with sqlite3.connect(one.service.paths.database) as connection:
        connection.execute("DELETE FROM events WHERE seq > 0")
    connection.close()
    two = await desk(worker_start="lazy")
    assert (await two.until("x"))[-1].kind is EventKind.DONE
    assert two.service.job("x").result["files"][0]["path"] == str(made)
    assert made.stat().st_mtime_ns == written and two.service.status()["worker"]["state"] == "stopped"


async def test_what_a_crash_left_half_written_is_removed(desk, tmp_path):
    """Staging folders of dead attempts do not pile up."""
    one = await desk(worker_start="lazy")
    await one.service.stop()
    (one.service.paths.staging / "x~a1").mkdir()
    await desk(worker_start="lazy")
    assert list(one.service.paths.staging.iterdir()) == []
