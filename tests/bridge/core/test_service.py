"""The core as doors meet it: real store, real worker process, fake backend."""

import asyncio
import json
import os
import shutil
import time
import wave
from pathlib import Path

import psutil
import pytest

from acestep.api import hookimpl
from acestep.api.errors import (
    AceError,
    BadRequest,
    Busy,
    Degraded,
    FeatureDisabled,
    IdConflict,
    NotAllowed,
    NotAudio,
    NotFound,
    Quarantined,
    UnknownJob,
    UnknownOperation,
)
from acestep.api.operation import Operation
from acestep.api.registry import RenderRequest
from acestep.api.schema import Request
from bridge.core.records import SEQ_GAP
from bridge.core.views import EventKind, JobState, Submission


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


async def test_the_same_id_and_body_is_the_same_job(desk):
    """Ten retries at once and one after the end: one job, one result, the same answer."""
    one = await desk()
    answers = await asyncio.gather(*(one.submit("steps=2", "x") for _ in range(10)))
    await one.until("x")
    answers.append(await one.submit("steps=2", "x"))
    assert len({(answer.id, answer.seq, answer.position) for answer in answers}) == 1
    assert len(one.service.jobs()) == 1 and len(list(one.service.paths.library.iterdir())) == 1


async def test_another_body_under_a_known_id_is_refused(desk):
    """`id_conflict`, while the first is being stored, while it waits and after its end."""
    one = await desk()
    answers = await asyncio.gather(one.submit("steps=2", "x"), one.submit("steps=3", "x"), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Accepted", "IdConflict"]
    await one.until("x")
    with pytest.raises(IdConflict):
        await one.submit("steps=4", "x")


async def test_the_order_of_keys_makes_no_other_body(desk):
    """A retry whose encoder sorts differently is still a retry."""
    one = await desk()
    params = {"caption": "fake: steps=1", "length": 480, "seed": 1}
    for order in (list(params), list(reversed(params))):
        await one.service.submit(
            Submission(client="c", operation="generate", params={key: params[key] for key in order}, id="x")
        )
    assert len(one.service.jobs()) == 1


async def test_a_refused_request_leaves_nothing(desk):
    """Rejected means: no job, no file, and the id is free."""
    one = await desk()
    with pytest.raises(BadRequest):
        await one.submit("", "x", bpm=-5.0)
    with pytest.raises(UnknownJob):
        one.service.job("x")
    assert (await one.run("steps=1", "x")).state is JobState.DONE


@pytest.mark.parametrize("name", ["", "a" * 65, "a/b", "a b", "\u00e9", "a\n"])
async def test_ids_are_checked(desk, name):
    """1 to 64 plain characters; the empty one is made here."""
    one = await desk(worker_start="lazy")
    await one.service.pause()
    if name:
        with pytest.raises(BadRequest) as caught:
            await one.submit("", name)
        assert caught.value.field == "id"
    else:
        assert (await one.submit("", name)).id


async def test_past_the_bounds_the_answer_is_busy(desk):
    """A full queue refuses at once and takes jobs again when there is room."""
    one = await desk(queue_length=3, worker_start="lazy")
    await one.service.pause()
    for number in range(3):
        await one.submit("", f"j{number}")
    with pytest.raises(Busy):
        await one.submit("", "late")
    assert (await one.submit("", "j1")).id == "j1", "a retry is answered from the table even then"
    await one.service.cancel("j0")
    await one.submit("", "late")


async def test_one_client_cannot_fill_the_queue(desk):
    """Its share is bounded; others still get in, and get their turn."""
    one = await desk(jobs_per_client=5)
    await one.service.pause()
    for number in range(5):
        await one.submit("", f"greedy{number}", client="greedy")
    with pytest.raises(Busy):
        await one.submit("", "more", client="greedy")
    await one.submit("", "modest", client="modest")
    await one.service.resume()
    await asyncio.gather(*(one.until(f"greedy{number}") for number in range(5)), one.until("modest"))
    order = sorted(one.service.jobs(), key=lambda view: view.started)
    assert [view.id for view in order].index("modest") <= 1


async def test_priority_decides_who_goes_first(desk):
    """Out of range it is refused."""
    one = await desk()
    await one.service.pause()
    for job, priority in (("low", -1), ("normal", 0), ("high", 3)):
        await one.submit("", job, priority=priority)
    assert [one.service.job(job).position for job in ("high", "normal", "low")] == [1, 2, 3]
    await one.service.resume()
    await asyncio.gather(*(one.until(job) for job in ("low", "normal", "high")))
    started = {view.id: view.started for view in one.service.jobs()}
    assert started["high"] < started["normal"] < started["low"]
    with pytest.raises(BadRequest):
        await one.submit("", priority=11)


async def test_cancelling_a_queued_job_ends_it_at_once(desk):
    """It never runs; a second cancel changes nothing; a done job stays done."""
    one = await desk()
    await one.submit("steps=1000 delay=0.01", "running")
    await one.submit("", "queued")
    view = await one.service.cancel("queued")
    assert view.state is JobState.CANCELLED and view.started is None
    assert (await one.service.cancel("queued")).seq == view.seq
    await one.service.cancel("running")
    await one.until("running")
    done = await one.run("", "done")
    assert (await one.service.cancel("done")).state is done.state is JobState.DONE
    with pytest.raises(UnknownJob):
        await one.service.cancel("never")


async def test_a_cancelled_running_job_leaves_no_files(desk):
    """Neither in the library nor in the staging."""
    one = await desk()
    await one.submit("steps=1000 delay=0.01", "x")
    await one.until("x", EventKind.PROGRESS)
    await one.service.cancel("x")
    assert (await one.until("x"))[-1].kind is EventKind.CANCELLED
    await one.run("", "next")
    assert [path.name for path in one.service.paths.library.iterdir()] == ["next"]
    assert list(one.service.paths.staging.iterdir()) == []


async def test_a_job_cancelled_while_it_is_stored_is_cancelled(desk):
    """Submit and cancel sent together, in this order."""
    one = await desk()
    await one.service.pause()
    submitting = asyncio.create_task(one.submit("", "x"))
    await asyncio.sleep(0)
    assert (await one.service.cancel("x")).state is JobState.CANCELLED
    await submitting


async def test_pause_resume_and_clear(desk):
    """While paused nothing starts and everything else works; clear empties the queue."""
    one = await desk()
    await one.service.pause()
    for number in range(3):
        await one.submit("", f"j{number}")
    await asyncio.sleep(0.1)
    assert one.service.status()["queue"] == {"length": 3, "running": [], "paused": True, "clients": {"me": 3}}
    assert await one.service.clear() == 3
    assert {view.state for view in one.service.jobs()} == {JobState.CANCELLED}
    await one.submit("", "last")
    await one.service.resume()
    await one.until("last")


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


async def test_barrier_waits_for_the_submits_before_it(desk):
    """Afterwards every one of them is stored."""
    one = await desk()
    await one.service.pause()
    submits = [asyncio.create_task(one.submit("", f"j{number}")) for number in range(20)]
    await asyncio.sleep(0)
    await one.service.barrier()
    assert len(one.service.jobs()) == 20
    await asyncio.gather(*submits)


async def test_history_is_searched_and_paged(desk):
    """By words in caption, operation and id, by state, newest first, in pages."""
    one = await desk()
    await one.service.pause()
    for number in range(5):
        await one.submit("", f"j{number}", caption=f"warm rhodes {number}")
    await one.service.cancel("j0")
    assert [view.id for view in one.service.jobs(search="rhodes 3")] == ["j3"]
    assert [view.id for view in one.service.jobs(states=frozenset({JobState.CANCELLED}))] == ["j0"]
    first = one.service.jobs(limit=2)
    second = one.service.jobs(limit=2, before=first[-1].id)
    assert [view.id for view in (*first, *second)] == ["j4", "j3", "j2", "j1"]


async def test_a_worker_that_dies_fails_only_its_job(desk):
    """`worker_died` with the reason; the next job runs."""
    one = await desk()
    await one.submit("crash_at=1", "bad")
    await one.submit("", "good")
    assert (await one.until("bad"))[-1].data["error"]["code"] == "worker_died"
    assert (await one.until("good"))[-1].kind is EventKind.DONE


async def test_a_request_that_ended_the_worker_twice_is_quarantined(desk):
    """Under any id, until somebody resumes the queue; another request is welcome."""
    one = await desk()
    for number in range(2):
        assert (await one.run("crash_at=1", f"bad{number}")).error["code"] == "worker_died"
    with pytest.raises(Quarantined):
        await one.submit("crash_at=1", "bad2")
    await one.service.resume()
    assert (await one.run("crash_at=1", "bad2")).error["code"] == "worker_died"
    assert (await one.run("", "good")).state is JobState.DONE


async def test_while_the_worker_is_given_up_submits_are_refused_and_the_rest_answers(desk, monkeypatch):
    """status says degraded; resume is the way back."""
    monkeypatch.setattr("bridge.core.supervisor.PAUSES", (0.01,))
    one = await desk()
    for number in range(5):
        await one.run("crash_at=0", f"bad{number}", length=1000 + number)
    assert one.service.status()["state"] == "degraded"
    with pytest.raises(Degraded):
        await one.submit("", "x")
    await one.service.resume()
    assert (await one.run("", "x")).state is JobState.DONE


async def test_a_restart_goes_on_with_what_waited(desk):
    """An orderly stop: the running job and the queued ones are done after the next start, no attempt counted."""
    one = await desk()
    await one.submit("steps=50 delay=0.02", "running")
    await one.submit("", "queued")
    seen = (await one.until("running", EventKind.PROGRESS))[-1].seq
    await one.service.stop()
    two = await desk()
    assert {view.state for view in two.service.jobs()} <= {JobState.QUEUED, JobState.RUNNING}
    events = await two.until("running")
    assert (await two.until("queued"))[-1].kind is EventKind.DONE
    assert events[-1].kind is EventKind.DONE and events[1].seq > seen
    assert two.service.job("running").attempt == 1


def crashed(home, job, **columns):
    """Leave the store as a killed daemon leaves it."""
    import sqlite3

    connection = sqlite3.connect(home / "jobs.sqlite3")
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*columns.values(), job))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(("attempt", "state"), [(1, JobState.DONE), (2, JobState.INTERRUPTED)])
async def test_a_job_that_ran_in_a_crashed_daemon_is_tried_once_more(desk, attempt, state):
    """The first time it runs again, with a seq beyond any that was sent; the second time it ends as interrupted."""
    one = await desk()
    await one.service.pause()
    await one.submit("", "x")
    await one.service.stop()
    crashed(one.service.paths.home, "x", state="running", attempt=attempt)
    two = await desk()
    events = await two.until("x")
    assert events[-1].kind is EventKind(state.value) and events[-1].seq > SEQ_GAP
    assert sum(event.kind.value in set(JobState) - {"queued", "running"} for event in events) == 1


