"""What the doors bear, measured against a real daemon with the fake backend; the figures stand in docs/reliability.md.

    python -m benchmarks.doors [--scale 1.0]

``--scale 0.1`` does a tenth of everything. Counts are exact; times belong to the machine, so a yardstick of the same run (an echo
over the same kind of socket) stands beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from acestep.api.errors import ProtocolError
from bridge.client import AsyncClient, Client
from bridge.client.osc import OscClient
from bridge.doors.osc.codec import decode
from bridge.doors.rpc import codec as rpc_codec
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon
from bridge.testing import hostile as hostile_packets
from bridge.testing.lossy import LossyProxy
from bridge.testing.retries import submit_all

QUICK = {"caption": "fake: steps=1", "duration": 0.1}
BUSY = {"caption": "fake: steps=100000 delay=0.002", "duration": 1.0}
WIDE = {"queue_length": 100_000, "jobs_per_client": 100_000, "bytes_per_client": 1 << 30, "log_level": "warning"}
"""Bounds out of the way: what is measured is the doors."""

OSC_RATE = 500
PIPELINE = 32


def percentile(times: Sequence[float], share: float) -> float:
    """The time that this share of all is not above."""
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


def milliseconds(times: Sequence[float]) -> str:
    """Median, p99 and worst."""
    parts = (statistics.median(times), percentile(times, 0.99), max(times))
    return " / ".join(f"{part * 1000:.2f}" for part in parts) + " ms"


def row(what: str, found: str, wanted: str) -> None:
    """One line of the table."""
    print(f"| {what} | {found} | {wanted} |", flush=True)


@contextlib.contextmanager
def house() -> Iterator[DaemonProcess]:
    """A daemon of its own."""
    with tempfile.TemporaryDirectory() as home:
        daemon = start_daemon({**FREE_PORTS, **WIDE, "home": home, "backend": "fake"})
        try:
            yield daemon
        finally:
            daemon.stop()


def echo_round_trip(count: int) -> list[float]:
    """Yardstick: UDP round trips to a thread that only echoes."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())

        def echo() -> None:
            for _ in range(count):
                data, sender = server.recvfrom(2048)
                server.sendto(data, sender)

        threading.Thread(target=echo, daemon=True).start()
        return timed(lambda: (client.send(b"x" * 64), client.recv(2048)), count)


def stored_row(count: int) -> list[float]:
    """Yardstick: one row in a SQLite file of its own, committed as durably as a job is before it is accepted."""
    with tempfile.TemporaryDirectory() as folder:
        store = sqlite3.connect(Path(folder, "yardstick.sqlite"), isolation_level=None)
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("PRAGMA synchronous=FULL")
        store.execute("CREATE TABLE rows (body TEXT)")
        times = timed(lambda: store.execute("INSERT INTO rows VALUES ('x')"), count)
        store.close()
    return times


