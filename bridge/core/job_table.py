"""What is stored of jobs and events: rows in, rows out. The only place that knows the tables."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from bridge.core import result_words
from bridge.core.access import Access
from bridge.core.interface import TERMINAL, Event, EventKind, JobState
from bridge.core.job_store import JobStore
from bridge.core.records import JobRecord
from bridge.core.result_words import ResultRows

_pack = msgspec.msgpack.encode
_unpack = msgspec.msgpack.decode

_PLAIN = (
    *("number", "id", "client", "operation", "caption", "priority", "seq", "position", "attempt"),
    *("device", "only_on", "planner_on"),
)
_LIGHT = (
    f"{', '.join(_PLAIN)}, body, created, started, ended, state, progress, error, "
    "NULL AS result, NULL AS planned, x'80' AS request, x'90' AS notes"
)
"""The columns of a job without what makes it large; in their place nothing, an empty map and an empty list."""

_ENDED = f"state IN ({', '.join(repr(state.value) for state in sorted(TERMINAL))})"
_UNSTARRED = "number NOT IN (SELECT job FROM marks WHERE star = 1)"

FORGOTTEN_AT_ONCE = 1000
"""Jobs that one round of tidying forgets at most: a write holds up those behind it."""

_ONE_LIGHT = f"SELECT {_LIGHT} FROM jobs WHERE number = ?"

_OF_ORIGIN = "substr(client, 1, length(?) + 1) = ? || ':' AND instr(substr(client, length(?) + 2), ':') = 0"
"""Jobs of a client's machine (``osc:192.168.1.20``), from whatever port they came."""


