"""Adapters, 8-bit weights, offloading and the limits of small devices."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from acestep.api.errors import BadRequest, OutOfMemory, UnknownName
from acestep.api.variants import ModelInfo
from acestep.checkpoints import quantise
from acestep.checkpoints.adapters import run_list
from acestep.checkpoints.load import OFFLOADABLE, WORK
from acestep.checkpoints.quantise import is_quantised
from acestep.engine import denoise_group
from acestep.engine.model_pool import DevicePlacement, ModelPool
from acestep.families.ace_step_v1 import load as v1
from acestep.families.ace_step_v1.layout import FOLDERS
from acestep.families.ace_step_v1.published import AUTOENCODER, TEXT, TRANSFORMER, VOCODER
from acestep.planner.integration import PlannedConditioning
from acestep.runtime.devices import Choice
from acestep.runtime.policy import Policy
from acestep.runtime.tiers import TIERS, Offload, tier_of

WISH = {"length": 20_000, "rate": 48_000, "seed": 3, "steps": 2, "format": "wav32f"}


def no_check() -> None:
    return None


def sound(result_and_folder) -> np.ndarray:
    result, folder = result_and_folder
    return soundfile.read(folder / result.files[0].name)[0]


def test_an_adapter_acts_while_it_is_asked_for(runner, adapter):
    """A LoRA changes the take, its digest stands in the recipe, and the next job without it is as before."""
    adapter("velvet")
    bare = sound(runner.run("generate", **WISH))
    result, folder = runner.run("generate", **WISH, lora=["velvet"])
    assert not np.array_equal(sound((result, folder)), bare)
    assert result.recipe["weights"]["lora/velvet"]
    assert np.array_equal(sound(runner.run("generate", **WISH)), bare)
    again, _ = runner.run_recipe(result.recipe["request"])
    assert again.files[0].sha256 == result.files[0].sha256


def test_scale_zero_is_no_adapter_and_two_differ_from_one(runner, adapter):
    """Scales are part of the request; several adapters work at once."""
    adapter("velvet")
    adapter("gravel", seed=5)
    bare = sound(runner.run("generate", **WISH))
    assert np.abs(sound(runner.run("generate", **WISH, lora=["velvet=0"])) - bare).max() < 1e-5
    one, both = (sound(runner.run("generate", **WISH, lora=names)) for names in (["velvet"], ["velvet", "gravel=0.5"]))
    assert not np.array_equal(one, both)


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ("none", UnknownName),
        ("../x", UnknownName),
        ("velvet=loud", BadRequest),
        ("velvet=nan", BadRequest),
        ("velvet=99", BadRequest),
    ],
)
def test_bad_adapter_wishes(runner, adapter, wish, error):
    """Unknown names and scales that are none end the job with their code; the model stays as it was."""
    adapter("velvet")
    bare = sound(runner.run("generate", **WISH))
    with pytest.raises(error):
        runner.run("generate", **WISH, lora=[wish])
    assert np.array_equal(sound(runner.run("generate", **WISH)), bare)


async def test_adapters_are_listed_by_the_daemon(runner, adapter):
    """Without torch: kind, rank, strength, how many tensors fit; one that cannot be used says why, and the rest is listed."""
    adapter("velvet")
    loras = runner.home / "loras"
    (loras / "broken.safetensors").write_bytes(b"nothing")
    (loras / "old.ckpt").write_bytes(b"pickle")
    (loras / "wide").mkdir()
    wide = {
        "layers.0.mlp.up_proj.lora_A.weight": torch.ones(4, 96),
        "layers.0.mlp.up_proj.lora_B.weight": torch.ones(160, 4),
    }
    save_file(wide, loras / "wide" / "adapter_model.safetensors")
    paths = SimpleNamespace(home=runner.home, checkpoints=runner.home / "checkpoints")
    core = SimpleNamespace(
        paths=paths,
        settings=SimpleNamespace(checkpoints=[]),
        registry=runner.registry,
        model=runner.engine.models.info,
    )
    found = await run_list(SimpleNamespace(model=""), SimpleNamespace(core=core))
    rows = {row["name"]: row for row in found["loras"]}
    velvet = rows["velvet"]
    assert (velvet["path"], velvet["problem"]) == (str(loras / "velvet"), "")
    assert {name: velvet[name] for name in ("kind", "rank", "scaling", "matched", "tensors")} == {
        "kind": "LoRA", "rank": 4, "scaling": 2.0, "matched": 2, "tensors": 2}  # fmt: skip
    reasons = {"broken": "safetensors", "old": "pickled", "wide": "of another size"}
    assert all(word in rows[name]["problem"] for name, word in reasons.items())


def test_a_result_tells_of_its_adapters(runner, adapter):
    """Matched tensors, kind, rank and scale stand in the stage's report and in a note; what found no place is named there."""
    adapter("velvet")
    file = runner.home / "loras" / "velvet" / "adapter_model.safetensors"
    save_file({**load_file(file), "layers.9.stray.bias": torch.ones(4)}, file)
    result, _ = runner.run("generate", **WISH, lora=["velvet=0.5"])
    (facts,) = result.stages[0].settings["adapters"]
    assert {name: facts[name] for name in ("name", "kind", "rank", "scale", "scaling", "matched", "tensors")} == {
        "name": "velvet", "kind": "LoRA", "rank": 4, "scale": 0.5, "scaling": 2.0, "matched": 2, "tensors": 3}  # fmt: skip
    (note,) = [note for note in result.notes if "velvet" in note]
    assert "2 of 3 tensors" in note and "layers.9.stray.bias" in note and "scale 0.5" in note


