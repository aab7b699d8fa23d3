"""Workers that die, disks that fill up, folders that vanish, plug-ins that do not load: named, and the rest goes on."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from acestep.api.errors import (
    Degraded,
    Quarantined,
)
from bridge.core.interface import EventKind, JobState


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


async def test_results_are_copied_where_the_client_wants_them(desk, tmp_path):
    """Inside a write root; the library keeps its own."""
    one = await desk(write_roots=[str(tmp_path / "takes")])
    view = await one.run("", "x", folder=str(tmp_path / "takes" / "song"))
    (file,) = view.result["files"]
    assert Path(file["copy"]).read_bytes() == Path(file["path"]).read_bytes()
    assert Path(file["copy"]).parent == tmp_path / "takes" / "song"


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


@pytest.fixture
def disk(tmp_path):
    """A folder, and ``lock(bool)`` that makes it read-only and writable again: by its mount for root, else by its rights."""
    folder = tmp_path / "disk"
    folder.mkdir()
    root = os.name == "posix" and os.getuid() == 0
    if os.name != "posix" or (
        root and subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode
    ):
        pytest.skip("needs rights that hold for this user, or a mount")

    def lock(on):
        if root:
            subprocess.run(["mount", "-o", f"remount,bind,{'ro' if on else 'rw'}", folder], check=True)
        else:
            (folder / "library").chmod(0o500 if on else 0o700)

    yield folder, lock
    lock(False)
    if root:
        subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_library_that_becomes_read_only_is_named_and_the_rest_goes_on(desk, disk):
    """`output_unwritable` with the folder; status and cancel work; when it can be written again, jobs are done again."""
    folder, lock = disk
    one = await desk(library=str(folder / "library"))
    assert (await one.run("", "before")).state is JobState.DONE
    lock(True)
    error = (await one.run("", "during")).error
    assert error["code"] == "output_unwritable" and str(folder) in error["message"]
    assert one.service.status()["state"] == "ok"
    lock(False)
    assert (await one.run("", "after")).state is JobState.DONE
    assert {path.name for path in (folder / "library").iterdir()} == {"before", "after"}


async def test_an_end_that_cannot_be_stored_is_told_and_stored_later(desk, monkeypatch):
    """The disk of the job store fills up: the job fails by name, everybody hears it, and it is written when there is space."""
    monkeypatch.setattr("bridge.core.job_tracker.RETRY", 0.02)
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
