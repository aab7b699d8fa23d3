"""The history of results as a person sees it: found again, starred, noted, thrown away and taken back.

A result that is thrown away stays on the disk for `UNDO_SECONDS`, so that it can be taken back; then its files and its job go.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from acestep.api.errors import AceError, BadRequest, UnknownJob
from bridge.core import result_words
from bridge.core.interface import TERMINAL
from bridge.core.job_store import JobStore
from bridge.core.library import Library
from bridge.core.result_words import ResultRows

log = logging.getLogger(__name__)

UNDO_SECONDS = 86_400.0
"""How long a deleted result can be taken back."""

MOST_JOBS = 500
"""Jobs that one call marks, deletes or takes back."""

COUNTED = 1_000
"""Hits of a search that are counted: nobody reads further, and counting all of a large library is what such a search would cost."""

FILE_FACTS = (
    "name",
    "role",
    "variant",
    "stage",
    "track",
    "seed",
    "rate",
    "channels",
    "start",
    "length",
    "preview",
    "copy_of",
)

_unpack = msgspec.msgpack.decode


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which results: see the method `history.list`."""

    search: str = ""
    operation: str = ""
    starred: bool = False
    deleted: bool = False
    limit: int = 50
    before: str = ""


class History:
    """Done jobs with files, and what people have noted on them."""

    def __init__(self, store: JobStore, library: Library) -> None:
        self._store = store
        self._library = library

    async def rows(self, asked: HistoryQuery) -> dict[str, Any]:
        """The results: ``rows`` newest first with their files, ``total`` of all that fit, ``more`` when some were left off.

        A search counts no further than `COUNTED`; ``uncounted`` tells whether it has more hits than the total says.
        """
        return await self._store.search(lambda connection: self._found(connection, asked))

    def _found(self, connection: sqlite3.Connection, asked: HistoryQuery) -> dict[str, Any]:
        found = _deleted(asked) if asked.deleted else _shown(connection, asked)
        total = _total(connection, asked, found)
        if not total:
            return {"rows": [], "total": 0, "uncounted": False, "more": False}
        number, where, values = found.number, found.where, [*found.values]
        if asked.before:
            where += f" AND {number} < (SELECT number FROM jobs WHERE id = ?)"
            values.append(asked.before)
        page = f"SELECT {number} FROM {found.source} WHERE {where} ORDER BY {number} DESC LIMIT ?"
        numbers = [one for (one,) in connection.execute(page, (*values, asked.limit + 1))]
        rows = [self._row(connection.execute(_ONE, (one,)).fetchone()) for one in numbers[: asked.limit]]
        uncounted = bool(asked.search) and total > COUNTED
        return {
            "rows": rows,
            "total": min(total, COUNTED) if uncounted else total,
            "uncounted": uncounted,
            "more": len(numbers) > asked.limit,
        }

    def _row(self, row: sqlite3.Row) -> dict[str, Any]:
        result = self._library.located(_unpack(row["result"]))
        facts = {name: row[name] for name in ("id", "operation", "caption", "created", "ended", "deleted")}
        marks = {"star": bool(row["star"]), "note": row["note"] or ""}
        return {**facts, **marks, **_music(_unpack(row["request"]), result), "files": list(_files(result))}

    async def index_words(self) -> None:
        """Complete the index of searches, a batch at a time, beside everything else."""
        while await self._store.write(result_words.index_more):
            await asyncio.sleep(0)

    async def mark(self, job: str, star: bool | None, note: str | None) -> dict[str, Any]:
        """Set star or note of a job that has ended (None leaves it); returns both. Raises `UnknownJob`, `BadRequest`."""

        def action(connection: sqlite3.Connection) -> dict[str, Any]:
            number = _ended(connection, job)
            connection.execute(
                "INSERT INTO marks (job, star, note) VALUES (?, COALESCE(?, 0), COALESCE(?, '')) "
                "ON CONFLICT (job) DO UPDATE SET star = COALESCE(?, star), note = COALESCE(?, note)",
                (number, *[star, note] * 2),
            )
            row = connection.execute("SELECT star, note FROM marks WHERE job = ?", (number,)).fetchone()
            return {"id": job, "star": bool(row["star"]), "note": row["note"]}

        return await self._store.write(action)

    async def delete(self, jobs: list[str], when: float | None = None) -> None:
        """Throw results away; they can be taken back for `UNDO_SECONDS`. Raises `UnknownJob`, `BadRequest`; then none is."""
        await self._set_deleted(jobs, time.time() if when is None else when)

    async def restore(self, jobs: list[str]) -> None:
        """Take deleted results back. Raises `UnknownJob` for those that are gone; then none is."""
        await self._set_deleted(jobs, None)

    async def _set_deleted(self, jobs: list[str], when: float | None) -> None:
        def action(connection: sqlite3.Connection) -> None:
            for number in [_ended(connection, job) for job in jobs]:
                connection.execute(
                    "INSERT INTO marks (job, deleted) VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET deleted = excluded.deleted",
                    (number, when),
                )

        await self._store.write(action)

    async def purge(self, needed: frozenset[str] = frozenset()) -> list[str]:
        """Remove what was deleted longer ago than `UNDO_SECONDS`, files first; the ids. ``needed``: folders that jobs read."""
        limit = time.time() - UNDO_SECONDS

        def old(connection: sqlite3.Connection) -> list[tuple[str, int, str]]:
            rows = connection.execute(
                "SELECT id, number, result FROM jobs JOIN marks ON marks.job = jobs.number WHERE deleted < ? LIMIT 500",
                (limit,),
            )
            return [(row["id"], row["number"], _folder(row["result"])) for row in rows]

        gone = [one for one in await self._store.search(old) if one[2].partition("~")[0] not in needed]
        removed = [(job, number) for job, number, folder in gone if self._removed(job, folder)]
        if removed:
            numbers = [(number,) for _, number in removed]
            await self._store.write(
                lambda connection: connection.executemany("DELETE FROM jobs WHERE number = ?", numbers)
            )
        return [job for job, _ in removed]

    def _removed(self, job: str, folder: str) -> bool:
        """Whether a result's folder is gone."""
        if not folder or not (self._library.folder / folder).is_dir():
            return True
        try:
            self._library.remove(folder)
        except AceError as failure:
            log.warning("the deleted result cannot be removed: %s", failure.message, extra={"job": job})
            return False
        return True