def timed(action: Callable[[], Any], count: int) -> list[float]:
    """How long each of many calls takes."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return times


def codecs(daemon: DaemonProcess, scale: float) -> None:
    """Processor time of the codecs for damaged messages; the worst one counts."""
    chance = random.Random(1)
    for what, make, read in (
        ("OSC", hostile_packets.datagram, decode),
        (
            "MessagePack",
            lambda chance: hostile_packets.mutate(chance.choice(hostile_packets.RPC_SEEDS), chance),
            _split,
        ),
    ):
        times = []
        for _ in range(max(1000, int(100_000 * scale))):
            data = make(chance)
            begun = time.thread_time()
            with contextlib.suppress(ProtocolError):
                read(data)
            times.append(time.thread_time() - begun)
        row(f"{len(times)} mutated {what} messages, processor time", milliseconds(times), "each <= 5 ms")


def _split(data: bytes) -> None:
    for body in rpc_codec.Splitter().feed(data):
        rpc_codec.decode(body)


def osc_in(daemon: DaemonProcess, scale: float) -> None:
    """OSC messages at a steady rate, and as fast as they can be sent."""
    port = daemon.connection["osc"]["udp"]
    count = max(100, int(5_000 * scale))
    for what, pause in ((f"OSC messages in at {OSC_RATE}/s", 1 / OSC_RATE), ("OSC messages in a burst", 0.0)):
        with OscClient("127.0.0.1", port) as osc:
            heard: set[Any] = set()
            reader = threading.Thread(target=_collect, args=(osc, heard, count))
            begun, used = time.perf_counter(), processor_seconds(daemon)
            reader.start()
            for number in range(count):
                osc.send("/ace/ping", number)
                if pause:
                    time.sleep(max(0.0, begun + (number + 1) * pause - time.perf_counter()))
                elif number - len(heard) > 500:  # what a receive buffer of this machine's default size surely holds
                    time.sleep(0.001)
            reader.join()
            seconds, used = time.perf_counter() - begun, processor_seconds(daemon) - used
        found = f"{len(heard)} of {count} answered, {count / seconds:.0f}/s; {per_core(used, count)}"
        row(what, found, "none lost")


def processor_seconds(daemon: DaemonProcess) -> float:
    """Processor time that the daemon has used: a figure that other programs on the machine do not change."""
    times = psutil.Process(daemon.connection["pid"]).cpu_times()
    return times.user + times.system


def per_core(used: float, count: int) -> str:
    """Processor time a call, and how many a second that would be on one core."""
    return f"daemon {used / count * 1e6:.0f} µs each, {count / used:.0f}/s a core"


def _collect(osc: OscClient, heard: set[Any], count: int) -> None:
    while len(heard) < count and (message := osc.receive(5.0)) is not None:
        heard.add(message.arguments[0])


def status_calls(daemon: DaemonProcess, scale: float) -> None:
    """Status over RPC, one connection, some requests under way at a time."""
    count = max(200, int(20_000 * scale))

    async def ask() -> float:
        async with AsyncClient(str(daemon.paths.home)) as client:
            await client.status()
            begun = time.perf_counter()

            async def worker() -> None:
                for _ in range(count // PIPELINE):
                    await client.status()

            await asyncio.gather(*(worker() for _ in range(PIPELINE)))
            return (count // PIPELINE * PIPELINE) / (time.perf_counter() - begun)

    used = processor_seconds(daemon)
    rate = asyncio.run(ask())
    used = processor_seconds(daemon) - used
    row("status calls over RPC", f"{rate:.0f}/s, client on the same cores; {per_core(used, count)}", "2,000/s a core")


def acknowledgement(daemon: DaemonProcess, scale: float) -> None:
    """Accepted answers and status while the worker is busy."""
    count = max(50, int(1_000 * scale))
    echo, stored = echo_round_trip(count), stored_row(count)
    with Client(str(daemon.paths.home)) as client, OscClient("127.0.0.1", daemon.connection["osc"]["udp"]) as osc:
        busy = client.submit("generate", BUSY)
        while client.call("job.status", {"id": busy})["state"] != "running":
            time.sleep(0.01)
        accepted = timed(lambda: osc.submit("generate", QUICK), count)
        status = timed(client.status, count)
        cancel_times = []
        for job in client.jobs(states=["queued"], limit=100):
            begun = time.perf_counter()
            client.cancel(job["id"])
            cancel_times.append(time.perf_counter() - begun)
        client.call("queue.clear")
        client.cancel(busy)
        client.wait(busy)
    row("yardstick: UDP echo (median / p99 / worst)", milliseconds(echo), "")
    row("yardstick: one durable row in SQLite", milliseconds(stored), "")
    row("accepted over OSC, worker busy", milliseconds(accepted), "p99 < 20 ms")
    row("status over RPC, worker busy", milliseconds(status), "p99 < 50 ms")
    row("cancel of a queued job", milliseconds(cancel_times), "< 100 ms")


def rest(daemon: DaemonProcess, scale: float) -> None:
    """The same acknowledgement through ACE-Step's REST interface, beside OSC and RPC, and how many a second each takes."""
    count = max(50, int(1_000 * scale))
    task = {"prompt": QUICK["caption"], "audio_duration": QUICK["duration"], "batch_size": 1, "audio_format": "wav"}
    address = daemon.connection["http"]
    with (
        Client(str(daemon.paths.home)) as client,
        OscClient("127.0.0.1", daemon.connection["osc"]["udp"]) as osc,
        httpx.Client(base_url=f"http://127.0.0.1:{address['port']}", trust_env=False, timeout=60) as http,
    ):
        client.call("queue.pause")
        ways: dict[str, Callable[[], Any]] = {
            "OSC": lambda: osc.submit("generate", QUICK),
            "RPC": lambda: client.submit("generate", QUICK),
            "REST": lambda: http.post("/release_task", json=task).raise_for_status(),
        }
        for name, submit in ways.items():
            used = processor_seconds(daemon)
            times = timed(submit, count)
            used = processor_seconds(daemon) - used
            found = f"{milliseconds(times)}, {count / sum(times):.0f}/s one after the other; {per_core(used, count)}"
            row(f"accepted over {name}, queue paused", found, "p99 < 20 ms" if name != "REST" else "p99 < 50 ms")
        polled = timed(lambda: http.post("/query_result", json={"task_id_list": ["nobody"]}).raise_for_status(), count)
        row("query_result over REST", milliseconds(polled), "p99 < 50 ms")


