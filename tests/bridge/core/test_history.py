"""Stars, notes, deleting and taking back, and moving in the queue: kept by the daemon, whatever happens to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from acestep.api.errors import BadRequest, UnknownJob
from bridge.core import history
from bridge.core.history import HistoryQuery
from bridge.core.interface import JobState, Submission
from bridge.core.service import Service
from bridge.paths import Paths
from bridge.settings import Settings


async def opened(home: Path) -> Service:
    """A core with the fake backend."""
    settings = Settings(home=str(home), backend="fake", read_roots=(str(home),))
    paths = Paths.of(settings)
    paths.create()
    service = Service(settings, paths)
    await service.start()
    return service


@pytest.fixture
async def core(tmp_path):
    """A core of its own."""
    service = await opened(tmp_path / "home")
    yield service
    await service.stop()


async def finished(core: Service, caption: str) -> str:
    """The id of a job that is done."""
    job = (
        await core.submit(Submission(operation="generate", params={"caption": caption, "duration": 10.0}), "test:1")
    ).id
    while not core.job(job).state.terminal:
        await core.wait(job, core.job(job).seq)
    assert core.job(job).state is JobState.DONE
    return job


async def ids(core: Service, **asked) -> list[str]:
    """Which results a search finds."""
    return [row["id"] for row in (await core.history.rows(HistoryQuery(**asked)))["rows"]]


async def test_results_are_found_by_words_star_and_note(core):
    """Newest first, in pages; percent signs and underscores mean themselves."""
    jobs = [await finished(core, caption) for caption in ("warm house", "100% techno", "cold house")]
    assert await ids(core) == jobs[::-1]
    assert await ids(core, search="house") == [jobs[2], jobs[0]]
    assert await ids(core, search="%") == [jobs[1]]
    assert await ids(core, search="_") == []
    found = await core.history.rows(HistoryQuery(limit=2))
    assert (found["total"], found["more"], len(found["rows"])) == (3, True, 2)
    assert await ids(core, limit=2, before=found["rows"][-1]["id"]) == [jobs[0]]
    assert await core.history.mark(jobs[0], True, "the good one") == {
        "id": jobs[0],
        "star": True,
        "note": "the good one",
    }
    assert await core.history.mark(jobs[0], None, None) == {"id": jobs[0], "star": True, "note": "the good one"}
    assert await ids(core, starred=True) == await ids(core, search="good one") == [jobs[0]]
    row = (await core.history.rows(HistoryQuery(starred=True)))["rows"][0]
    assert Path(row["files"][0]["path"]).is_file() and row["files"][0]["length"] == 480_000


async def test_what_is_deleted_can_be_taken_back_for_a_day(core, monkeypatch):
    """Then its files and its job are gone; a starred one is never forgotten by the history's bound."""
    kept, gone = await finished(core, "kept"), await finished(core, "gone")
    folder = Path(core.job(gone).result["folder"])
    await core.history.delete([gone])
    assert (await ids(core), await ids(core, deleted=True)) == ([kept], [gone])
    assert await core.history.purge() == [] and folder.is_dir()
    await core.history.restore([gone])
    assert await ids(core) == [gone, kept]
    await core.history.delete([gone], when=1.0)
    assert await core.history.purge(frozenset({folder.name})) == []
    assert await core.history.purge() == [gone]
    assert not folder.exists()
    with pytest.raises(UnknownJob):
        core.job(gone)
    with pytest.raises(UnknownJob):
        await core.history.restore([gone])
    await core.history.mark(kept, True, None)
    assert await core._table.forget(0, None) == []
    assert history.UNDO_SECONDS == 86_400


async def test_tidying_completes_the_index_of_searches(core):
    """So a library of any size gets it beside everything else."""
    await core.housekeeping.tidy()
    assert (
        await core._store.search(lambda connection: connection.execute("SELECT since FROM words_indexed").fetchone()[0])
        == 0
    )


async def test_one_wrong_id_changes_nothing(core):
    """All or none."""
    job = await finished(core, "one")
    with pytest.raises(UnknownJob):
        await core.history.delete([job, "nobody"])
    assert await ids(core) == [job]


async def test_what_waits_is_no_result_yet(core):
    """It can be moved, not deleted."""
    await core.pause()
    job = (await core.submit(Submission(operation="generate", params={"caption": "x", "duration": 10.0}), "test:1")).id
    with pytest.raises(BadRequest, match="has not ended"):
        await core.history.delete([job])
    done = (await core.cancel(job)).id
    with pytest.raises(BadRequest, match="is not waiting; it is cancelled"):
        await core.move(done)


async def test_waiting_jobs_change_places_and_stay_there(tmp_path):
    """Before another one, or to the end; a restart keeps the order, and one client's order is not another's turn."""
    core = await opened(tmp_path / "home")
    await core.pause()
    params = {"caption": "x", "duration": 10.0}
    jobs = [
        (await core.submit(Submission(operation="generate", params={**params, "seed": n}), "test:1")).id
        for n in range(4)
    ]
    first, second, third, fourth = jobs

    def order(service: Service) -> list[str]:
        return sorted(jobs, key=lambda job: service.job(job).position)

    await core.move(fourth, second)
    assert order(core) == [first, fourth, second, third]
    await core.move(first)
    assert order(core) == [fourth, second, third, first]
    assert (await core.move(third, third)).position == 3
    with pytest.raises(UnknownJob):
        await core.move(first, "nobody")
    await core.stop()
    core = await opened(tmp_path / "home")
    await core.pause()
    try:
        assert [job for job in order(core) if not core.job(job).state.terminal][-3:] == [second, third, first]
        other = (await core.submit(Submission(operation="generate", params=params), "other:1")).id
        await core.move(other, second)
        assert core.job(other).position < core.job(second).position
    finally:
        await asyncio.gather(*(core.cancel(job) for job in [*jobs, other]))
        await core.stop()