async def test_a_job_that_was_committed_before_the_crash_is_done(desk):
    """The rename is the commit: it is not run again, and its result is the one in the library."""
    one = await desk()
    await one.run("", "x", length=777)
    made = Path(one.service.job("x").result["files"][0]["path"])
    written = made.stat().st_mtime_ns
    await one.service.stop()
    crashed(one.service.paths.home, "x", state="running", ended=None, result=None)
    import sqlite3

    with sqlite3.connect(one.service.paths.database) as connection:
        connection.execute("DELETE FROM events WHERE seq > 0")
    connection.close()
    two = await desk(worker_start="lazy")
    assert (await two.until("x"))[-1].kind is EventKind.DONE
    assert two.service.job("x").result["files"][0]["path"] == str(made)
    assert made.stat().st_mtime_ns == written and two.service.status()["worker"]["state"] == "stopped"


async def test_what_a_crash_left_half_written_is_removed(desk, tmp_path):
    """Staging folders of dead attempts do not pile up."""
    one = await desk(worker_start="lazy")
    await one.service.stop()
    (one.service.paths.staging / "x~a1").mkdir()
    await desk(worker_start="lazy")
    assert list(one.service.paths.staging.iterdir()) == []


async def test_results_are_copied_where_the_client_wants_them(desk, tmp_path):
    """Inside a write root; the library keeps its own."""
    one = await desk(write_roots=[str(tmp_path / "takes")])
    view = await one.run("", "x", folder=str(tmp_path / "takes" / "song"))
    (file,) = view.result["files"]
    assert Path(file["copy"]).read_bytes() == Path(file["path"]).read_bytes()
    assert Path(file["copy"]).parent == tmp_path / "takes" / "song"


