"""The job store: SQLite in WAL mode with full synchronisation, written by one thread.

What arrives while a commit is under way is committed together, so durability costs one disk flush for many jobs. The event loop
reads single rows through a connection of its own, which a writer never blocks; what looks at many rows goes to a second thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import itertools
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from acestep.api.errors import AceError, DiskFull, InternalError, OutputUnwritable
from bridge.core import result_words

log = logging.getLogger(__name__)
T = TypeVar("T")
Write = tuple[Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]"]

DAMAGED = ".damaged-"
"""What a damaged file is called when it is set aside: its name, this, and when."""

CHECKED_AT_START = 32 << 20
"""Bytes up to which a store is read in whole before anything else; a larger one is, once the daemon is up."""

SEARCH_CACHE = 16 << 20
"""Bytes of pages that searches keep: the short rows of a library of a hundred thousand results, and the index of their words."""

MAX_BATCH = 256
"""Writes per commit; bounds how long the first of them waits for the last."""


class JobStore:
    """A database with one writing thread. Every write is an awaitable that returns once it is on disk."""

    def __init__(self, path: Path) -> None:
        """Open the file and bring its tables up to date. Raises `AceError`."""
        self._path = path
        try:
            self.reader = _open(path)
        except sqlite3.Error as failure:
            raise _translate(failure, path) from failure
        self.set_aside = set_aside(path)
        """Damaged stores that stand beside this one."""
        self.damage = ""
        """A sentence once the file is known to be damaged."""
        self._writes: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._searches = ThreadPoolExecutor(1, thread_name_prefix="store-search")
        self._searcher: sqlite3.Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to take writes from the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="store", daemon=True)
        self._thread.start()

    async def look_for_damage(self) -> None:
        """Read the whole file beside everything else, where it was too large for the start; ``damage`` then tells."""
        self.damage = await asyncio.to_thread(find_damage, self._path)

    async def close(self) -> None:
        """Finish the writes that were asked for and close the files."""
        if self._thread is not None:
            self._writes.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        await asyncio.to_thread(self._searches.shutdown, cancel_futures=True)
        if self._searcher is not None:
            self._searcher.close()
        self.reader.close()

    async def search(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query over many rows and return its answer; nothing else waits for it. Raises `AceError`."""
        if self._thread is None:
            raise InternalError("the job store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._searches, self._search, query)

    def _search(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._searcher is None:
                self._searcher = _connect(self._path)
                self._searcher.execute(f"PRAGMA cache_size = -{SEARCH_CACHE >> 10}")
            return query(self._searcher)
        except sqlite3.Error as failure:
            raise _translate(failure, self._path) from failure

    def once(self, query: Callable[..., T], *arguments: Any) -> T:
        """Run a query over a connection of its own, from any thread. Raises `AceError`."""
        try:
            with contextlib.closing(_connect(self._path)) as connection:
                return query(connection, *arguments)
        except sqlite3.Error as failure:
            raise _translate(failure, self._path) from failure

    async def write(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``action`` in a transaction on the store's thread and return its answer after the commit.

        Raises `DiskFull`, `OutputUnwritable` or `InternalError`; nothing of the action is stored then.
        """
        if self._thread is None or self._loop is None:
            raise InternalError("the job store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._writes.put((action, future))
        return await asyncio.shield(future)

    def _serve(self) -> None:
        connection = _connect(self._path)
        open_for_more = True
        while open_for_more:
            batch = [self._writes.get()]
            while not self._writes.empty() and len(batch) < MAX_BATCH:
                batch.append(self._writes.get())
            open_for_more = None not in batch
            self._commit(connection, [write for write in batch if write is not None])
        connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: list[Write]) -> None:
        """All of a batch in one transaction; if that fails, each write in its own, so that one cannot fail another."""
        if not batch:
            return
        try:
            answers = _transact(connection, [action for action, _ in batch])
        except Exception as failure:  # an action of any part of the core; its caller gets the error
            if len(batch) > 1:
                for write in batch:
                    self._commit(connection, [write])
                return
            self._answer(batch[0][1], None, _translate(failure, self._path))
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            self._answer(future, answer, None)

    def _answer(self, future: asyncio.Future[Any], answer: Any, error: AceError | None) -> None:
        def settle() -> None:
            if future.cancelled():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(answer)

        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(settle)
        except RuntimeError:
            log.warning("the event loop ended before a write was answered")


def _open(path: Path) -> sqlite3.Connection:
    """A connection to a whole database, brought up to date; a damaged file is set aside, and a new one made in its place."""
    if not path.exists():
        path.touch(mode=0o600)
    elif os.name == "posix":
        path.chmod(0o600)  # requests and captions are nobody else's business
    connection: sqlite3.Connection | None = None
    try:
        connection = _connect(path)
        suspect = _suspicion(path)
        if path.stat().st_size <= CHECKED_AT_START or suspect.exists():
            _check_whole(connection)
            suspect.unlink(missing_ok=True)
        migrate(connection)
        result_words.prepare(connection)
        connection.execute(
            "SELECT COUNT(*) FROM jobs INDEXED BY jobs_by_state"
        ).fetchone()  # what the start reads anyway
        return connection
    except sqlite3.DatabaseError as failure:
        if connection is not None:
            connection.close()
        if not _is_damage(failure):
            raise
        aside = _set_aside(path)
        log.error(
            "the job store was damaged and was renamed to %s; a new one was begun, and all results are kept", aside
        )
    return _open(path)


def _check_whole(connection: sqlite3.Connection) -> None:
    """Read every page. Raises `sqlite3.DatabaseError` for a damaged file."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _suspicion(path: Path) -> Path:
    """While this file stands beside a store, the next start reads the store in whole."""
    return path.with_name(f"{path.name}.suspect")


def find_damage(path: Path) -> str:
    """Read a large store in whole, in a thread beside a running daemon; a sentence when it is damaged, else nothing.

    The next start sets such a one aside.
    """
    if path.stat().st_size <= CHECKED_AT_START:
        return ""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            _check_whole(connection)
    except sqlite3.DatabaseError as failure:
        if _is_damage(failure):
            _suspicion(path).touch()
            return f"the job store {path} is damaged; restart the daemon, which sets it aside"
        log.warning("the job store could not be checked: %s", failure)
    return ""


def _is_damage(failure: sqlite3.DatabaseError) -> bool:
    code = getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    foreign = code == sqlite3.SQLITE_ERROR  # whole as a file, but its tables are not ours
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or foreign


def _set_aside(path: Path) -> Path:
    """Rename a database and what belongs to it; where to."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = next(
        name
        for count in itertools.count()
        if not (name := path.with_name(f"{path.name}{DAMAGED}{stamp}{f'-{count}' if count else ''}")).exists()
    )
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}{end}", f"{aside}{end}")
    return aside


def set_aside(path: Path) -> list[Path]:
    """The damaged stores that were set aside beside this one, newest first."""
    found = path.parent.glob(f"{path.name}{DAMAGED}*")
    return sorted((one for one in found if not one.name.endswith(("-wal", "-shm"))), reverse=True)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -2048")
    return connection


def _transact(connection: sqlite3.Connection, actions: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        answers = [action(connection) for action in actions]
        connection.execute("COMMIT")
    except BaseException:  # whatever it was, none of it may be half stored
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return answers


def _translate(failure: Exception, path: Path) -> AceError:
    if isinstance(failure, AceError):
        return failure
    code = getattr(failure, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"no space left for the job store {path}")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM):
        return OutputUnwritable(f"the job store {path} cannot be written: {failure}")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        with contextlib.suppress(OSError):
            _suspicion(path).touch()
        return InternalError(f"the job store {path} is damaged; restart the daemon, which sets it aside")
    log.error("a write to the job store failed", exc_info=failure)
    return InternalError(f"the job store failed: {failure}")


def migrations() -> list[tuple[int, str]]:
    """The numbered SQL files in order."""
    folder = importlib.resources.files("bridge.core") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_")[0]), (folder / name).read_text("utf-8")) for name in names]


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the migrations that the file has not seen, each with its number in one transaction.

    Raises `InternalError` for a file that a newer version of the program wrote.
    """
    (present,) = connection.execute("PRAGMA user_version").fetchone()
    known = migrations()
    if present > known[-1][0]:
        raise InternalError(
            f"the job store was written by a newer version (level {present}, this version knows {known[-1][0]}); "
            "install that version, or use another home"
        )
    for number, script in known:
        if number > present:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
