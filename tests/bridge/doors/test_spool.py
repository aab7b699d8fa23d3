"""The spool door: files in, files out, whatever the files are."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import time

import pytest

from bridge.doors import limits
from bridge.doors.spool.door import SpoolDoor
from bridge.doors.spool.files import Folder

ENDED = ("done", "failed", "cancelled", "interrupted")


@pytest.fixture
async def spool(dispatcher, tmp_path):
    """An open spool in a new folder."""
    door = SpoolDoor(dispatcher, tmp_path / "spool", pause=0.01)
    await door.open()
    yield door
    await door.close()


def drop(door, name, method="job.submit", params=None, **more):
    """Write a request as a host does."""
    data = {"format": "acestep-bridge/spool", "version": 1, "method": method, "params": params or {}, **more}
    draft = door.folder.requests / f"{name}.tmp"
    draft.write_text(json.dumps(data))
    draft.rename(draft.with_suffix(".json"))


async def status(door, name, ready=lambda data: True):
    """The status file once it is there and says what is waited for."""
    path = door.folder.status / f"{name}.json"
    async with asyncio.timeout(5):
        while True:
            if path.exists() and ready(data := json.loads(path.read_text())):
                return data
            await asyncio.sleep(0.005)


def ended(data):
    return data["error"] is not None or (data["job"] or {}).get("state") in ENDED


async def test_a_request_file_becomes_a_job_and_a_status_file(spool):
    """The request is taken away; the status follows the job to its end, with the files' paths."""
    drop(spool, "reaper-1", params={"operation": "sketch", "params": {"steps": 2}})
    data = await status(spool, "reaper-1", ended)
    assert (data["format"], data["version"], data["name"]) == ("acestep-bridge/spool-status", 1, "reaper-1")
    assert (data["answer"]["id"], data["job"]["state"]) == ("reaper-1", "done")
    assert data["job"]["result"]["files"][0]["path"].endswith("reaper-1.wav")
    assert list(spool.folder.requests.iterdir()) == []


async def test_progress_is_seen_on_the_way(spool, core):
    """A host that polls sees how far the job is."""
    core.pace = 0.05
    drop(spool, "a", params={"operation": "sketch", "params": {"steps": 4}})
    data = await status(spool, "a", lambda data: data["job"]["state"] == "running")
    assert 0 < data["job"]["progress"]["fraction"] < 1
    await status(spool, "a", ended)


async def test_a_status_file_is_never_half_written(spool, core):
    """Read at any moment it is whole JSON, and its seq never falls."""
    core.pace = 0.005
    drop(spool, "a", params={"operation": "sketch", "params": {"steps": 60}})
    await status(spool, "a")
    seqs = []
    while True:
        data = json.loads((spool.folder.status / "a.json").read_text())
        seqs.append(data["job"]["seq"])
        if ended(data):
            break
        await asyncio.sleep(0.001)
    assert seqs == sorted(seqs)


async def test_cancel_and_questions_are_requests_too(spool):
    """Any method but those for RPC only; the answer stands in the status file."""
    drop(spool, "a", params={"operation": "sketch", "params": {"hold": True}})
    await status(spool, "a")
    drop(spool, "b", method="job.cancel", params={"id": "a"})
    assert (await status(spool, "b"))["answer"]["id"] == "a"
    assert (await status(spool, "a", ended))["job"]["state"] == "cancelled"
    drop(spool, "c", method="version")
    assert (await status(spool, "c"))["answer"]["program"] == "acestep-bridge"
    drop(spool, "d", method="upload.begin")
    assert (await status(spool, "d"))["error"]["code"] == "unknown_operation"


async def test_several_hosts_at_once(spool):
    """Forty requests of four hosts: each has its own status."""
    for host in ("reaper", "ardour", "live", "shell"):
        for number in range(10):
            drop(spool, f"{host}-{number}", method="op.sketch", params={"start": number})
    for host in ("reaper", "ardour", "live", "shell"):
        for number in range(10):
            data = await status(spool, f"{host}-{number}", ended)
            assert data["job"]["client"] == f"spool:{host}"
            assert data["job"]["result"]["files"][0]["start"] == number


async def test_a_file_that_is_being_written_is_left_alone(spool):
    """Only what has been renamed is taken."""
    draft = spool.folder.requests / "slow.tmp"
    draft.write_text('{"format": "acestep-bridge/spool", "ver')
    await asyncio.sleep(0.1)
    assert draft.exists()
    assert not (spool.folder.status / "slow.json").exists()


HOSTILE = [
    ("half", b'{"format": "acestep-bri', "bad_packet"),
    ("empty", b"", "bad_packet"),
    ("binary", b"\xff\xfe\0\0", "bad_packet"),
    ("deep", b"[" * 100_000, "bad_packet"),
    ("list", b"[]", "bad_request"),
    ("wrong-format", b'{"format": "x", "version": 1, "method": "ping"}', "bad_request"),
    ("extra", b'{"format": "acestep-bridge/spool", "version": 1, "method": "ping", "more": 1}', "bad_request"),
    ("nan", b'{"format": "acestep-bridge/spool", "version": 1, "method": "ping", "params": {"n": NaN}}', "bad_packet"),
    ("huge", b" " * (limits.SPOOL_REQUEST + 1), "too_large"),
]