async def test_a_folder_outside_the_write_roots_is_refused(desk, tmp_path):
    """At the door, with the field's name."""
    one = await desk(worker_start="lazy")
    with pytest.raises(NotAllowed) as caught:
        await one.submit("", folder=str(tmp_path / "elsewhere"))
    assert caught.value.field == "folder" and not (tmp_path / "elsewhere").exists()


async def test_a_folder_that_stops_being_one_loses_nothing(desk, tmp_path):
    """Copies fail after the work was done: the job is done, the files are in the library, the note names the error."""
    one = await desk(write_roots=[str(tmp_path / "takes")])
    await one.service.pause()
    await one.submit("", "x", folder=str(tmp_path / "takes" / "song"))
    (tmp_path / "takes").mkdir()
    (tmp_path / "takes" / "song").write_text("in the way")
    await one.service.resume()
    done = (await one.until("x"))[-1]
    assert done.kind is EventKind.DONE and any("output_unwritable" in note for note in done.data["notes"])
    assert Path(one.service.job("x").result["files"][0]["path"]).exists()


async def test_without_space_a_job_fails_by_name_and_the_queue_lives(desk):
    """`disk_full` for what must write, while status and cancel work."""
    one = await desk(free_bytes=1 << 60)
    assert (await one.run("", "x")).error["code"] == "disk_full"
    assert any("MiB are free" in warning for warning in one.service.status()["warnings"])
    assert (await one.run("", "y")).error["retryable"]


