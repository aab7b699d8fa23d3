"""The job store: migrations, group commits, durability, a full disk."""

import asyncio
import sqlite3
import threading

import pytest

from acestep.api.errors import DiskFull, InternalError
from bridge.core.job_store import JobStore, migrate, migrations
from bridge.core.job_table import JobTable
from bridge.core.records import JobRecord


@pytest.fixture
async def store(tmp_path):
    opened = JobStore(tmp_path / "jobs.sqlite3")
    opened.start()
    yield opened
    await opened.close()


def job(name, **fields):
    return JobRecord(id=name, request_digest="b", client="c", operation="o", priority=0, request={"a": 1}, **fields)


def test_migrations_are_numbered_without_gaps():
    """0001, 0002 ...: what a database has seen is one number."""
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_database_of_the_first_level_comes_up_to_date(tmp_path):
    """Every older level leads to the same tables as a fresh file, and a second start changes nothing."""
    fresh, old = (sqlite3.connect(tmp_path / name) for name in ("fresh", "old"))
    migrate(fresh)
    old.executescript(migrations()[0][1] + "PRAGMA user_version = 1;")
    migrate(old)
    migrate(old)
    schema = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert fresh.execute(schema).fetchall() == old.execute(schema).fetchall()
    for connection in (fresh, old):
        connection.close()


def test_a_database_of_a_newer_version_is_left_alone(tmp_path):
    """Going back a version is refused with a sentence, not by guessing."""
    connection = sqlite3.connect(tmp_path / "jobs.sqlite3")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(InternalError, match="newer version"):
        JobStore(tmp_path / "jobs.sqlite3")


async def test_what_was_accepted_is_on_disk(store, tmp_path):
    """Once accept returns, another connection finds the job and its first event; flushing is full, the journal WAL."""
    await JobTable(store).accept(job("a"))
    other = sqlite3.connect(tmp_path / "jobs.sqlite3")
    assert other.execute("SELECT id FROM jobs").fetchall() == [("a",)]
    assert other.execute("SELECT seq, kind FROM events").fetchall() == [(0, "accepted")]
    other.close()
    modes = [store.reader.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert modes == ["wal", 2]


async def test_one_bad_write_fails_alone(store):
    """Writes are committed together; one that cannot be stored takes no other with it."""
    table = JobTable(store)
    answers = await asyncio.gather(*(table.accept(job(name)) for name in ("a", "b", "a", "c")), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), type(None), InternalError, type(None)]
    assert {found.id for found in table.unended()} == {"a", "b", "c"}


async def test_a_full_disk_is_named_and_passes(store):
    """No page left: `disk_full`, nothing half-stored; with space again the next write goes through."""
    table = JobTable(store)
    pages = await store.write(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await store.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    big = job("big")
    big.request = {"a": "x" * 100_000}
    with pytest.raises(DiskFull):
        await table.accept(big)
    assert table.find("big") is None
    await store.write(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
    await table.accept(big)
    assert table.find("big").request == big.request


async def test_a_record_comes_back_as_it_went_in(store):
    """Every field survives the trip."""
    table = JobTable(store)
    sent = job("a", caption="slow", created=1.5, position=3, notes=("n",))
    await table.accept(sent)
    found = table.find("a")
    assert (found.id, found.caption, found.created, found.position, found.notes) == ("a", "slow", 1.5, 3, ("n",))
    assert (found.request, found.number, found.size > 0) == (sent.request, 1, True)


async def test_search_treats_wildcards_as_letters(store):
    """``%`` and ``_`` in a search mean themselves."""
    table = JobTable(store)
    for name in ("a_b", "axb", "a%b"):
        await table.accept(job(name))
    found = {text: {hit.id for hit in await table.search(frozenset(), text, 10, "")} for text in ("_", "%", "a", "\\")}
    assert found == {"_": {"a_b"}, "%": {"a%b"}, "a": {"a_b", "axb", "a%b"}, "\\": set()}


async def test_a_search_holds_nothing_up(store):
    """However long it takes, the event loop and the writes go on: it ends only because they do."""
    table = JobTable(store)
    go_on = threading.Event()

    def slow(connection):
        assert go_on.wait(30)
        return connection.execute("SELECT id FROM jobs").fetchone()["id"]

    searching = asyncio.create_task(store.search(slow))
    await asyncio.sleep(0)
    await table.accept(job("meanwhile"))
    assert table.find("meanwhile") is not None
    go_on.set()
    assert await searching == "meanwhile"


async def test_lists_carry_no_requests_and_no_results(store):
    """A thousand long lyrics are not read to show a thousand lines; the job itself has them."""
    table = JobTable(store)
    await table.accept(job("a", caption="warm"))
    (found,) = await table.search(frozenset(), "warm", 10, "")
    assert (found.id, found.request, found.result, found.notes) == ("a", {}, None, ())
    assert table.find("a").request == {"a": 1}


async def test_a_search_that_fails_is_one_clear_error(store):
    """Damage found while reading is named with the file, not as an exception of the library."""
    with pytest.raises(InternalError, match=r"jobs\.sqlite3|no such table"):
        await store.search(lambda connection: connection.execute("SELECT * FROM nonsense"))


async def test_closing_does_not_wait_for_the_searches_in_line(tmp_path):
    """The one that runs is finished, those behind it are given up, and later ones are told that the store is closed."""
    store = JobStore(tmp_path / "jobs.sqlite3")
    store.start()
    began, go_on = threading.Event(), threading.Event()
    running = asyncio.create_task(store.search(lambda connection: (began.set(), go_on.wait(30))[1]))
    await asyncio.to_thread(began.wait, 30)
    waiting = asyncio.create_task(store.search(lambda connection: "never"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(store.close())
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await closing
    assert await running is True
    with pytest.raises(InternalError, match="closed"):
        await store.search(lambda connection: "late")
