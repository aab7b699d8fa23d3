"""One training, one strength: every form, opened by the program it is for, gives the same weights, with alpha / rank not 1."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import peft
import pytest
import torch
from diffusers import AceStepTransformer1DModel
from diffusers.loaders.lora_pipeline import AceStepLoraLoaderMixin
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from acestep.api.errors import BadRequest
from acestep.api.training import AdapterShape
from acestep.checkpoints.adapters import known_adapters
from acestep.checkpoints.info import part_paths
from acestep.checkpoints.load import Target, open_checkpoint
from acestep.checkpoints.lora import load_adapter, unload_adapter
from acestep.training.adapters.adapter import attach, trained_parameters
from acestep.training.adapters.encoders import load_dit
from acestep.training.adapters.export import Export, original_path, write_forms

CPU = torch.device("cpu")
SHAPES = {
    "lora": AdapterShape(rank=4, alpha=10, targets=("q_proj", "o_proj", "up_proj")),
    "lora, cross": AdapterShape(rank=4, alpha=2, attention="cross"),
    "dora": AdapterShape(kind="dora", rank=3, alpha=6),
    "lokr": AdapterShape(kind="lokr", rank=2, alpha=5),
    "lokr, whole": AdapterShape(kind="lokr", rank=64, alpha=160),
    "lokr, both": AdapterShape(kind="lokr", rank=1, alpha=3, decompose_both=True, factor=4),
}
FACTS = {"model_digest": "abc", "trigger": "zap", "dataset_digest": "def", "settings": {"rank": 4}}


class Trained:
    """An adapter with random weights, PEFT's own merge of it, and its files."""

    def __init__(self, info, name: str, folder: Path) -> None:
        self.shape, self.folder = SHAPES[name], folder
        network = load_dit(part_paths(info), Target(CPU, torch.float32, lambda: None))
        self.base = {key: tensor.clone() for key, tensor in network.state_dict().items()}
        attach(network, self.shape, 0)
        generator = torch.Generator().manual_seed(1)
        for parameter in trained_parameters(network).values():
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
        self.files = {
            form: Path(file)
            for form, file in write_forms(Export.of(network, self.shape, FACTS), folder, "mine").items()
        }
        layers = {key.rpartition(".base_layer.")[0] for key in network.state_dict() if ".base_layer." in key}
        merged = copy.deepcopy(network)
        for layer in layers:
            merged.get_submodule(layer).merge()
        self.merged = {layer: merged.get_submodule(layer).base_layer.weight.data for layer in layers}
        assert all((self.merged[layer] - self.base[f"{layer}.weight"]).abs().max() > 0.01 for layer in layers)

    def check(self, weights: dict[str, torch.Tensor]) -> None:
        """Merged weights by layer are PEFT's."""
        assert weights.keys() == self.merged.keys()
        for layer, weight in self.merged.items():
            torch.testing.assert_close(weights[layer], weight, rtol=1e-4, atol=2e-5, msg=layer)


FLAT = [name for name, shape in SHAPES.items() if shape.kind != "lokr"]
"""The kinds that PEFT's folder and diffusers' file can hold."""


@pytest.fixture(scope="module")
def trained(request, tiny_info, tmp_path_factory) -> Trained:
    """A trained adapter of the shape that a test names."""
    return Trained(tiny_info, request.param, tmp_path_factory.mktemp("export") / "mine")


@pytest.fixture(scope="module")
def model(tiny_info):
    return open_checkpoint(tiny_info.path)


@pytest.mark.parametrize("trained", SHAPES, indirect=True)
def test_we_open_every_form(trained, model):
    """By its path or by the run's name, all of its tensors used."""
    places = {**trained.files, "run": trained.folder}
    for place in places.values():
        adapter = load_adapter(model, place, name="a")
        assert adapter.facts["matched"] == adapter.facts["tensors"] and not adapter.facts["unmatched"]
        trained.check({layer: model.transformer.get_submodule(layer).weight.data.clone() for layer in trained.merged})
        unload_adapter(model, "a")
    assert known_adapters([trained.folder.parent])["mine"] == trained.folder


def named_as_the_original(base: dict[str, torch.Tensor]) -> nn.Module:
    """Linear layers under the original's names."""
    root = nn.Module()
    for key, tensor in base.items():
        if tensor.ndim != 2 or not key.startswith("layers.") or not key.endswith(".weight"):
            continue
        owner, path = root, original_path(key.removesuffix(".weight")).split(".")
        for name in path[:-1]:
            if not hasattr(owner, name):
                owner.add_module(name, nn.Module())
            owner = getattr(owner, name)
        linear = nn.Linear(tensor.shape[1], tensor.shape[0], bias=False)
        linear.weight.data.copy_(tensor)
        owner.add_module(path[-1], linear)
    return root


@pytest.mark.parametrize("trained", FLAT, indirect=True)
def test_peft_opens_the_folder(trained):
    whole = peft.PeftModel.from_pretrained(
        named_as_the_original(trained.base), trained.files["peft"]
    ).merge_and_unload()
    trained.check({layer: whole.get_submodule(original_path(layer)).weight.data for layer in trained.merged})


