"""Adapters, 8-bit weights, offloading and the limits of small devices."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from acestep.api.errors import BadRequest, OutOfMemory, UnknownName
from acestep.checkpoints.adapters import run_list
from acestep.checkpoints.tiers import TIERS, Offload
from acestep.engine import takes
from acestep.engine.residence import Residence

WISH = {"length": 20_000, "rate": 48_000, "seed": 3, "steps": 2, "format": "wav32f"}


@pytest.fixture
def adapter(studio):
    """Write a PEFT adapter into the home's folder of LoRAs."""

    def write(name: str, seed: int = 0) -> None:
        folder = studio.home / "loras" / name
        folder.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(seed)
        key = "layers.1.cross_attn.o_proj"
        tensors = {
            f"{key}.lora_A.weight": torch.randn(4, 64, generator=generator),
            f"{key}.lora_B.weight": torch.randn(64, 4, generator=generator),
        }
        save_file(tensors, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8}))

    return write


def sound(result_and_folder) -> np.ndarray:
    result, folder = result_and_folder
    return soundfile.read(folder / result.files[0].name)[0]


def test_an_adapter_acts_while_it_is_asked_for(studio, adapter):
    """A LoRA changes the take, its digest stands in the recipe, and the next job without it is as before."""
    adapter("velvet")
    bare = sound(studio.run("generate", **WISH))
    result, folder = studio.run("generate", **WISH, lora=["velvet"])
    assert not np.array_equal(sound((result, folder)), bare)
    assert result.recipe["weights"]["lora/velvet"]
    assert np.array_equal(sound(studio.run("generate", **WISH)), bare)
    again, _ = studio.run_recipe(result.recipe["request"])
    assert again.files[0].sha256 == result.files[0].sha256


def test_scale_zero_is_no_adapter_and_two_differ_from_one(studio, adapter):
    """Scales are part of the request; several adapters work at once."""
    adapter("velvet")
    adapter("gravel", seed=5)
    bare = sound(studio.run("generate", **WISH))
    assert np.abs(sound(studio.run("generate", **WISH, lora=["velvet=0"])) - bare).max() < 1e-5
    one, both = (sound(studio.run("generate", **WISH, lora=names)) for names in (["velvet"], ["velvet", "gravel=0.5"]))
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
def test_bad_adapter_wishes(studio, adapter, wish, error):
    """Unknown names and scales that are none end the job with their code; the model stays as it was."""
    adapter("velvet")
    bare = sound(studio.run("generate", **WISH))
    with pytest.raises(error):
        studio.run("generate", **WISH, lora=[wish])
    assert np.array_equal(sound(studio.run("generate", **WISH)), bare)


async def test_adapters_are_listed_by_the_daemon(studio, adapter):
    """Name and place of what stages may name, without torch."""
    adapter("velvet")
    paths = SimpleNamespace(home=studio.home, checkpoints=studio.home / "checkpoints")
    core = SimpleNamespace(paths=paths, settings=SimpleNamespace(checkpoints=[]))
    found = await run_list(None, SimpleNamespace(core=core))
    assert {"name": "velvet", "path": str(studio.home / "loras" / "velvet")} in found["loras"]


def test_eight_bit_weights(studio, adapter):
    """Quantised weights render nearly the same, say so, and take adapters by being read again."""
    pytest.importorskip("torchao")
    adapter("velvet")
    engine = studio.fresh_engine(int8="on")
    exact, rounded = sound(studio.run("generate", **WISH)), studio.run("generate", engine, **WISH)
    assert any("8 bits" in note for note in rounded[0].notes)
    assert engine.info()["int8"]
    with_adapter = studio.run("generate", engine, **WISH, lora=["velvet"])
    assert not np.array_equal(sound(rounded), exact)
    assert not np.array_equal(sound(rounded), sound(with_adapter))


def test_long_parts_are_shortened_on_small_devices(studio):
    """A tier's minutes bound a new part; the result is what fits and says what was done."""
    engine = studio.fresh_engine()
    small = replace(engine.policy.choice, memory_gb=3.0, tier=msgspec.structs.replace(TIERS[0], minutes=0.25))
    engine.policy = replace(engine.policy, choice=small)
    result, folder = studio.run("generate", engine, duration=600.0, rate=8_000, channels=1, steps=1)
    assert any("shortened" in note for note in result.notes)
    assert soundfile.info(folder / result.files[0].name).frames == 15 * 8_000


def test_no_room_is_said_before_the_work(studio, monkeypatch):
    """A device without free memory refuses before the first step and names what would help."""
    monkeypatch.setattr(takes, "free_gb", lambda device: 0.1)
    with pytest.raises(OutOfMemory, match="shorter"):
        studio.run("generate", **WISH)
    assert not any(tick[0] == "generate" for tick in studio.ticks)


def test_batches_are_split_to_fit(studio, monkeypatch):
    """As many variants at a time as the memory takes, and the same takes."""
    three = {**WISH, "seeds": [1, 2, 3], "variants": 3, "batch": True}
    whole = [file.seed for file in studio.run("generate", **three)[0].files]
    monkeypatch.setattr(takes, "free_gb", lambda device: 0.5 + 2.5 * 0.3 * 10 / 60)
    split, _ = studio.run("generate", **three)
    assert [file.seed for file in split.files] == whole
    assert sum(tick[0] == "generate" for tick in studio.ticks) == 2 * 2  # two groups of two steps


class Net(torch.nn.Module):
    """A network that knows where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    @property
    def place(self) -> str:
        return self.weight.device.type


class Parts:
    """A model of bare networks."""

    def __init__(self) -> None:
        names = ("transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer", "codec", "text_encoder")
        self.parts = {name: Net() for name in names}

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
def test_networks_are_where_the_policy_wants_them(monkeypatch, offload, during_codec, afterwards):
    """On the device while they work, and as little else as the tier says. (The meta device stands in for a GPU.)"""
    monkeypatch.setattr(
        Net, "to", lambda self, place: setattr(self, "weight", torch.nn.Parameter(torch.zeros(1, device=place)))
    )
    model, residence = Parts(), Residence(torch.device("meta"), offload, lambda device: None)
    with residence.at_work(model, "denoise"):
        assert model.there() >= {"transformer", "condition_encoder"}
    with residence.at_work(model, "codec"):
        assert model.there() == during_codec
    assert model.there() - {"text_encoder"} == afterwards
    with residence.at_work(model, "words"):
        with residence.at_work(model, "codec"):
            assert "codec" in model.there()
        assert {"text_encoder", "condition_encoder"} <= model.there()


def test_a_codec_told_to_stay_never_leaves_the_cpu(monkeypatch):
    """Whatever the rest of the model does."""
    monkeypatch.setattr(
        Net, "to", lambda self, place: setattr(self, "weight", torch.nn.Parameter(torch.zeros(1, device=place)))
    )
    model = Parts()
    residence = Residence(torch.device("meta"), Offload.NONE, lambda device: None, codec_on_cpu=True)
    with residence.at_work(model, "codec"), residence.at_work(model, "denoise"):
        assert model.there() == {"transformer", "condition_encoder"}
