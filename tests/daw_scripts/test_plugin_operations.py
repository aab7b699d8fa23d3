"""A third party's operation in every host: nothing of ours names it, the host offers it, its own field goes with the job."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.client import Client
from bridge.hosts.bundle import quote
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

from . import ardour_host, test_ableton_surface, test_max_device
from .conftest import Desk, done, finish, loop_item, sound

stage, device, live = test_ableton_surface.stage, test_max_device.device, test_max_device.live

OPERATION = "wash"
DEPTH = 0.3
"""A value of the plug-in's own parameter that is not its default."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, thirdparty_plugin: Path) -> Iterator[DaemonProcess]:
    """A daemon beside which the plug-in is installed."""
    settings = {
        "home": tmp_path_factory.mktemp("daemon"),
        "backend": "fake",
        "read_roots": [tmp_path_factory.getbasetemp()],
    }
    environment = {**os.environ, "PYTHONPATH": str(thirdparty_plugin)}
    with start_daemon({**FREE_PORTS, **settings}, environment=environment) as daemon:
        yield daemon


def asked(memory: str) -> tuple[str, float]:
    """What a host remembers of a result's making: the stage and how deep it washed."""
    (made,) = json.loads(memory)["request"]["request"]["stages"]
    return made["type"], made["depth"]


def test_reaper(desk: Desk, running: DaemonProcess) -> None:
    """In the list of other operations; its form has a row for its parameter; the result gets a track."""
    loop_item(desk)
    offered: list[str] = []

    def choose(defaults: str) -> str:
        offered.append(desk.reaper.asked[-1][0])
        return OPERATION

    def fill(defaults: str) -> str:
        values = defaults.split("|")
        values[desk.reaper.asked[-1][0].split(",").index("Depth")] = str(DEPTH)
        return "|".join(values)

    desk.reaper.inputs = [choose, fill]
    desk.run("Other operation, preset or plug-in")
    desk.until(lambda: len(desk.project.tracks) > 1 and done(desk))
    assert OPERATION in offered[0]
    (made,) = desk.project.tracks[1].items[0].takes
    assert asked(made.strings["P_EXT:acestep"]) == (OPERATION, DEPTH)


def test_a_saved_preset_in_reaper(desk: Desk, running: DaemonProcess) -> None:
    """Offered as soon as it is saved, and run under its own title."""
    loop_item(desk)
    stages = [{"type": "repaint", "steps": 2}]
    preset = {"name": "preset-night", "title": "Night drive", "source": True, "stages": stages}
    with Client(str(running.paths.home)) as client:
        client.call("preset.import", {"text": json.dumps(preset)})
    try:
        desk.reaper.inputs = [lambda defaults: "night drive"]
        desk.run("Other operation, preset or plug-in")
        desk.until(lambda: len(desk.project.tracks) > 1 and done(desk))
    finally:
        with Client(str(running.paths.home)) as client:
            client.call("preset.delete", {"name": "preset-night"})
    assert "Night drive" in desk.reaper.asked[0][0] and "preset-night" not in desk.reaper.asked[0][0]
    assert desk.project.undo == ["ACE-Step: Night drive"]


@pytest.fixture
def velvet(running: DaemonProcess) -> Iterator[None]:
    """A sound that the user has named."""
    with Client(str(running.paths.home)) as client:
        client.call("sound.save", {"name": "velvet", "title": "Velvet choir", "values": {"caption": "soft voices"}})
        yield
        client.call("sound.delete", {"name": "velvet"})


