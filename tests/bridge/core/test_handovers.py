"""Results on their way to a host: what waits, who takes it, and that each is taken once."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acestep.api.errors import BadRequest, Busy, NotFound, OutputUnwritable
from bridge.core import handovers
from bridge.core.handovers import Handovers
from bridge.core.interface import JobState, JobView


@pytest.fixture
def view(tmp_path: Path) -> JobView:
    """A finished job: two takes, a preview, a latent."""
    names = {"a.wav": {}, "b.wav": {"variant": 1}, "one.wav": {"preview": True}, "a.safetensors": {"role": "latent"}}
    files = []
    for name, facts in names.items():
        (tmp_path / name).write_bytes(b"sound")
        files.append({"name": name, "path": str(tmp_path / name), "role": "patch", "start": 4800, "length": 9, **facts})
    return JobView(
        id="job-1",
        operation="repaint",
        state=JobState.DONE,
        seq=3,
        client="me",
        caption="warm\nhouse",
        created=1.0,
        result={"files": files, "recipe": {"operation": "repaint"}},
    )


@pytest.fixture
def waiting(tmp_path: Path) -> Handovers:
    """A spool folder in which nothing waits."""
    (tmp_path / "spool").mkdir()
    return Handovers(tmp_path / "spool")


def taken(spool: Path, host: str, mark: str) -> list[dict[str, Any]]:
    """What a script does: rename the file, read it, remove it."""
    own = spool / f"handover-{mark}.taken"
    try:
        os.rename(spool / f"handover-{host}.json", own)
    except OSError:
        return []
    found = json.loads(own.read_text("utf-8"))
    own.unlink()
    assert (found["format"], found["version"]) == ("acestep-bridge/handover", 1)
    return list(found["results"])


def test_every_take_of_a_job_waits_at_the_place_of_the_hosts_choice(view, waiting, tmp_path):
    """No preview and no latent; files begin where the host says, whatever their own place was."""
    row = waiting.send("reaper", view, [])
    assert (row["host"], row["title"], row["job"], row["files"]) == ("reaper", "warm house", "job-1", 2)
    assert waiting.rows() == [row]
    (found,) = taken(tmp_path / "spool", "reaper", "one")
    job = found["job"]
    assert (job["state"], job["operation"], job["result"]["recipe"]) == ("done", "repaint", {"operation": "repaint"})
    assert [(file["name"], file["role"], file["start"]) for file in job["result"]["files"]] == [
        ("a.wav", "part", 0),
        ("b.wav", "part", 0),
    ]
    assert waiting.rows() == []


def test_one_file_may_be_meant_a_preview_too(view, waiting, tmp_path):
    """Chosen by its index; hosts leave previews out, so it goes as a part."""
    waiting.send("ardour", view, [2])
    (found,) = taken(tmp_path / "spool", "ardour", "one")
    assert [(file["name"], file["preview"]) for file in found["job"]["result"]["files"]] == [("one.wav", False)]


def test_what_waits_outlives_the_daemon(view, waiting, tmp_path):
    """Also a daemon that was killed while it changed the file."""
    first = waiting.send("reaper", view, [0])
    os.replace(tmp_path / "spool" / "handover-reaper.json", tmp_path / "spool" / "handover-reaper.held")
    again = Handovers(tmp_path / "spool")
    second = again.send("reaper", view, [1])
    assert [row["id"] for row in again.rows()] == [first["id"], second["id"]]
    assert list((tmp_path / "spool").glob("*.held")) == []


def test_it_can_be_taken_back_until_a_host_has_it(view, waiting, tmp_path):
    """The others stay; afterwards there is nothing to take back."""
    rows = [waiting.send(host, view, [0]) for host in ("reaper", "reaper", "ableton")]
    waiting.take_back(rows[0]["id"])
    assert [row["id"] for row in waiting.rows()] == [rows[1]["id"], rows[2]["id"]]
    assert [one["id"] for one in taken(tmp_path / "spool", "reaper", "one")] == [rows[1]["id"]]
    with pytest.raises(NotFound, match="a host may have taken it"):
        waiting.take_back(rows[1]["id"])


def test_what_cannot_be_placed_is_refused_and_changes_nothing(view, waiting, tmp_path, monkeypatch):
    """An unfinished job, an index too high, a latent, a file that is gone, too many, a folder that takes no files."""
    monkeypatch.setattr(handovers, "MOST_WAITING", 1)
    waiting.send("reaper", view, [0])
    with pytest.raises(Busy):
        waiting.send("reaper", view, [0])
    running = SimpleNamespace(id="j", state=JobState.RUNNING, result=None, caption="", operation="x", request={})
    for bad, files, refusal in ((running, [], BadRequest), (view, [9], NotFound), (view, [3], BadRequest)):
        with pytest.raises(refusal):
            waiting.send("ardour", bad, files)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(NotFound, match=r"a\.wav is gone"):
        waiting.send("ardour", view, [])
    (tmp_path / "spool" / "handover-ableton.tmp").mkdir()
    with pytest.raises(OutputUnwritable):
        waiting.send("ableton", view, [1])
    assert [row["host"] for row in waiting.rows()] == ["reaper"]


def test_each_is_taken_once_however_many_scripts_look(view, waiting, tmp_path):
    """Four scripts take while the daemon sends and takes back: nothing twice, nothing lost."""
    found: list[str] = []
    over = threading.Event()

    def script(mark: str) -> None:
        number = 0
        while True:
            last = over.is_set()
            number += 1
            found.extend(one["id"] for one in taken(tmp_path / "spool", "reaper", f"{mark}-{number}"))
            if last:
                return

    scripts = [threading.Thread(target=script, args=(mark,)) for mark in "abcd"]
    for one in scripts:
        one.start()
    sent, back = set(), set()
    for number in range(60):
        name = waiting.send("reaper", view, [0])["id"]
        sent.add(name)
        if number % 3 == 0:
            try:
                waiting.take_back(name)
                back.add(name)
            except NotFound:
                pass
    over.set()
    for one in scripts:
        one.join()
    assert len(found) == len(set(found))
    assert set(found) == sent - back