@pytest.mark.parametrize("trained", FLAT, indirect=True)
def test_diffusers_opens_its_file(trained, tiny_info):
    ours = load_dit(part_paths(tiny_info), Target(CPU, torch.float32, lambda: None))
    network = AceStepTransformer1DModel(**{key: value for key, value in ours.config.items() if not key.startswith("_")})
    network.load_state_dict(trained.base)
    state, metadata = AceStepLoraLoaderMixin.lora_state_dict(str(trained.files["diffusers"]), return_lora_metadata=True)
    AceStepLoraLoaderMixin.load_lora_into_transformer(state, transformer=network, metadata=metadata)
    network.fuse_lora()
    trained.check({layer: network.get_submodule(layer).base_layer.weight.data for layer in trained.merged})


def comfy_merge(base: dict[str, torch.Tensor], file: Path) -> dict[str, torch.Tensor]:
    """ComfyUI's rules: factors by key, alpha over the rank that the factors show (1 without either), DoRA's length along rows."""
    tensors = load_file(file)
    merged = {}
    for key, weight in base.items():
        layer = key.removesuffix(".weight")
        found = {name.removeprefix(f"{prefix}."): tensor for prefix in [f"diffusion_model.decoder.{original_path(layer)}"]
                 for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}  # fmt: skip
        if weight.ndim != 2 or not key.endswith(".weight") or not found:
            continue
        rank = None
        if "lora_up.weight" in found:
            rank = found["lora_down.weight"].shape[0]
            change = found["lora_up.weight"] @ found["lora_down.weight"]
        else:
            factors = []
            for factor in ("lokr_w1", "lokr_w2"):
                if factor in found:
                    factors.append(found[factor])
                else:
                    rank = found[f"{factor}_b"].shape[0]
                    factors.append(found[f"{factor}_a"] @ found[f"{factor}_b"])
            change = torch.kron(*factors)
        scale = found["alpha"].item() / rank if rank is not None and "alpha" in found else 1.0
        changed = weight + scale * change
        if "dora_scale" in found:
            changed = changed * (found["dora_scale"] / changed.norm(dim=1, keepdim=True))
        merged[layer] = changed
    return merged


@pytest.mark.parametrize("trained", SHAPES, indirect=True)
def test_comfyui_merges_its_file(trained):
    trained.check(comfy_merge(trained.base, trained.files["comfyui"]))


@pytest.mark.parametrize("trained", sorted(set(SHAPES) - set(FLAT)), indirect=True)
def test_lycoris_opens_the_originals_lokr(trained):
    """As the original does it: a network of the header's settings around the model, its weights loaded, run (not merged)."""
    from lycoris import LycorisNetwork, create_lycoris

    file = trained.files["lokr"] / "lokr_weights.safetensors"
    with safe_open(file, "pt") as opened:
        settings = json.loads(opened.metadata()["lokr_config"])
    network = named_as_the_original(trained.base)
    targets = [f"*{name}" for name in settings.pop("target_modules")]
    LycorisNetwork.apply_preset({"target_module": [], "target_name": targets, "use_fnmatch": True})
    wrapper = create_lycoris(network, 1.0, algo="lokr", **settings)
    wrapper.apply_to()
    result = wrapper.load_state_dict(load_file(file), strict=False)
    assert not result.unexpected_keys and not [key for key in result.missing_keys if not key.endswith("scalar")]
    with torch.no_grad():
        trained.check({
            layer: linear(torch.eye(linear.in_features)).T
            for layer in trained.merged
            for linear in [network.get_submodule(original_path(layer))]
        })  # fmt: skip


def test_a_factor_that_libraries_split_differently_is_refused(tiny_info):
    """PEFT and LyCORIS agree on a factor up to the square root of a layer's size."""
    network = load_dit(part_paths(tiny_info), Target(CPU, torch.float32, lambda: None))
    with pytest.raises(BadRequest, match="at most 5") as raised:
        attach(network, AdapterShape(kind="lokr", rank=2, alpha=3, factor=8), 0)
    assert raised.value.limits == {"max": 5}


@pytest.mark.parametrize("trained", SHAPES, indirect=True)
def test_every_file_says_what_it_is(trained):
    """Model, dataset, trigger and settings in each header; the config of PEFT has what acestep.cpp asks for."""
    for form, place in trained.files.items():
        file = place if place.is_file() else next(place.glob("*.safetensors"))
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata()
            assert json.loads(metadata["acestep_bridge"]) == FACTS
        if form == "lokr":
            assert (
                metadata["algo"] == "lokr" and json.loads(metadata["lokr_config"])["linear_dim"] == trained.shape.rank
            )
    if "peft" in trained.files:
        config = json.loads((trained.files["peft"] / "adapter_config.json").read_text())
        assert (config["peft_type"], config["r"], config["lora_alpha"]) == (
            "LORA",
            trained.shape.rank,
            trained.shape.alpha,
        )
        assert config["target_modules"] == trained.shape.suffixes() and "acestep_bridge" not in config
