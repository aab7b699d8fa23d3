"""LoRA adapters on v1: the official layout, strength from the header, and weights that come back bit for bit."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from acestep.api.errors import BadCheckpoint, BadRequest, ModelUnsuited
from acestep.checkpoints.adapter_file import fit, read_adapter_file
from acestep.checkpoints.adapters import AdapterOptions
from acestep.checkpoints.layers import layer_shapes
from acestep.checkpoints.tiny import build_tiny
from acestep.families.ace_step_v1.adapters import fit_adapter, use_adapters
from acestep.families.ace_step_v1.load import open_checkpoint

LAYERS = ("speaker_embedder", "transformer_blocks.0.attn.to_q", "transformer_blocks.1.cross_attn.to_out.0",
          "lyric_encoder.encoders.0.self_attn.linear_q")  # fmt: skip
"""Of the kinds that the official recipe trains."""

RANK = 4


@pytest.fixture
def model(tiny_v1):
    return open_checkpoint(tiny_v1)


@pytest.fixture
def adapter(tmp_path, model):
    """``adapter(prefix=..., metadata=...)``: a file as trainers write it, and its factors by layer."""

    def write(prefix="", metadata=None, name="pytorch_lora_weights.safetensors", between=""):
        generator = torch.Generator().manual_seed(3)
        tensors, factors = {}, {}
        for layer in LAYERS:
            rows, columns = model.transformer.get_submodule(layer).weight.shape
            down, up = (torch.randn(*size, generator=generator) for size in ((RANK, columns), (rows, RANK)))
            tensors[f"{prefix}{layer}.lora_A{between}.weight"], tensors[f"{prefix}{layer}.lora_B{between}.weight"] = (
                down,
                up,
            )
            factors[layer] = up @ down
        folder = tmp_path / f"adapter-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        save_file(tensors, folder / name, metadata=metadata)
        return folder, factors

    return write


def changed(model, asked):
    before = {layer: model.transformer.get_submodule(layer).weight.clone() for layer in LAYERS}
    use_adapters(model, asked)
    return {layer: model.transformer.get_submodule(layer).weight - before[layer] for layer in LAYERS}


RSLORA = {
    "lora_adapter_metadata": json.dumps(
        {"transformer.r": RANK, "transformer.lora_alpha": 8, "transformer.use_rslora": True}
    )
}


@pytest.mark.parametrize(
    ("form", "factor"),
    [
        ({}, 1.0),
        ({"prefix": "transformer."}, 1.0),
        ({"prefix": "base_model.model."}, 1.0),
        ({"between": ".lofi"}, 1.0),
        ({"name": "lofi.safetensors"}, 1.0),
        ({"metadata": RSLORA}, 8 / RANK**0.5),
    ],
    ids=["official", "diffusers", "peft", "named", "loose file", "strength in the header"],
)
def test_an_adapter_is_merged_at_its_strength(model, adapter, form, factor):
    folder, factors = adapter(**form)
    found = changed(model, [AdapterOptions("rap", folder, 0.5)])
    for layer, product in factors.items():
        torch.testing.assert_close(found[layer], 0.5 * factor * product, atol=1e-5, rtol=1e-5)
    assert model.adapters[0].facts["scaling"] == pytest.approx(factor, abs=1e-6)


def test_weights_come_back_bit_for_bit(model, adapter, tiny_v1):
    """Two adapters, then one of them at another scale, then none."""
    folder, _ = adapter()
    other, _ = adapter(prefix="transformer.")
    use_adapters(model, [AdapterOptions("one", folder, 1.0), AdapterOptions("two", other, -0.5)])
    use_adapters(model, [AdapterOptions("two", other, 0.25)])
    assert [(known.name, known.scale) for known in model.adapters] == [("two", 0.25)]
    use_adapters(model, [])
    plain = open_checkpoint(tiny_v1).transformer.state_dict()
    assert all(torch.equal(tensor, plain[name]) for name, tensor in model.transformer.state_dict().items())


def test_an_adapter_of_another_size_is_refused_by_its_header(model, tmp_path):
    down, up = torch.zeros(RANK, 2560), torch.zeros(2560, RANK)
    name = "transformer_blocks.0.attn.to_q"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, tmp_path / "rap.safetensors")
    with pytest.raises(ModelUnsuited, match="another size"):
        fit_adapter(tmp_path / "rap.safetensors", model.parts)


def test_an_adapter_of_acestep_15_is_refused(model, tmp_path):
    name = "base_model.model.layers.0.self_attn.q_proj"
    save_file({f"{name}.lora_A.weight": torch.zeros(4, 64), f"{name}.lora_B.weight": torch.zeros(64, 4)},
              tmp_path / "adapter_model.safetensors")  # fmt: skip
    with pytest.raises(BadCheckpoint, match=r"made for ACE-Step 1.5"):
        fit_adapter(tmp_path, model.parts)


def test_an_adapter_of_v1_is_refused_by_acestep_15(adapter, tmp_path):
    folder, _ = adapter()
    layers = layer_shapes(build_tiny(tmp_path / "models"))
    with pytest.raises(BadCheckpoint, match="made for ACE-Step v1"):
        fit(read_adapter_file(folder), layers)


def test_a_scale_beyond_use_changes_nothing(model, adapter):
    folder, _ = adapter()
    with pytest.raises(BadRequest, match="scale"):
        use_adapters(model, [AdapterOptions("rap", folder, 40.0)])
    assert model.adapters == []
