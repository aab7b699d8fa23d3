"""A daemon's core on two real Ray nodes of this machine, with the fake backend: a cluster keeps what one machine promises."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from acestep.api.errors import NotAllowed, Unavailable
from bridge.cluster.joining import Stranger
from bridge.core.interface import EventKind, JobState, Submission
from bridge.core.service import Service
from bridge.paths import Paths
from bridge.settings import Settings

pytestmark = pytest.mark.slow


def sound(view):
    """What the first file of a result sounds like."""
    return hashlib.sha256(soundfile.read(view.result["files"][0]["path"], dtype="int32")[0].tobytes()).hexdigest()


def song(folder, seconds):
    """A stereo WAV of quiet noise."""
    path = folder / "song.wav"
    noise = np.random.default_rng(3).uniform(-0.2, 0.2, (48_000 * seconds, 2))
    soundfile.write(path, noise, 48_000, subtype="PCM_24")
    return path


async def test_both_nodes_give_what_this_machine_gives(hall, tmp_path):
    """A region of a file of the daemon's machine, on either node and here: the same samples; only the window travels."""
    path = song(tmp_path, 120)
    one = await hall(device="cpu")
    edit = {"source": str(path), "start": 480_000, "length": 48_000, "caption": "fake: steps=2", "seed": 4}
    views = []
    for device in ("cpu", "ray:0", "ray:1"):
        job = f"edit-{device.replace(':', '-')}"
        await one.service.submit(Submission(operation="repaint", params=edit, id=job, device=device), "me")
        await one.until(job)
        views.append(one.service.job(job))
    assert [(view.state, view.device) for view in views] == [
        (JobState.DONE, name) for name in ("cpu", "ray:0", "ray:1")
    ]
    assert len({sound(view) for view in views}) == 1
    whole = {**edit, "returns": ["whole"]}
    for device in ("cpu", "ray:0"):
        job = f"whole-{device.replace(':', '-')}"
        await one.service.submit(Submission(operation="repaint", params=whole, id=job, device=device), "me")
        await one.until(job)
    assert sound(one.service.job("whole-cpu")) == sound(one.service.job("whole-ray-0"))
    recipes = [view.result["recipe"] for view in views]
    assert recipes[0] == recipes[1] == recipes[2]


@pytest.mark.long
async def test_only_the_window_of_a_file_travels(hall, two_nodes, tmp_path):
    """Of two minutes of sound a node holds the region's surroundings and what stands around the samples."""
    path = song(tmp_path, 120)
    one = await hall()
    edit = {"source": str(path), "start": 480_000, "length": 48_000, "caption": "fake: steps=1", "seed": 4}
    view = await one.run(job="window", operation="repaint", device="ray:0", **edit)
    assert view.state is JobState.DONE
    node = one.service.status()["devices"][0]["info"]["node"]
    (copy,) = two_nodes.home(node).rglob(f"copies/elsewhere/*/{path.name}")
    assert copy.stat().st_size == path.stat().st_size and copy.stat().st_blocks * 512 < path.stat().st_size / 4


async def test_a_job_goes_to_the_node_that_it_names_or_that_is_for_it(hall):
    """By the lane's name, by the kind of all lanes, or by a node's custom resource; another name is refused."""
    one = await hall()
    for job, device in (("by-name", "ray:0"), ("by-kind", "ray"), ("by-use", "planner")):
        view = await one.run("steps=1", job, device=device)
        assert view.state is JobState.DONE and view.device.startswith("ray:")
    assert one.row("right")["device"] == one.service.job("by-use").device and one.row("right")["info"]["can"] == [
        "planner"
    ]
    with pytest.raises(Exception, match="there is no device 'gpu24' here; there is ray:0, ray:1"):
        await one.submit("steps=1", "nowhere", device="gpu24")


