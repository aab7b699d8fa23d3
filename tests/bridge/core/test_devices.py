"""Several devices: a worker each, one queue. Real worker processes; what they run is the fake backend."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from acestep.api.errors import BadRequest, DeviceLost, UnknownName
from acestep.testing.fake_backend import DEVICES_VARIABLE, gone_marker
from bridge.core.interface import EventKind, JobState, Submission
from bridge.core.lanes import Lane, best_lane, suits
from bridge.core.records import JobRecord, Needs
from bridge.devices import Device, named_devices
from bridge.doors.http import metrics

LONG = "steps=2000 delay=0.01"
"""A job that ends only when it is cancelled."""


@pytest.fixture
async def pair(desk, steps_aside):
    """``await pair(**settings)``: a core with two devices, and an operation `long` that steps aside."""

    async def start(**settings):
        return await desk(
            **{"devices": ["cpu", "cpu"], "plugin_folder": steps_aside, "worker_start": "lazy", **settings}
        )

    return start


async def begin(desk, job, script=LONG, device="", operation="generate"):
    """Submit a job and wait until it has done a step; the device that does it."""
    params = {"caption": f"fake: {script}", "length": 480, "seed": 1}
    if operation == "long":
        params = {"script": f"fake: {script}"}
    await desk.service.submit(Submission(operation=operation, params=params, id=job, device=device), "me")
    await desk.until(job, EventKind.PROGRESS)
    return desk.service.job(job).device


@pytest.mark.parametrize(
    ("devices", "names", "options"),
    [
        ([], ["auto"], ["auto"]),
        (["auto"], ["auto"], ["auto"]),
        (["cuda:0", "cuda:1"], ["cuda:0", "cuda:1"], ["cuda:0", "cuda:1"]),
        (["cpu", "cpu"], ["cpu:0", "cpu:1"], ["cpu", "cpu"]),
        (["cuda", "cpu"], ["cuda", "cpu"], ["cuda", "cpu"]),
        (["cpu", "cpu:0", "cpu"], ["cpu:1", "cpu:0", "cpu:2"], ["cpu", "cpu:0", "cpu"]),
    ],
)
def test_every_device_of_the_setting_has_a_name_of_its_own(devices, names, options):
    """What workers share is numbered; what stands there by number keeps it."""
    found = named_devices(devices)
    assert [one.name for one in found] == names and [one.option for one in found] == options
    assert all(one.insist for one in found) is (names != ["auto"])


@pytest.mark.parametrize(
    ("devices", "device"),
    [(["cuda:0", "cuda:0"], "auto"), (["cuda", "cuda"], "auto"), (["cpu:1", "cpu:1"], "auto"), (["auto", "cpu"], "auto"),
     (["CPU"], "auto"), (["cuda:x"], "auto"), (["cpu,cpu"], "auto"), (["cpu", "cpu"], "cuda"), ([], "cuda:one")],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused(devices, device):
    """A GPU twice, auto beside others, no names, two settings that contradict each other."""
    with pytest.raises(BadRequest) as caught:
        named_devices(devices, device)
    assert caught.value.field in ("devices", "device")


class Card:
    """A device that runs nothing: what choosing looks at."""

    def __init__(self, name, room=None, models=(), gone=""):
        self.device, self.room, self.models, self.gone = Device(name), room, models, gone
        self.ready = not gone

    def holds(self, models):
        return set(models) <= set(self.models)

    def lacks(self, models):
        return False


def lanes_of(*cards):
    return [Lane(card) for card in cards]


def test_a_model_goes_where_it_has_room_or_anywhere_when_it_has_none():
    """A device that is too small waits for smaller models; when all are, the engine may offload."""
    lanes = lanes_of(Card("cuda:0", room=8), Card("cuda:1", room=24))
    assert [suits(lane, Needs(weights=20), lanes) for lane in lanes] == [False, True]
    assert [suits(lane, Needs(weights=4), lanes) for lane in lanes] == [True, True]
    assert [suits(lane, Needs(weights=30), lanes) for lane in lanes] == [True, True]
    assert [suits(lane, Needs("cuda:0", weights=20), lanes) for lane in lanes] == [True, False]
    assert [suits(lane, Needs("cuda"), lanes) for lane in lanes] == [True, True]
    assert [suits(lane, Needs("mps"), lanes) for lane in lanes] == [False, False]


def test_the_lane_that_holds_the_model_is_the_best():
    """Then the one where the job ran before, then the first."""
    job = JobRecord(id="j", request_digest="", client="me", operation="x", priority=0, request={}, models=("turbo",))
    lanes = lanes_of(Card("cuda:0"), Card("cuda:1", models=("turbo", "base")), Card("cuda:2"))
    assert best_lane(lanes, job).name == "cuda:1"
    job.models, job.device = ("sft",), "cuda:2"
    assert best_lane(lanes, job).name == "cuda:2"
    job.device = ""
    assert best_lane(lanes, job).name == "cuda:0"


async def test_two_jobs_run_side_by_side_and_both_can_be_cancelled(pair):
    """Job, events and status name the device of each; the third waits; a cancel ends its own job, in whatever phase it is."""
    one = await pair()
    assert await begin(one, "first") == "cpu:0" and await begin(one, "second") == "cpu:1"
    await one.submit(LONG, "third")
    rows = one.service.status()["devices"]
    assert [(row["device"], row["state"], row["job"]) for row in rows] == [
        ("cpu:0", "busy", "first"), ("cpu:1", "busy", "second")]  # fmt: skip
    assert rows[0]["pid"] != rows[1]["pid"] and one.service.status()["worker"] == rows[0]
    assert one.service.job("third").position == 1 and one.service.job("third").device == ""
    await one.service.cancel("third")  # waiting
    await one.service.cancel("first")  # computing
    ended = (await one.until("first"))[-1]
    assert ended.kind is EventKind.CANCELLED and one.service.job("third").state is JobState.CANCELLED
    assert one.service.job("second").state is JobState.RUNNING
    progress = (await one.until("second", EventKind.PROGRESS))[-1]
    assert progress.data["device"] == "cpu:1"
    await one.submit("load=0.3 " + LONG, "loading")
    while one.service.job("loading").state is not JobState.RUNNING:
        await asyncio.sleep(0.01)
    await asyncio.gather(one.service.cancel("loading"), one.service.cancel("second"))  # both at once, one still loading
    for job in ("loading", "second"):
        assert (await one.until(job))[-1].kind is EventKind.CANCELLED
    done = await one.run("steps=1", "last")
    assert done.state is JobState.DONE and done.device and "device" not in str(done.request)


async def test_status_and_metrics_show_each_device(pair):
    """Who is busy, on what, and with how much memory; by name."""
    one = await pair()
    await begin(one, "before", "steps=1", device="cpu:1")  # it tells at its end what it holds
    await one.until("before")
    await begin(one, "here", device="cpu:1")
    status = one.service.status()
    assert {row["device"]: (row["state"], row["job"]) for row in status["devices"]}["cpu:1"] == ("busy", "here")
    held = {row["device"]: (row.get("info") or {}).get("memory_bytes", 0) for row in status["devices"]}
    lines = metrics.render(status, {}).splitlines()
    for device, busy in (("cpu:0", 0), ("cpu:1", 1)):
        assert f'acestep_bridge_device_busy{{device="{device}"}} {busy}' in lines
        assert f'acestep_bridge_worker_deaths_total{{device="{device}"}} 0' in lines
        assert f'acestep_bridge_model_memory_bytes{{device="{device}"}} {held[device]:g}' in lines
    assert held["cpu:1"] > 0


async def test_a_standing_order_keeps_to_its_device(pair):
    """All its batches, while the other device is free."""
    one = await pair()
    order = Submission(
        operation="generate", params={"caption": "fake: steps=1", "length": 480, "seed": 1}, device="cpu:1"
    )
    await one.service.start_order(order, 2, "me")
    async with asyncio.timeout(60):
        while (state := one.service.order())["state"] == "running":
            await asyncio.sleep(0.02)
    views = [one.service.job(job) for job in state["jobs"]]
    assert [(view.state, view.device) for view in views] == [(JobState.DONE, "cpu:1")] * 2


async def test_a_job_runs_on_the_device_that_it_asks_for(pair):
    """It waits for it while another is free, and those behind it pass; a rerun may go elsewhere."""
    one = await pair()
    assert await begin(one, "holds", device="cpu:1") == "cpu:1"
    await one.service.submit(
        Submission(
            operation="generate", params={"caption": "fake:", "length": 480, "seed": 1}, id="waits", device="cpu:1"
        ),
        "me",
    )
    passed = await one.run("steps=1", "passes")
    assert passed.state is JobState.DONE and passed.device == "cpu:0" and passed.only_on == ""
    assert one.service.job("waits").state is JobState.QUEUED
    await one.service.cancel("holds")
    await one.until("waits")
    view = one.service.job("waits")
    assert (view.device, view.only_on, view.state) == ("cpu:1", "cpu:1", JobState.DONE)
    assert "cpu:1" not in str(view.request) and "cpu:1" not in str((view.result or {}).get("recipe"))


async def test_a_wish_that_nobody_can_grant_is_refused_at_the_door(pair):
    """With the devices there are; the daemon's own operations run on none."""
    one = await pair()
    for wish in ("cpu:7", "cuda"):
        with pytest.raises(UnknownName) as caught:
            await one.service.submit(Submission(operation="generate", params={"caption": "x"}, device=wish), "me")
        assert caught.value.field == "device" and caught.value.limits["choices"] == ["cpu:0", "cpu:1"]
    for operation, wish in (("generate", "No Device!"), ("latents", "cpu:0")):
        with pytest.raises(BadRequest) as refused:
            await one.service.submit(Submission(operation=operation, device=wish), "me")
        assert refused.value.field == "device"


