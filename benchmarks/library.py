"""A library at size beside a small one, measured in one run: start, status, lists, pages, searches and submits.

    python -m benchmarks.library [--results 100000] [--waiting 10000] [--runs 5]

Rows are written into the job store directly, with requests and results as long as real ones; folders of results lie on the disk
without sound in them. The queue is paused and the fake backend idle, so nothing but the daemon's own work is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bridge.core.history import HistoryQuery
from bridge.core.interface import JobState, Submission
from bridge.core.job_store import migrations
from bridge.core.service import Service
from bridge.paths import Paths
from bridge.settings import Settings

SMALL = (1_000, 100)
"""Results and waiting jobs of a library as people have it after a few weeks."""

WORDS = ("warm lofi house", "half-time drums", "string quartet", "acid bass line", "choir in a hall", "solo piano")

PAGE = 50

OLD_LEVEL = 4
"""Migrations that the store has seen when the first start is measured."""


def request_of(number: int) -> dict[str, Any]:
    """A canonical request of common length."""
    lyrics = "\n".join(f"line {line} of the song number {number}, sung over the chords" for line in range(12))
    said = {"caption": caption_of(number), "lyrics": lyrics, "bpm": 92.0, "duration": 30.0}
    return {
        "stages": [
            {
                "type": "generate",
                "model": "nano",
                "steps": 8,
                "seed": number,
                "timesteps": [1 - n / 8 for n in range(8)],
            }
        ],
        "conditioning": said,
        "output": {"rate": 48_000, "channels": 2, "length": 1_440_000, "format": "wav"},
    }


def caption_of(number: int) -> str:
    """A caption, each a little different."""
    return f"{WORDS[number % len(WORDS)]}, take {number}"


def rows(results: int, waiting: int) -> Iterator[tuple[Any, ...]]:
    """Rows of the table of jobs: results first, then what waits."""
    pack = msgspec.msgpack.encode
    for number in range(1, results + waiting + 1):
        request = request_of(number)
        done = number <= results
        file = {"name": "generate-part.wav", "role": "part", "copy_of": "", "length": 1_440_000, "rate": 48_000}
        result = {
            "folder": f"job-{number}",
            "files": [file],
            "recipe": request,
            "seconds": 4.0,
            "stages": [{"model": "nano"}],
        }
        yield (
            *(number, f"job-{number}", "d", f"rpc:127.0.0.1:{number % 7}", "generate", caption_of(number), 0),
            *("done" if done else "queued", 0, 0, float(number), float(number) if done else None),
            *(pack(request), pack(result) if done else None, pack([]), int(done)),
        )


def fill(paths: Paths, results: int, waiting: int) -> None:
    """A store as the version before the short rows of results left it, and a library of that size."""
    with sqlite3.connect(paths.database) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for number, script in migrations()[:OLD_LEVEL]:
            connection.executescript(f"{script}\nPRAGMA user_version = {number};")
        connection.executemany(
            "INSERT INTO jobs (number, id, body, client, operation, caption, priority, state, seq, position, created, ended, "
            f"request, result, notes, files) VALUES ({', '.join('?' * 16)})",
            rows(results, waiting),
        )
        connection.execute(
            "INSERT INTO events SELECT number, 0, 'accepted', created, x'81A8706F736974696F6E00' FROM jobs"
        )
    connection.close()
    paths.library.mkdir(parents=True, exist_ok=True)
    for number in range(1, results + 1):
        (paths.library / f"job-{number}").mkdir()
        (paths.library / f"job-{number}" / "result.json").write_text("{}")


class Time(NamedTuple):
    """Milliseconds by the clock, and of processor time: what a crowded machine does not falsify."""

    clock: float
    processor: float


class Timer:
    """Measures from its making on."""

    def __init__(self) -> None:
        self._begun = time.perf_counter(), time.process_time()

    def read(self) -> Time:
        """What has passed since."""
        return Time((time.perf_counter() - self._begun[0]) * 1000, (time.process_time() - self._begun[1]) * 1000)


async def median(runs: int, call: Callable[[], Awaitable[Any]]) -> Time:
    """How long a call takes, the middle of several."""
    times = []
    for _ in range(runs):
        timer = Timer()
        await call()
        times.append(timer.read())
    return Time(*map(statistics.median, zip(*times, strict=True)))


async def measure(results: int, waiting: int, runs: int) -> dict[str, Time]:
    """What is asked, and how long it takes."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(
            home=home,
            backend="fake",
            worker_start="lazy",
            queue_length=1_000_000,
            jobs_per_client=1_000_000,
            bytes_per_client=1 << 40,
            history_jobs=10_000_000,
        )
        paths = Paths.of(settings)
        paths.create()
        fill(paths, results, waiting)
        timer = Timer()
        service = Service(settings, paths)
        found = {"first start with an older library": timer.read()}
        timer = Timer()
        await service.pause()
        await service.start()
        found["start of the core"] = timer.read()
        timer = Timer()
        await service.history.index_words()
        found["words of all results into their index, once, in the background"] = timer.read()
        await service.housekeeping.tidy()  # when it returns, the daemon's own first round is over as well, or nearly
        await asyncio.sleep(3.0)
        found |= await ask(service, results, runs)
        await service.stop()
    return found


async def ask(service: Service, results: int, runs: int) -> dict[str, Time]:
    """What clients ask most."""

    async def status() -> None:
        service.status()

    async def submit() -> None:
        await service.submit(Submission(operation="generate", params={"caption": "x", "length": 480, "seed": 1}), "me")

    def history(**asked: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: service.history.rows(HistoryQuery(limit=PAGE, **asked))

    return {
        "status": await median(runs, status),
        "submit": await median(runs, submit),
        "first page of results": await median(runs, history()),
        "page in the middle": await median(runs, history(before=f"job-{results // 2}")),
        "results with a word": await median(runs, history(search="quartet")),
        "results with a word that all have": await median(runs, history(search="take")),
        "results with two letters that none has": await median(runs, history(search="zq")),
        "results with a word that none has": await median(runs, history(search="zither")),
        "jobs, newest 100": await median(runs, lambda: service.jobs(limit=100)),
        "jobs that wait, 1,000 of them": await median(
            runs, lambda: service.jobs(states=frozenset({JobState.QUEUED, JobState.RUNNING}), limit=1000)
        ),
        "jobs with a word that none has": await median(runs, lambda: service.jobs(search="zither", limit=100)),
        "a round of tidying (beside everything else)": await median(1, service.housekeeping.tidy),
    }


def main() -> None:
    """Print the table: small beside large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=int, default=100_000)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    small = asyncio.run(measure(*SMALL, options.runs))
    large = asyncio.run(measure(options.results, options.waiting, options.runs))
    heads = [f"{SMALL[0]:,} results, {SMALL[1]:,} waiting", f"{options.results:,} results, {options.waiting:,} waiting"]
    print(f"| milliseconds by the clock (of processor) | {' | '.join(heads)} |\n| --- | --- | --- |")
    for what, figure in small.items():
        cells = [f"{time.clock:.1f} ({time.processor:.1f})" for time in (figure, large[what])]
        print(f"| {what} | {' | '.join(cells)} |")
    if options.json:
        found = {"small": small, "large": large}
        options.json.write_text(
            json.dumps({size: {k: v._asdict() for k, v in rows.items()} for size, rows in found.items()}, indent=1)
        )


if __name__ == "__main__":
    main()