async def test_a_cancel_stops_the_job_at_its_next_step_and_leaves_the_actor_alone(hall):
    """Waiting, or running: cancelled at once, and the next job finds the models still open."""
    one = await hall()
    pid = one.row("left")["pid"]
    lane = one.row("left")["device"]
    await one.submit("steps=200 delay=0.2", "running", device=lane)
    await one.submit("steps=2", "waiting", device=lane)
    await one.until("running", EventKind.PROGRESS)
    await one.service.cancel("waiting")
    assert (await one.until("waiting"))[-1].kind is EventKind.CANCELLED
    told = one.service.job("running").progress["step"]
    await one.service.cancel("running")
    last = (await one.until("running"))[-1]
    assert last.kind is EventKind.CANCELLED and one.service.job("running").progress["step"] <= told + 3
    assert (await one.run("steps=1", "after", device=lane)).state is JobState.DONE and one.row("left")["pid"] == pid


@pytest.mark.long
async def test_an_actor_that_does_not_stop_is_ended_and_another_one_takes_its_place(hall):
    """A stuck kernel hears no cancel. The driver and its actor go after the grace; the lane comes back."""
    one = await hall(cancel_grace=0.5)
    pid, lane = one.row("left")["pid"], one.row("left")["device"]
    await one.submit("steps=4 hang_at=2", "stuck", device=lane)
    await one.until("stuck", EventKind.PROGRESS)
    await one.service.cancel("stuck")
    assert (await one.until("stuck"))[-1].kind is EventKind.CANCELLED
    await one.ready("left")
    assert one.row("left")["pid"] != pid
    assert (await one.run("steps=1", "after", device=lane)).state is JobState.DONE


async def test_what_a_node_lacks_is_said_in_one_sentence_that_names_it(hall, tmp_path):
    """A model that only the daemon's machine has, a full disk there (scripted), and work on this machine's own folders."""
    from acestep.checkpoints.info import EMBEDDED

    models = tmp_path / "models"
    shutil.copytree(EMBEDDED, models)
    (models / "acestep-v15-nano").rename(models / "acestep-v15-other")
    one = await hall(checkpoints=[str(models)])
    view = await one.run("steps=1", "lacking", model="other", device=one.row("left")["device"])
    assert view.error["code"] == "model_missing"
    assert view.error["message"].startswith("the node has no model 'other'") and "(node left)" in view.error["message"]
    view = await one.run("fail_at=1 fail=disk_full", "full", device=one.row("left")["device"])
    assert view.error["code"] == "disk_full" and view.error["message"].endswith("(node left)")
    with pytest.raises(Unavailable, match="train works on folders of this machine"):
        await one.submit(operation="train", dataset="x", name="y")


async def test_nodes_that_die_at_any_moment_lose_no_job_and_do_none_twice(hall, two_nodes):
    """Three kills at random moments: every job is done once, by one attempt of two at most, and the node's lane comes back."""
    chance = random.Random(28)
    one = await hall()
    lanes = len(one.service.status()["devices"])
    for turn in range(3):
        jobs = [f"turn-{turn}-{number}" for number in range(3)]
        for job in jobs:
            await one.submit("steps=6 delay=0.1", job)
        await asyncio.sleep(chance.uniform(0.0, 0.8))
        victim = chance.choice(["left", "right"])
        two_nodes.kill(victim)
        for job in jobs:
            events = await one.until(job)
            assert [event.kind for event in events if event.kind.terminal] == [EventKind.DONE], (job, events[-1])
            view = one.service.job(job)
            assert view.attempt <= 2 and Path(view.result["files"][0]["path"]).is_file()
        two_nodes.add(victim)
        await one.ready("left", "right")
    assert len(one.service.status()["devices"]) == lanes
    assert len(list(one.service.paths.library.iterdir())) == 9 and not list(one.service.paths.staging.glob("*"))