async def test_a_workers_death_concerns_its_own_job_only(pair):
    """The other device does not notice, and the dead one's worker starts again for the next job."""
    one = await pair()
    await begin(one, "lives", "steps=60 delay=0.05", device="cpu:0")
    await begin(one, "dies", device="cpu:1")
    before = {row["device"]: row["pid"] for row in one.service.status()["devices"]}
    os.kill(before["cpu:1"], signal.SIGKILL)
    failed = (await one.until("dies"))[-1]
    assert failed.kind is EventKind.FAILED and failed.data["error"]["code"] == "worker_died"
    assert failed.data["device"] == "cpu:1"
    await one.service.submit(
        Submission(
            operation="generate", params={"caption": "fake:", "length": 480, "seed": 1}, id="next", device="cpu:1"
        ),
        "me",
    )
    await one.until("next")
    await one.until("lives")
    after = {row["device"]: row for row in one.service.status()["devices"]}
    assert one.service.job("lives").state is one.service.job("next").state is JobState.DONE
    assert after["cpu:0"]["pid"] == before["cpu:0"] and after["cpu:0"]["deaths"] == 0
    assert after["cpu:1"]["pid"] != before["cpu:1"] and after["cpu:1"]["deaths"] == 1


async def test_a_device_that_vanishes_is_told_and_its_jobs_go_elsewhere(pair, tmp_path):
    """The job runs again on the other; who asked for the lost one is refused in a sentence; it may come back."""
    one = await pair(devices=["cpu:0", "cpu:1"])
    marker = gone_marker(tmp_path / "home", "cpu:0")
    await begin(one, "busy", device="cpu:1", script="steps=100 delay=0.03")
    device = await begin(one, "lost", "steps=9 delay=0.1 fail=device_lost fail_at=6")
    marker.touch()
    assert device == "cpu:0"
    await one.submit("steps=1", "waits")
    told = (await one.until("lost", EventKind.SUSPENDED))[-1]
    assert "device_lost" in told.data["reason"] and "runs again" in told.data["reason"]
    while not any("cpu:0" in warning for warning in one.service.status()["warnings"]):
        await asyncio.sleep(0.02)
    row = one.service.status()["devices"][0]
    assert row["state"] == "gone" and one.service.status()["state"] == "ok"
    with pytest.raises(DeviceLost) as caught:
        await one.service.submit(Submission(operation="generate", params={"caption": "x"}, device="cpu:0"), "me")
    assert "cpu:1" in caught.value.message and caught.value.field == "device"
    await one.until("lost")
    lost = one.service.job("lost")
    assert (
        lost.device == "cpu:1" and lost.error["code"] == "device_lost"
    )  # its script loses every device; it ran on both
    await one.until("waits")
    assert one.service.job("waits").device == "cpu:1"
    marker.unlink()
    await one.service.resume()
    while one.service.status()["devices"][0]["state"] != "idle":
        await asyncio.sleep(0.02)
    assert await begin(one, "back", "steps=2", device="cpu:0") == "cpu:0"


