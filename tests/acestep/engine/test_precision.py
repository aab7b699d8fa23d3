"""A recipe says in which precision each model computed, and running it again takes the same, or says that it could not."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.admission.render import admit_render
from acestep.api.errors import BadRequest, Cancelled, OutOfMemory
from acestep.api.family import FamilyRuntime
from acestep.api.precision import Precision
from acestep.checkpoints import quantise
from acestep.checkpoints.memory import Room, check_room, mapped_too_large
from acestep.checkpoints.tiny import build_tiny
from acestep.engine import model_pool
from acestep.engine.precision_choice import usual_precision
from acestep.networks.packed_linear import can_pack
from acestep.runtime import policy as policies
from acestep.runtime.policy import Policy

WISH = {"length": 20_000, "rate": 48_000, "seed": 3, "steps": 1, "format": "wav32f"}
PACKED = "float32 int8"

needs_kernels = pytest.mark.skipif(not can_pack(), reason="torch has no 8-bit kernels for this processor")


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """The small model of these tests is worth quantising, too."""
    monkeypatch.setattr(quantise, "SMALLEST_MODEL", 0)


def digest(result) -> str:
    return result.files[0].sha256


@needs_kernels
def test_a_recipe_is_run_again_in_its_own_precision(runner):
    """8 bits on a worker that would leave the weights whole, whole ones on a worker that would quantise them: the same samples
    again, without a word. A job without a recipe finds what the worker was set to."""
    whole, packed = runner.fresh_engine(int8="off"), runner.fresh_engine(int8="on")
    exact, rounded = (runner.run("generate", engine, **WISH)[0] for engine in (whole, packed))
    told = [result.recipe["request"]["precision"]["tiny"] for result in (exact, rounded)]
    assert told == ["float32", PACKED]
    assert [result.stages[0].settings["precision"] for result in (exact, rounded)] == told
    assert digest(exact) != digest(rounded)
    for engine, foreign, own in ((whole, rounded, exact), (packed, exact, rounded)):
        again, _ = runner.run_recipe(foreign.recipe["request"], engine)
        assert digest(again) == digest(foreign) and again.recipe == foreign.recipe
        assert not any("was made on" in note for note in again.notes)
        assert digest(runner.run("generate", engine, **WISH)[0]) == digest(own)


@needs_kernels
@pytest.mark.parametrize("failure", [Cancelled("stop"), MemoryError("no more")])
def test_weights_half_packed_serve_nobody(runner, monkeypatch, failure):
    """A cancel is heard before every layer; whatever stops the packing, the next job opens the model again and sounds as ever."""
    wanted = digest(runner.run("generate", runner.fresh_engine(int8="on"), **WISH)[0])
    engine, asked = runner.fresh_engine(int8="on"), []
    pack = quantise.PackedLinear

    def packed(layer):
        asked.append(layer)
        return pack(layer)

    monkeypatch.setattr(quantise, "PackedLinear", packed)

    def check():
        if len(asked) == 5:
            raise failure

    with pytest.raises(type(failure)):
        engine.models.open("", check)
    assert len(asked) == 5 and engine.models.names() == []
    result, _ = runner.run("generate", engine, **WISH)
    assert digest(result) == wanted and result.recipe["request"]["precision"]["tiny"] == PACKED


@needs_kernels
def test_weights_that_memory_made_small_are_told_and_pinned(runner, monkeypatch):
    """What `auto` decided when the model was opened stands in the recipe; with room again the recipe still gives the same."""
    monkeypatch.setattr(model_pool, "free_ram", lambda: 4_000_000)
    short = runner.fresh_engine()
    first, _ = runner.run("generate", short, **WISH)
    assert first.recipe["request"]["precision"] == {"tiny": PACKED}
    (note,) = [note for note in first.notes if "8 bits" in note]
    assert note.startswith("memory was short: ")
    monkeypatch.undo()
    monkeypatch.setattr(quantise, "SMALLEST_MODEL", 0)
    roomy = runner.fresh_engine()
    assert runner.run("generate", roomy, **WISH)[0].recipe["request"]["precision"] == {"tiny": "float32"}
    assert digest(runner.run_recipe(first.recipe["request"], roomy)[0]) == digest(first)


def test_what_a_processor_cannot_is_told(runner, monkeypatch):
    """A recipe of 8-bit weights where torch has no kernels runs with whole ones, and says that its take is another."""
    monkeypatch.setattr(quantise, "can_pack", lambda: False)
    request = runner.run("generate", runner.fresh_engine(), **WISH)[0].recipe["request"]
    again, _ = runner.run_recipe({**request, "precision": {"tiny": PACKED}}, runner.fresh_engine())
    assert "int8 was not used: torch has no 8-bit arithmetic for this processor" in again.notes
    told = (
        "made on cpu float32 int8 and ran on cpu float32: 8-bit and full weights give similar takes, not the same one"
    )
    assert any(told in note for note in again.notes) and again.recipe["request"]["precision"] == {"tiny": "float32"}


def test_a_recipe_of_another_device_takes_what_is_usual_here(runner):
    """bfloat16 of a GPU would be slow on most processors, and could not give the same samples anyway."""
    request = runner.run("generate", **WISH)[0].recipe["request"]
    foreign = {**request, "made_on": "cuda bfloat16", "precision": {"tiny": "bfloat16 int8"}}
    again, _ = runner.run_recipe(foreign)
    assert again.recipe["request"]["precision"] == {"tiny": "float32"}
    assert any("made on cuda bfloat16 int8 and ran on cpu float32" in note for note in again.notes)


def test_a_recipe_that_does_not_fit_runs_in_what_does(runner, monkeypatch):
    """Converted weights would need memory of their own; those in their files do not."""
    request = runner.run("generate", **WISH)[0].recipe["request"]
    monkeypatch.setattr(model_pool, "free_ram", lambda: 1_000_000)
    again, _ = runner.run_recipe({**request, "precision": {"tiny": "bfloat16"}}, runner.fresh_engine(int8="off"))
    assert again.recipe["request"]["precision"] == {"tiny": "float32"}
    assert any("made on cpu bfloat16 and ran on cpu float32" in note for note in again.notes)


@pytest.mark.parametrize("precision", ["int4", "float32 int4", "", "Float32"])
def test_no_precision_is_refused_at_the_door(runner, precision):
    """With the field and what it takes."""
    stages = [{"type": "generate"}]
    request = {"stages": stages, "output": {"length": 100}, "precision": {"tiny": precision}}
    with pytest.raises(BadRequest, match="it takes float32, ") as caught:
        admit_render(runner.registry, "render", request, runner.engine.host)
    assert caught.value.field == "precision.tiny" and PACKED in caught.value.limits["choices"]


class BothWays(FamilyRuntime):
    """A family that knows all of it."""

    quantises = widens = computes_bfloat16 = True


BF16, F32 = {"BF16": 1_500_000_000, "F32": 1_000}, {"F32": 1_500_000_000}


@pytest.mark.parametrize(
    ("native", "settings", "stored", "gigabytes", "usual"),
    [
        (True, {}, BF16, 24, Precision("bfloat16")),
        (True, {"int8": "off"}, BF16, 3, Precision("bfloat16")),
        (True, {}, F32, 24, Precision("float32")),
        (True, {"dtype": "float32"}, BF16, 24, Precision("float32")),
        (True, {}, BF16, 3, Precision("float32", True)),
        (True, {"int8": "on"}, BF16, 24, Precision("float32", True)),
        (True, {"int8": "on", "dtype": "bfloat16"}, BF16, 24, Precision("bfloat16", True)),
        (False, {}, BF16, 24, Precision("float32")),
        (False, {}, BF16, 3, Precision("float32", True)),
        (False, {"dtype": "bfloat16"}, BF16, 24, Precision("bfloat16")),
        (False, {"int8": "on"}, F32, 24, Precision("float32", True)),
    ],
)
def test_what_a_worker_takes_by_itself(monkeypatch, native, settings, stored, gigabytes, usual):
    """bfloat16 arithmetic where processor and files have it, 8 bits where memory is short or somebody asks, settings above all."""
    monkeypatch.delenv("ACESTEP_DTYPE", raising=False)
    monkeypatch.setattr(policies, "has_bfloat16", lambda device: native)
    policy = Policy.of({"device": "cpu", **settings})
    room = Room(dtype="float32", ram=gigabytes * 10**9)
    assert usual_precision(policy, policy.choice.dtype, BothWays(), {"transformer": stored}, room) == usual


def test_a_family_that_knows_neither_stays_whole(monkeypatch):
    """Its own number format decides."""
    monkeypatch.setattr(policies, "has_bfloat16", lambda device: True)
    policy = Policy.of({"device": "cpu"})
    room = Room(dtype="float32", ram=10**9)
    assert usual_precision(policy, torch.float32, FamilyRuntime(), {"transformer": BF16}, room) == Precision("float32")


def test_packed_weights_count_as_memory():
    """They are written once and the files left alone: 8 bits may fit where whole weights are read from the disk at every step."""
    numbers = {"transformer": BF16, "text_encoder": {"BF16": 600_000_000}}
    whole = Room(dtype="float32", ram=4_000_000_000, widens=True)
    packed = Room(dtype="float32", ram=4_000_000_000, widens=True, int8=True)
    assert "read from the disk again" in mapped_too_large(numbers, whole) and not mapped_too_large(numbers, packed)
    check_room("turbo", numbers, packed)
    with pytest.raises(OutOfMemory, match=r"needs about 1\.7 GB of memory"):
        check_room("turbo", numbers, Room(dtype="float32", ram=1_600_000_000, widens=True, int8=True))


def test_files_that_hold_bfloat16_are_computed_in_it(runner, tmp_path, monkeypatch):
    """Through a whole job on a processor that has it; the codec stays float32, and the samples are near those of float32."""
    path = build_tiny(tmp_path, name="acestep-v15-stored")
    for file in path.parent.rglob("*.safetensors"):
        save_file({name: value.bfloat16() for name, value in load_file(file).items()}, file, metadata={"format": "pt"})
    for manifest in path.parent.glob("manifest.json"):
        manifest.unlink()
    monkeypatch.setattr(policies, "has_bfloat16", lambda device: True)
    engine = runner.fresh_engine(dtype="auto", model=path.name, checkpoints=[tmp_path])
    result, _ = runner.run("generate", engine, **WISH)
    assert result.recipe["request"]["precision"] == {path.name.removeprefix("acestep-v15-"): "bfloat16"}
    assert result.recipe["dtype"] == "bfloat16" and engine.info()["bfloat16_where_stored"]
    (model,) = engine.models._open.values()
    assert {p.dtype for p in model.codec.parameters()} == {torch.float32}
    assert {p.dtype for p in model.transformer.parameters()} == {torch.bfloat16}
