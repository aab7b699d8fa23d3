"""A job from its submit to its end, as doors meet the core: real store, real worker process, fake backend."""

import asyncio
import json
import time
import wave
from pathlib import Path

import psutil
import pytest

from acestep.api.errors import (
    NotAllowed,
    UnknownJob,
)
from acestep.api.render_request import RenderRequest
from bridge.core.interface import EventKind, JobState, Submission


async def test_a_job_goes_from_submit_to_library(desk):
    """Accepted, progress, result, done; the file has exactly the asked length and stands in the library."""
    one = await desk()
    accepted = await one.submit("steps=3", "take-1", length=12_345)
    assert (accepted.id, accepted.seq, accepted.position) == ("take-1", 0, 1)
    events = await one.until("take-1")
    kinds = [event.kind for event in events]
    assert kinds[0] is EventKind.ACCEPTED and kinds[-2:] == [EventKind.RESULT, EventKind.DONE]
    view = one.service.job("take-1")
    (file,) = view.result["files"]
    with wave.open(file["path"]) as sound:
        assert sound.getnframes() == 12_345
    assert view.state is JobState.DONE and view.progress["fraction"] == 1.0
    assert events[-2].data["path"] == file["path"] and Path(file["path"]).parent.parent == one.service.paths.library


async def test_a_method_called_by_an_alias_is_told_in_the_result(desk):
    """What the door resolved is told when the job is accepted, in its end and beside its files, once."""
    one = await desk()
    accepted = await one.submit("steps=2", "x", sampler="ipndm_v", schedule="exponential")
    told = ["sampler ipndm_v runs as dpmpp_2m", "schedule exponential runs as linear"]
    assert list(accepted.notes) == told
    done = (await one.until("x"))[-1].data["notes"]
    result = one.service.job("x").result
    stored = json.loads((Path(result["folder"]) / "result.json").read_text())["result"]
    assert done == result["notes"] == stored["notes"]
    assert [note for note in done if "runs as" in note] == told


async def test_seq_only_grows_and_one_event_ends_it(desk):
    """For a done, a failed and a cancelled job alike; fractions never fall and stay below 1."""
    one = await desk()
    await one.submit("steps=20 delay=0.02", "c")
    for job, script in (("a", "steps=5 delay=0.01"), ("b", "fail_at=2 fail=numeric_failure")):
        await one.submit(script, job)
    await one.until("c", EventKind.PROGRESS)
    await one.service.cancel("c")
    ends = {}
    for job in "abc":
        events = await one.until(job)
        seqs = [event.seq for event in events]
        assert seqs == sorted(set(seqs)) and seqs[0] == 0
        fractions = [event.data["fraction"] for event in events if event.kind is EventKind.PROGRESS]
        assert fractions == sorted(fractions) and all(fraction < 1 for fraction in fractions)
        ends[job] = [event.kind for event in events if event.kind in EventKind and event.kind.value in list(JobState)]
    assert ends == {"a": [EventKind.DONE], "b": [EventKind.FAILED], "c": [EventKind.CANCELLED]}
    assert one.service.job("b").error["code"] == "numeric_failure"


async def test_wait_answers_when_something_happens_and_not_before(desk):
    """Nothing new: an empty answer at the end of the time; an unknown job is an error; an ended one is answered at once."""
    one = await desk()
    await one.service.pause()
    await one.submit("", "x")
    assert await one.service.wait("x", 0, 0.05) == []
    waiting = asyncio.create_task(one.service.wait("x", 0, 30.0))
    await one.service.cancel("x")
    assert [event.kind for event in await waiting] == [EventKind.CANCELLED]
    assert await one.service.wait("x", 1, 30.0) == []
    with pytest.raises(UnknownJob):
        await one.service.wait("never", 0, 1.0)


async def test_a_late_subscriber_gets_what_it_missed(desk):
    """From the seq it saw last, in order, each once; of an ended job from the store."""
    one = await desk()
    await one.run("steps=3", "x")
    stream = one.service.subscribe("late", frozenset({"x"}), {"x": 0})
    seen = []
    async for event in stream:
        seen.append(event)
        if event.kind is EventKind.DONE:
            break
    assert [event.kind for event in seen] == [EventKind.RESULT, EventKind.DONE]
    await stream.aclose()
    assert one.service.status()["subscribers"] == 0


async def test_a_subscriber_to_everything_misses_no_end(desk):
    """Forty jobs of four clients: forty endings."""
    one = await desk()
    stream = one.service.subscribe("watcher")
    jobs = [f"j{number}" for number in range(40)]
    await asyncio.gather(*(one.submit("steps=1", job, client=f"c{job[-1]}") for job in jobs))
    ended = []
    async for event in stream:
        if event.kind is EventKind.DONE:
            ended.append(event.job)
        if len(ended) == 40:
            break
    assert sorted(ended) == sorted(jobs)


async def test_the_clock_may_jump(desk, monkeypatch):
    """Wall time is for people: jobs, waiting and progress go on when it leaps back and forth."""
    one = await desk()
    real = time.time
    for jump in (-86_400.0, 86_400.0 * 365):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        assert (await one.run("steps=3 delay=0.01")).state is JobState.DONE
    (newest, *_) = await one.service.jobs()
    assert newest.created > real() + 86_400 * 300


async def test_a_chain_of_stages_is_a_job_too(desk):
    """The nested form, with its canonical request as recipe: run again it gives the same body."""
    one = await desk()
    request = {
        "stages": [{"type": "generate", "seed": 4}],
        "conditioning": {"caption": "fake: steps=1"},
        "output": {"length": 480},
    }
    operation = next(name for name, op in one.service.operations().items() if op.schema is RenderRequest)
    first = await one.service.submit(Submission(operation=operation, params=request), "c")
    await one.until(first.id)
    recipe = one.service.job(first.id).request
    second = await one.service.submit(Submission(operation=operation, params=recipe), "c")
    await one.until(second.id)
    assert one.service.job(second.id).request == recipe


async def test_a_preset_is_an_operation_and_its_paths_are_checked_too(desk, tmp_path):
    """A file in the plug-in folder: run by its name, recorded as the chain that it is."""
    folder = tmp_path / "home" / "plugins"
    folder.mkdir(parents=True)
    preset = {"name": "warm", "stages": [{"type": "generate"}], "conditioning": {"caption": "fake: steps=1"}}
    (folder / "warm.preset.json").write_text(json.dumps(preset))
    one = await desk()
    view = await one.run(operation="warm", length=480)
    assert view.state is JobState.DONE and [stage["type"] for stage in view.request["stages"]] == ["generate"]
    with pytest.raises(NotAllowed):
        await one.submit(operation="warm", reference="/etc/passwd")


async def test_no_descriptor_is_left_after_fifty_jobs(desk):
    """Jobs, subscriptions and waits give back what they took."""
    one = await desk()
    await asyncio.gather(*(one.run("steps=1", f"warm{number}") for number in range(4)))
    before = psutil.Process().num_fds()
    await asyncio.gather(*(one.run("steps=1", f"j{number}") for number in range(50)))
    assert psutil.Process().num_fds() <= before + 1
