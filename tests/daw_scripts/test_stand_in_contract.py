"""The fake engine answers as the real one does, and the scripts' cores read what the real one wrote.

The same jobs run through a daemon with the real engine (the embedded model) and one with the fake.
"""

from __future__ import annotations

import importlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from acestep.admission.render import admit_render
from acestep.api import Registry
from acestep.testing.fake_render import host_info
from bridge.client.sync import Client
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

from . import contract, lua_host

Documents = dict[str, dict[str, Any]]

RECORDED: Documents = json.loads(contract.RECORDED.read_text("utf-8"))
DONE = [name for name, document in RECORDED.items() if document.get("state") == "done"]


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return contract.make_song(tmp_path_factory.mktemp("song"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, song: Path) -> Iterator[Documents]:
    """What the real engine says of every job."""
    home = tmp_path_factory.mktemp("real")
    settings = {**FREE_PORTS, "home": home, "backend": "torch", "read_roots": [song.parent]}
    with start_daemon(settings), Client(str(home)) as client:
        yield contract.run_jobs(client, song)


@pytest.fixture(scope="module")
def fake(running: DaemonProcess, song: Path) -> Documents:
    """What the fake says of the same jobs."""
    with Client(str(running.paths.home)) as client:
        return contract.run_jobs(client, song)


@pytest.mark.parametrize("name", list(contract.JOBS))
def test_the_fake_has_the_shape_of_the_real_one(name: str, real: Documents, fake: Documents) -> None:
    """Job, request, recipe, files, reports and events: the same keys and types."""
    assert contract.differences(contract.shape(fake[name]), contract.shape(real[name])) == []


@pytest.mark.parametrize("name", DONE)
def test_the_fake_places_and_resolves_as_the_real_one(name: str, real: Documents, fake: Documents) -> None:
    """Everything but sound, digests and seconds is equal: the request in the recipe, and where every file lies."""
    assert contract.differences(decided(fake[name]["result"]), decided(real[name]["result"])) == []


@pytest.mark.parametrize(("side", "reach"), [("outside", 2_400), ("inside", 0)])
def test_the_fake_lays_crossfades_where_the_job_says(side: str, reach: int, running: DaemonProcess, song: Path) -> None:
    """50 ms on each side of the region, or inside it; beyond them the whole file is the song."""
    start, end = 48_000, 96_000
    params = {"source": str(song), "start": start, "end": end, "crossfade_side": side, "returns": ["patch", "whole"]}
    with Client(str(running.paths.home)) as client:
        files = {entry["role"]: entry for entry in client.run("repaint", params)["files"]}
    patch = files["patch"]
    assert (patch["start"], patch["length"], patch["crossfade"]) == (start - reach, end - start + 2 * reach, 2_400)
    assert (patch["lead_in"], patch["lead_out"]) == (reach, reach)
    changed = np.flatnonzero((soundfile.read(files["whole"]["path"])[0] != soundfile.read(song)[0]).any(1))
    assert start - reach <= changed[0] <= start - reach + 100
    assert end + reach - 100 <= changed[-1] < end + reach


def decided(result: dict[str, Any]) -> dict[str, Any]:
    made_up = {"path", "sha256", "clipped"}
    files = [{key: value for key, value in file.items() if key not in made_up} for file in result["files"]]
    request = {**result["recipe"]["request"], "weights": sorted(result["recipe"]["request"]["weights"]), "made_on": ""}
    return {"files": files, "seeds": result["seeds"], "request": request}


@pytest.mark.parametrize("name", list(contract.JOBS))
def test_the_recordings_are_what_the_engine_writes_today(name: str, real: Documents) -> None:
    """Otherwise the cores would be tested with the past: ``python -m tests.daw_scripts.contract`` records them again."""
    assert contract.differences(contract.shape(RECORDED[name]), contract.shape(real[name])) == []


def pending(name: str) -> dict[str, Any]:
    facts = {"id": f"job-{name}", "group": "g", "operation": contract.JOBS[name][0], "place": "take", "title": name}
    return {**facts, "rate": contract.RATE, "origin": 480_000, "first": 528_000, "last": 576_000}


def admitted(params: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A request as the daemon takes it, with the recorded folder where the song really lies."""
    text = json.dumps(params).replace(contract.FOLDER, str(folder))
    return admit_render(Registry.load(), "render", json.loads(text), host_info({}, {})).render.to_recipe()


def check_core(call: Callable[[str, str, list[Any]], Any], song: Path) -> None:
    """Every recorded job remembered, made again and placed by one core."""
    for name in DONE:
        document = RECORDED[name]
        memory = call("recipes", "memory", [pending(name), document])
        request = document["result"]["recipe"]["request"]
        assert memory["request"] == document["result"]["recipe"]
        for remembered in (memory, {**memory, "request": request}):
            again = call("recipes", "again", [remembered, "b"])
            assert again["operation"] == "render" and again["pending"]["id"] == "b"
            new = admitted(again["params"], song.parent)
            bound = {"weights", "made_on", "precision"}  # a take made again is a new one: the weights of today will do
            old = admitted({key: value for key, value in request.items() if key not in bound}, song.parent)
            for stage in (*new["stages"], *old["stages"]):
                del stage["seed"], stage["seeds"]
            assert new == old, name
            assert call("recipes", "caption", [remembered]) == request["conditioning"]["caption"]
        landings = call("results", "placements", [pending(name), document])
        heard = [file for file in document["result"]["files"] if file["role"] != "latent" and not file["preview"]]
        assert [place["path"] for place in landings] == [file["path"] for file in heard]
        assert all(place["length"] == file["length"] for place, file in zip(landings, heard, strict=True))
        assert call("results", "notes", [{}, pending(name), document]) == " ".join(document["result"]["notes"])


@pytest.mark.parametrize("version", ["53", "54"])
def test_lua_reads_what_the_engine_wrote(version: str, song: Path) -> None:
    """REAPER and Ardour; also takes that hold the bare request, as tests of earlier days stored them."""
    lua, load = lua_host.core(version)
    check_core(lambda module, name, args: lua_host.call(lua, load, module, name, args)["value"], song)


def test_python_reads_what_the_engine_wrote(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Remote Script."""
    monkeypatch.syspath_prepend(str(lua_host.SCRIPTS / "core" / "python"))

    def call(module: str, name: str, args: list[Any]) -> Any:
        return getattr(importlib.import_module(f"acestep_core.{module}"), name)(*args)

    check_core(call, song)


@pytest.mark.foreign
def test_javascript_reads_what_the_engine_wrote(song: Path, foreign: Callable[[str], str]) -> None:
    """The Max for Live device."""
    node = foreign("node")

    def call(module: str, name: str, args: list[Any]) -> Any:
        case = {"module": module, "call": name, "args": args}
        done = subprocess.run(
            [node, str(Path(__file__).with_name("javascript_host.js"))],
            input=json.dumps({"folder": str(lua_host.SCRIPTS / "core" / "javascript"), "cases": [case]}),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)[0]["value"]

    check_core(call, song)
