"""What clients are told about operations and models."""

import asyncio

import pytest

from acestep.api.errors import ModelMissing, UnknownOperation
from bridge.core.interface import JobState


async def test_describe_fills_in_what_is_known_at_run_time(desk):
    """Samplers from the registry, models from the disk; one table for forms and pages."""
    one = await desk(worker_start="lazy")
    (generate,) = one.service.describe("generate")
    fields = {field["name"]: field for field in generate["fields"]}
    assert set(fields["sampler"]["choices"]) == {"auto", *one.service.registry.samplers}
    assert "" in fields["model"]["choices"] and len(fields["model"]["choices"]) > 1
    with pytest.raises(UnknownOperation):
        one.service.describe("nonsense")


async def test_exactly_one_model_is_the_default(desk):
    """Present ones and those that could be fetched, each once."""
    rows = (await desk(worker_start="lazy")).service.models()
    assert sum(row["default"] for row in rows) == 1
    assert len({row["name"] for row in rows}) == len(rows)


async def test_the_default_model_may_be_named_by_its_folder(desk):
    """As ACE-Step's own settings name it; listed, and told how to fetch, by its short name."""
    one = await desk(worker_start="lazy", model="acestep-v15-turbo")
    assert [row["name"] for row in one.service.models() if row["default"]] == ["turbo"]
    with pytest.raises(ModelMissing, match="models download turbo"):
        await one.submit("steps=1")


async def models_of(one, expected):
    """Wait until the worker says that it holds these models; it says so by itself, after a job and after unloading."""
    async with asyncio.timeout(30):
        while one.service.status()["worker"]["info"]["models"] != expected:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("way", ["unload", "tidy"])
async def test_models_are_unloaded_on_request_and_when_idle(desk, way):
    """The worker stays, its memory is free, and the next job loads again."""
    one = await desk(idle_unload=0.0001)
    await one.run("steps=1")
    await models_of(one, [one.service.status()["model"]])
    worker = one.service.status()["worker"]["pid"]
    await asyncio.sleep(0.01)  # longer than the idle time of this desk
    await (one.service.unload() if way == "unload" else one.service.housekeeping.tidy())
    await models_of(one, [])
    assert (await one.run("steps=1")).state is JobState.DONE
    await models_of(one, [one.service.status()["model"]])
    assert one.service.status()["worker"]["pid"] == worker


async def test_nothing_is_unloaded_while_jobs_wait(desk):
    """Idle means that nothing runs and nothing waits, however long ago the last job came."""
    one = await desk(idle_unload=0.0001)
    await one.run("steps=1")
    await models_of(one, [one.service.status()["model"]])
    await one.service.pause()
    await one.submit("steps=1", "waiting")
    await asyncio.sleep(0.01)
    await one.service.housekeeping.tidy()
    await one.service.resume()
    await one.until("waiting")
    assert one.service.status()["worker"]["info"]["models"] == [one.service.status()["model"]]


async def test_status_counts_who_waits(desk):
    """Jobs in all, jobs by client, and what runs."""
    one = await desk(worker_start="lazy")
    await one.service.pause()
    for client in ("a", "b", "a"):
        await one.submit("", client=client)
    queue = one.service.status()["queue"]
    assert queue == {"length": 3, "running": [], "paused": True, "clients": {"a": 2, "b": 1}}


async def test_the_operation_of_chains_says_what_each_type_of_stage_takes(desk):
    """Fields that all stages share are told once; a stage's own words are among them, those of the song are not."""
    one = await desk(worker_start="lazy")
    (render,) = one.service.describe("render")
    shared = {field["name"]: field for field in render["chain"]["shared"]}
    assert {"model", "steps", "sampler", "preview", "checkpoint_step", "memory", "caption", "lyrics"} <= set(shared)
    assert not {"bpm", "duration", "variants", "source"} & set(shared)
    assert len(shared["model"]["choices"]) > 1
    stages = {one["type"]: one for one in render["chain"]["stages"]}
    assert set(stages) == set(one.service.registry.stages)
    assert (stages["generate"]["source"], stages["refine"]["source"]) == ("none", "optional")
    assert [field["name"] for field in stages["refine"]["fields"]] == ["t_start"]
    assert {"bpm", "duration"} <= {field["name"] for field in render["chain"]["conditioning"]}
    assert {"variants", "format"} <= {field["name"] for field in render["chain"]["output"]}
    assert "chain" not in one.service.describe("refine")[0]