class JobTable:
    """Jobs, their events, and the crashes they caused, in a `JobStore`."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._reader = store.reader

    async def accept(self, job: JobRecord) -> None:
        """Store a new job with its ``accepted`` event; gives it its number."""
        row = (
            *(job.id, job.request_digest, job.client, job.operation, job.caption, job.priority),
            *(job.position, job.created, _pack(job.request), _pack(job.notes), job.only_on, job.planner_on),
        )
        accepted = Event(job=job.id, seq=0, kind=EventKind.ACCEPTED, data={"position": job.position}, time=job.created)

        def action(connection: sqlite3.Connection) -> int:
            cursor = connection.execute(
                "INSERT INTO jobs (id, body, client, operation, caption, priority, state, seq, position, created, request, "
                "notes, only_on, planner_on) VALUES (?, ?, ?, ?, ?, ?, 'queued', 0, ?, ?, ?, ?, ?, ?)",
                row,
            )
            number = int(cursor.lastrowid or 0)
            _insert_events(connection, number, [accepted])
            return number

        job.number = await self._store.write(action)

    async def running(self, job: JobRecord) -> None:
        """Store that a job runs now, before anything of it starts."""
        row = (job.started, job.attempt, job.seq, job.device, job.number)

        def action(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE jobs SET state = 'running', started = ?, attempt = ?, seq = ?, device = ? WHERE number = ?", row
            )

        await self._store.write(action)

    async def requeued(self, job: JobRecord) -> None:
        """Store that a job waits again (after a stop or a crash of the daemon or of its worker)."""
        seq, attempt, state = job.seq, job.attempt, job.state.value

        def action(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE jobs SET state = ?, seq = ?, attempt = ? WHERE number = ?", (state, seq, attempt, job.number)
            )

        await self._store.write(action)

    async def planned(self, job: JobRecord) -> None:
        """Store the plan of a job that another device is to render."""
        row = (_blob(job.planned), job.attempt, job.seq, job.number)

        def action(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE jobs SET planned = ?, attempt = ?, seq = ? WHERE number = ?", row)

        await self._store.write(action)

    async def suspended(self, job: JobRecord, event: Event) -> None:
        """Store that a job has saved its place and waits again, with the event that tells so in the place of the one before."""
        row = (job.state.value, job.seq, job.attempt, _blob(job.progress), job.number)

        def action(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE jobs SET state = ?, seq = ?, attempt = ?, progress = ? WHERE number = ?", row)
            connection.execute("DELETE FROM events WHERE job = ? AND kind = ?", (job.number, event.kind.value))
            _insert_events(connection, job.number, [event])

        await self._store.write(action)

    async def ended(self, job: JobRecord, events: Iterable[Event], *, killed_worker: bool = False) -> int:
        """Store a job's end with its last events. Returns how often such a request has ended the worker."""
        kept = list(events)
        row = (
            *(job.state.value, job.seq, job.ended, job.device, int(bool((job.result or {}).get("files")))),
            *(_blob(job.progress), _blob(job.error), _blob(job.result), job.number),
        )

        def action(connection: sqlite3.Connection) -> int:
            connection.execute(
                "UPDATE jobs SET state = ?, seq = ?, ended = ?, device = ?, files = ?, progress = ?, error = ?, result = ?, "
                "planned = NULL WHERE number = ?",
                row,
            )
            _insert_events(connection, job.number, kept)
            return _count_crash(connection, job.request_digest) if killed_worker else 0

        return await self._store.write(action)

    def find(self, job: str) -> JobRecord | None:
        """One job by id."""
        row = self._reader.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
        return None if row is None else _record(row)

    def unended(self) -> list[JobRecord]:
        """The jobs that have not ended, in order of acceptance, or as somebody has moved them."""
        rows = self._reader.execute(
            "SELECT * FROM jobs WHERE state IN ('queued', 'running', 'suspended') ORDER BY COALESCE(place, number)"
        ).fetchall()
        return [_record(row, place=row["place"] or 0.0) for row in rows]

    async def moved(self, jobs: Iterable[JobRecord]) -> None:
        """Store priority and place of waiting jobs."""
        rows = [(job.priority, job.place or None, job.number) for job in jobs]

        def action(connection: sqlite3.Connection) -> None:
            connection.executemany("UPDATE jobs SET priority = ?, place = ? WHERE number = ?", rows)

        await self._store.write(action)

    def client_of(self, job: str) -> str:
        """Who handed a job in; empty for an unknown one. From any thread."""
        return self._store.once(_client_of, job)

    async def clients(self, jobs: list[str]) -> dict[str, str]:
        """Who handed these jobs in; unknown ones are left out."""

        def found(connection: sqlite3.Connection) -> dict[str, str]:
            return {job: client for job in jobs if (client := _client_of(connection, job))}

        return await self._store.search(found)

    async def search(
        self, states: frozenset[JobState], text: str, limit: int, before: str, origin: str = ""
    ) -> list[JobRecord]:
        """Jobs, newest first, without request and result; ``text`` in id, operation or caption; only those accepted
        before job ``before``; ``origin``: only those of that machine.
        """

        def found(connection: sqlite3.Connection) -> list[JobRecord]:
            since = connection.execute("SELECT number FROM jobs WHERE id = ?", (before,)).fetchone() if before else None
            if before and since is None:
                return []
            below = since[0] if since is not None else sys.maxsize
            if origin:
                wanted = _numbers_of_origin(connection, states, text, origin, below, limit)
            elif text:
                wanted = _numbers_of_words(connection, states, text, below, limit)
            else:
                wanted = _numbers_of_states(connection, states, below, limit)
            return [_record(connection.execute(_ONE_LIGHT, (number,)).fetchone()) for number in wanted]

        return await self._store.search(found)

    def done(self, limit: int, origin: str = "") -> Iterator[JobRecord]:
        """The last jobs that ended as done, newest first; one is read when it is asked for. ``origin``: of that machine."""
        of_origin = f" AND {_OF_ORIGIN}" if origin else ""
        index = " INDEXED BY jobs_words" if origin else ""
        newest = f"SELECT number FROM jobs{index} WHERE state = 'done'{of_origin} ORDER BY number DESC LIMIT ?"
        for (number,) in self._reader.execute(newest, (*([origin] * 3 if origin else []), limit)).fetchall():
            row = self._reader.execute("SELECT * FROM jobs WHERE number = ?", (number,)).fetchone()
            if row is not None:  # it may be forgotten at this moment
                yield _record(row)

    def counts(self) -> dict[str, int]:
        """Number of remembered jobs by state."""
        return dict(self._reader.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall())

    def unended_events(self) -> dict[int, list[Event]]:
        """The stored events of all jobs that have not ended, by the job's number; one look for all of them."""
        rows = self._reader.execute(
            "SELECT id, events.* FROM jobs INDEXED BY jobs_by_state JOIN events ON events.job = jobs.number "
            "WHERE state IN ('queued', 'running', 'suspended') ORDER BY events.job, events.seq"
        )
        found: dict[int, list[Event]] = {}
        for row in rows:
            found.setdefault(row["job"], []).append(_event(row["id"], row))
        return found

    def events(self, job: JobRecord, after: int) -> list[Event]:
        """The stored events of a job with a larger ``seq``."""
        return _events(self._reader, job.id, job.number, after)

    async def stored_events(self, after: dict[str, int], access: Access) -> list[Event]:
        """The stored events of jobs that a caller may see, each from a seq on. Unknown jobs have none."""

        def found(connection: sqlite3.Connection) -> list[Event]:
            events: list[Event] = []
            for job, seq in after.items():
                row = connection.execute("SELECT number, client FROM jobs WHERE id = ?", (job,)).fetchone()
                if row is not None and access.owns(row["client"]):
                    events += _events(connection, job, row["number"], seq)
            return events

        return await self._store.search(found)

    def crashes(self, digest: str) -> int:
        """How often a request with this digest has ended the worker."""
        row = self._reader.execute("SELECT count FROM deaths WHERE body = ?", (digest,)).fetchone()
        return 0 if row is None else row["count"]

    async def clear_quarantine(self) -> None:
        """Forget which requests ended the worker."""
        await self._store.write(lambda connection: connection.execute("DELETE FROM deaths").rowcount)

    async def forget(self, keep: int, older_than: float | None) -> list[str]:
        """Forget ended jobs beyond the newest ``keep`` and those that ended before a time, but none with a star; their ids."""

        def action(connection: sqlite3.Connection) -> list[str]:
            rows: list[sqlite3.Row] = []
            if older_than is not None:
                old = f"SELECT number, id FROM jobs INDEXED BY jobs_by_end WHERE ended < ? AND {_UNSTARRED} LIMIT ?"
                rows += connection.execute(old, (older_than, FORGOTTEN_AT_ONCE)).fetchall()
            if not rows and (beyond := _ended_count(connection) - keep) > 0:
                oldest = (
                    f"SELECT number, id FROM jobs INDEXED BY jobs_words WHERE {_ENDED} AND {_UNSTARRED} "
                    "ORDER BY number LIMIT ?"
                )
                rows += connection.execute(oldest, (min(beyond, FORGOTTEN_AT_ONCE),)).fetchall()
            connection.executemany("DELETE FROM jobs WHERE number = ?", [(row["number"],) for row in rows])
            month = time.time() - 30 * 86_400
            connection.execute("DELETE FROM deaths WHERE last < ?", (month,))
            return [row["id"] for row in rows]

        return await self._store.write(action)


