"""A daemon on a Ray cluster of two nodes of this machine: what a job costs against one machine, and what dying nodes cost.

The jobs are the fake backend's, so that nothing but the way to the node is measured. Nodes are killed at random moments while jobs
wait and run; afterwards every job must be done, once, and the library must hold one result of each.

    python -m benchmarks.cluster [--jobs 40] [--kills 20]
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bridge import Client
from bridge.launch import FREE_PORTS, start_daemon

SHORT, LONG = 4_800, 48_000 * 60
"""Samples of a short result (29 kB) and of a long one (17 MB)."""

BETWEEN = 4
"""Jobs that wait or run while a node is killed."""


class Nodes:
    """A head without work, and two nodes that can be killed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._shared: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 100 << 20, "num_cpus": 1}
        self._cluster = Cluster(initialize_head=True, head_node_args={**self._shared, "node_name": "head"})
        self.address = str(self._cluster.address)
        self._nodes = {name: self._add(name) for name in ("left", "right")}

    def _add(self, name: str) -> Any:
        return self._cluster.add_node(**self._shared, node_name=name, resources={"acestep": 1})

    def kill(self, name: str) -> None:
        """End a node's processes at once."""
        self._cluster.remove_node(self._nodes.pop(name), allow_graceful=False)

    def add(self, name: str) -> None:
        """Let it come back."""
        self._nodes[name] = self._add(name)

    def close(self) -> None:
        """End everything."""
        self._cluster.shutdown()


def measure(client: Client, devices: list[str], jobs: int) -> None:
    """Seconds from submit to done on each device, in turns."""
    for name, length in (("short", SHORT), ("long", LONG)):
        seconds: dict[str, list[float]] = {device: [] for device in devices}
        for turn in range(jobs if length == SHORT else max(jobs // 4, 3)):
            for device in devices:
                begun = time.perf_counter()
                params = {"caption": "fake: steps=1", "length": length, "seed": turn}
                state = client.wait(client.submit("generate", params, device=device))["state"]
                assert state == "done", state
                seconds[device].append(time.perf_counter() - begun)
        for device, found in seconds.items():
            print(
                f"{name:6} {device:6} median {statistics.median(found) * 1000:7.1f} ms, slowest {max(found) * 1000:7.1f} ms"
            )


def cancels(client: Client, device: str, count: int = 10) -> None:
    """Seconds from a cancel to its end, with steps of 50 ms."""
    found = []
    for _ in range(count):
        job = client.submit("generate", {"caption": "fake: steps=400 delay=0.05", "length": SHORT}, device=device)
        next(event for event in client.events(job) if event["kind"] == "progress")
        begun = time.perf_counter()
        client.cancel(job)
        assert client.wait(job)["state"] == "cancelled"
        found.append(time.perf_counter() - begun)
    print(f"cancel {device:6} median {statistics.median(found) * 1000:7.1f} ms, slowest {max(found) * 1000:7.1f} ms")


def kill_nodes(client: Client, nodes: Nodes, kills: int) -> None:
    """Kill a node so often; prints what became of the jobs. Raises `AssertionError` for one that was lost or done twice."""
    chance = random.Random(28)
    twice, jobs = 0, []
    for turn in range(kills):
        waiting = [
            client.submit(
                "generate", {"caption": "fake: steps=6 delay=0.1", "length": SHORT}, id=f"kill-{turn}-{number}"
            )
            for number in range(BETWEEN)
        ]
        time.sleep(chance.uniform(0.0, 1.5))
        victim = chance.choice(["left", "right"])
        nodes.kill(victim)
        for job in waiting:
            view = client.wait(job)
            ends = [
                event for event in client.events(job) if event["kind"] in ("done", "failed", "cancelled", "interrupted")
            ]
            assert view["state"] == "done" and len(ends) == 1, view
            twice += view["attempt"] > 1
        jobs += waiting
        nodes.add(victim)
        wait_for(client, 2)
        print(f"kill {turn + 1}: {len(jobs)} jobs done, {twice} of them begun twice", flush=True)
    names = {path.name for path in Path(client.status()["library"]).iterdir()}
    assert set(jobs) <= names, set(jobs) - names


def wait_for(client: Client, count: int) -> None:
    """Wait until so many nodes take jobs."""
    while sum(row["device"].startswith("ray") and row["state"] == "idle" for row in client.status()["devices"]) < count:
        time.sleep(0.2)


def main() -> None:
    """Both measurements in one go."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--kills", type=int, default=20)
    asked = parser.parse_args()
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ACESTEP_BRIDGE_HOME"] = str(Path(folder) / "node")
        nodes = Nodes()
        settings = {**FREE_PORTS, "home": Path(folder) / "home", "backend": "fake", "executor": "ray", "device": "cpu"}
        daemon = start_daemon({**settings, "ray_address": nodes.address, "degraded_retry": 2.0})
        try:
            with Client(home=str(Path(folder) / "home")) as client:
                wait_for(client, 2)
                measure(client, ["cpu", "ray:0"], asked.jobs)
                cancels(client, "ray:0")
                kill_nodes(client, nodes, asked.kills)
        finally:
            daemon.stop()
            nodes.close()


if __name__ == "__main__":
    main()
