"""What the daemon and the command line cost, measured in one run: start, memory, acknowledgement while the worker denoises.

    python -m benchmarks.daemon [--runs N] [--acks N]

Each time stands beside a yardstick of the same run (a bare interpreter, ``import torch``), because machines differ. The first start
of everything is not counted: it compiles the modules and fills the file cache.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil
from pythonosc.osc_message import OscMessage
from pythonosc.udp_client import SimpleUDPClient

from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon

BUSY = {"caption": "busy", "duration": 240.0, "steps": 200, "seed": 1}
"""A job that keeps the worker denoising for the whole measurement."""

SMALL = {"caption": "small", "duration": 1.0, "seed": 1}


SETTLED_SECONDS = 2.0
"""After this time the server behind the HTTP ports is loaded too."""


def timed(action: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def cost(line: Sequence[str], runs: int) -> tuple[float, float]:
    """Median wall time and processor time of a command, after one run that warms the file cache."""
    walls, processors = [], []
    for _ in range(runs + 1):
        with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            begun = time.perf_counter()
            _, _, usage = os.wait4(process.pid, 0)
            walls.append(time.perf_counter() - begun)
            processors.append(usage.ru_utime + usage.ru_stime)
            process.returncode = 0
    return statistics.median(walls[1:]), statistics.median(processors[1:])


def percentile(times: Sequence[float], share: float) -> float:
    """The time that this share of all is not above."""
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


def row(what: str, value: str, against: str = "") -> None:
    """One line of the table."""
    print(f"| {what} | {value} | {against} |", flush=True)


def command_line(runs: int) -> None:
    """Start of the command line against a bare interpreter."""
    python = [sys.executable]
    _, bare = cost([*python, "-c", "pass"], runs)
    cli = [*python, "-m", "bridge.cli"]
    for what, line in (("--version", ["--version"]), ("repaint --help", ["repaint", "--help"]), ("--help", ["--help"])):
        wall, seconds = cost([*cli, *line], runs)
        against = f"{seconds / bare:.1f} x a bare interpreter ({bare * 1000:.0f} ms)"
        row(
            f"`acestep-bridge {what}`",
            f"{seconds * 1000:.0f} ms processor time, {wall * 1000:.0f} ms by the clock",
            against,
        )


def daemon(runs: int) -> None:
    """Time until the doors are open, and memory, with the model's worker starting in the background."""
    torch, _ = cost([sys.executable, "-c", "import torch"], max(1, runs // 3))
    readies, sizes, processors = [], [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as home:
            begun = time.perf_counter()
            with start_daemon({**FREE_PORTS, "home": home}) as running:
                readies.append(time.perf_counter() - begun)
                process = psutil.Process(running.process.pid)
                processors.append(sum(process.cpu_times()[:2]))
                with Client(home) as client:
                    row_status = timed(client.status)
                time.sleep(SETTLED_SECONDS)
                sizes.append(process.memory_info().rss / 2**20)
    ready = statistics.median(readies)
    row("daemon ready, model not waited for", f"{ready:.2f} s", f"{ready / torch:.2f} x `import torch` ({torch:.2f} s)")
    row("processor time of the daemon until then", f"{statistics.median(processors):.2f} s")
    row("daemon memory when ready", f"{statistics.median(sizes):.0f} MiB")
    row("first status call (connecting included)", f"{row_status * 1000:.1f} ms")


def first_job(runs: int) -> None:
    """A song of 30 s by the embedded model, asked for as soon as the doors are open: its first progress, and its end."""
    progresses, ends = [], []
    for _ in range(runs):
        with (
            tempfile.TemporaryDirectory() as home,
            start_daemon({**FREE_PORTS, "home": home}),
            Client(home) as client,
        ):
            begun = time.perf_counter()
            job = client.submit("generate", {**SMALL, "duration": 30.0})
            kinds = {}
            for event in client.events(job):
                kinds.setdefault(event["kind"], time.perf_counter() - begun)
            progresses.append(kinds["progress"])
            ends.append(time.perf_counter() - begun)
    row("first progress of a job that was sent at `ready`", f"{statistics.median(progresses):.2f} s")
    row("its song of 30 s", f"{statistics.median(ends):.2f} s")


def acknowledgements(count: int) -> None:
    """Time from a submit to its stored acknowledgement while the worker denoises, over RPC and over OSC."""
    with (
        tempfile.TemporaryDirectory() as home,
        start_daemon({**FREE_PORTS, "home": home, "jobs_per_client": count + 10}) as running,
        Client(home) as client,
    ):
        busy = client.submit("generate", BUSY)
        for event in client.events(busy):
            if event["kind"] == "progress" and float(event["data"].get("fraction", 0)) > 0.1:
                break
        rpc = [timed(lambda: client.submit("generate", SMALL)) for _ in range(count)]
        osc = _osc_acks(running.connection["osc"], count)
        still = client.job(busy)["state"]
        memory = psutil.Process(running.process.pid).memory_info().rss / 2**20
        client.call("queue.clear")
        client.cancel(busy)
    where = f"{count} submits, worker {still}"
    for door, times in (("MessagePack-RPC", rpc), ("OSC over UDP", osc)):
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        row(f"acknowledgement, {door}", f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms", where)
    row(f"daemon memory with {2 * count} jobs waiting", f"{memory:.0f} MiB")


def _osc_acks(door: dict[str, Any], count: int) -> list[float]:
    peer = SimpleUDPClient(door["host"], door["udp"])
    times = []
    for number in range(count):
        job = f"ack-{number}"
        begun = time.perf_counter()
        peer.send_message("/ace/op/generate", [job, "caption", "small", "duration", 1.0, "seed", 1])
        while True:
            message = OscMessage(peer.receive(5.0))
            if message.address == "/ace/accepted" and message.params[0] == job:
                break
        times.append(time.perf_counter() - begun)
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--acks", type=int, default=200)
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # it would have every start compile our modules
    print("| what | measured | against |\n| --- | --- | --- |")
    command_line(options.runs)
    daemon(options.runs)
    first_job(max(1, options.runs // 3))
    acknowledgements(options.acks)


if __name__ == "__main__":
    main()