def hostile_http(daemon: DaemonProcess, scale: float) -> None:
    """Bad HTTP requests while others ask for the status."""
    count = max(500, int(20_000 * scale))
    process = psutil.Process(daemon.connection["pid"])
    port = str(daemon.connection["http"]["port"])
    status: list[float] = []
    with Client(str(daemon.paths.home)) as client:
        client.call("queue.pause")
        before, begun = process.memory_info().rss, time.perf_counter()
        enemy = subprocess.Popen(
            [sys.executable, "-m", "bridge.testing.hostile_http", port, str(count)], stdout=subprocess.PIPE
        )
        while enemy.poll() is None:
            status += timed(client.status, 5)
            time.sleep(0.05)
        seconds = time.perf_counter() - begun
    assert enemy.stdout is not None
    seen = json.loads(enemy.stdout.read())
    faults = sum(number for code, number in seen.items() if code in ("500", "502", "504"))
    tracebacks = daemon.output.read_text().count("Traceback")
    row(f"{count} hostile HTTP requests", f"{faults} of 500, {tracebacks} tracebacks, {count / seconds:.0f}/s", "none")
    row("status over RPC meanwhile", milliseconds(status), "p99 < 50 ms")
    row("memory growth", f"{(process.memory_info().rss - before) / 2**20:.1f} MiB", "< 50 MiB")


