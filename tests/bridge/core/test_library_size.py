"""A library at size: what lists, pages, searches and rounds of tidying look at, told by SQLite itself and not by a clock."""

from __future__ import annotations

import contextlib
import re
import sqlite3

import pytest

from bridge.core import job_store
from bridge.core.active_jobs import ActiveJobs, Share
from bridge.core.history import History, HistoryQuery
from bridge.core.interface import JobState
from bridge.core.job_store import JobStore
from bridge.core.job_table import JobTable
from bridge.core.library import Library
from bridge.core.queue import FairQueue
from bridge.core.records import JobRecord

WHOLE_TABLE = re.compile(r"SCAN (jobs|events)(?! USING COVERING INDEX)|SCAN marks(?! USING)|USE TEMP B-TREE")
"""What would read every row with its request and result, or sort them."""


@pytest.fixture
async def shelf(tmp_path):
    """An open store with its table and history; `plans` collects what was run."""
    store = JobStore(tmp_path / "jobs.sqlite3")
    store.start()
    yield store, JobTable(store), History(store, Library(tmp_path / "library", tmp_path / "staging"))
    await store.close()


async def finished(table, count, operation="generate"):
    for index in range(count):
        job = JobRecord(id=f"{operation}-{index}", request_digest="d", client="rpc:1", operation=operation, priority=0,
                        request={"stages": []}, caption=f"take number {index}")  # fmt: skip
        await table.accept(job)
        job.state, job.ended = JobState.DONE, float(index)
        job.result = {"folder": job.id, "files": [{"name": "part.wav", "copy_of": ""}]}
        await table.ended(job, [])


class Plans:
    """How SQLite carries out every statement that a connection runs."""

    def __init__(self, connection):
        self._connection = connection
        self.statements = []
        connection.set_trace_callback(self.statements.append)

    def offenders(self):
        self._connection.set_trace_callback(None)
        found = []
        for statement in self.statements:
            if statement.lstrip().upper().startswith(("SELECT", "DELETE", "UPDATE")):
                plan = self._connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
                found += [(statement, row["detail"]) for row in plan if WHOLE_TABLE.search(row["detail"])]
        return found


QUESTIONS = [
    HistoryQuery(),
    HistoryQuery(before="generate-5"),
    HistoryQuery(operation="generate"),
    HistoryQuery(starred=True),
    HistoryQuery(deleted=True),
    HistoryQuery(search="number 3"),
    HistoryQuery(search="x", operation="extract", starred=True, before="generate-5"),
]


async def test_lists_pages_and_searches_read_indices(shelf):
    """Only rows that are shown are read with their request and result, however many there are besides."""
    store, table, history = shelf
    await finished(table, 12)
    await history.mark("generate-3", True, "the good one")
    plans = await store.search(Plans)
    for asked in QUESTIONS:
        await history.rows(asked)
    done, live = frozenset({JobState.DONE}), frozenset({JobState.QUEUED, JobState.RUNNING, JobState.FAILED})
    for states, text, before, origin in (
        (frozenset(), "", "", ""), (done, "", "", ""), (live, "", "generate-5", ""), (done, "number", "", ""),
        (frozenset(), "", "", "rpc"), (live, "x", "generate-5", "osc:10.0.0.1"),
    ):  # fmt: skip
        await table.search(states, text, 5, before, origin)
    assert await store.search(lambda connection: plans.offenders()) == []
    assert len(plans.statements) > 20


async def test_the_answers_are_the_right_ones(shelf):
    """Pages follow each other without a gap; totals, stars, notes, thrown away, searches with signs of LIKE in them."""
    _, table, history = shelf
    await finished(table, 12)
    await finished(table, 2, "extract")
    await history.mark("generate-3", True, "100% good_one")
    await history.delete(["generate-4"])
    first = await history.rows(HistoryQuery(limit=5))
    rest = await history.rows(HistoryQuery(limit=50, before=first["rows"][-1]["id"]))
    names = [row["id"] for row in [*first["rows"], *rest["rows"]]]
    assert names == ["extract-1", "extract-0", *[f"generate-{n}" for n in range(11, -1, -1) if n != 4]]
    assert first["total"] == rest["total"] == 13 and first["more"] and not rest["more"]
    ids = lambda answer: [row["id"] for row in answer["rows"]]  # noqa: E731
    assert ids(await history.rows(HistoryQuery(starred=True))) == ["generate-3"]
    assert ids(await history.rows(HistoryQuery(deleted=True))) == ["generate-4"]
    assert ids(await history.rows(HistoryQuery(search="100%"))) == ["generate-3"]
    assert ids(await history.rows(HistoryQuery(search="good_o"))) == ["generate-3"]
    assert ids(await history.rows(HistoryQuery(search="number 1", operation="generate"))) == [
        "generate-11", "generate-10", "generate-1"]  # fmt: skip
    found = await table.search(frozenset({JobState.DONE, JobState.FAILED}), "", 3, "generate-9")
    assert [job.id for job in found] == ["generate-8", "generate-7", "generate-6"]
    assert await table.search(frozenset(), "", 3, "nobody") == []