def _ended_count(connection: sqlite3.Connection) -> int:
    return int(connection.execute(f"SELECT COUNT(*) FROM jobs INDEXED BY jobs_by_state WHERE {_ENDED}").fetchone()[0])


def _numbers_of_states(
    connection: sqlite3.Connection, states: frozenset[JobState], below: int, limit: int
) -> list[int]:
    """The newest jobs of some states (none: of all), each state by its own stretch of the index."""
    if not states:
        newest = "SELECT number FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?"
        return [number for (number,) in connection.execute(newest, (below, limit))]
    of_state = "SELECT number FROM jobs WHERE state = ? AND number < ? ORDER BY number DESC LIMIT ?"
    found = [row[0] for state in states for row in connection.execute(of_state, (state.value, below, limit))]
    return sorted(found, reverse=True)[:limit]


def _numbers_of_words(
    connection: sqlite3.Connection, states: frozenset[JobState], text: str, below: int, limit: int
) -> list[int]:
    """The newest jobs with a text: the results by their own index, what has no files by another, and those deleted."""
    of_state = f" AND state IN ({', '.join('?' * len(states))})" if states else ""
    wanted = [state.value for state in sorted(states)]
    where, values = result_words.contains(("id", "operation", "caption"), text)
    plain = ResultRows(
        "jobs INDEXED BY jobs_without_files", "number", f"files = 0 AND {where}{of_state}", (*values, *wanted)
    )
    deleted = ResultRows(
        "marks INDEXED BY marks_thrown_away CROSS JOIN jobs ON jobs.number = marks.job",
        "marks.job",
        f"deleted IS NOT NULL AND files > 0 AND {where}{of_state}",
        (*values, *wanted),
    )
    places = [plain, deleted]
    if not states or JobState.DONE in states:
        places.append(result_words.find(connection, text, notes=False))
    found = [
        number
        for source, column, condition, bound in places
        for (number,) in connection.execute(
            f"SELECT {column} FROM {source} WHERE {condition} AND {column} < ? ORDER BY {column} DESC LIMIT ?",
            (*bound, below, limit),
        )
    ]
    return sorted(found, reverse=True)[:limit]


