"""Disks and object stores that are really full, on two real Ray nodes."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys

import pytest

from bridge.core.interface import JobState

pytestmark = [pytest.mark.slow, pytest.mark.long]

SMALL = 1 << 20
"""Bytes that a file may have while the disk of the daemon's machine counts as full; what Ray logs is less."""


@contextlib.contextmanager
def full_disk(pid):
    """Let no file that this process writes grow beyond `SMALL`, as a full disk would."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (SMALL, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_here_ends_the_job_and_frees_the_lane(hall, tmp_path):
    """A job that was still computing stops on the node as well: the next one runs, with the models still open."""
    one = await hall()
    left = one.row("left")
    stages = [{"type": "generate", "preview": True}, {"type": "cover"}]
    chain = {
        "conditioning": {"caption": "fake: steps=1", "duration": 10.0},
        "output": {"variants": 8},
        "stages": stages,
    }
    with full_disk(left["pid"]):
        view = await one.run("", "large", operation="render", device=left["device"], **chain)
    assert (view.state, view.error["code"]) == (JobState.FAILED, "disk_full")
    assert view.error["message"].startswith("there is no space left for ") and "node" not in view.error["message"]
    assert (await one.run("steps=1", "after", device=left["device"])).state is JobState.DONE
    assert one.row("left")["pid"] == left["pid"] and not list(one.service.paths.staging.glob("*"))


HOLD = """
import sys
import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

class Holder:
    def fill(self):
        self.held = []
        for size in (8 << 20, 1 << 20, 1 << 18):
            try:
                while True:
                    self.held.append(ray.get(ray.put(np.ones(size, np.uint8))))
            except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError) as failure:
                said = type(failure).__name__
        return said

ray.init(address=sys.argv[1], log_to_driver=False)
(node,) = [row["NodeID"] for row in ray.nodes() if row["Alive"] and row["NodeName"] == sys.argv[2]]
stand = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
holder = ray.remote(Holder).options(num_cpus=0, scheduling_strategy=stand).remote()
print(ray.get(holder.fill.remote()), flush=True)
sys.stdin.read()
"""
"""Another program of the cluster, which fills a node's store until its input closes."""


@contextlib.contextmanager
def full_store(address, node):
    """Have another program take all of the object store of a node, where the disk has no room either."""
    line = [sys.executable, "-c", HOLD, address, node]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().strip() in ("ObjectStoreFullError", "OutOfDiskError")
        yield
    finally:
        process.stdin.close()
        process.wait(60)


async def test_a_full_object_store_ends_the_job_with_the_nodes_name(hall, two_nodes):
    """And nothing else: the lane takes the next job, which is done as soon as there is room."""
    two_nodes.add("tight", RAY_local_fs_capacity_threshold="0.000001")  # a disk on which Ray stores nothing
    one = await hall()
    await one.ready("tight")
    one.length = 480_000
    tight = one.row("tight")
    with full_store(two_nodes.address, "tight"):
        view = await one.run("steps=1", "full", device=tight["device"])
    assert (view.state, view.error["code"]) == (JobState.FAILED, "disk_full")
    assert view.error["message"].startswith("the object store of the node tight is full")
    assert (await one.run("steps=1", "after", device=tight["device"])).state is JobState.DONE
    assert one.row("tight")["pid"] == tight["pid"]
