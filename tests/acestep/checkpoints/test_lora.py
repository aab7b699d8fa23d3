"""LoRA adapters change the weights by exactly scale * alpha / r * B A, and leave no trace when they go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from acestep.api.errors import BadCheckpoint, BadRequest, ModelMissing, ModelUnsuited, UnknownName
from acestep.checkpoints import quantise
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.checkpoints.lora import change_adapter, load_adapter, unload_adapter
from acestep.checkpoints.quantise import is_quantised, quantise_int8
from acestep.checkpoints.tiny import XL_SIZES, build_tiny

PATH = "layers.1.cross_attn"
RANK = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return open_checkpoint(build_tiny(tmp_path_factory.mktemp("lora")))


@pytest.fixture(autouse=True)
def clean(model):
    yield
    for adapter in list(model.adapters):
        unload_adapter(model, adapter.name)


def write_adapter(folder: Path, *, seed: int = 0, width: int = 64, rename: str = "{}", **config) -> Path:
    """A PEFT folder that touches one attention output and one MLP layer."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for module, rows, columns in ((f"{PATH}.o_proj", width, 64), ("layers.0.mlp.up_proj", 128, width)):
        key = rename.format(module)
        tensors[f"{key}.lora_A.weight"] = torch.randn(RANK, columns, generator=generator)
        tensors[f"{key}.lora_B.weight"] = torch.randn(rows, RANK, generator=generator)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": 16, **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def weight(model: Model) -> torch.Tensor:
    return model.transformer.get_submodule(f"{PATH}.to_out.0").weight.data


def delta(folder: Path) -> torch.Tensor:
    from safetensors.torch import load_file

    tensors = load_file(folder / "adapter_model.safetensors")
    key = next(name for name in tensors if "o_proj.lora_A" in name).removesuffix(".lora_A.weight")
    return tensors[f"{key}.lora_B.weight"] @ tensors[f"{key}.lora_A.weight"]


@pytest.mark.parametrize("prefix", ["base_model.model.{}", "{}", "transformer.{}", "diffusion_model.decoder.{}"])
def test_merge_is_the_formula(model, tmp_path, prefix):
    """The weight moves by scale * alpha / r * B A, alpha and r from the adapter's config, under every tool's prefix."""
    before = weight(model).clone()
    folder = write_adapter(tmp_path / "a", rename=prefix)
    load_adapter(model, folder, scale=0.5)
    torch.testing.assert_close(weight(model), before + 0.5 * 16 / RANK * delta(folder))


PATTERNS = [
    pytest.param({}, 16, id="none"),
    pytest.param({"alpha_pattern": {"o_proj": 3}}, 3, id="the module's last name"),
    pytest.param({"alpha_pattern": {"cross_attn.o_proj": 3, "o_proj": 5}}, 3, id="the first that fits"),
    pytest.param({"alpha_pattern": {"up_proj": 3, "attn.o_proj": 5, "layers": 7}}, 16, id="others only"),
    pytest.param({"alpha_pattern": {r"^layers\.\d+\.cross_attn\.[oq]_proj": 6}}, 6, id="an expression"),
    pytest.param({"r": 32, "rank_pattern": {"o_proj": RANK, "up_proj": RANK}}, 16, id="a rank of its own"),
    pytest.param({"r": 32, "rank_pattern": {".*": RANK}, "alpha_pattern": {"o_proj": 2.5}}, 2.5, id="both"),
]
"""Settings of single modules in an adapter's config, and the alpha that the attention output has by them."""


@pytest.mark.parametrize(("config", "alpha"), PATTERNS)
def test_single_modules_have_their_own_scale(model, tmp_path, config, alpha):
    """PEFT's alpha_pattern and rank_pattern count for the modules whose names they fit, and for no others."""
    before = weight(model).clone()
    folder = write_adapter(tmp_path / "a", rename="base_model.model.{}", **config)
    load_adapter(model, folder)
    torch.testing.assert_close(weight(model), before + alpha / RANK * delta(folder), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        {"alpha_pattern": {"o_proj(": 3}},
        {"alpha_pattern": {"o_proj": "much"}},
        {"alpha_pattern": ["o_proj"]},
        {"lora_alpha": [16]},
    ],
)
def test_alphas_that_are_none_are_named(model, tmp_path, config):
    """A scale that cannot be read is refused, not guessed."""
    with pytest.raises(BadCheckpoint, match=next(iter(config))):
        load_adapter(model, write_adapter(tmp_path / "a", **config))


@pytest.mark.parametrize(("config", "alpha"), PATTERNS)
def test_peft_agrees(model, tmp_path, config, alpha):
    """PEFT itself, on the same layer and files, gives the same output as the merged weights."""
    peft = pytest.importorskip("peft")
    names = {"rename": "base_model.model.{}", "target_modules": ["o_proj", "up_proj"]}
    folder = write_adapter(tmp_path / "a", **names, **config)
    plain = torch.nn.Module()
    plain.layers = torch.nn.ModuleList(torch.nn.Module() for _ in range(2))
    plain.layers[1].cross_attn = torch.nn.Module()
    plain.layers[1].cross_attn.o_proj = torch.nn.Linear(64, 64, bias=False)
    plain.layers[0].mlp = torch.nn.Module()
    plain.layers[0].mlp.up_proj = torch.nn.Linear(64, 128, bias=False)
    plain.layers[1].cross_attn.o_proj.weight.data.copy_(weight(model))
    wrapped = peft.PeftModel.from_pretrained(plain, folder)
    x = torch.randn(3, 64)
    load_adapter(model, folder)
    with torch.inference_mode():
        expected = wrapped.base_model.model.layers[1].cross_attn.o_proj(x)
        torch.testing.assert_close(
            model.transformer.get_submodule(f"{PATH}.to_out.0")(x), expected, atol=1e-4, rtol=1e-4
        )