@pytest.mark.long
async def test_planner_and_transformer_of_a_job_are_two_nodes(hall, two_nodes):
    """The plan stays with the daemon: it outlives the node that made it, and is made once."""
    one = await hall()
    wish = {"caption": "fake: steps=3", "length": 480, "seed": 1, "thinking": True}
    left = one.row("left")["device"]
    busy = {"caption": "fake: steps=2000 delay=0.1", "length": 480}
    await one.service.submit(Submission(operation="generate", params=busy, id="busy", device=left), "me")
    await one.until("busy", EventKind.PROGRESS)
    asked = Submission(operation="generate", params=wish, id="apart", device=left, planner_device="planner")
    await one.service.submit(asked, "me")
    await one.until("apart", EventKind.SUSPENDED)
    two_nodes.kill("right")
    await one.service.cancel("busy")
    events = await one.until("apart")
    view = one.service.job("apart")
    assert view.state is JobState.DONE and (view.device, view.planner_on) == (left, "planner")
    assert view.result["data"]["cot_text"].startswith("fake: thought 1 of ")
    told = [(event.data["stage"], event.data["device"]) for event in events if event.kind is EventKind.PROGRESS]
    assert ("thinking", left) not in told and told[-1] == ("generate", left)
    two_nodes.add("right")
    await one.ready("left", "right")


@pytest.mark.long
async def test_a_head_that_is_lost_and_comes_back_loses_nothing(two_nodes, hall, tmp_path_factory):
    """The job waits, status says why, and it runs when there is a cluster at the same address once more."""
    one = await hall()
    await one.submit("steps=400 delay=0.1", "long")
    await one.until("long", EventKind.PROGRESS)
    two_nodes.lose_head()
    while not one.service.status()["warnings"] or one.service.job("long").state is JobState.RUNNING:
        await asyncio.sleep(0.2)
    assert "the head of the Ray cluster does not answer" in " ".join(one.service.status()["warnings"])
    assert one.service.job("long").state is JobState.SUSPENDED
    await one.submit("steps=2", "short")
    await one.service.cancel("long")
    two_nodes.begin()
    assert (await one.until("short"))[-1].kind is EventKind.DONE
    assert (await one.until("long"))[-1].kind is EventKind.CANCELLED


@pytest.mark.long
async def test_a_node_of_another_version_is_left_out_and_named(hall, two_nodes, tmp_path):
    """Whatever else would fail there: its lane stays gone, and the warning names both versions. The others work."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("import acestep\nacestep.__version__ = '0.0.9'\n")
    two_nodes.add("old", PYTHONPATH=os.pathsep.join([str(other), os.environ.get("PYTHONPATH", "")]))
    one = await hall()
    while not any("0.0.9" in warning for warning in one.service.status()["warnings"]):
        await asyncio.sleep(0.1)
    assert "the node old has acestep-bridge 0.0.9, this machine has" in " ".join(one.service.status()["warnings"])
    assert (await one.run("steps=1", "elsewhere")).state is JobState.DONE


async def test_a_stranger_learns_nothing_of_a_cluster_with_a_token(two_nodes):
    """Somebody who has no token, and asks for real."""
    await asyncio.to_thread(Stranger(two_nodes.address).refuse_open)


OPEN = """
import os, sys
os.environ["RAY_AUTH_MODE"] = "disabled"
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, "object_store_memory": 100 << 20})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.mark.long
def test_a_stranger_finds_a_cluster_without_a_token_open(two_nodes):
    """A real head that asks nobody for a token: the daemon would stay out. (``two_nodes``: so that Ray is here.)"""
    head = subprocess.Popen([sys.executable, "-c", OPEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        address = head.stdout.readline().strip()
        with pytest.raises(NotAllowed, match="lets everybody in, token or not"):
            Stranger(address).refuse_open()
    finally:
        head.stdin.close()
        head.wait(60)


async def test_a_daemon_whose_head_is_not_there_starts_and_says_so(tmp_path):
    """Jobs wait; nothing else is the worse for it."""
    wish = Settings(
        home=str(tmp_path / "home"), backend="fake", executor="ray", ray_address="127.0.0.1:9", degraded_retry=60.0
    )
    paths = Paths.of(wish)
    paths.create()
    service = Service(wish, paths)
    await service.start()
    try:
        while not service.status()["warnings"]:
            await asyncio.sleep(0.1)
        assert "does not answer at 127.0.0.1:9" in service.status()["warnings"][0]
        await service.submit(
            Submission(operation="generate", params={"caption": "fake:", "length": 480}, id="waits"), "me"
        )
        assert service.job("waits").state is JobState.QUEUED
    finally:
        await service.stop()