@pytest.mark.parametrize(
    ("source", "error"),
    [("missing.wav", NotFound), ("text.wav", NotAudio), ("/etc/passwd", NotAllowed), ("../up.wav", NotAllowed)],
)
async def test_bad_sources_are_refused_at_the_door(desk, tmp_path, source, error):
    """Before anything is stored, with the field."""
    one = await desk(worker_start="lazy")
    (tmp_path / "text.wav").write_text("words")
    path = source if source.startswith("/") else f"{tmp_path}/{source}"
    with pytest.raises(error) as caught:
        await one.submit(operation="repaint", source=path, start=0, end=10)
    assert caught.value.field == "source" and one.service.jobs() == []


@pytest.mark.parametrize("field", ["reference", "guide"])
async def test_every_path_of_a_request_goes_through_the_resolver(desk, field):
    """Not the source alone."""
    one = await desk(worker_start="lazy")
    with pytest.raises(NotAllowed) as caught:
        await one.submit("", **{field: "/etc/hosts.mid"})
    assert caught.value.field == field


async def test_an_upload_is_a_source_like_a_file(desk, tmp_path, sound_file):
    """Sent in chunks, named by id, probed by its header."""
    import hashlib

    one = await desk()
    data = sound_file(frames=4800).read_bytes()
    uploads = one.service.uploads
    upload = uploads.begin(len(data), hashlib.sha256(data).hexdigest()).id
    uploads.write(upload, 0, data)
    view = await one.run(
        operation="repaint", upload=upload, start=100, end=2000, caption="fake:", returns=["patch"], crossfade=0.0
    )
    assert view.state is JobState.DONE and view.result["files"][0]["length"] == 1900


async def test_the_clock_may_jump(desk, monkeypatch):
    """Wall time is for people: jobs, waiting and progress go on when it leaps back and forth."""
    one = await desk()
    real = time.time
    for jump in (-86_400.0, 86_400.0 * 365):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        assert (await one.run("steps=3 delay=0.01")).state is JobState.DONE
    newest = one.service.jobs()[0]
    assert newest.created > real() + 86_400 * 300