@pytest.mark.parametrize(("name", "data", "code"), HOSTILE, ids=[case[0] for case in HOSTILE])
async def test_a_file_that_is_no_request_becomes_an_error(spool, name, data, code):
    """It is taken away, its host is told, and the door goes on."""
    draft = spool.folder.requests / f"{name}.tmp"
    draft.write_bytes(data)
    draft.rename(draft.with_suffix(".json"))
    assert (await status(spool, name))["error"]["code"] == code
    drop(spool, "good", method="ping", params={"n": 4})
    assert (await status(spool, "good"))["answer"] == {"n": 4}
    assert list(spool.folder.requests.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file kinds")
async def test_links_pipes_and_folders_are_not_opened(spool, tmp_path):
    """A link's target is neither read nor removed; a pipe does not hang the door."""
    secret = tmp_path / "secret.json"
    secret.write_text('{"format": "acestep-bridge/spool", "version": 1, "method": "ping"}')
    (spool.folder.requests / "link.json").symlink_to(secret)
    os.mkfifo(spool.folder.requests / "pipe.json")
    (spool.folder.requests / "folder.json").mkdir()
    for name in ("link", "pipe", "folder"):
        assert (await status(spool, name))["error"]["code"] == "bad_packet"
    assert secret.exists()


@pytest.mark.parametrize(
    "name", ["..", ".hidden", "a b", "ä", "x" * 65, "x" * 250, "a;b", "50%", "-" + "\t", "bad\udcff"]
)
@pytest.mark.parametrize("content", ["request", "nothing"])
async def test_a_strange_name_is_answered_with_the_reason(spool, core, name, content):
    """Under the name that the host chose, so that it finds the answer; no job comes of it."""
    if content == "request":
        drop(spool, name, params={"operation": "sketch", "params": {"steps": 2}}) if len(name) < 250 else None
    if content == "nothing" or len(name) >= 250:
        (spool.folder.requests / f"{name}.json").write_text("{}")
    answer = await status(spool, name)
    assert answer["error"]["code"] == "bad_request" and answer["job"] is None
    assert content == "nothing" or len(name) >= 250 or "1 to 64 letters" in answer["error"]["message"]
    assert list(spool.folder.requests.iterdir()) == [] and await core.jobs() == []


async def test_a_byte_order_mark_is_read_over(spool):
    """As editors and scripts of Windows write it."""
    text = json.dumps({"format": "acestep-bridge/spool", "version": 1, "method": "ping", "params": {"n": 4}})
    (spool.folder.requests / "bom.json").write_text(text, "utf-8-sig")
    assert (await status(spool, "bom"))["answer"] == {"n": 4}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
async def test_the_folders_are_their_owners(spool):
    """Mode 0700: requests of other users do not get in."""
    for folder in (spool.folder.root, spool.folder.requests, spool.folder.status):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_jobs_of_an_earlier_daemon_are_taken_up(spool, dispatcher, core, tmp_path):
    """A status that was not final when the daemon ended is brought up to date by the next one."""
    drop(spool, "a", params={"operation": "sketch", "params": {"hold": True}})
    await status(spool, "a")
    await spool.close()
    await core.cancel("a")
    later = SpoolDoor(dispatcher, tmp_path / "spool", pause=0.01)
    await later.open()
    assert (await status(later, "a", ended))["job"]["state"] == "cancelled"
    await later.close()


async def test_a_job_that_is_gone_is_told(spool, dispatcher, tmp_path):
    """A status of a job that nobody knows any more ends with an error."""
    data = {"answer": {"id": "lost"}, "error": None, "job": {"id": "lost", "state": "queued"}}
    spool.folder.write("lost", data)
    later = SpoolDoor(dispatcher, tmp_path / "spool", pause=0.01)
    await later.open()
    assert (await status(later, "lost", ended))["error"]["code"] == "unknown_job"
    await later.close()


def test_old_files_are_cleaned_up(tmp_path):
    """Statuses nobody fetched and requests never finished go after a day; young ones stay."""
    folder = Folder(tmp_path)
    folder.create()
    for name, age in (("old", 2 * limits.SPOOL_KEEP_SECONDS), ("young", 0)):
        for path in (folder.status / f"{name}.json", folder.requests / f"{name}.tmp"):
            path.write_text("{}")
            os.utime(path, (time.time() - age,) * 2)
    assert folder.clean(limits.SPOOL_KEEP_SECONDS) == 2
    assert {path.stem for path in tmp_path.rglob("*") if path.is_file()} == {"young"}
