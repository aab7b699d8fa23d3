"""The Gradio call and the door for assistants under many hostile requests, and what they add to a plain call.

    python -m benchmarks.json_doors [--requests 20000] [--calls 300] [gradio] [mcp]

Everything runs on loopback against a daemon with the fake backend that this program starts. For each door: requests a second,
how long another client's status takes meanwhile, memory, whether a traceback came; and the acknowledgement of a job beside that
of MessagePack-RPC in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from bridge.client import Client
from bridge.doors.mcp.link import ClientLink
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon
from bridge.testing import hostile_gradio
from bridge.testing.hostile_mcp import StdioAssistant, hostile_lines

JOB = {"caption": "fake: steps=1", "duration": 0.1}


def fire_gradio(house: DaemonProcess, count: int) -> dict[str, Any]:
    """Hostile requests to the HTTP port."""
    address = f"http://127.0.0.1:{house.connection['http']['port']}"
    return {"statuses": dict(hostile_gradio.attack(address, count))}


def fire_mcp(house: DaemonProcess, count: int) -> dict[str, Any]:
    """Hostile lines to the command."""
    with tempfile.TemporaryDirectory() as folder:
        assistant = StdioAssistant(house.paths.home, Path(folder) / "errors.txt")
        for number, line in enumerate(hostile_lines(count)):
            assistant.send(line)
            if number % 1000 == 0:
                assistant.ask(f"ok-{number}", "ping", {})
        assistant.ask("last", "ping", {})
        memory = psutil.Process(assistant.process.pid).memory_info().rss
        code = assistant.close()
        return {
            "memory of the command (MiB)": memory >> 20,
            "exit code": code,
            "traceback": "Traceback" in assistant.errors.read_text(),
        }


def under_fire(
    house: DaemonProcess, fire: Callable[[DaemonProcess, int], dict[str, Any]], count: int
) -> dict[str, Any]:
    """One attack, and what another client meets meanwhile."""
    found: dict[str, Any] = {}
    enemy = threading.Thread(target=lambda: found.update(fire(house, count)))
    times, began = [], time.perf_counter()
    with Client(str(house.paths.home)) as client:
        enemy.start()
        while enemy.is_alive():
            asked = time.perf_counter()
            client.status()
            times.append(time.perf_counter() - asked)
            enemy.join(0.05)
    rate = count / (time.perf_counter() - began)
    memory = psutil.Process(house.connection["pid"]).memory_info().rss
    return {
        "requests": count,
        "requests a second": round(rate),
        "status meanwhile (ms)": _spread(times),
        "memory of the daemon (MiB)": memory >> 20,
        "traceback in the daemon": "Traceback" in house.output.read_text(),
        **found,
    }


def acknowledgements(house: DaemonProcess, calls: int) -> dict[str, Any]:
    """How long it takes until a job is accepted, in turns: MessagePack-RPC, the Gradio call, MCP over HTTP's own link."""
    base = f"http://127.0.0.1:{house.connection['http']['port']}{hostile_gradio.PREFIX}"
    times: dict[str, list[float]] = {"MessagePack-RPC": [], "Gradio call": [], "MCP": []}
    link = ClientLink(str(house.paths.home))
    loop = asyncio.new_event_loop()
    with Client(str(house.paths.home)) as client, httpx.Client(timeout=60) as web:

        def gradio(number: int) -> None:
            web.post(f"{base}/call/generation_wrapper", json={"data": hostile_gradio.VALUES})

        def rpc(number: int) -> None:
            client.submit("generate", JOB)

        def mcp(number: int) -> None:
            loop.run_until_complete(link.call("job.submit", {"operation": "generate", "params": JOB}))

        for number in range(calls):
            for name, work in (("MessagePack-RPC", rpc), ("Gradio call", gradio), ("MCP", mcp)):
                asked = time.perf_counter()
                work(number)
                times[name].append(time.perf_counter() - asked)
            if number % 10 == 0:
                time.sleep(1.0)  # the bounds of a client's queue are not what is measured
    loop.run_until_complete(link.close())
    loop.close()
    return {name: _spread(found) for name, found in times.items()}


def _spread(seconds: list[float]) -> dict[str, float]:
    marks = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [*seconds, *seconds] * 50
    return {"p50": round(marks[49] * 1000, 2), "p99": round(marks[98] * 1000, 2)}


def main() -> None:
    """Run what was asked for and print it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("doors", nargs="*", default=["gradio", "mcp"], metavar="DOOR")
    options = parser.parse_args()
    fires = {"gradio": fire_gradio, "mcp": fire_mcp}
    with tempfile.TemporaryDirectory() as home, start_daemon({**FREE_PORTS, "home": home, "backend": "fake"}) as house:
        found: dict[str, Any] = {door: under_fire(house, fires[door], options.requests) for door in options.doors}
        if options.calls:
            found["acknowledgement (ms)"] = acknowledgements(house, options.calls)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