async def test_history_forgets_the_oldest(desk):
    """Beyond the bound, ended jobs only; their files stay until the library is trimmed."""
    one = await desk(history_jobs=2)
    for number in range(4):
        await one.run("", f"j{number}")
    await one.service.pause()
    await one.submit("", "waiting")
    await one.service.tidy()
    assert [view.id for view in one.service.jobs()] == ["waiting", "j3", "j2"]
    assert len(list(one.service.paths.library.iterdir())) == 4


async def test_the_library_is_trimmed_by_size(desk):
    """The newest results stay."""
    one = await desk(library_bytes=20_000)
    for number in range(4):
        await one.run("", f"j{number}", length=1600)
        place = one.service.paths.library / f"j{number}"
        os.utime(place, (1000 + number, 1000 + number))
    await one.service.tidy()
    kept = {path.name for path in one.service.paths.library.iterdir()}
    assert kept and kept < {"j0", "j1", "j2", "j3"} and "j3" in kept


class Echo(Request):
    """Request of the operations that the tests add."""

    text: str = ""


async def echo(request, daemon):
    """An operation that runs in the daemon."""
    daemon.report("echo", 1, 2, 0.5)
    return {"said": request.text, "version": daemon.core.version()["program"]}


async def sleep(request, daemon):
    """One that takes its time."""
    await asyncio.sleep(60)
    return {}


async def fail(request, daemon):
    """One with a bug."""
    raise ZeroDivisionError


class EchoPlugin:
    @hookimpl
    def register_operations(self, register):
        for function in (echo, sleep, fail):
            name = function.__name__
            register(Operation(name=name, summary=name, schema=Echo, runs="daemon", target=f"{__name__}:{name}"))
        register(Operation(name="secret", summary="x", schema=Echo, runs="daemon", target="", feature="new-thing"))


