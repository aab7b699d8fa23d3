"""Searches among results: the same answers with the index of trigrams, while it fills, and without; counts that agree."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from bridge.core import job_store, result_words
from bridge.core.history import History, HistoryQuery
from bridge.core.interface import JobState
from bridge.core.job_store import JobStore
from bridge.core.job_table import JobTable
from bridge.core.library import Library
from bridge.core.records import JobRecord

CAPTIONS = ("warm house", "Warm HOUSE, take 2", "50% techno_x", 'a "quoted" word', "back\\slash", "Ärger im Öl", "ÄRGER IM ÖL",
            "日本の歌です", "ab", "two\nlines", "OR AND NOT", "it's", "", "words : x")  # fmt: skip
"""Everything that a query language or a pattern could take for a sign of its own."""

QUESTIONS = (
    *(
        "house",
        "HOUSE",
        "ouse",
        "take",
        "%",
        "0% t",
        "_",
        "o_x",
        '"',
        '"quo',
        "\\",
        "k\\s",
        "ärger",
        "är",
        "ä",
        "本の歌",
    ),
    *("日", "ab", "two\nl", "OR AND", "'", "words :", "generate", "extr", "nothing has this", "g", "*", "hou*", "   "),
    "\0ab",
)


class Shelf:
    """A store with its table and history."""

    def __init__(self, folder):
        self.store = JobStore(folder / "jobs.sqlite3")
        self.store.start()
        self.table = JobTable(self.store)
        self.history = History(self.store, Library(folder / "library", folder / "staging"))

    async def end(self, name, caption, operation="generate", state=JobState.DONE, files=1):
        """A job that has ended so."""
        job = JobRecord(
            id=name, request_digest="", client="me", operation=operation, priority=0, request={}, caption=caption
        )
        await self.table.accept(job)
        job.state, job.ended = state, 1.0
        job.result = {"folder": name, "files": [{"name": "part.wav"}] * files} if state is JobState.DONE else None
        await self.table.ended(job, [])
        return job

    async def found(self, **asked):
        """Ids of the results that fit; their number is the one that is told."""
        answer = await self.history.rows(HistoryQuery(limit=1000, **asked))
        assert answer["total"] == len(answer["rows"]) and not answer["more"]
        return [row["id"] for row in answer["rows"]]

    async def jobs(self, text, states=frozenset()):
        """Ids of the jobs that fit."""
        return [job.id for job in await self.table.search(states, text, 1000, "")]

    async def all_answers(self):
        """What every question finds, among results and among jobs."""
        failed = frozenset({JobState.FAILED})
        return [
            (text, await self.found(search=text), await self.found(search=text, operation="extract"),
             await self.found(search=text, deleted=True), await self.jobs(text), await self.jobs(text, failed))
            for text in QUESTIONS
        ]  # fmt: skip


@pytest.fixture
async def shelf(tmp_path):
    """Results with every caption, one with a note, one deleted; a failed job and one without files."""
    made = Shelf(tmp_path)
    await made.history.index_words()
    for number, caption in enumerate(CAPTIONS):
        await made.end(f"job-{number}", caption, "extract" if number % 3 == 2 else "generate")
    await made.end("failed", "warm house", state=JobState.FAILED)
    await made.end("silent", "warm house", files=0)
    await made.end("gone", "Warm house")
    await made.history.delete(["gone"])
    await made.history.mark("job-3", True, "the House of 100%")
    yield made
    await made.store.close()


def plain(text):
    """What a search in small letters finds among the captions."""
    small = text.lower()
    return [
        f"job-{number}"
        for number, caption in reversed(list(enumerate(CAPTIONS)))
        if small in "\n".join((f"job-{number}", "extract" if number % 3 == 2 else "generate", caption)).lower()
    ]


async def test_a_search_finds_text_wherever_it_stands(shelf):
    """In any case of letters, with every sign meaning itself; results also by their note, jobs not."""
    for text in QUESTIONS[:-1]:
        noted = ["job-3"] if text.lower() in "the house of 100%" else []
        wanted = sorted({*plain(text), *noted}, key=lambda name: -int(name[4:]))
        assert await shelf.found(search=text) == wanted, text
        assert [name for name in await shelf.jobs(text) if name.startswith("job-")] == plain(text), text
    assert await shelf.jobs("warm house") == ["gone", "silent", "failed", "job-1", "job-0"]
    assert await shelf.jobs("warm house", frozenset({JobState.FAILED})) == ["failed"]
    assert await shelf.found(search="warm", deleted=True) == ["gone"]
    assert await shelf.found(search="house", starred=True) == ["job-3"]


async def test_the_index_is_asked_and_rows_are_not_looked_through(shelf):
    """Three characters and more; counts of lists stand in a table."""
    asked = []
    await shelf.store.search(lambda connection: connection.set_trace_callback(asked.append))
    await shelf.found(search="house")
    await shelf.jobs("house", frozenset({JobState.DONE}))
    assert sum("MATCH" in one for one in asked) == 3 and not any("FROM results " in one for one in asked)
    asked.clear()
    await shelf.found(operation="extract")
    assert not any("COUNT(" in one for one in asked)


async def test_the_answers_do_not_depend_on_the_index(shelf, tmp_path, monkeypatch):
    """Without FTS5 they are the same; a Python that has it again finds what came meanwhile."""
    with_index = await shelf.all_answers()
    await shelf.store.close()
    monkeypatch.setattr(result_words, "has_trigrams", lambda connection: False)
    without = Shelf(tmp_path)
    assert await without.all_answers() == with_index
    await without.history.index_words()
    await without.history.mark("job-0", None, "written without an index")
    await without.end("meanwhile", "the newest of all")
    assert await without.found(search="newest of") == ["meanwhile"]
    await without.store.close()
    monkeypatch.undo()
    again = Shelf(tmp_path)
    await again.history.index_words()
    assert await again.found(search="newest of") == ["meanwhile"] and await again.found(search="without an") == [
        "job-0"
    ]
    await again.store.close()


async def test_the_index_fills_a_batch_at_a_time(shelf, tmp_path, monkeypatch):
    """Stopped on the way it goes on where it was; what ends, changes and goes meanwhile is found as it is."""
    with_index = await shelf.all_answers()
    await shelf.store.write(
        lambda connection: [connection.execute(f"DROP TRIGGER {n}") for n in result_words._TRIGGERS]
    )
    await shelf.store.close()
    monkeypatch.setattr(result_words, "BATCH", 3)
    second = Shelf(tmp_path)
    assert await second.store.write(result_words.index_more) and await second.all_answers() == with_index
    await second.store.close()
    third = Shelf(tmp_path)
    assert await third.store.write(result_words.index_more)
    await third.history.delete(["job-13", "job-2"])  # one that is in the index already, one that is not
    await third.history.mark("job-5", None, "Ärgerlich")
    await third.end("late", "a late house")
    answers = await third.all_answers()
    assert answers != with_index
    await third.history.index_words()
    assert await third.all_answers() == answers
    await third.store.write(
        lambda c: c.execute("INSERT INTO result_trigrams (result_trigrams) VALUES ('integrity-check')")
    )
    await third.store.close()


async def test_counts_follow_every_change(shelf):
    """Ends, ends that are stored twice, deleting and taking back, forgetting."""
    job = await shelf.end("twice", "x")
    await shelf.table.ended(job, [])
    assert len(await shelf.found()) == len(CAPTIONS) + 1
    await shelf.history.delete(["twice", "job-0"])
    await shelf.history.delete(["twice"])
    assert len(await shelf.found()) == len(CAPTIONS) - 1
    await shelf.history.restore(["twice", "job-0", "job-1"])
    await shelf.history.mark("twice", True, None)
    assert len(await shelf.found()) == len(CAPTIONS) + 1 and len(await shelf.found(operation="extract")) == 4
    assert len(await shelf.table.forget(0, None)) == len(CAPTIONS) + 2  # all but the two with a star
    assert await shelf.found() == ["twice", "job-3"] == await shelf.found(search="generate") + ["job-3"][1:]
    await shelf.history.delete(["twice"], when=1.0)
    assert await shelf.history.purge() == ["twice"]
    assert await shelf.found() == await shelf.found(starred=True) == ["job-3"]
    assert await shelf.found(search="twice") == await shelf.found(operation="extract") == []


async def test_an_older_library_gets_its_short_rows_once(tmp_path):
    """A store from before: results, stars and notes are listed at once, and the words soon."""
    path = tmp_path / "jobs.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for _, script in job_store.migrations()[:4]:
            connection.executescript(script)
        for number, (state, files) in enumerate(
            [("done", 1), ("done", 1), ("failed", 0), ("queued", 0), ("done", 1)], 1
        ):
            connection.execute(
                "INSERT INTO jobs (number, id, body, client, operation, caption, priority, state, seq, position, created, "
                "request, result, notes, files) "
                "VALUES (?, ?, '', 'me', 'generate', 'An old caption', 0, ?, 0, 0, 1, x'80', x'80', x'90', ?)",
                (number, f"old-{number}", state, files),
            )
        connection.execute("INSERT INTO marks (job, star, note) VALUES (2, 1, 'my favourite')")
        connection.execute("INSERT INTO marks (job, deleted) VALUES (5, 1)")
        connection.execute("PRAGMA user_version = 4")
        connection.commit()
    shelf = Shelf(tmp_path)
    for _ in range(2):
        assert await shelf.found() == ["old-2", "old-1"] and await shelf.found(deleted=True) == ["old-5"]
        assert await shelf.found(search="favour") == await shelf.found(starred=True) == ["old-2"]
        assert await shelf.jobs("old cap") == ["old-5", "old-4", "old-3", "old-2", "old-1"]
        await shelf.history.index_words()
    await shelf.store.close()
