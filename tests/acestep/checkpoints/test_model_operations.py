"""Models over the doors: jobs of the daemon with bytes as progress, that can be cancelled, and go on where they broke off."""

from __future__ import annotations

import asyncio
import threading

import pytest

from acestep.api.errors import BadRequest
from bridge import Client
from bridge.core.interface import EventKind, JobState, Submission
from bridge.core.service import Service
from bridge.paths import Paths
from bridge.settings import Settings

WEIGHTS = "acestep-v15-turbo/model.safetensors"


class Office:
    """A core without doors, and jobs on it."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def submit(self, operation: str, **params) -> str:
        return (await self.service.submit(Submission(operation=operation, params=params), "me")).id

    async def end(self, job: str) -> list:
        """All events of a job."""
        seen, after = [], -1
        while not seen or not self.service.job(job).state.terminal or seen[-1].kind is EventKind.PROGRESS:
            seen += await self.service.wait(job, after, 20.0)
            after = seen[-1].seq
        return seen

    async def run(self, operation: str, **params):
        """Submit and wait; the job at its end."""
        job = await self.submit(operation, **params)
        await self.end(job)
        return self.service.job(job)

    def present(self) -> set[str]:
        return {row["name"] for row in self.service.models() if row["present"]}


@pytest.fixture
async def office(tmp_path, hub):
    options = Settings(home=str(tmp_path / "home"), backend="fake", worker_start="lazy")
    paths = Paths.of(options)
    paths.create()
    service = Service(options, paths)
    await service.start()
    yield Office(service)
    for event in hub.held.values():
        event.set()
    await service.stop()


async def test_a_model_arrives_with_its_bytes_counted(office, hub):
    """Through a connection that breaks in the middle: progress never falls and counts bytes; then the model is listed and whole."""
    hub.breaks[WEIGHTS] = 1
    job = await office.submit("model-download", model="turbo")
    told = [event.data for event in await office.end(job) if event.kind is EventKind.PROGRESS]
    done = office.service.job(job)
    assert done.state is JobState.DONE, done.error
    facts = done.result["data"]
    assert (facts["name"], facts["kind"]) == ("turbo", "checkpoint")
    assert len([1 for name, _ in hub.asked if name == WEIGHTS]) == 2
    assert told and told[-1]["steps"] >= facts["size_bytes"]
    assert [one["fraction"] for one in told] == sorted(one["fraction"] for one in told)
    assert "turbo" in office.present()
    checked = await office.run("model-verify", model="turbo")
    assert checked.result["data"]["problems"] == [] and checked.result["data"]["digest"]


async def test_a_cancelled_download_goes_on_later(office, hub):
    """The end is told at once, although the line is silent; what has arrived is not fetched again and is no model yet."""
    hub.held[WEIGHTS] = threading.Event()
    job = await office.submit("model-download", model="turbo")
    while WEIGHTS not in [name for name, _ in hub.asked]:
        await asyncio.sleep(0.01)
    await office.service.cancel(job)
    assert (await office.end(job))[-1].kind is EventKind.CANCELLED
    assert "turbo" not in office.present()
    hub.held.pop(WEIGHTS).set()
    hub.asked.clear()
    assert (await office.run("model-download", model="turbo")).state is JobState.DONE
    (first,) = [wanted for name, wanted in hub.asked if name == WEIGHTS]
    assert int(first.removeprefix("bytes=").removesuffix("-")) > 0


async def test_language_models_are_listed_and_fetched_too(office):
    """Under short names of their own, apart from the checkpoints that stages may name."""
    rows = {row["name"]: row for row in office.service.models()}
    assert {name: rows[name]["kind"] for name in ("lm-0.6B", "lm-1.7B", "lm-4B", "turbo")} == {
        "lm-0.6B": "language", "lm-1.7B": "language", "lm-4B": "language", "turbo": "checkpoint"}  # fmt: skip
    assert (await office.run("model-download", model="lm-1.7B")).state is JobState.DONE
    assert "lm-1.7B" in office.present()
    facts = (await office.run("model-info", model="lm-1.7B")).result["data"]
    assert (facts["name"], facts["kind"], facts["trained"]) == ("lm-1.7B", "language", True)
    (field,) = [one for one in office.service.describe("generate")[0]["fields"] if one["name"] == "model"]
    assert "lm-1.7B" not in field["choices"]


async def test_a_removed_model_is_gone_from_disk_and_list(office):
    """With what it took; the default model and unknown ones are refused, each with its code."""
    await office.run("model-download", model="turbo")
    gone = await office.run("model-remove", model="turbo")
    assert gone.state is JobState.DONE and gone.result["data"]["size_bytes"] > 0
    assert "turbo" not in office.present()
    for operation in ("model-info", "model-verify", "model-remove"):
        failed = await office.run(operation, model="turbo")
        assert (failed.state, failed.error["code"]) == (JobState.FAILED, "model_missing")


async def test_bad_wishes_ask_no_hub(office, hub):
    """A model nobody published fails with the names there are; a source there is not does not even become a job."""
    failed = await office.run("model-download", model="gpt")
    assert failed.error["code"] == "unknown_name" and "lm-4B" in failed.error["limits"]["choices"]
    with pytest.raises(BadRequest) as refused:
        await office.submit("model-download", model="turbo", hub="torrent")
    assert refused.value.field == "hub"
    assert not hub.asked


async def test_a_broken_hub_is_a_clear_failure(office, hub):
    """Every try breaks off: the error says that the download can be continued, and it can."""
    hub.breaks[WEIGHTS] = 10**6
    failed = await office.run("model-download", model="turbo", hub="huggingface")
    assert failed.error["code"] == "download_failed" and "again to resume it" in failed.error["message"]
    hub.breaks.clear()
    assert (await office.run("model-download", model="turbo")).state is JobState.DONE


def test_a_daemon_serves_others_while_it_downloads(daemon, hub):
    """A real process over MessagePack-RPC: jobs run and questions are answered while a file is on its way."""
    hub.held[WEIGHTS] = threading.Event()
    one = daemon()
    with Client(home=str(one.paths.home)) as client:
        fetching = client.submit("model-download", {"model": "turbo"})
        for event in client.events(fetching):
            if event["kind"] == "progress" and event["data"]["step"] > 0:
                break
        made = client.submit("generate", {"caption": "fake: steps=2", "length": 480, "seed": 1})
        assert client.wait(made)["state"] == "done"
        assert client.job(fetching)["state"] == "running"
        hub.held[WEIGHTS].set()
        assert client.wait(fetching)["state"] == "done"
        assert "turbo" in [row["name"] for row in client.call("models.list") if row["present"]]