async def test_jobs_that_wait_for_a_device_which_is_gone_end_with_a_sentence(pair, tmp_path):
    """Also those that an earlier daemon took in, with other devices."""
    one = await pair(devices=["cpu:0", "cpu:1"])
    await one.service.pause()
    for job, wish in (("named", "cpu:1"), ("kind", "cpu")):
        params = {"caption": "fake: steps=1", "length": 480, "seed": 1}
        await one.service.submit(Submission(operation="generate", params=params, id=job, device=wish), "me")
    await one.service.stop()
    again = await pair(devices=["cpu:0", "fpga"])
    for job in ("named", "kind"):
        await again.until(job)
    error = again.service.job("named").error
    assert error["code"] == "device_lost" and "'cpu:1'" in error["message"] and "cpu:0" in error["message"]
    assert again.service.job("kind").state is JobState.DONE and again.service.job("kind").device == "cpu:0"


async def test_what_steps_aside_looks_at_its_own_device(pair):
    """Not for a job that another device takes, nor for one that waits for another device; for one that only it can run, it does."""
    one = await pair()
    assert await begin(one, "training", LONG, operation="long") == "cpu:0"
    passing = await one.run("steps=1", "passing")
    assert passing.device == "cpu:1"
    assert await begin(one, "busy") == "cpu:1"
    await one.service.submit(
        Submission(
            operation="generate", params={"caption": "fake:", "length": 480, "seed": 1}, id="other", device="cpu:1"
        ),
        "me",
    )
    await one.until("training", EventKind.PROGRESS)
    assert not any(event.kind is EventKind.SUSPENDED for event in await one.service.wait("training"))
    urgent = await one.run("steps=1", "urgent")
    assert urgent.device == "cpu:0" and urgent.state is JobState.DONE
    kinds = [event.kind for event in one.service._tracker.events("training", -1)]
    assert EventKind.SUSPENDED in kinds
    assert one.service.job("other").state is JobState.QUEUED


async def test_where_none_is_named_the_first_worker_tells_which_there_are(pair, monkeypatch):
    """One lane at first, then one for each. A job may ask for a device before anybody knows it; one that never comes ends it."""
    monkeypatch.setenv(DEVICES_VARIABLE, "fake:0,fake:1")
    one = await pair(devices=[])
    early = {job: Submission(operation="generate", params={"caption": "fake:", "length": 480, "seed": 1}, id=job, device=wish)
             for job, wish in (("known", "fake:1"), ("never", "fake:9"))}  # fmt: skip
    for submission in early.values():
        await one.service.submit(submission, "me")
    await one.run("steps=1", "any")
    await one.until("known")
    await one.until("never")
    assert one.service.job("known").device == "fake:1"
    assert one.service.job("never").error["code"] == "device_lost"
    assert [row["device"] for row in one.service.status()["devices"]] == ["fake:0", "fake:1"]
