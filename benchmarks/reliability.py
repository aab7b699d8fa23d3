"""What the daemon survives, counted and timed: kills, cancels, a full disk, hours of work. The fake backend does the jobs.

    python -m benchmarks.reliability daemon --count 200
    python -m benchmarks.reliability worker --count 100
    python -m benchmarks.reliability cancel --count 50
    python -m benchmarks.reliability disk
    python -m benchmarks.reliability soak --minutes 60
    python -m benchmarks.reliability strangers --seconds 3
    python -m benchmarks.reliability all

Every rule is asserted while it runs, so a run that reaches its table has found no breach. docs/reliability.md keeps the tables.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from acestep.api.errors import AceError
from benchmarks import strangers
from bridge.client import Client
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

ENDS = ("done", "failed", "cancelled", "interrupted")


def job(script: str, **more: Any) -> dict[str, Any]:
    """A request for the fake backend."""
    return {"caption": f"fake: {script}", "length": 480, "seed": 1, **more}


def start(home: Path, **settings: Any) -> DaemonProcess:
    """A daemon on free ports with the fake backend."""
    return start_daemon({**FREE_PORTS, "home": home, "backend": "fake", **settings}, timeout=60.0)


def row(what: str, value: str) -> None:
    """One line of the table."""
    print(f"| {what} | {value} |", flush=True)


def spread(times: Sequence[float], unit: float = 1000.0, name: str = "ms") -> str:
    """Median, 99th percentile and maximum of times in seconds."""
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return (
        f"median {statistics.median(ordered) * unit:.1f} {name}, p99 {p99 * unit:.1f} {name}, "
        f"most {ordered[-1] * unit:.1f} {name} (n = {len(ordered)})"
    )


def check_home(home: Path, accepted: Sequence[str], *, ended: bool) -> None:
    """The rules of a home after a kill: sound store, no accepted job lost, none with two ends, no half file."""
    connection = sqlite3.connect(home / "jobs.sqlite3")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the store is damaged"
    states = dict(connection.execute("SELECT id, state FROM jobs").fetchall())
    marks = ", ".join("?" * len(ENDS))
    ends = dict(
        connection.execute(
            "SELECT jobs.id, COUNT(*) FROM events JOIN jobs ON jobs.number = events.job "
            f"WHERE kind IN ({marks}) GROUP BY jobs.id",
            ENDS,
        ).fetchall()
    )
    connection.close()
    lost = set(accepted) - set(states)
    assert not lost, f"accepted jobs are gone: {sorted(lost)[:5]}"
    assert set(ends.values()) <= {1}, "a job ended twice"
    for folder in (home / "library").iterdir():
        record = json.loads((folder / "result.json").read_text("utf-8"))
        for entry in record["result"]["files"]:
            found = hashlib.sha256((folder / entry["name"]).read_bytes()).hexdigest()
            assert found == entry["sha256"], f"{folder.name} holds half a file"
    if ended:
        done = sorted(name for name, state in states.items() if state == "done")
        assert sorted(folder.name for folder in (home / "library").iterdir()) == done, "results and store differ"


def kill_daemon(count: int) -> None:
    """kill -9 at random moments while jobs are submitted and run, always the same home."""
    rng = random.Random(4)
    accepted: list[str] = []
    restarts, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        for number in range(count):
            begun = time.perf_counter()
            daemon = start(home, worker_start="serve")
            restarts.append(time.perf_counter() - begun)
            if number % 10 == 0:
                begun = time.perf_counter()
                subprocess.run([sys.executable, "-c", "import asyncio"], check=True)
                bare.append(time.perf_counter() - begun)
            killer = threading.Timer(rng.uniform(0.0, 0.6), daemon.process.kill)
            killer.start()
            with Client(home=str(home), timeout=5.0) as client:
                _submit_until_it_dies(client, f"k{number}", accepted)
            killer.join()
            daemon.process.wait()
            check_home(home, accepted, ended=False)
        with start(home) as daemon, Client(home=str(home), timeout=60.0) as client:
            states = [client.wait(name)["state"] for name in accepted]
            daemon.stop()
        assert set(states) <= {"done", "interrupted"}
        check_home(home, accepted, ended=True)
    row(f"kill -9 of the daemon, {count} times", f"{len(accepted)} accepted jobs: {_count(states)}; 0 lost, 0 twice")
    row("start to ready after a kill", spread(restarts, 1.0, "s"))
    row("yardstick: an interpreter that imports asyncio, at the same time", spread(bare, 1.0, "s"))


def _submit_until_it_dies(client: Client, prefix: str, accepted: list[str]) -> None:
    for number in range(8):
        try:
            name = f"{prefix}-{number}"
            client.submit("generate", job("steps=2 delay=0.005"), id=name)
            accepted.append(name)
        except AceError:
            return
        time.sleep(0.02)


def _count(states: Sequence[str]) -> str:
    return ", ".join(f"{states.count(state)} {state}" for state in ENDS if state in states)


def kill_worker(count: int) -> None:
    """kill -9 of the worker in the middle of jobs; a good job after each, so that the breaker stays closed."""
    ends = []
    back = []
    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "home") as daemon:
        with Client(home=str(daemon.paths.home), timeout=60.0) as client:
            client.wait(client.submit("generate", job("steps=1"), id="warm"))
            process = psutil.Process(daemon.process.pid)
            before = process.num_fds()
            for number in range(count):
                name = client.submit("generate", job("steps=500 delay=0.01", length=number + 1), id=f"bad{number}")
                next(event for event in client.events(name) if event["kind"] == "progress")
                psutil.Process(client.status()["worker"]["pid"]).kill()
                ends.append(client.wait(name)["error"]["code"])
                begun = time.perf_counter()
                good = client.wait(client.submit("generate", job("steps=1"), id=f"good{number}"))
                back.append(time.perf_counter() - begun)
                assert good["state"] == "done"
            after = process.num_fds()
        assert daemon.process.poll() is None
    assert set(ends) == {"worker_died"} and after <= before, (ends, before, after)
    row(f"kill -9 of the worker, {count} times", f"{count} worker_died, {count} good jobs after; descriptors +0")
    row("next job done after a death (pause of 1 s included)", spread(back, 1.0, "s"))


def cancel(count: int) -> None:
    """How long a cancel takes: a waiting job, a running one between units of 50 ms, one that hangs."""
    waiting, running = [], []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with start(home), Client(home=str(home), timeout=60.0) as client:
            client.submit("generate", job("steps=100000 delay=0.05"), id="busy")
            next(event for event in client.events("busy") if event["kind"] == "progress")
            for number in range(count):
                client.submit("generate", job("steps=1"), id=f"q{number}")
                waiting.append(_time_of_end(client, f"q{number}"))
            client.cancel("busy")
            client.wait("busy")
            for number in range(count):
                name = client.submit("generate", job("steps=1000 delay=0.05"), id=f"r{number}")
                next(event for event in client.events(name) if event["kind"] == "progress")
                running.append(_time_of_end(client, name))
            client.submit("generate", job("steps=3 hang_at=1"), id="stuck")
            next(event for event in client.events("stuck") if event["kind"] == "progress")
            stuck = _time_of_end(client, "stuck")
            begun = time.perf_counter()
            assert client.wait(client.submit("generate", job("steps=1"), id="next"))["state"] == "done"
            next_done = time.perf_counter() - begun
    row("cancel of a waiting job", spread(waiting))
    row("cancel of a running job, units of 50 ms", spread(running))
    row("cancel of a job that hangs (limit 10 s), then the next job", f"{stuck:.2f} s, {next_done:.2f} s")


def _time_of_end(client: Client, name: str) -> float:
    begun = time.perf_counter()
    client.cancel(name)
    assert client.wait(name)["state"] == "cancelled"
    return time.perf_counter() - begun


def full_disk(_: int) -> None:
    """A library on a small file system that fills up (root only, Linux): named errors, the rest goes on, nothing half-written."""
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder) / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True)
        if mounted.returncode:
            row("full disk", "skipped: mounting a small file system needs root")
            return
        try:
            outcome = _fill(Path(folder) / "home", disk / "library")
        finally:
            subprocess.run(["umount", disk], check=True)
    row("library on a disk of 4 MiB, 20 jobs of 0.6 MiB", outcome)


def _fill(home: Path, library: Path) -> str:
    with start(home, library=library, free_bytes=0) as daemon, Client(home=str(home), timeout=60.0) as client:
        codes = []
        for number in range(20):
            view = client.wait(client.submit("generate", job("steps=1", length=100_000), id=f"j{number}"))
            codes.append("done" if view["state"] == "done" else view["error"]["code"])
        assert set(codes) == {"done", "disk_full"}, codes
        assert client.status()["state"] == "ok"
        done = {f"j{number}" for number, code in enumerate(codes) if code == "done"}
        assert {path.name for path in library.iterdir()} == done
        for path in sorted(library.iterdir())[:2]:
            subprocess.run(["rm", "-r", path], check=True)
        assert client.wait(client.submit("generate", job("steps=1", length=100_000), id="after"))["state"] == "done"
        daemon.stop()
    return f"{codes.count('done')} done, {codes.count('disk_full')} disk_full, done again once there is space"


def soak(minutes: float) -> None:
    """One job a second from eight clients that come and go; memory, descriptors and threads of the daemon over time."""
    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "home", history_jobs=500) as daemon:
        process = psutil.Process(daemon.process.pid)
        home = str(daemon.paths.home)
        samples: list[tuple[float, int, int, int]] = []
        stop = time.monotonic() + minutes * 60
        counts = {"jobs": 0, "ended": 0}
        lock = threading.Lock()
        threads = [threading.Thread(target=_visitor, args=(home, number, stop, counts, lock)) for number in range(8)]
        for thread in threads:
            thread.start()
        while time.monotonic() < stop:
            time.sleep(2.0)
            facts = process.memory_info().rss, process.num_fds(), process.num_threads()
            samples.append((time.monotonic(), *facts))
        for thread in threads:
            thread.join()
    settled = samples[len(samples) // 3 :]
    slope = _slope([entry[0] for entry in settled], [entry[1] for entry in settled]) * 3600 / 2**20
    fds, alive = ([entry[index] for entry in settled] for index in (2, 3))
    assert counts["jobs"] == counts["ended"], counts
    row(f"soak of {minutes:g} min, 8 clients", f"{counts['jobs']} jobs, {counts['ended']} ends")
    row("memory after warm-up", f"{settled[-1][1] / 2**20:.1f} MiB, slope {slope:+.2f} MiB/h")
    row("descriptors, threads after warm-up", f"{min(fds)} to {max(fds)}, {min(alive)} to {max(alive)}")


def _visitor(home: str, number: int, stop: float, counts: dict[str, int], lock: threading.Lock) -> None:
    """Connects, runs a few jobs one every eight seconds, leaves, and comes again."""
    rng = random.Random(number)
    time.sleep(number)
    visit = 0
    while time.monotonic() < stop:
        visit += 1
        with Client(home=home, timeout=60.0, name=f"visitor-{number}") as client:
            for turn in range(rng.randint(1, 4)):
                begun = time.monotonic()
                name = client.submit("generate", job("steps=4 delay=0.02"), id=f"s{number}-{visit}-{turn}")
                ended = client.wait(name)["state"] in ENDS
                with lock:
                    counts["jobs"] += 1
                    counts["ended"] += ended
                time.sleep(max(0.0, 8.0 - (time.monotonic() - begun)))
                if time.monotonic() > stop:
                    break


def _slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Least-squares slope, units of the values per second."""
    return statistics.linear_regression(times, values).slope


SECTIONS: dict[str, tuple[Callable[[Any], None], str, float]] = {
    "daemon": (kill_daemon, "count", 200),
    "worker": (kill_worker, "count", 100),
    "cancel": (cancel, "count", 50),
    "disk": (full_disk, "count", 1),
    "soak": (soak, "minutes", 60),
    "strangers": (lambda seconds: strangers.run([], seconds), "seconds", 3),
}


def main() -> None:
    """Run one section or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", choices=[*SECTIONS, "all"])
    parser.add_argument("--count", type=int, help="kills or cancels")
    parser.add_argument("--seconds", type=float, help="length of each attack of strangers")
    parser.add_argument("--minutes", type=float, help="length of the soak")
    arguments = parser.parse_args()
    print("| what | result |\n| --- | --- |", flush=True)
    for name, (run, option, usual) in SECTIONS.items():
        if arguments.section in (name, "all"):
            given = getattr(arguments, option)
            run(usual if given is None else given)


if __name__ == "__main__":
    main()