def _numbers_of_origin(
    connection: sqlite3.Connection, states: frozenset[JobState], text: str, origin: str, below: int, limit: int
) -> list[int]:
    """The newest jobs of a machine, with a text or without. Only an index is read, newest first, until there are enough."""
    clauses = ["number < ?", _OF_ORIGIN]
    values: list[Any] = [below, *[origin] * 3]
    if states:
        clauses.append(f"state IN ({', '.join('?' * len(states))})")
        values += [state.value for state in sorted(states)]
    if text:
        where, patterns = result_words.contains(("id", "operation", "caption"), text)
        clauses.append(where)
        values += patterns
    query = f"SELECT number FROM jobs INDEXED BY jobs_words WHERE {' AND '.join(clauses)} ORDER BY number DESC LIMIT ?"
    return [number for (number,) in connection.execute(query, (*values, limit))]


def _client_of(connection: sqlite3.Connection, job: str) -> str:
    row = connection.execute("SELECT client FROM jobs WHERE id = ?", (job,)).fetchone()
    return "" if row is None else str(row["client"])


def _events(connection: sqlite3.Connection, job: str, number: int, after: int) -> list[Event]:
    rows = connection.execute("SELECT * FROM events WHERE job = ? AND seq > ? ORDER BY seq", (number, after)).fetchall()
    return [_event(job, row) for row in rows]


def _event(job: str, row: sqlite3.Row) -> Event:
    return Event(job=job, seq=row["seq"], kind=EventKind(row["kind"]), time=row["time"], data=_unpack(row["data"]))


def _blob(value: Any) -> bytes | None:
    return None if value is None else _pack(value)


def _insert_events(connection: sqlite3.Connection, number: int, events: list[Event]) -> None:
    connection.executemany(
        "INSERT INTO events (job, seq, kind, time, data) VALUES (?, ?, ?, ?, ?)",
        [(number, event.seq, event.kind.value, event.time, _pack(event.data)) for event in events],
    )


def _count_crash(connection: sqlite3.Connection, digest: str) -> int:
    connection.execute(
        "INSERT INTO deaths VALUES (?, 1, ?) ON CONFLICT (body) DO UPDATE SET count = count + 1, last = excluded.last",
        (digest, time.time()),
    )
    return int(connection.execute("SELECT count FROM deaths WHERE body = ?", (digest,)).fetchone()[0])


def _record(row: sqlite3.Row, place: float = 0.0) -> JobRecord:
    stored = {
        name: None if row[name] is None else _unpack(row[name]) for name in ("progress", "error", "result", "planned")
    }
    return JobRecord(
        **{name: row[name] for name in _PLAIN},
        request_digest=row["body"],
        **{name: row[name] for name in ("created", "started", "ended")},
        state=JobState(row["state"]),
        progress=stored["progress"] or {},
        error=stored["error"],
        result=stored["result"],
        planned=stored["planned"],
        request=_unpack(row["request"]),
        notes=tuple(_unpack(row["notes"])),
        size=len(row["request"]),
        place=place,
    )
