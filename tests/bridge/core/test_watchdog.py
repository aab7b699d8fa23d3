"""Accidents that nobody sees: a worker that stands still, a disk that does not answer, a job store that is damaged."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import threading
import time

import pytest

from acestep.api.errors import Busy, Unavailable, WorkerDied
from bridge.core import limited, lookout, submissions, watchdog
from bridge.core.interface import JobState
from bridge.core.job_store import set_aside
from bridge.doctor import Patient, check_store
from bridge.paths import Paths
from bridge.settings import Settings

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def impatient(monkeypatch):
    """The watchdog asks often here."""
    monkeypatch.setattr(watchdog, "EVERY", 0.05)
    monkeypatch.setattr(watchdog, "UNEASY", 0.5)


async def until(condition, seconds=60):
    async with asyncio.timeout(seconds):
        while not (found := condition()):
            await asyncio.sleep(0.02)
    return found


@posix
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "at work"])
async def test_a_stopped_worker_is_noticed_and_restarted(desk, impatient, busy):
    """A real worker gets a real SIGSTOP: status warns and says why, then another worker stands in its place and does the next
    job; the job that ran ends with the reason."""
    one = await desk(worker_silence=4.0, worker_start="serve")
    service = one.service
    pid = await until(
        lambda: service.status()["worker"].get("pid") if service.status()["worker"]["state"] == "idle" else 0
    )
    if busy:
        await one.submit("steps=1000 delay=0.05", "runs")
        await one.until("runs", "progress")
    os.kill(pid, signal.SIGSTOP)
    warning = await until(lambda: service.status()["warnings"])
    assert "has not answered for" in warning[0]
    assert service.status()["worker"]["state"] == "silent"
    if sys.platform == "linux":
        assert "stopped by a signal" in warning[0]
    if busy:
        await one.until("runs")
        error = service.job("runs").error
        assert (error["code"], "did not answer" in error["message"]) == (WorkerDied.code, True)
    await until(lambda: service.status()["worker"].get("pid", pid) != pid)
    assert (await one.run(job="next")).state is JobState.DONE
    assert service.status()["warnings"] == []


@posix
async def test_a_worker_that_computes_is_left_alone(desk, impatient):
    """A unit of work several times as long as the patience: the reader answers all the while."""
    one = await desk(worker_silence=1.0)
    view = await one.run("steps=2 delay=2.5", "slow")
    assert (view.state, view.attempt) == (JobState.DONE, 1)
    assert one.service.status()["worker"]["deaths"] == 0


# A disk that does not answer. There is no hanging share to be had here: a check that waits for an event stands for it.


@pytest.fixture
def share(monkeypatch):
    """Checks of requests whose caption says so wait until ``share.set()``."""
    answers, check = threading.Event(), submissions.admit

    def slow(registry, operation, params, host):
        if "hung" in params.get("caption", ""):
            answers.wait(120)
        return check(registry, operation, params, host)

    monkeypatch.setattr(submissions, "admit", slow)
    yield answers
    answers.set()


async def test_a_share_that_hangs_holds_up_nobody_else(desk, share):
    """Its requests are refused in time, others are accepted meanwhile, status warns until it answers."""
    one = await desk(admission_seconds=1.5)
    stuck = [asyncio.ensure_future(one.submit("hung", f"h{n}", client=f"c{n % 3}")) for n in range(12)]
    await asyncio.sleep(0)
    assert (await one.run(job="good", client="other")).state is JobState.DONE
    failures = await asyncio.gather(*stuck, return_exceptions=True)
    assert {type(failure) for failure in failures} == {Unavailable}
    assert "does not answer" in failures[0].message
    await until(lambda: any("12 checks" in warning for warning in one.service.status()["warnings"]))
    share.set()
    await until(lambda: not one.service.status()["warnings"])
    assert (await one.submit("hung", "later")).id == "later"


async def test_one_client_cannot_hold_every_thread(desk, share):
    """Beyond its bound it is told so at once."""
    one = await desk(admission_seconds=60.0)
    stuck = [asyncio.ensure_future(one.submit("hung", f"h{n}", client="me")) for n in range(limited.SLOW_PER_CLIENT)]
    await until(lambda: one.service._submissions.admissions._slow["me"] == limited.SLOW_PER_CLIENT)
    with pytest.raises(Busy):
        await one.submit("hung", "one-more", client="me")
    assert (await one.run(job="good", client="other")).state is JobState.DONE
    share.set()
    assert len(await asyncio.gather(*stuck)) == limited.SLOW_PER_CLIENT


# A damaged job store


def damage(path, kind):
    size = path.stat().st_size
    if kind == "noise":
        path.write_bytes(os.urandom(size))
    elif kind == "head":
        with path.open("r+b") as file:
            file.write(b"\0" * 100)
    elif kind == "cut":
        os.truncate(path, size // 2)
    elif kind == "pages":
        with path.open("r+b") as file:
            for page in range(1, size // 4096):
                file.seek(page * 4096)
                file.write(b"\xff" * 512)
    elif kind == "foreign":
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE jobs (words TEXT)")
            connection.execute("CREATE TABLE notes (text TEXT)")
        connection.close()
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["noise", "head", "cut", "pages", "foreign"])
async def test_a_damaged_store_is_set_aside(desk, caplog, kind):
    """One sentence in the log, no traceback; the daemon works, the old file is kept, the doctor and status tell."""
    one = await desk()
    for number in range(5):
        await one.run(job=f"j{number}")
    await one.service.stop()
    path = one.service.paths.database
    damage(path, kind)
    caplog.clear()
    two = await desk()
    said = [record for record in caplog.records if record.name == "bridge.core.job_store"]
    assert len(said) == 1
    assert said[0].exc_info is None
    (kept,) = set_aside(path)
    assert str(kept) in said[0].getMessage()
    assert (await two.run(job="j0")).state is JobState.DONE
    assert any(str(kept) in warning for warning in two.service.status()["warnings"])
    (finding,) = check_store(Patient(Settings(home=str(two.service.paths.home)), two.service.paths))
    assert str(kept) in finding.text


async def test_a_whole_store_stays(desk, tmp_path):
    """What is fine is not touched, and nobody else can read it."""
    one = await desk()
    await one.run(job="a")
    await one.service.stop()
    two = await desk()
    assert two.service.job("a").state is JobState.DONE
    paths = Paths.of(Settings(home=str(tmp_path / "home")))
    assert set_aside(paths.database) == []
    assert check_store(Patient(Settings(home=str(paths.home)), paths)) == []
    if os.name == "posix":
        assert paths.database.stat().st_mode & 0o077 == 0


def test_a_library_that_does_not_answer_holds_up_no_status(monkeypatch, tmp_path):
    """Whoever asks waits a moment, once; the warning goes when it answers again."""
    answers = threading.Event()

    def look(library, least_free):
        answers.wait(60)
        return ""

    monkeypatch.setattr(lookout.reports, "space_warning", look)
    space = lookout.Space(tmp_path, 0)
    assert space.warning == ""
    warnings = {space.warning for _ in range(100_000)}
    assert f"the library {tmp_path} does not answer" in warnings
    answers.set()
    for _ in range(1000):
        if space._began is None:
            break
        time.sleep(0.01)
    assert space.warning == ""