@pytest.mark.parametrize("text", ["number", "ta", "é", ""])
async def test_a_search_counts_no_further_than_anybody_reads(shelf, monkeypatch, text):
    """And says so; pages still reach every hit. Without a text all are counted along, and told."""
    _, table, history = shelf
    monkeypatch.setattr("bridge.core.history.COUNTED", 5)
    await finished(table, 5)
    first = await history.rows(HistoryQuery(search=text, limit=2))
    assert (first["total"], first["uncounted"]) == (0 if text == "é" else 5, False)
    await finished(table, 3, "cover")
    found = await history.rows(HistoryQuery(search=text, limit=3))
    expected = {"é": (0, False), "": (8, False)}.get(text, (5, True))
    assert (found["total"], found["uncounted"]) == expected
    if text != "é":
        rest = await history.rows(HistoryQuery(search=text, limit=50, before=found["rows"][-1]["id"]))
        assert [row["id"] for row in [*found["rows"], *rest["rows"]]] == [
            *[f"cover-{n}" for n in (2, 1, 0)], *[f"generate-{n}" for n in (4, 3, 2, 1, 0)]]  # fmt: skip


async def test_tidying_reads_indices(shelf):
    """Forgetting by number and by age: the oldest go, none with a star."""
    store, table, history = shelf
    await finished(table, 8)
    await history.mark("generate-0", True, None)
    plans = []
    await store.write(lambda connection: plans.append(Plans(connection)))
    assert await table.forget(6, None) == ["generate-1", "generate-2"]
    assert await table.forget(100, 4.0) == ["generate-3"]
    assert await table.forget(100, None) == []
    offenders = []
    await store.write(lambda connection: offenders.extend(plans[0].offenders()))
    assert offenders == []
    assert [job.id for job in await table.search(frozenset(), "", 9, "")][-1] == "generate-0"


async def test_what_waits_is_taken_up_with_two_looks(shelf):
    """Jobs and their events, however many wait; and each with its own."""
    store, table, _ = shelf
    for index in range(30):
        await table.accept(
            JobRecord(id=f"w{index}", request_digest="d", client="me", operation="x", priority=0, request={"n": index})
        )
    statements = []
    store.reader.set_trace_callback(statements.append)
    jobs, told = table.unended(), table.unended_events()
    store.reader.set_trace_callback(None)
    assert len(statements) == 2 and len(jobs) == 30
    assert {told[job.number][0].job for job in jobs} == {job.id for job in jobs}


def waiting(count, client="me"):
    return [
        JobRecord(
            id=f"{client}{n}", request_digest="", client=client, operation="x", priority=0, request={}, number=n, size=3
        )
        for n in range(1, count + 1)
    ]


def test_positions_of_many_are_those_of_each():
    """A list asks for all at once."""
    queue = FairQueue()
    jobs = [*waiting(40), *waiting(7, "another")]
    for job in jobs:
        queue.add(job, 0.0)
    assert queue.positions(jobs) == {job.id: queue.position(job) for job in jobs}


def test_active_jobs_are_counted_along():
    """By state and by client, through every change."""
    active = ActiveJobs()
    jobs = waiting(3)
    for job in jobs:
        active.add(job)
    active.move(jobs[0], JobState.RUNNING)
    assert +active.states == {"queued": 2, "running": 1} and active.share("me") == Share(jobs=3, size=9)
    active.drop("me1")
    active.drop("me1")
    active.move(jobs[0], JobState.DONE)  # it has left already
    assert +active.states == {"queued": 2} and active.share("me") == Share(jobs=2, size=6)
    assert active.share("nobody") == Share()


async def test_a_large_store_is_checked_once_the_daemon_is_up(tmp_path, monkeypatch):
    """What the start did not read is told as soon as somebody has; the next start then sets the file aside."""
    path = tmp_path / "jobs.sqlite3"
    store = JobStore(path)
    store.start()
    await finished(JobTable(store), 40)
    await store.close()
    damaged = bytearray(path.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_end'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    damaged[(root - 1) * size + 200 : root * size] = b"\xff" * (size - 200)  # an index that no start reads
    path.write_bytes(damaged)
    monkeypatch.setattr(job_store, "CHECKED_AT_START", 0)
    running = JobStore(path)
    running.start()
    assert running.set_aside == [] and running.damage == ""
    await running.look_for_damage()
    assert "restart the daemon" in running.damage
    await running.close()
    mended = JobStore(path)
    assert len(mended.set_aside) == 1 and JobTable(mended).unended() == []
    mended.reader.close()