def test_eight_bit_weights(runner, adapter, monkeypatch):
    """Quantised weights render nearly the same, say so, and take adapters by being read again."""
    monkeypatch.setattr(quantise, "SMALLEST_MODEL", 0)
    adapter("velvet")
    engine = runner.fresh_engine(int8="on")
    exact, rounded = sound(runner.run("generate", **WISH)), runner.run("generate", engine, **WISH)
    assert any("8 bits" in note for note in rounded[0].notes)
    assert engine.info()["int8"]
    with_adapter = runner.run("generate", engine, **WISH, lora=["velvet"])
    assert not np.array_equal(sound(rounded), exact)
    assert not np.array_equal(sound(rounded), sound(with_adapter))
    plain, merged = runner.engine.models.open("", no_check), engine.models.open("", no_check, ["velvet"])
    layer = "layers.1.cross_attn.to_out.0"
    factors = load_file(runner.home / "loras" / "velvet" / "adapter_model.safetensors")
    delta = (
        2.0 * factors["layers.1.cross_attn.o_proj.lora_B.weight"] @ factors["layers.1.cross_attn.o_proj.lora_A.weight"]
    )
    wanted = plain.transformer.get_submodule(layer).weight + delta
    assert is_quantised(merged)
    found = merged.transformer.get_submodule(layer).unpacked()
    assert (found - wanted).abs().max() < 0.02 * wanted.abs().max()


def test_long_parts_are_shortened_on_small_devices(runner):
    """A tier's minutes bound a new part; the result is what fits and says what was done."""
    engine = runner.fresh_engine()
    small = replace(engine.policy.choice, memory_gb=3.0, tier=msgspec.structs.replace(TIERS[0], minutes=0.25))
    engine.policy = replace(engine.policy, choice=small)
    result, folder = runner.run("generate", engine, duration=600.0, rate=8_000, channels=1, steps=1)
    assert any("shortened" in note for note in result.notes)
    assert soundfile.info(folder / result.files[0].name).frames == 15 * 8_000


def test_a_model_that_does_not_fit_is_refused_before_it_is_read(runner, monkeypatch):
    """With the figures; what is open already stays usable."""
    from acestep.engine import model_pool as models
    from acestep.families.ace_step_15 import runtime

    engine = runner.fresh_engine()
    monkeypatch.setattr(models, "free_ram", lambda: 1000)
    monkeypatch.setattr(runtime, "open_checkpoint", lambda *_, **__: pytest.fail("read"))
    engine.models.dtype = torch.bfloat16  # the tiny checkpoint is stored as float32, so it would have to be converted
    with pytest.raises(OutOfMemory, match="GB are free"):
        runner.run("generate", engine, **WISH)


def test_a_result_names_licences(runner):
    """Of every model that had a part in it, in the recipe."""
    result, _ = runner.run("generate", **WISH)
    assert result.recipe["licenses"] == {"tiny": "MIT"}