def test_a_named_sound_in_reaper(desk: Desk, running: DaemonProcess, velvet: None) -> None:
    """Any form ends with it, under its title; its words are those of the job where none are given."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "|1|7|Velvet choir|no"]
    desk.run("Repaint selection")
    finish(desk, 2, item)
    assert "Velvet choir" in desk.reaper.asked[0][0].split(",")[3]
    recipe = json.loads(item.takes[1].strings["P_EXT:acestep"])["request"]["request"]
    assert recipe["conditioning"]["caption"] == "soft voices"


@pytest.mark.foreign
def test_a_named_sound_in_the_live_device(live: test_max_device.Set, velvet: None) -> None:
    """In a group of its own, under its title."""
    chosen = ({"wait_menu": [7, "Saved sound"]}, {"group": 1}, {"option": 1}, {"param": ["variants", "1"]})
    found = live.play(*chosen, {"run": "repaint"}, {"wait": "done"})
    assert ["outlet 8", "append", "Velvet choir"] in found["log"]
    assert test_max_device.request_of(live)["conditioning"]["caption"] == "soft voices"


def test_live_control_surface(stage: test_ableton_surface.Stage, running: DaemonProcess) -> None:
    """A controller sends its name and its parameter; the result gets a track."""
    stage.loop()
    stage.run("operation", operation=OPERATION, depth=DEPTH)
    stage.said("done")
    assert len(stage.song.tracks) == 2
    (recipe,) = Path(stage.song.file_path).parent.rglob("*.recipe.json")
    assert asked(recipe.read_text("utf-8")) == (OPERATION, pytest.approx(DEPTH, abs=1e-6))


@pytest.mark.foreign
def test_live_device(live: test_max_device.Set) -> None:
    """In the device's menu, its parameter in the next one; the result gets a track."""
    found = live.play(
        {"wait_menu": [2, OPERATION]},
        {"choose": OPERATION},
        {"wait_fields": OPERATION},
        {"pick": "Depth"},
        {"value": [str(DEPTH)]},
        {"run": "operation"},
        {"wait_clips": 2},
    )
    assert len(found["tracks"]) == 2
    (recipe,) = live.folder.rglob("*.recipe.json")
    assert asked(recipe.read_text("utf-8")) == (OPERATION, DEPTH)


@pytest.mark.foreign
def test_a_saved_preset_in_the_live_device(live: test_max_device.Set, running: DaemonProcess) -> None:
    """In the menu under its title, which the result's messages say, too."""
    stages = [{"type": "repaint", "mode": "aggressive"}]
    preset = {"name": "preset-night", "title": "Night drive", "source": True, "stages": stages}
    with Client(str(running.paths.home)) as client:
        client.call("preset.import", {"text": json.dumps(preset)})
        try:
            chosen = ({"wait_menu": [2, "Night drive"]}, {"choose": "Night drive"}, {"wait_fields": "preset-night"})
            found = live.play(*chosen, {"run": "operation"}, {"wait": "Night drive: done"})
        finally:
            client.call("preset.delete", {"name": "preset-night"})
    assert len(found["tracks"]) == 2 and not test_max_device.said(found, "preset-night")


@pytest.mark.foreign
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("only_ardour")
def test_ardour(
    tmp_path: Path, running: DaemonProcess, foreign: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Ardour's own Lua: in the list of other operations, its parameter in the form, and in the job that the daemon does."""
    foreign("ardour7-lua")
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(running.paths.home))
    session = ardour_host.make_session(tmp_path, "song", ["One"], 120.0)
    ardour_host.place_file(session, sound(tmp_path / "one.wav", seconds=4.0), "One", 0)
    code = (
        "local form, host = import('form'), import('host') "
        "function host.tell(sentence) out('told', sentence) end "
        "function host.selection() return { first = 24000, last = 72000, tracks = { track('One') }, regions = {} } end "
        "function form.ask(title, rows) "
        "if rows[2].name == 'operation' then out('offered', table.unpack(rows[2].choices)) "
        f"return {{ operation = '{OPERATION}' }} end "
        f"for _, row in ipairs(rows) do out('row', row.name) end return {{ depth = {DEPTH} }} end "
        "import('action').run('operation') "
        "local job = import('exchange').journal(host.folder() .. '/pending.json').read()[1] "
        f"local spool = {quote(str(running.paths.home / 'spool'))} "
        "local status repeat host.sleep(0.05) status = import('follow').look(spool, job, {}, 0) "
        "until status and status.ended "
        "local stage = status.job.result.recipe.request.stages[1] "
        "out('job', status.job.state, stage.type, string.format('%g', stage.depth))"
    )
    lines = [line.split("|") for line in ardour_host.run(session, code).splitlines()]
    (offered,) = [line for line in lines if line[0] == "offered"]
    assert OPERATION in offered
    assert ["row", "depth"] in lines
    assert ["job", "done", OPERATION, f"{DEPTH:g}"] in lines, lines
