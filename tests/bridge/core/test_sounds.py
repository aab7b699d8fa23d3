"""Named sounds: saved from a job or from fields, offered in every form at once, and laid under what a request gives."""

from __future__ import annotations

import pytest

from acestep.api.errors import AceError, BadRequest, NameClash, UnknownName
from acestep.api.sound import Sound
from bridge.cli import main
from bridge.client import Client
from bridge.core.interface import Submission

VELVET = {"caption": "velvet choir", "seed": 7, "guidance_scale": 3.0, "condition_strength": 0.5}
MAKE = {"type": "generate"}
WHOLE = {"length": 480_000, "rate": 48_000}


@pytest.fixture
async def one(desk):
    """A core with the sound ``velvet``."""
    one = await desk()
    await one.service.sounds.save(Sound(name="velvet", title="Velvet", values=VELVET))
    return one


async def test_a_sound_lies_under_what_is_given(desk, one):
    """Its values fill what the request leaves out; given fields win; the recipe has the values and the name."""
    service = one.service

    async def asked(operation, **params):
        accepted = await service.submit(Submission(operation=operation, params=params), "me")
        return service.job(accepted.id).request, accepted.notes

    request, notes = await asked("generate", sound="velvet", **WHOLE)
    stage = request["stages"][0]
    assert (request["conditioning"]["caption"], stage["seed"], stage["guidance_scale"]) == ("velvet choir", 7, 3.0)
    assert request["made_with"] == "velvet" and "sound" not in request
    assert "the sound velvet gives caption, condition_strength, guidance_scale, seed" in notes
    request, notes = await asked("generate", sound="velvet", caption="brass", seeds=[1], **WHOLE)
    assert request["conditioning"]["caption"] == "brass" and request["stages"][0]["seeds"] == [1]
    assert "the sound velvet gives condition_strength, guidance_scale" in notes
    chain = {"stages": [MAKE, {**MAKE, "seed": 3}], "conditioning": {"bpm": 90.0}, "output": WHOLE}
    request, _ = await asked("render", sound="velvet", **chain)
    assert [stage["seed"] for stage in request["stages"]] == [7, 3]
    assert (request["conditioning"]["caption"], request["conditioning"]["bpm"]) == ("velvet choir", 90.0)
    request, _ = await asked("three-stage-quality", sound="velvet", models=["tiny"] * 3, **WHOLE)
    assert {stage["condition_strength"] for stage in request["stages"]} == {0.5}
    assert request["conditioning"]["caption"] == "velvet choir"
    await service.sounds.delete("velvet")
    again, _ = await asked("render", **request)
    assert again == request, "a recipe needs the sound no longer"


async def test_every_form_offers_the_sounds(desk, one):
    """As a list of choices that changes when they do, in the operations of stages, presets and chains."""

    def offered(operation):
        (form,) = one.service.describe(operation)
        return next(field["choices"] for field in form["fields"] if field["name"] == "sound")

    names = ("generate", "repaint", "extract", "three-stage-quality", "render")
    assert [offered(name) for name in names] == [["", "velvet"]] * 5
    await one.service.sounds.save(Sound(name="brass", values={"caption": "brass"}))
    assert offered("cover") == ["", "brass", "velvet"]
    await one.service.sounds.delete("brass")
    assert offered("cover") == ["", "velvet"]


async def test_sounds_stay(desk, one):
    """A later daemon knows them; an unreadable file is reported and in nobody's way."""
    (one.service.paths.plugins / "broken.sound.json").write_text("{")
    await one.service.stop()
    again = await desk()
    rows = again.service.sounds.rows()
    assert rows == [{"name": "velvet", "title": "Velvet", "values": sorted(VELVET)}]
    assert any("broken.sound.json is not a sound" in str(report) for report in again.service.plugins())


@pytest.mark.parametrize(
    ("name", "values", "error", "field"),
    [
        ("Velvet!", VELVET, BadRequest, "name"),
        ("empty", {}, BadRequest, "values"),
        ("wrong", {"colour": "blue"}, BadRequest, "values.colour"),
        ("wrong", {"seed": -4}, BadRequest, "values.seed"),
        ("wrong", {"duration": 3.0}, BadRequest, "values.duration"),
        ("wrong", {"sampler": "magic"}, UnknownName, "stages[0].sampler"),
        ("velvet", VELVET, NameClash, "name"),
    ],
)
async def test_what_is_no_sound_changes_nothing(one, name, values, error, field):
    """One sentence with the field; no file."""
    before = one.service.sounds.rows()
    with pytest.raises(error) as caught:
        await one.service.sounds.save(Sound(name=name, values=values))
    assert field in (caught.value.field, f"values.{str(caught.value.field).rpartition('.')[2]}", caught.value.field)
    assert one.service.sounds.rows() == before


async def test_a_sound_that_is_not_there(one):
    """Refused at the door, with those there are."""
    for operation, params in (("generate", WHOLE), ("render", {"stages": [MAKE]})):
        with pytest.raises(UnknownName) as caught:
            await one.submit(operation=operation, sound="velour", **params)
        assert caught.value.field == "sound" and caught.value.limits == {"choices": ["velvet"]}
    with pytest.raises(AceError) as caught:
        await one.submit(operation="generate", sound=7, **WHOLE)
    assert caught.value.field == "sound"


def test_over_the_doors(daemon):
    """Saved from a job, shown, used by another operation's request and deleted, over RPC, OSC and the command line."""
    house = daemon()
    home = ["--home", str(house.paths.home)]
    with Client(str(house.paths.home)) as client:
        job = client.submit("generate", {"caption": "warm fake: steps=1", "seed": 11, "duration": 1.0})
        client.result(job)
        row = client.call("sound.save", {"name": "warm", "job": job, "values": {"lyrics": "la"}})
        assert row["values"] == ["caption", "lyrics", "model", "seed"]
        assert client.call("sound.show", {"name": "warm"})["values"]["seed"] == 11
        made = client.submit("generate", {"sound": "warm", "duration": 1.0})
        assert client.call("job.result", {"id": made})["request"]["stages"][0]["seed"] == 11
        assert main(["sound", "save", "bare", "--seed", "5", *home]) == 0
        assert main(["sound", "list", *home]) == 0
        assert [one["name"] for one in client.call("sound.list", {})] == ["bare", "warm"]
        assert main(["sound", "delete", "bare", *home]) == 0
        assert [one["name"] for one in client.call("sound.list", {})] == ["warm"]