def test_a_planner_is_licensed_too(runner, monkeypatch):
    """What thought for a result is named with its licence. (Nothing is thought here.)"""
    engine = runner.fresh_engine()

    def think(chain, context):
        done = msgspec.structs.replace(chain.render.conditioning, thinking=False)
        return PlannedConditioning(conditioning=done, model="1.7B")

    monkeypatch.setattr(engine, "_think", think)
    result, _ = runner.run("generate", engine, **WISH, thinking=True)
    assert result.recipe["licenses"] == {"tiny": "MIT", "lm-1.7B": "MIT (built on Qwen3, Apache-2.0)"}


def test_no_room_is_said_before_the_work(runner, monkeypatch):
    """A device without free memory refuses before the first step and names what would help; a processor's is that of the
    machine, and a small model needs little of it."""
    monkeypatch.setattr(denoise_group, "free_ram", lambda: 100 * 2**20)
    runner.run("generate", **WISH)
    monkeypatch.setattr(denoise_group, "free_ram", lambda: 2**20)
    with pytest.raises(OutOfMemory, match="shorter"):
        runner.run("generate", **WISH)
    assert not any(tick[0] == "generate" for tick in runner.ticks)


def test_batches_are_split_to_fit(runner, monkeypatch):
    """As many variants at a time as the memory takes, and the same takes."""
    three = {**WISH, "seeds": [1, 2, 3], "variants": 3, "batch": True}
    whole = [file.seed for file in runner.run("generate", **three)[0].files]
    share = runner.engine.models.open("", no_check).transformer.sizes.hidden_size / denoise_group.PLANNED_WIDTH
    free = int(share * (0.5 + 2.5 * 0.3 * 10 / 60) * 2**30)
    monkeypatch.setattr(denoise_group, "free_ram", lambda: free)
    split, _ = runner.run("generate", **three)
    assert [file.seed for file in split.files] == whole
    assert sum(tick[0] == "generate" for tick in runner.ticks) == 2 * 2  # two groups of two steps


@pytest.mark.parametrize(
    ("kind", "gigabytes", "seconds", "planned", "expected"),
    [
        ("xpu", 7, 60, False, 2),
        ("xpu", 11, 60, False, 4),
        ("xpu", 11, 60, True, 2),
        ("mps", 36, 60, False, 6),
        ("mps", 36, 200, False, 1),
        ("cpu", None, 600, False, 6),
    ],
)
def test_batches_are_held_to_the_tier_where_nobody_tells_free_memory(kind, gigabytes, seconds, planned, expected):
    """Everywhere but on CUDA. A CPU swaps rather than fails, so it has no tier."""
    tier = tier_of(float("inf") if gigabytes is None else gigabytes)
    pool = SimpleNamespace(device=torch.device(kind), memory_gb=gigabytes, tier=tier)
    notes: list[str] = []
    stage = SimpleNamespace(
        params=SimpleNamespace(batch=True, guidance_scale=1.0),
        model=SimpleNamespace(transformer=SimpleNamespace(sizes=SimpleNamespace(hidden_size=8))),
        resolved=SimpleNamespace(guidance=SimpleNamespace(needs_uncond=False)),
        window=SimpleNamespace(seconds=seconds),
        state=SimpleNamespace(planning=planned, thought={}),
        resources=SimpleNamespace(models=pool),
        note=lambda *sentences: notes.extend(sentences),
    )
    assert denoise_group.fitting(stage, 6) == expected
    assert notes == (
        [] if expected == 6 else [f"rendered {expected} at a time instead of 6, because the device has no more memory"]
    )


def test_planned_parts_are_held_to_the_minutes_with_a_planner(runner, monkeypatch):
    """The language model needs its share. (Nothing is thought here: only the length counts.)"""
    engine = runner.fresh_engine()
    tier = msgspec.structs.replace(TIERS[0], minutes=0.3, minutes_with_planner=0.25)
    engine.policy = replace(engine.policy, choice=replace(engine.policy.choice, memory_gb=3.0, tier=tier))

    def think(chain, context):
        done = msgspec.structs.replace(chain.render.conditioning, thinking=False)
        return PlannedConditioning(conditioning=done, model="none")

    monkeypatch.setattr(engine, "_think", think)
    for thinking, seconds in ((True, 15), (False, 18)):
        result, folder = runner.run(
            "generate", engine, duration=600.0, rate=8_000, channels=1, steps=1, thinking=thinking
        )
        assert soundfile.info(folder / result.files[0].name).frames == seconds * 8_000


