"""A plug-in of a third party: installed, found, offered and run, with nothing else edited; a broken one only reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from acestep.api import Registry, frames
from acestep.api.errors import AceError
from acestep.testing.process import Process
from bridge import Client
from bridge.client.osc import OscClient

ASK = """
import json
from acestep.api import Registry, describe
registry = Registry.load()
report = next(plugin for plugin in registry.plugins if plugin.name == "tidal")
print(json.dumps({
    "state": report.state.value, "origin": report.origin, "version": report.version, "offers": report.offers,
    "operation": registry.operation("wash").summary, "samplers": registry.choices("samplers"),
    "fields": [info.name for info in describe(registry.operation("wash").schema)],
}))
"""

STAGE = """
from acestep.api import StageType, hookimpl
class Stage(StageType):
    name = "{}"
@hookimpl
def register_stages(register):
    register(Stage())
"""


@pytest.fixture
def environment(thirdparty_plugin, monkeypatch) -> None:
    """Child processes find the plug-in."""
    paths = [str(thirdparty_plugin), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def test_is_found_and_offered(environment):
    """Stage type and sampler stand in the registry with origin and version; the stage's fields are those of a form."""
    asked = subprocess.run([sys.executable, "-c", ASK], check=True, capture_output=True, text=True)
    found = json.loads(asked.stdout)
    assert (found["state"], found["origin"], found["version"]) == ("enabled", "acestep-bridge-tidal", "0.3.1")
    assert {"stages:wash", "operations:wash", "samplers:midpoint"} == set(found["offers"])
    assert "midpoint" in found["samplers"] and "depth" in found["fields"]


def test_both_run_in_a_worker(environment, tmp_path):
    """The new stage runs with the new sampler, sample-exactly like any other."""
    source = tmp_path / "song.wav"
    soundfile.write(source, np.random.default_rng(0).uniform(-0.5, 0.5, (30_000, 2)), 44_100)
    request = {
        "stages": [{"type": "wash", "depth": 0.7, "sampler": "midpoint", "steps": 3, "seed": 1}],
        "source": {"path": str(source), "start": 5_000, "length": 4_000},
        "output": {"returns": ["patch"], "crossfade": 0.0},
    }
    worker = Process(tmp_path, backend="torch", model="tiny")
    worker.receive()
    worker.send(frames.Run(job="a", operation="wash", request=request, staging=str(tmp_path / "s")))
    *ticks, done = worker.until(frames.Done, frames.Failed)
    worker.process.kill()
    worker.process.communicate()
    assert isinstance(done, frames.Done), done.error
    assert done.result["files"][0]["length"] == 4_000
    assert done.result["stages"][0]["settings"]["sampler"] == "midpoint"
    stages = [tick.stage for tick in ticks if isinstance(tick, frames.Tick)]
    assert stages.count("wash") == 2 * 2  # two of three steps lie below depth, two calls each


def test_every_door_offers_and_runs_both(environment, daemon, tmp_path):
    """A real daemon has the stage as OSC address, RPC method and CLI command, and the sampler as a choice; all of them run."""
    source = tmp_path / "song.wav"
    soundfile.write(source, np.random.default_rng(0).uniform(-0.5, 0.5, (30_000, 2)), 44_100)
    wish = {"source": str(source), "start": 5_000, "end": 9_000, "sampler": "midpoint", "steps": 3, "seed": 1}
    running = daemon(backend="torch", model="tiny")
    home = str(running.paths.home)
    with Client(home) as client:
        (described,) = client.call("describe", {"operation": "wash"})["operations"]
        sampler = next(field for field in described["fields"] if field["name"] == "sampler")
        assert "midpoint" in sampler["choices"]
        job = client.call("op.wash", {"id": "by-rpc", **wish})["id"]
        assert client.result(job)["files"][0]["length"] > 0
    place = running.connection["osc"]
    with OscClient(place["host"], place["udp"]) as osc:
        *_, last = osc.events(osc.submit("wash", wish, id="by-osc"), silence=120.0)
    assert last.address == "/ace/done"
    command = [
        sys.executable,
        "-m",
        "bridge.cli",
        "wash",
        str(source),
        "--home",
        home,
        "--start",
        "5000",
        "--end",
        "9000",
    ]
    asked = subprocess.run(
        [*command, "--sampler", "midpoint", "--steps", "3", "--json"], capture_output=True, text=True
    )
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["state"] == "done"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nowhere_at_all", "nowhere_at_all"),
        ("1/0", "ZeroDivisionError"),
        (STAGE.format("status"), "status"),
        (STAGE.format("repaint"), "repaint"),
    ],
    ids=["import", "exception", "reserved", "clash"],
)
def test_broken_plugin_is_reported(tmp_path, code, reason):
    """Whatever is wrong with one plug-in stands in its report; everything else is there."""
    (tmp_path / "bad.py").write_text(code)
    registry = Registry.load(folder=tmp_path)
    report = next(plugin for plugin in registry.plugins if plugin.name == "bad")
    assert report.state.value == "load_error" and reason in report.reason
    assert "repaint" in registry.operations and registry.stage("repaint").summary


def test_its_model_family_stands_beside_the_others(environment, daemon, tmp_path):
    """A model of its own is found, described, made music with and edited with: exact lengths, the outside bit for bit."""
    folder = tmp_path / "models"
    (folder / "hum").mkdir(parents=True)
    (folder / "hum" / "sines.json").write_text('{"pitch": 220}')
    (folder / "mute").mkdir()
    (folder / "mute" / "sines.json").write_text("{}")
    running = daemon(backend="torch", model="hum", checkpoints=[folder])
    with Client(str(running.paths.home)) as client:
        (row,) = client.call("describe", {"operation": "generate", "model": "hum"})["operations"]
        assert "lyrics" not in {field["name"] for field in row["fields"]}
        job = client.call("op.generate", {"duration": 1.5, "seed": 3, "options": ["octave=1"]})["id"]
        result = client.result(job)
        path = result["files"][0]["path"]
        made = soundfile.read(path, dtype="int32")[0]
        assert len(made) == 72_000 and "sung at 220 Hz" in result["notes"]
        assert result["recipe"]["licenses"] == {"hum": "CC0-1.0"}
        edit = {"source": path, "start": 20_001, "end": 40_003, "seed": 9, "returns": ["whole"], "crossfade": 5.0}
        job = client.call("op.repaint", edit)["id"]
        painted = soundfile.read(client.result(job)["files"][0]["path"], dtype="int32")[0]
        assert np.array_equal(painted[:19_761], made[:19_761]) and np.array_equal(painted[40_243:], made[40_243:])
        assert not np.array_equal(painted[20_001:40_003], made[20_001:40_003])
        for refused, words in (
            ({"lyrics": "la"}, "hum (Sines) does not follow lyrics; ACE-Step"),
            ({"duration": 61.0}, "0.1 to 60 s"),
        ):
            with pytest.raises(AceError) as failure:
                client.call("op.generate", {"duration": 1.0, **refused})
            assert words in failure.value.message
        found = client.call("models.list", {})
        assert "hum" in {row["name"] for row in found} and "mute" not in {row["name"] for row in found}