_ONE = (
    "SELECT id, operation, caption, created, ended, request, result, star, note, deleted "
    "FROM jobs LEFT JOIN marks ON marks.job = jobs.number WHERE number = ?"
)


def _shown(connection: sqlite3.Connection, asked: HistoryQuery) -> ResultRows:
    """The results that have not been deleted, by the short rows that stand for them."""
    found = result_words.find(connection, asked.search, notes=True) if asked.search else result_words.ALL
    if asked.operation:
        found = found.narrowed("operation = ?", (asked.operation,))
    return found.narrowed("star = 1", ()) if asked.starred else found


def _deleted(asked: HistoryQuery) -> ResultRows:
    """Those that can still be taken back; they are few, and looked at one by one."""
    source = "marks INDEXED BY marks_thrown_away CROSS JOIN jobs ON jobs.number = marks.job"
    found = ResultRows(source, "marks.job", "deleted IS NOT NULL AND state = 'done' AND files > 0", ())
    if asked.operation:
        found = found.narrowed("operation = ?", (asked.operation,))
    if asked.search:
        found = found.narrowed(*result_words.contains(("id", "operation", "caption", "note"), asked.search))
    return found.narrowed("star = 1", ()) if asked.starred else found


def _total(connection: sqlite3.Connection, asked: HistoryQuery, found: ResultRows) -> int:
    """How many results there are besides the page; those of an operation, or all, are counted along. Of a search's hits at most one
    more than are counted."""
    query, values = f"SELECT COUNT(*) FROM {found.source} WHERE {found.where}", found.values
    if asked.search:
        query = f"SELECT COUNT(*) FROM (SELECT 1 FROM {found.source} WHERE {found.where} LIMIT {COUNTED + 1})"
    if not (asked.search or asked.starred or asked.deleted):
        query = f"SELECT COALESCE(SUM(count), 0) FROM result_counts{' WHERE operation = ?' if asked.operation else ''}"
    return int(connection.execute(query, values).fetchone()[0])


def _ended(connection: sqlite3.Connection, job: str) -> int:
    row = connection.execute("SELECT number, state FROM jobs WHERE id = ?", (job,)).fetchone()
    if row is None:
        raise UnknownJob(f"there is no job {job!r}", field="id")
    if row["state"] not in {str(state) for state in TERMINAL}:
        raise BadRequest(f"the job {job} has not ended yet; cancel it first", field="id")
    return int(row["number"])


def _folder(result: bytes | None) -> str:
    return "" if result is None else str(_unpack(result).get("folder", ""))


def _files(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    scores = _scores(result)
    for index, file in enumerate(result.get("files", [])):
        facts = {name: file[name] for name in FILE_FACTS if name in file}
        if not file.get("preview") and file.get("variant") in scores:
            facts["score"] = scores[file["variant"]]
        yield {"index": index, "path": file["path"], **facts}


def _scores(result: dict[str, Any]) -> dict[int, float]:
    """Take -> score, where the job measured its takes (see `acestep.engine.takes`)."""
    data = result.get("data")
    rows = data.get("scores") if isinstance(data, dict) else None
    return {
        row["variant"]: row["score"]
        for row in rows or ()
        if isinstance(row, dict) and row.keys() >= {"variant", "score"}
    }


def _music(request: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Tempo, key, metre and lyrics of a result as they were asked for, where bar 1 is, its model, and how long it took."""
    said = request.get("conditioning") or {}
    stages = result.get("stages") or []
    facts = {name: said.get(name) for name in ("bpm", "key", "time_signature", "bar_offset", "lyrics", "language")}
    return {**facts, "model": stages[-1].get("model", "") if stages else "", "seconds": result.get("seconds", 0.0)}