class Net(torch.nn.Module):
    """A network that knows where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def to(self, place):
        """Moves as a network on a GPU would; the meta device itself gives nothing back."""
        self.weight = torch.nn.Parameter(torch.zeros(1, device=place))

    @property
    def place(self) -> str:
        return self.weight.device.type


class Parts:
    """A model of bare networks."""

    work, offloadable = WORK, OFFLOADABLE

    def __init__(self, info: ModelInfo | None = None) -> None:
        names = ("transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer", "codec", "text_encoder")
        self.parts = {name: Net() for name in names}
        self.info = info
        self.text_tokenizer = None

    def networks(self):
        return self.parts

    def there(self) -> set[str]:
        """What is on the device."""
        return {name for name, net in self.parts.items() if net.place == "meta"}


@pytest.mark.parametrize(
    ("offload", "during_codec", "afterwards"),
    [
        (Offload.NONE, {"codec", "transformer", "condition_encoder"}, {"codec", "transformer", "condition_encoder"}),
        (Offload.PARTS, {"codec", "transformer", "condition_encoder"}, {"transformer", "condition_encoder"}),
        (Offload.ALL, {"codec"}, set()),
    ],
)
def test_networks_are_where_the_policy_wants_them(offload, during_codec, afterwards):
    """On the device while they work, and as little else as the tier says. (The meta device stands in for a GPU.)"""
    model, placement = Parts(), DevicePlacement(torch.device("meta"), offload, lambda device: None)
    with placement.on_device(model, "denoise"):
        assert model.there() >= {"transformer", "condition_encoder"}
    with placement.on_device(model, "codec"):
        assert model.there() == during_codec
    assert model.there() - {"text_encoder"} == afterwards
    with placement.on_device(model, "words"):
        with placement.on_device(model, "codec"):
            assert "codec" in model.there()
        assert {"text_encoder", "condition_encoder"} <= model.there()


class V1Parts(Parts):
    """ACE-Step v1 of bare networks."""

    work, offloadable, resident = v1.WORK, v1.OFFLOADABLE, v1.RESIDENT

    def __init__(self) -> None:
        super().__init__()
        self.parts = {name: Net() for name in FOLDERS}


@pytest.mark.parametrize(
    ("offload", "denoising", "afterwards"),
    [
        (Offload.PARTS, {TRANSFORMER, VOCODER}, {TRANSFORMER, VOCODER}),
        (Offload.ALL, {TRANSFORMER, VOCODER}, {VOCODER}),
    ],
)
def test_the_vocoder_of_v1_stays_on_the_device(offload, denoising, afterwards):
    """The second job of a model: everything else leaves after its work, the vocoder does not; another model has it leave too."""
    model, placement = V1Parts(), DevicePlacement(torch.device("meta"), offload, lambda device: None)
    for _ in range(2):
        with placement.on_device(model, "words"):
            assert TEXT in model.there()
        with placement.on_device(model, "denoise"):
            pass
        with placement.on_device(model, "codec"):
            assert model.there() >= {AUTOENCODER, VOCODER}
        assert model.there() == afterwards
    with placement.on_device(model, "denoise"):
        assert model.there() == denoising
    if offload is Offload.ALL:
        with placement.on_device(Parts(), "denoise"):
            assert model.there() == set()


def test_a_codec_told_to_stay_never_leaves_the_cpu():
    """Whatever the rest of the model does."""
    model = Parts()
    placement = DevicePlacement(torch.device("meta"), Offload.NONE, lambda device: None, codec_on_cpu=True)
    with placement.on_device(model, "codec"), placement.on_device(model, "denoise"):
        assert model.there() == {"transformer", "condition_encoder"}


def test_a_model_that_is_kept_makes_room_for_the_next():
    """Under `Offload.ALL` only what works is on the device, also when two models of a chain are kept."""
    first, second = Parts(), Parts()
    placement = DevicePlacement(torch.device("meta"), Offload.ALL, lambda device: None)
    with placement.on_device(first, "denoise"):
        assert first.there() == {"transformer", "condition_encoder"}
    with placement.on_device(second, "words"):
        assert first.there() == set()
    with placement.on_device(second, "denoise"):
        assert first.there() == set() and second.there() == {"transformer", "condition_encoder"}


def test_a_move_that_fails_leaves_no_work_behind(monkeypatch):
    """A device may be full when a network comes; the next job finds the order it would find otherwise."""
    model, placement = Parts(), DevicePlacement(torch.device("meta"), Offload.PARTS, lambda device: None)

    def full(place):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(model.parts["audio_detokenizer"], "to", full)
        with pytest.raises(torch.OutOfMemoryError), placement.on_device(model, "words"):
            pass
    assert "text_encoder" not in model.there()
    with placement.on_device(model, "codec"):
        assert "codec" in model.there()
    assert not {"codec", "text_encoder"} & model.there()


def test_a_forgotten_model_is_not_held_by_where_it_was():
    """The placement knows networks only as long as somebody else does."""
    placement = DevicePlacement(torch.device("meta"), Offload.ALL, lambda device: None)
    model = Parts()
    with placement.on_device(model, "denoise"):
        gone = weakref.ref(model.parts["transformer"])
    del model
    gc.collect()
    assert gone() is None


@pytest.fixture
def pool(runner):
    """A pool of models on a device that is none (meta stands in for a GPU)."""

    def make(offload: Offload = Offload.NONE, int8: bool = False, codec_on_cpu: bool = False) -> ModelPool:
        choice = Choice(torch.device("meta"), torch.float32, 8.0, tier_of(8))
        policy = Policy(choice, offload, int8, attention="auto", compiled=False, codec_on_cpu=codec_on_cpu)
        return ModelPool({"home": runner.home, "model": "tiny"}, policy)

    return make


@pytest.mark.parametrize(
    ("policy", "there"),
    [
        ("keep", {"transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer", "codec", "text_encoder"}),
        ("offload", {"codec", "text_encoder"}),
    ],
)
def test_a_stage_may_send_its_model_to_ordinary_memory(pool, policy, there):
    """With ``offload`` its own networks leave the device and stay open; what it shares stays where it is."""
    models = pool()
    model = Parts(models.info(""))
    for network in model.parts.values():
        network.to("meta")
    models._open[model.info.path] = model
    models.put_away("", policy)
    assert model.there() == there and models.names() == ["tiny"]


def places(model) -> set[str]:
    """The kinds of device that the networks of a model are on."""
    return {tensor.device.type for network in model.networks().values() for tensor in network.parameters()}


@pytest.mark.parametrize(
    ("wish", "landed"),
    [
        ({}, "meta"),
        ({"offload": Offload.PARTS}, "cpu"),
        ({"offload": Offload.ALL}, "cpu"),
        ({"codec_on_cpu": True}, "cpu"),
    ],
)
def test_a_model_is_opened_where_it_shall_wait(pool, wish, landed):
    """A card that is too small for all parts must not hold them all for a moment; work then fetches what it needs."""
    models = pool(**wish)
    model = models.open("", lambda: None)
    assert places(model) == {landed} and model.device.type == "meta"
    with models.placement.on_device(model, "denoise"):
        assert {tensor.device.type for tensor in model.transformer.parameters()} == {"meta"}


def test_weights_are_quantised_before_they_go_to_the_device(pool, monkeypatch):
    """Nowhere but in ordinary memory are they ever whole."""
    pytest.importorskip("torchao")
    seen = []
    original = quantise.quantise_int8
    monkeypatch.setattr(
        "acestep.families.ace_step_15.runtime.quantise_int8",
        lambda model, check: seen.append(places(model)) or original(model, check),
    )
    models = pool(int8=True)
    model = models.open("", lambda: None)
    assert seen == [{"cpu"}] and quantise.is_quantised(model)
    with models.placement.on_device(model, "denoise"):
        assert {tensor.device.type for tensor in model.transformer.parameters()} == {"meta"}
    assert models.open("", lambda: None) is model