def json_lines(daemon: DaemonProcess, scale: float) -> None:
    """Status calls and accepted answers as JSON lines over the local socket, for comparison with MessagePack-RPC and OSC."""
    count = max(200, int(20_000 * scale))
    with socket.socket(socket.AF_UNIX) as sock, Client(str(daemon.paths.home)) as client:
        sock.connect(daemon.connection["jsonrpc"]["socket"])
        answers = sock.makefile("rb")

        def send(method: str, params: dict[str, Any], times: int = 1) -> None:
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            sock.sendall((json.dumps(request).encode() + b"\n") * times)

        def ask(method: str, params: dict[str, Any]) -> None:
            send(method, params)
            answers.readline()

        ask("hello", {"events": False})
        used, begun = processor_seconds(daemon), time.perf_counter()
        for _ in range(count // PIPELINE):
            send("status", {}, PIPELINE)
            for _ in range(PIPELINE):
                answers.readline()
        rate, used = count / (time.perf_counter() - begun), processor_seconds(daemon) - used
        busy = client.submit("generate", BUSY)
        accepted = timed(lambda: ask("op.generate", QUICK), max(50, int(1_000 * scale)))
        status = timed(lambda: ask("status", {}), max(50, int(1_000 * scale)))
        client.call("queue.clear")
        client.cancel(busy)
    row("status calls as JSON lines", f"{rate:.0f}/s; {per_core(used, count)}", "2,000/s a core")
    row("accepted as JSON lines, worker busy", milliseconds(accepted), "p99 < 20 ms")
    row("status as JSON lines, worker busy", milliseconds(status), "p99 < 50 ms")


def hostile(daemon: DaemonProcess, scale: float) -> None:
    """Bad packets and frames while good jobs run."""
    doors, count = daemon.connection, max(1000, int(100_000 * scale))
    ports = [str(port) for port in (doors["osc"]["udp"], doors["osc"]["tcp"], doors["rpc"]["port"])]
    _under_attack(daemon, ["bridge.testing.hostile", *ports, str(count)], f"{count} hostile packets and frames", scale)


def hostile_json(daemon: DaemonProcess, scale: float) -> None:
    """Bad JSON-RPC messages as lines and over WebSocket while good jobs run."""
    count = max(1000, int(20_000 * scale))
    line = ["bridge.testing.hostile_jsonrpc", str(daemon.paths.home), str(count)]
    _under_attack(daemon, line, f"{count} hostile JSON-RPC messages", scale)


def _under_attack(daemon: DaemonProcess, enemy_line: list[str], what: str, scale: float) -> None:
    """Rows about good jobs, status and memory while a module of this name attacks."""
    jobs = max(5, int(50 * scale))
    process = psutil.Process(daemon.connection["pid"])
    before = process.memory_info().rss
    begun = time.perf_counter()
    enemy = subprocess.Popen([sys.executable, "-m", *enemy_line])
    states: collections.Counter[str] = collections.Counter()
    status: list[float] = []
    with Client(str(daemon.paths.home)) as client:
        while enemy.poll() is None or states.total() < jobs:
            status += timed(client.status, 5)
            if states.total() < jobs:
                states[client.wait(client.submit("generate", QUICK))["state"]] += 1
        seconds = time.perf_counter() - begun
        status += timed(client.status, 5)
    grown = (process.memory_info().rss - before) / 2**20
    row(what, f"{dict(states)} of {jobs} good jobs, {int(enemy_line[-1]) / seconds:.0f}/s", "all done")
    row("status meanwhile", milliseconds(status), "p99 < 50 ms")
    row("memory growth", f"{grown:.1f} MiB", "< 20 MiB")
    assert "Traceback" not in daemon.output.read_text(), "an attack came to a traceback"


def loss(daemon: DaemonProcess, scale: float) -> None:
    """Submits through a network that loses 20 %, doubles 10 % and reorders 10 %, in both directions."""
    names = [f"loss-{number}" for number in range(max(50, int(1_000 * scale)))]
    target = ("127.0.0.1", daemon.connection["osc"]["udp"])
    begun = time.perf_counter()
    with LossyProxy(target) as proxy, OscClient("127.0.0.1", proxy.port) as osc:
        answered = submit_all(osc, "generate", names, QUICK)
        lost = proxy.lost
    seconds = time.perf_counter() - begun
    with Client(str(daemon.paths.home)) as client:
        states = collections.Counter(client.wait(name)["state"] for name in names)
        made = sum(job["id"].startswith("loss-") for job in _all_jobs(client))
    tries = dict(sorted(collections.Counter(answered.values()).items()))
    row(
        f"{len(names)} submits, {lost} datagrams lost",
        f"{made} jobs, {dict(states)}, {seconds:.0f} s",
        f"{len(names)} jobs",
    )
    row("tries until answered", str(tries), "")


def history(daemon: DaemonProcess, scale: float) -> None:
    """Status of one client while another searches a long history without a pause."""
    count = max(1_000, int(10_000 * scale))
    _remember(daemon.paths.database, count)
    searches: list[float] = []
    done = threading.Event()

    def search() -> None:
        with Client(str(daemon.paths.home)) as client:
            while not done.is_set():
                searches.extend(timed(lambda: client.jobs(search="not there", limit=1000), 1))

    searcher = threading.Thread(target=search)
    with Client(str(daemon.paths.home)) as client:
        client.status()
        searcher.start()
        status = timed(client.status, max(100, int(1_000 * scale)))
        done.set()
        searcher.join()
    row(f"a search through {count} jobs", milliseconds(searches), "")
    row("status meanwhile", milliseconds(status), "p99 < 50 ms")


def _remember(database: Path, count: int) -> None:
    """Put jobs that ended long ago into the store of a daemon."""
    request = msgspec.msgpack.encode({"conditioning": {"lyrics": "la " * 500}})
    shared = ("b", "c", "generate", "warm rhodes, late at night", 0, "done", 1, 0, 0.0, request, b"\x90")
    with contextlib.closing(sqlite3.connect(database)) as store, store:
        store.executemany(
            "INSERT INTO jobs (id, body, client, operation, caption, priority, state, seq, position, created, request, notes) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((f"old-{number}", *shared) for number in range(count)),
        )


def _all_jobs(client: Client) -> Iterator[dict[str, Any]]:
    before = ""
    while page := client.jobs(limit=1000, before=before):
        yield from page
        before = page[-1]["id"]


def spool(daemon: DaemonProcess, scale: float) -> None:
    """From the renamed request to the first status file."""
    root = Path(daemon.connection["spool"])
    times = []
    for number in range(max(10, int(200 * scale))):
        draft = root / "requests" / f"bench-{number}.tmp"
        body = {"format": "acestep-bridge/spool", "version": 1, "method": "op.generate", "params": QUICK}
        draft.write_text(json.dumps(body))
        begun = time.perf_counter()
        os.replace(draft, draft.with_suffix(".json"))
        while not (root / "status" / f"bench-{number}.json").exists():
            time.sleep(0.001)
        times.append(time.perf_counter() - begun)
    row("spool: request to status file", milliseconds(times), "< 150 ms")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full counts")
    scale = parser.parse_args().scale
    print("| what | found | wanted |\n| --- | --- | --- |")
    measures = (
        codecs,
        osc_in,
        status_calls,
        acknowledgement,
        rest,
        json_lines,
        history,
        spool,
        hostile,
        hostile_json,
        hostile_http,
        loss,
    )
    for measure in measures:
        with house() as daemon:
            measure(daemon, scale)


if __name__ == "__main__":
    main()
