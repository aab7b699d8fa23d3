"""A user's presets: made of a job, offered at once over every door, kept as files, and never in the way of anything else."""

from __future__ import annotations

import json

import pytest

from acestep.admission.render import admit_render
from acestep.api.errors import (
    AceError,
    BadPreset,
    BadRequest,
    NameClash,
    NotAllowed,
    ReservedName,
    UnknownName,
    UnknownOperation,
)
from acestep.api.kept import preset_from_text, preset_of
from acestep.api.preset import Preset
from acestep.api.registry import Registry
from acestep.api.source import AudioFacts
from acestep.api.variants import VARIANTS, ModelInfo
from bridge.core.presets import text_of
from bridge.launch import DaemonProcess

STAGES = [{"type": "generate", "steps": 20, "sampler": "heun"}]


class Host:
    """A machine with one song and one model."""

    def probe(self, source):
        return AudioFacts(rate=44_100, channels=2, frames=441_000, format="WAV", subtype="PCM_16")

    def model(self, name):
        variant = VARIANTS["base"]
        return ModelInfo(name="base", path="/base", variant="base", task_types=variant.tasks)


def a_preset(name="mine", **fields) -> Preset:
    return Preset(**{"name": name, "stages": STAGES, **fields})


async def test_saved_presets_are_offered_at_once_and_stay(desk, tmp_path):
    """An operation with its form from the moment it is saved; its jobs run what it says; a later daemon knows it too."""
    one = await desk()
    assert one.service.describe()  # what was described before is not remembered
    row = await one.service.presets.save(a_preset(conditioning={"bpm": 90.0}, title="Mine"))
    assert (row["name"], row["title"], row["own"], row["stages"]) == ("mine", "Mine", True, ["generate"])
    (form,) = one.service.describe("mine")
    assert form["group"] == "preset" and form["title"] == "Mine"
    assert "mine" in [entry["name"] for entry in one.service.describe()]
    view = await one.run("steps=1", operation="mine", caption="fake: steps=1", length=480)
    assert (view.request["stages"][0]["steps"], view.request["conditioning"]["bpm"]) == (20, 90.0)
    assert str(view.state) == "done"
    await one.service.stop()
    again = await desk()
    assert [found["name"] for found in again.service.presets.rows() if found["own"]] == ["mine"]


async def test_replacing_and_deleting(desk):
    """A name that is taken is refused unless replacing is asked for; what is deleted is gone everywhere."""
    one = await desk()
    await one.service.presets.save(a_preset())
    with pytest.raises(NameClash, match="ask for replace"):
        await one.service.presets.save(a_preset())
    await one.service.presets.save(a_preset(summary="Another."), replace=True)
    assert one.service.presets.find("mine").summary == "Another."
    await one.service.presets.delete("mine")
    with pytest.raises(UnknownName):
        one.service.presets.find("mine")
    with pytest.raises(UnknownOperation):
        one.service.describe("mine")
    assert not list(one.service.paths.plugins.glob("*preset*"))
    assert not any(report["name"] == "mine" for report in one.service.plugins())


@pytest.mark.parametrize(
    ("preset", "error", "field"),
    [
        (a_preset("Mine!"), BadRequest, "name"),
        (a_preset("../up"), BadRequest, "name"),
        (a_preset("x" * 41), BadRequest, "name"),
        (a_preset("preset"), ReservedName, "name"),
        (a_preset("render"), ReservedName, "name"),
        (a_preset("generate"), NameClash, "name"),
        (a_preset("three-stage-quality"), NameClash, "name"),
        (a_preset(stages=[{"type": "hum"}]), UnknownName, "type"),
        (a_preset(stages=[{"type": "generate", "steps": -1}]), BadRequest, "stages[0].steps"),
        (a_preset(conditioning={"bpm": 5.0}), BadRequest, "conditioning.bpm"),
        (a_preset(output={"colour": "blue"}), BadRequest, "output.colour"),
    ],
)
async def test_what_does_not_fit_changes_nothing(desk, preset, error, field):
    """One sentence with the field; no file, no operation."""
    one = await desk()
    before = [row["name"] for row in one.service.presets.rows()]
    with pytest.raises(error) as caught:
        await one.service.presets.save(preset, replace=True)
    assert field in str(caught.value.field)
    assert [row["name"] for row in one.service.presets.rows()] == before
    assert not list(one.service.paths.plugins.glob("*preset*"))


async def test_built_in_presets_stay(desk):
    """They can be shown, not deleted."""
    one = await desk()
    with pytest.raises(NotAllowed, match="built in"):
        await one.service.presets.delete("three-stage-quality")