def test_unloading_restores_bit_for_bit(model, tmp_path):
    """After any coming and going of adapters the weights are the checkpoint's again, exactly."""
    before = {name: tensor.clone() for name, tensor in model.transformer.state_dict().items()}
    load_adapter(model, write_adapter(tmp_path / "a", seed=1), name="a")
    load_adapter(model, write_adapter(tmp_path / "b", seed=2), name="b", scale=2.0)
    unload_adapter(model, "a")
    assert [adapter.name for adapter in model.adapters] == ["b"]
    unload_adapter(model, "b")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.transformer.state_dict().items())


def test_several_at_once_add_up(model, tmp_path):
    """Two adapters with their scales act together; their order does not matter."""
    before = weight(model).clone()
    a, b = write_adapter(tmp_path / "a", seed=1), write_adapter(tmp_path / "b", seed=2)
    load_adapter(model, a, name="a", scale=0.25)
    load_adapter(model, b, name="b", scale=-1.0)
    torch.testing.assert_close(weight(model), before + 4 * (0.25 * delta(a) - delta(b)), atol=1e-4, rtol=1e-5)


def test_switching_off_and_scaling(model, tmp_path):
    """A disabled adapter stays loaded and does nothing; its scale can be changed at any time."""
    before = weight(model).clone()
    folder = write_adapter(tmp_path / "a")
    load_adapter(model, folder, name="a")
    change_adapter(model, "a", enabled=False)
    assert torch.equal(weight(model), before) and len(model.adapters) == 1
    change_adapter(model, "a", enabled=True, scale=0.1)
    torch.testing.assert_close(weight(model), before + 0.4 * delta(folder))


def test_same_name_replaces(model, tmp_path):
    """Loading under a known name replaces, not adds."""
    before = weight(model).clone()
    load_adapter(model, write_adapter(tmp_path / "a", seed=1), name="a")
    second = write_adapter(tmp_path / "b", seed=2)
    load_adapter(model, second, name="a")
    torch.testing.assert_close(weight(model), before + 4 * delta(second), atol=1e-4, rtol=1e-5)


def test_other_tools_files(model, tmp_path):
    """A flat file with lora_down, lora_up and alpha tensors is read with its own alpha."""
    before, generator = weight(model).clone(), torch.Generator().manual_seed(3)
    down, up = torch.randn(RANK, 64, generator=generator), torch.randn(64, RANK, generator=generator)
    key = f"diffusion_model.{PATH}.o_proj"
    tensors = {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(2.0)}
    save_file(tensors, tmp_path / "flat.safetensors")
    load_adapter(model, tmp_path / "flat.safetensors")
    torch.testing.assert_close(weight(model), before + 0.5 * up @ down)


def test_other_size_is_refused(tmp_path, model):
    """An adapter of another width (2B on XL and back) is refused by name, and the model stays as it was."""
    xl = open_checkpoint(build_tiny(tmp_path / "xl", config=XL_SIZES, name="acestep-v15-xl-tiny"))
    before = weight(model).clone()
    with pytest.raises(ModelUnsuited, match="of another size"):
        load_adapter(xl, write_adapter(tmp_path / "a"))
    with pytest.raises(ModelUnsuited, match="of another size"):
        load_adapter(model, write_adapter(tmp_path / "b", width=96))
    assert torch.equal(weight(model), before) and not model.adapters and not xl.adapters


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), ModelMissing),
        (lambda folder: (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin"), BadCheckpoint),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"\0" * 40), BadCheckpoint),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), BadCheckpoint),
        (lambda folder: (folder / "adapter_config.json").write_text('{"use_dora": true}'), BadCheckpoint),
        (
            lambda folder: save_file({"x.lora_A.weight": torch.ones(2, 2)}, folder / "adapter_model.safetensors"),
            BadCheckpoint,
        ),
        (lambda folder: save_file({"x.weight": torch.ones(2, 2)}, folder / "adapter_model.safetensors"), BadCheckpoint),
    ],
)
def test_bad_adapters(model, tmp_path, damage, error):
    """What is not an adapter is one clear error."""
    folder = write_adapter(tmp_path / "a")
    damage(folder)
    with pytest.raises(error):
        load_adapter(model, folder)


def test_bad_scale_and_name(model, tmp_path):
    """A scale that is not a sensible number and a name that is not loaded are refused."""
    folder = write_adapter(tmp_path / "a")
    for scale in (float("nan"), float("inf"), 100.0):
        with pytest.raises(BadRequest):
            load_adapter(model, folder, scale=scale)
    with pytest.raises(UnknownName):
        unload_adapter(model, "b")


def test_quantised_after_merging(tmp_path, monkeypatch):
    """Int8 keeps the merged model's velocity within a few per cent at less memory; adapters afterwards are refused."""
    monkeypatch.setattr(quantise, "SMALLEST_MODEL", 0)
    model = open_checkpoint(build_tiny(tmp_path))
    load_adapter(model, write_adapter(tmp_path / "a"), scale=0.05)
    generator = torch.Generator().manual_seed(0)
    x, context, states = (torch.randn(1, *shape, generator=generator) for shape in ((30, 64), (30, 128), (9, 64)))

    def velocity():
        return model.transformer.velocity(x, 0.5, context, [model.transformer.condition(states)])[0]

    before = velocity()
    quantise_int8(model)
    assert is_quantised(model)
    assert 0 < (velocity() - before).norm() / before.norm() < 0.05
    with pytest.raises(ModelUnsuited, match="quantised"):
        load_adapter(model, write_adapter(tmp_path / "b"))
