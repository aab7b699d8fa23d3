"""Exported jobs, read by openDAW's reader of DAWproject files: sounds, places, tempo and regions are those of the result."""

from __future__ import annotations

import base64
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from bridge.cli import main
from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon

HERE = Path(__file__).parent / "dawproject"

pytestmark = pytest.mark.foreign


@pytest.fixture(scope="session")
def read(foreign, npm_modules) -> Callable[[Path], dict[str, Any]]:
    """``read(path)``: what openDAW finds in a project."""

    def run(path: Path) -> dict[str, Any]:
        command = [foreign("node"), str(HERE / "read.mjs"), str(npm_modules(HERE)), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A daemon with the fake backend and a song of ten seconds, 44.1 kHz."""
    home = tmp_path_factory.mktemp("dawproject")
    song = home / "my song.wav"
    soundfile.write(song, np.random.default_rng(1).uniform(-0.4, 0.4, (441_000, 2)), 44_100, subtype="PCM_24")
    settings = {**FREE_PORTS, "home": home / "home", "backend": "fake", "read_roots": [home]}
    with start_daemon(settings) as daemon, Client(str(daemon.paths.home)) as client:
        yield client, song


def rendered(client: Client, operation: str, **params: Any) -> dict[str, Any]:
    """A job, done."""
    job = client.call("job.submit", {"operation": operation, "params": params})["id"]
    for _ in client.events(job):
        pass
    view = client.call("job.result", {"id": job})
    assert view["state"] == "done", view["error"]
    return view


def lanes(found: dict[str, Any]) -> dict[str, tuple[bool, list[dict[str, Any]]]]:
    """Track -> whether it is muted, and its clips."""
    tracks = found["project"]["structure"]
    rows = found["project"]["arrangement"]["lanes"]["lanes"]
    clips = [row["lanes"][0]["clips"] for row in rows]
    regular = [track for track in tracks if track["channel"]["role"] == "regular"]
    return {track["name"]: (track["channel"]["mute"]["value"], row) for track, row in zip(regular, clips, strict=True)}


def sample(found: dict[str, Any], beat: float, rate: int) -> float:
    """The sample, from the project's beginning, of a beat: by the tempo points that the project holds."""
    automation = found["project"]["arrangement"]["tempoAutomation"]["points"]
    points = [(float(point["time"]), float(point["value"])) for point in automation]
    seconds = 0.0
    for (time, bpm), (after, _) in zip(points, [*points[1:], (float("inf"), 0.0)], strict=True):
        seconds += max(0.0, min(beat, after) - time) * 60.0 / bpm
    return seconds * rate


def markers(path: Path) -> list[tuple[str, float]]:
    """Name and beat of a project's markers, from the document itself: of them openDAW keeps none but the first."""
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read("project.xml"))
    return [(mark.attrib["name"], float(mark.attrib["time"])) for mark in root.findall("Arrangement/Markers/Marker")]


def wanted(start: int, rate: int, origin: float = 0.0) -> float:
    """A sample of the song at a rate as one from the project's beginning, ``origin`` seconds before the song's."""
    return start + origin * rate


def test_a_repaint_in_a_song_with_a_pick_up_and_two_tempi(house, read, tmp_path):
    """The song lies around the takes, everything on its own sample, the bar lines where the tempo map has them."""
    client, song = house
    points = [
        {"sample": 13_230, "bpm": 100.0, "metre": "3/4", "bar": 1},
        {"sample": 251_370, "bpm": 87.3, "metre": "6/8"},
    ]
    region = {"source": str(song), "start": 100_001, "end": 200_003}
    view = rendered(client, "repaint", **region, variants=2, tempo_map=points, caption="brushes & <tape>")
    answer = client.call("job.export", {"id": view["id"]})
    found = read(Path(answer["path"]))

    origin = (
        3 * 0.6 - 0.3
    )  # bar 1 begins at 0.3 s; the project begins with the bar before it, of three quarters at 100 bpm
    tracks = lanes(found)
    assert [(name, muted) for name, (muted, _) in tracks.items()] == [
        ("Song", False), ("Repaint", False), ("Repaint (take 2)", True),
    ]  # fmt: skip
    patch = view["result"]["files"][0]
    first, last = patch["start"], patch["start"] + patch["length"]
    for name, index, start, end, offset in (
        ("Song", 0, 0, first, 0),
        ("Song", 1, last, 441_000, last),
        ("Repaint", 0, first, last, 0),
        ("Repaint (take 2)", 0, first, last, 0),
    ):
        clip = tracks[name][1][index]
        at, till = (sample(found, beat, 44_100) for beat in (clip["time"], clip["time"] + clip["duration"]))
        assert at == pytest.approx(wanted(start, 44_100, origin), abs=1e-3)
        assert till == pytest.approx(wanted(end, 44_100, origin), abs=1e-3)
        assert clip["contentTimeUnit"] == "seconds"
        assert clip["playStart"] * 44_100 == pytest.approx(offset, abs=1e-3)
        assert clip["content"][0]["sampleRate"] == 44_100

    arrangement = found["project"]["arrangement"]
    tempo = [
        (float(point["time"]), float(point["value"]), point["interpolation"])
        for point in arrangement["tempoAutomation"]["points"]
    ]
    assert tempo == [(0, 100, "hold"), (pytest.approx(12), 87.3, "hold")]
    metres = [
        (float(point["time"]), int(point["numerator"]), int(point["denominator"]))
        for point in arrangement["timeSignatureAutomation"]["points"]
    ]
    assert metres == [(0, 3, 4), (pytest.approx(12), 6, 8)]
    marks = [(name, sample(found, beat, 44_100)) for name, beat in markers(Path(answer["path"]))]
    assert [name for name, _ in marks] == ["Repaint", "Repaint: end"]
    assert [at for _, at in marks] == pytest.approx([wanted(s, 44_100, origin) for s in (100_001, 200_003)], abs=1e-3)
    assert found["metadata"] == {**found["metadata"], "title": view["id"], "comment": "brushes & <tape>"}

    sounds = {name: base64.b64decode(data) for name, data in found["sounds"].items()}
    assert sounds["audio/my song.wav"] == song.read_bytes()
    for entry in view["result"]["files"]:
        assert sounds[f"audio/{entry['name']}"] == Path(entry["path"]).read_bytes()


def test_stems_are_heard_in_the_place_of_their_song(house, read, tmp_path):
    """From the command line; the song is there, muted, because the stems are all of it."""
    client, song = house
    view = rendered(client, "extract", source=str(song), track="drums", returns=["stem", "residual"], bpm=96)
    out = tmp_path / "stems.dawproject"
    home = client.status()["library"]
    assert main(["export", view["id"], "--out", str(out), "--home", str(Path(home).parent)]) == 0
    found = read(out)
    assert {name: muted for name, (muted, _) in lanes(found).items()} == {
        "Song": True, "Drums": False, "Rest of the mix": False,
    }  # fmt: skip
    assert found["project"]["transport"]["tempo"]["value"] == 96
    assert markers(out) == []


def test_a_whole_song_is_the_mix(house, read):
    """Where the result holds the song with its edit, that is heard and nothing twice."""
    client, song = house
    view = rendered(client, "repaint", source=str(song), start=90_000, end=180_000, returns=["whole", "patch"], bpm=120)
    tracks = lanes(read(Path(client.call("job.export", {"id": view["id"]})["path"])))
    assert {name: muted for name, (muted, _) in tracks.items()} == {"Mix": False, "Repaint": True}
