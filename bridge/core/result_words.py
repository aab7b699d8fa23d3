"""Text searches among the results: an index of their trigrams (SQLite's FTS5), where this Python's SQLite has one.

The index is filled beside everything else, newest results first and a batch at a time, so neither a first start with a large
library nor a crash on the way costs anything. Until it is complete, for texts of fewer than three characters, and without FTS5 the
short rows of the table `results` are looked through instead: the answers are the same, they only take longer.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

SHORTEST = 3
"""Characters of the shortest text that trigrams can find."""

BATCH = 500
"""Results that go into the index in one transaction: a write holds up those behind it."""

_TABLE = """
CREATE VIRTUAL TABLE IF NOT EXISTS result_trigrams
USING fts5 (words, note, content = 'results', content_rowid = 'number', tokenize = 'trigram')
"""

_TRIGGERS = {
    "results_indexed": "AFTER INSERT ON results WHEN new.number >= (SELECT since FROM words_indexed) BEGIN "
    "INSERT INTO result_trigrams (rowid, words, note) VALUES (new.number, new.words, new.note); END",
    "results_unindexed": "AFTER DELETE ON results WHEN old.number >= (SELECT since FROM words_indexed) BEGIN "
    "INSERT INTO result_trigrams (result_trigrams, rowid, words, note) "
    "VALUES ('delete', old.number, old.words, old.note); END",
}
"""While these exist, what the index holds is right. A Python without FTS5 could not run them."""


class ResultRows(NamedTuple):
    """Where rows of results are: a FROM clause, the column of their number, a condition, and the condition's values."""

    source: str
    number: str
    where: str
    values: tuple[Any, ...]

    def narrowed(self, where: str, values: tuple[Any, ...]) -> ResultRows:
        """Only those whose row in `results` meets a further condition."""
        source = self.source
        if source == "result_trigrams":
            source = "result_trigrams CROSS JOIN results ON results.number = result_trigrams.rowid"
        return ResultRows(source, self.number, f"{self.where} AND {where}", (*self.values, *values))


ALL = ResultRows("results", "results.number", "true", ())


def has_trigrams(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite can index trigrams."""
    modules = connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone()
    return modules is not None and sqlite3.sqlite_version_info >= (3, 34, 0)


def prepare(connection: sqlite3.Connection) -> None:
    """Set the index up, empty, where there is none that is right; switch it off where this SQLite cannot keep it."""
    names = ", ".join(map(repr, _TRIGGERS))
    count = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND name IN"
    (kept,) = connection.execute(f"{count} ({names})").fetchone()
    able = has_trigrams(connection)
    if able == bool(kept):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _begin(connection) if able else _switch_off(connection)
        connection.execute("COMMIT")
    except BaseException:  # half an index would give wrong answers
        connection.execute("ROLLBACK")
        raise


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute(_TABLE)
    connection.execute("INSERT INTO result_trigrams (result_trigrams) VALUES ('delete-all')")
    connection.execute("DELETE FROM words_indexed")
    newest = "SELECT seq + 1 FROM sqlite_sequence WHERE name = 'jobs'"
    connection.execute(f"INSERT INTO words_indexed VALUES (COALESCE(({newest}), 0))")
    for name, body in _TRIGGERS.items():
        connection.execute(f"CREATE TRIGGER {name} {body}")


def _switch_off(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM words_indexed")
    for name in _TRIGGERS:
        connection.execute(f"DROP TRIGGER {name}")


def index_more(connection: sqlite3.Connection) -> bool:
    """Put the next older batch of results into the index; False when all are in it, or there is none."""
    row = connection.execute("SELECT since FROM words_indexed").fetchone()
    if row is None or row[0] <= 0:
        return False
    batch = "SELECT number FROM results WHERE number < ? ORDER BY number DESC LIMIT 1 OFFSET ?"
    oldest = connection.execute(batch, (row[0], BATCH - 1)).fetchone()
    since = 0 if oldest is None else oldest[0]
    connection.execute(
        "INSERT INTO result_trigrams (rowid, words, note) SELECT number, words, note FROM results "
        "WHERE number >= ? AND number < ?",
        (since, row[0]),
    )
    connection.execute("UPDATE words_indexed SET since = ?", (since,))
    return True


def _is_complete(connection: sqlite3.Connection) -> bool:
    row = connection.execute("SELECT since FROM words_indexed").fetchone()
    return row is not None and row[0] <= 0


def find(connection: sqlite3.Connection, text: str, *, notes: bool) -> ResultRows:
    """Results with a text in id, operation or caption (and, where asked for, in their note), in any case of letters."""
    columns = ("words", "note") if notes else ("words",)
    if len(text) >= SHORTEST and "\0" not in text and _is_complete(connection):
        phrase = '"' + text.replace('"', '""') + '"'
        question = f"{{{' '.join(columns)}}} : {phrase}"
        return ResultRows("result_trigrams", "result_trigrams.rowid", "result_trigrams MATCH ?", (question,))
    return ALL.narrowed(*contains(columns, text))


def contains(columns: tuple[str, ...], text: str) -> tuple[str, tuple[str, ...]]:
    """A condition that one of the columns contains a text, with its values.

    LIKE takes only the capital and small letters of ASCII for the same, so a text with others is looked for in each of its ways.
    """
    spellings = [text] if text.isascii() else list(dict.fromkeys((text, text.lower(), text.upper(), text.title())))
    patterns = ["%" + one.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" for one in spellings]
    conditions = [f"{column} LIKE ? ESCAPE '\\'" for column in columns for _ in patterns]
    return f"({' OR '.join(conditions)})", tuple(patterns * len(columns))
