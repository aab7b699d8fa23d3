"""What was sent from the studio page, placed by the REAPER scripts in real Lua, through the real daemon's spool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile

from bridge.client import Client
from bridge.launch import DaemonProcess

from .conftest import RATE, Desk
from .fake_reaper import Project

CAPTION = "made in the browser"


@pytest.fixture
def client(running: DaemonProcess) -> Any:
    """A client as the page is one."""
    with Client(str(running.paths.home)) as found:
        yield found


def make(client: Client, **more: Any) -> dict[str, Any]:
    """A finished job that no host asked for."""
    asked = {"caption": CAPTION, "duration": 10.0, "seed": 3, **more}
    job = client.call("job.submit", {"operation": "generate", "params": asked})["id"]
    while not (found := client.call("job.wait", {"id": job, "timeout": 5.0}))["terminal"]:
        pass
    assert found["state"] == "done"
    return dict(client.call("job.result", {"id": job}))


def placed(project: Project) -> list[tuple[str, float, int]]:
    """Name, position and length in samples of what lies in a project."""
    items = [item for track in project.tracks for item in track.items]
    return [
        (
            item.takes[0].strings["P_NAME"].split(" (")[0],
            item.values["D_POSITION"],
            soundfile.info(item.takes[0].source.path).frames,
        )
        for item in items
    ]


def test_reaper_places_what_was_sent_at_its_cursor(desk: Desk, client: Client) -> None:
    """Two takes on tracks of their own, copies in the media folder, one undo step; afterwards nothing waits."""
    made = make(client, variants=2)
    desk.project.cursor = 4.0
    desk.resident()
    row = client.call("handover.send", {"job": made["id"], "host": "reaper"})
    assert (row["title"], row["files"]) == (CAPTION, 2)
    desk.until(lambda: len(placed(desk.project)) == 2)
    assert sorted(placed(desk.project)) == [("generate 1", 4.0, 10 * RATE), ("generate 2", 4.0, 10 * RATE)]
    assert client.call("handover.list") == []
    assert desk.project.undo == [f"ACE-Step: Sent: {CAPTION}"]
    assert desk.reaper.messages == []
    sources = [item.takes[0].source.path for track in desk.project.tracks for item in track.items]
    assert {path.parent for path in sources} == {desk.project.media}
    originals = {Path(file["path"]).read_bytes() for file in made["result"]["files"]}
    assert {path.read_bytes() for path in sources} == originals


def test_it_waits_until_the_project_can_take_it(desk: Desk, client: Client) -> None:
    """Nothing is inserted while REAPER records; what a host has not taken can be taken back."""
    made = make(client)
    desk.project.play_state = 4 | 1
    desk.resident()
    rows = [client.call("handover.send", {"job": made["id"], "host": "reaper", "files": [0]}) for _ in range(2)]
    for _ in range(20):
        desk.reaper.tick()
    assert placed(desk.project) == []
    client.call("handover.cancel", {"id": rows[0]["id"]})
    assert [row["id"] for row in client.call("handover.list")] == [rows[1]["id"]]
    desk.project.play_state = 0
    desk.until(lambda: len(placed(desk.project)) == 1)
    assert client.call("handover.list") == []


def test_a_file_that_vanished_on_the_way_is_told(desk: Desk, client: Client) -> None:
    """The user reads which, and the loop runs on."""
    made = make(client)
    client.call("handover.send", {"job": made["id"], "host": "reaper"})
    Path(made["result"]["files"][0]["path"]).unlink()
    desk.resident()
    desk.until(lambda: desk.reaper.messages)
    assert f"Sent: {CAPTION}" in str(desk.reaper.messages[0]) and placed(desk.project) == []
    again = make(client)
    client.call("handover.send", {"job": again["id"], "host": "reaper"})
    desk.until(lambda: len(placed(desk.project)) == 1)


def test_what_was_sent_to_another_host_is_left_alone(desk: Desk, client: Client) -> None:
    """REAPER does not look at Ardour's file."""
    made = make(client)
    desk.resident()
    row = client.call("handover.send", {"job": made["id"], "host": "ardour"})
    for _ in range(20):
        desk.reaper.tick()
    assert placed(desk.project) == []
    assert [one["id"] for one in client.call("handover.list")] == [row["id"]]
    client.call("handover.cancel", {"id": row["id"]})