def test_of_a_job_stays_what_was_chosen():
    """Parameters that are not the usual ones, the chain, words and form stay; seed, place, length of the one take go."""
    registry = Registry.load()
    asked = {
        "stages": [
            {"type": "generate", "steps": 20, "seed": 7},
            {"type": "refine", "t_start": 0.45, "source": {"stage": 1}},
        ],
        "conditioning": {"caption": "warm", "bpm": 97.5, "duration": 12.0, "audio_codes": [1, 2]},
        "output": {"format": "flac", "name": "take", "variants": 2},
    }
    request = admit_render(registry, "render", asked, Host()).render.to_recipe()
    preset = preset_of(registry, "mine", request)
    assert not preset.source
    assert preset.stages[0] == {"type": "generate", "model": "base", "steps": 20}
    assert (preset.stages[1]["type"], preset.stages[1]["t_start"]) == ("refine", 0.45)
    assert preset.conditioning == {"caption": "warm", "bpm": 97.5, "duration": 12.0}
    assert (preset.output["format"], preset.output["variants"]) == ("flac", 2)
    assert not {"name", "length", "rate", "folder"} & set(preset.output)
    song = admit_render(
        registry, "repaint", {"source": "/a.wav", "start": 10, "end": 900, "guidance_scale": 4.0}, Host()
    )
    edit = preset_of(registry, "edit", song.render.to_recipe())
    assert edit.source and edit.stages == [{"type": "repaint", "model": "base", "guidance_scale": 4.0}]


def test_text_goes_out_and_comes_in():
    """Exported and imported, a preset is what it was; what is not a preset is said in words."""
    assert preset_from_text(text_of(a_preset())) == a_preset()
    for text, error in (
        ("{", BadRequest),
        ("[]", AceError),
        ('{"name": "x"}', BadRequest),
        ('{"name": "x", "stages": []}', BadPreset),
        ('{"name": "x", "stages": [{}], "z": 1}', BadRequest),
    ):
        with pytest.raises(error) as caught:
            preset_from_text(text)
        assert "Expected" not in caught.value.message and "msgspec" not in caught.value.message


def test_over_the_doors(daemon, tmp_path):
    """RPC and the command line: save a job, run it under its name, export, delete, import."""
    from bridge.cli import main
    from bridge.client import Client

    running: DaemonProcess = daemon()
    home = str(running.paths.home)

    def run(*words: str) -> int:
        return main([*words, "--home", home])

    with Client(home=running.paths.home) as client:
        job = client.submit("generate", {"caption": "fake: steps=1", "length": 480, "steps": 12, "bpm": 100.0})
        client.wait(job)
        assert run("preset", "save", "mine", str(job), "--title", "Mine") == 0
        assert "mine" in {entry["name"] for entry in client.call("describe")["operations"]}
        again = client.submit("mine", {"caption": "fake: steps=1", "length": 480})
        client.wait(again)
        assert client.job(again)["request"]["stages"][0]["steps"] == 12
        target = tmp_path / "mine.json"
        assert run("preset", "export", "mine", str(target)) == 0
        assert run("preset", "export", "mine", str(target)) != 0  # a file is not overwritten unasked
        assert json.loads(target.read_text())["conditioning"]["bpm"] == 100.0
        assert run("preset", "delete", "mine") == 0
        assert "mine" not in {entry["name"] for entry in client.call("describe")["operations"]}
        assert run("preset", "import", str(target), "--name", "yours") == 0
        assert [row["name"] for row in client.call("preset.list") if row["own"]] == ["yours"]
        assert run("preset", "save", "mine", "no-such-job") != 0


def test_over_osc_and_in_the_forms_of_hosts(daemon):
    """Saved by a message, it runs by a message, and is among the operations that the hosts' scripts list by themselves."""
    from bridge.client import Client
    from bridge.client.osc import OscClient

    running = daemon()
    port = running.connection["osc"]["udp"]
    with Client(home=running.paths.home) as client, OscClient(port=port) as osc:
        client.wait(client.submit("generate", {"caption": "fake: steps=1", "length": 480, "steps": 12}, id="take-1"))
        saved = osc.ask("/ace/preset/save", "mine", "take-1", answers=("/ace/preset/save", "/ace/error"))
        assert saved.address == "/ace/preset/save" and saved.arguments[0] == "mine"
        text = osc.ask("/ace/preset/export", "mine", answers=("/ace/preset/export", "/ace/error")).arguments[1]
        assert json.loads(text)["stages"][0]["steps"] == 12
        taken = osc.ask("/ace/preset/import", text, "yours", answers=("/ace/preset/import", "/ace/error"))
        assert taken.arguments[0] == "yours"
        job = osc.submit("yours", {"caption": "fake: steps=1", "length": 480})
        assert [*osc.events(job)][-1].address == "/ace/done"
        with pytest.raises(UnknownName):
            osc.ask("/ace/preset/delete", "generate", answers=("/ace/preset/delete", "/ace/error"))
        (form,) = client.describe("yours")
        assert {"returns", "variants"} <= {field["name"] for field in form["fields"]}


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("[1]", "text", "this is not a preset but a list of 1"),
        ('{"format": "acestep-bridge/recipe", "stages": []}', "format", "its format is 'acestep-bridge/recipe', not"),
        ('{"name": "x", "version": 9, "stages": [{"type": "generate"}]}', "version", "up to 1"),
        ('{"name": "x", "stages": [{"type": "generate", "sampler": "nope"}]}', "stages[0].sampler", "stage 1: there is no"),
        ('{"name": "x", "stages": [{"type": "generate"}], "conditioning": {"key": "H"}}', "conditioning.key", "H"),
    ],
)  # fmt: skip
async def test_a_preset_that_could_never_run_is_not_taken_in(desk, text, field, words):
    """Said when it is imported, not when somebody runs it."""
    one = await desk()
    with pytest.raises(AceError) as caught:
        await one.service.presets.save(preset_from_text(text))
    assert caught.value.field == field and words in caught.value.message
    assert not [row for row in one.service.presets.rows() if row["own"]]