@pytest.fixture
async def daemon_desk(desk, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    one = await desk(worker_start="lazy")
    one.service.registry.add_plugin(EchoPlugin(), "echo")
    return one


async def test_an_operation_of_the_daemon_needs_no_worker(daemon_desk):
    """It is a job like any other: stored, with progress, result and end."""
    view = await daemon_desk.run(operation="echo", text="hello")
    assert view.result["data"] == {"said": "hello", "version": "acestep-bridge"}
    assert daemon_desk.service.status()["worker"]["state"] == "stopped"


async def test_an_operation_of_the_daemon_can_be_cancelled(daemon_desk):
    """While it runs."""
    accepted = await daemon_desk.submit(operation="sleep")
    while daemon_desk.service.job(accepted.id).state is not JobState.RUNNING:
        await asyncio.sleep(0.005)
    await daemon_desk.service.cancel(accepted.id)
    assert (await daemon_desk.until(accepted.id))[-1].kind is EventKind.CANCELLED


async def test_a_bug_in_a_plugin_ends_its_job_only(daemon_desk):
    """`internal`, never a traceback; the next one runs."""
    view = await daemon_desk.run(operation="fail")
    assert view.state is JobState.FAILED and view.error["code"] == "internal"
    assert "Traceback" not in json.dumps(view.error)
    assert (await daemon_desk.run(operation="echo")).state is JobState.DONE


async def test_a_feature_is_hidden_until_it_is_switched_on(daemon_desk):
    """A sentence instead of a mystery; at run time, both ways."""
    service = daemon_desk.service
    assert "secret" not in service.operations()
    with pytest.raises(FeatureDisabled, match="new-thing"):
        await daemon_desk.submit(operation="secret")
    service.set_feature("new_thing", True)
    assert "secret" in {entry["name"] for entry in service.describe()}
    service.set_feature("new-thing", False)
    assert "secret" not in service.operations()


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


async def test_a_broken_plugin_is_a_warning(desk, tmp_path):
    """The daemon starts, and status says which one and why."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "broken.py").write_text("raise RuntimeError('sorry')\n")
    one = await desk(plugin_folder=str(folder), worker_start="lazy")
    assert any("broken" in warning and "sorry" in warning for warning in one.service.status()["warnings"])


async def test_a_missing_library_disk_is_a_warning_not_a_crash(desk):
    """A volume that was unplugged."""
    one = await desk(worker_start="lazy")
    shutil.rmtree(one.service.paths.library)
    assert any("library" in warning for warning in one.service.status()["warnings"])
    assert (await one.run("", "x")).state is JobState.DONE, "and the folder is made again when it can be"


async def test_an_end_that_cannot_be_stored_is_told_and_stored_later(desk, monkeypatch):
    """The disk of the job store fills up: the job fails by name, everybody hears it, and it is written when there is space."""
    monkeypatch.setattr("bridge.core.book.RETRY", 0.02)
    one = await desk()
    await one.service.pause()
    await one.submit("steps=1", "x", lyrics="la " * 5000)
    store = one.service._store
    pages = store.reader.execute("PRAGMA page_count").fetchone()[0]
    await store.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone())
    await one.service.resume()
    assert (await one.until("x"))[-1].data["error"]["code"] == "disk_full"
    rows = "SELECT state FROM jobs"
    assert (one.service.job("x").state, store.reader.execute(rows).fetchone()[0]) == (JobState.FAILED, "queued")
    await store.write(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
    while store.reader.execute(rows).fetchone()[0] != "failed":
        await asyncio.sleep(0.01)
    assert store.reader.execute("SELECT COUNT(*) FROM events WHERE kind = 'failed'").fetchone()[0] == 1


async def test_a_request_without_bottom_is_refused(desk):
    """Thousands of levels, before anything recurses into them."""
    one = await desk(worker_start="lazy")
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(BadRequest, match="levels"):
        await one.service.submit(Submission(client="c", operation="generate", params={"seeds": deep}))


async def test_models_are_unloaded_on_request_and_when_idle(desk):
    """The worker stays, its memory is free, and the next job loads again."""
    one = await desk(idle_unload=0.0001)

    async def loaded(expected):
        while one.service.status()["worker"]["info"]["models"] != expected:
            await asyncio.sleep(0.005)

    for free in (one.service.unload, one.service.tidy):
        await one.run("steps=1")
        await loaded(["fake"])
        await asyncio.sleep(0.01)
        await free()
        await loaded([])


async def test_a_chain_of_stages_is_a_job_too(desk):
    """The nested form, with its canonical request as recipe: run again it gives the same body."""
    one = await desk()
    request = {
        "stages": [{"type": "generate", "seed": 4}],
        "conditioning": {"caption": "fake: steps=1"},
        "output": {"length": 480},
    }
    operation = next(name for name, op in one.service.operations().items() if op.schema is RenderRequest)
    first = await one.service.submit(Submission(client="c", operation=operation, params=request))
    await one.until(first.id)
    recipe = one.service.job(first.id).request
    second = await one.service.submit(Submission(client="c", operation=operation, params=recipe))
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


async def test_a_stored_latent_that_is_not_there_is_refused(desk):
    """At the door; its id is no path."""
    one = await desk(worker_start="lazy")
    for name in ("nothing/x.safetensors", "../../etc/passwd", "x"):
        with pytest.raises(NotFound) as caught:
            await one.submit(operation="repaint", source_latent=name, start=0, end=10)
        assert caught.value.field == "source_latent"


async def test_no_descriptor_is_left_after_fifty_jobs(desk):
    """Jobs, subscriptions and waits give back what they took."""
    one = await desk()
    await asyncio.gather(*(one.run("steps=1", f"warm{number}") for number in range(4)))
    before = psutil.Process().num_fds()
    await asyncio.gather(*(one.run("steps=1", f"j{number}") for number in range(50)))
    assert psutil.Process().num_fds() <= before + 1


async def test_errors_of_the_door_are_one_family(desk):
    """Whatever comes in, what goes out is an `AceError` with a code."""
    one = await desk(worker_start="lazy")
    await one.service.pause()
    for params in ({"caption": 5}, {"nonsense": 1}, {"length": 0}, {"caption": "x" * 10_000}, {"seeds": [[]]}):
        with pytest.raises(AceError) as caught:
            await one.service.submit(Submission(client="c", operation="generate", params=params))
        assert caught.value.code == "bad_request" and caught.value.field
