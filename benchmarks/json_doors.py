"""The newer doors under many hostile requests, and what they add to a plain call.

    python -m benchmarks.json_doors [--requests 20000] [--calls 300] [gradio] [lofi] [mcp] [mcp-http] [rest]

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
from bridge.testing import hostile_gradio, hostile_http, hostile_lofi
from bridge.testing.hostile_mcp import StdioAssistant, attack_over_http, hostile_lines

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


def fire_mcp_over_http(house: DaemonProcess, count: int) -> dict[str, Any]:
    """Hostile messages to the HTTP port's door for assistants, most of them in an open session."""
    return {"statuses": dict(attack_over_http(house.connection["http"]["port"], count))}


def fire_rest(house: DaemonProcess, count: int) -> dict[str, Any]:
    """Hostile requests to ACE-Step's own routes."""
    return {"statuses": dict(hostile_http.attack(house.connection["http"]["port"], count))}


def fire_lofi(house: DaemonProcess, count: int) -> dict[str, Any]:
    """Hostile lines to lofi.nvim's command."""
    sizes = [0]

    def look(pid: int) -> None:
        sizes.append(psutil.Process(pid).memory_info().rss)

    with tempfile.TemporaryDirectory() as folder:
        found = hostile_lofi.attack(house.paths.home, Path(folder), count, look=look)
    return {**found, "memory of the command (MiB)": max(sizes) >> 20}


FIRES: dict[str, Callable[[DaemonProcess, int], dict[str, Any]]] = {
    "gradio": fire_gradio, "lofi": fire_lofi, "mcp": fire_mcp, "mcp-http": fire_mcp_over_http, "rest": fire_rest,
}  # fmt: skip


def under_fire(
    house: DaemonProcess, fire: Callable[[DaemonProcess, int], dict[str, Any]], count: int
) -> dict[str, Any]:
    """One attack, and what another client meets meanwhile."""
    found: dict[str, Any] = {}

    def attack() -> None:
        try:
            found.update(fire(house, count))
        except Exception as failure:
            found["failed"] = repr(failure)

    enemy = threading.Thread(target=attack)
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
    parser.add_argument("doors", nargs="*", default=list(FIRES), metavar="DOOR", help=", ".join(FIRES))
    options = parser.parse_args()
    if strange := sorted(set(options.doors) - FIRES.keys()):
        parser.error(f"no door {', '.join(strange)}; there are {', '.join(FIRES)}")
    with tempfile.TemporaryDirectory() as home, start_daemon({**FREE_PORTS, "home": home, "backend": "fake"}) as house:
        for door in options.doors:
            print(json.dumps({door: under_fire(house, FIRES[door], options.requests)}), flush=True)
        if options.calls:
            print(json.dumps({"acknowledgement (ms)": acknowledgements(house, options.calls)}))


if __name__ == "__main__":
    main()
