"""Merging writes a checkpoint that plays as the adapter does, and changes nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.api.errors import BadRequest, Cancelled, DiskFull, ModelUnsuited
from acestep.checkpoints.adapters import AdapterOptions
from acestep.checkpoints.info import read_info
from acestep.checkpoints.load import open_checkpoint
from acestep.checkpoints.lora import load_adapter
from acestep.checkpoints.merge import merge_adapters
from acestep.checkpoints.tiny import build_tiny

RANK, ALPHA = 4, 10


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return build_tiny(tmp_path_factory.mktemp("merge"))


def write_adapter(folder: Path, seed: int) -> Path:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer, rows in (("layers.1.cross_attn.o_proj", 64), ("layers.0.mlp.up_proj", 128)):
        tensors[f"base_model.model.{layer}.lora_A.weight"] = torch.randn(RANK, 64, generator=generator)
        tensors[f"base_model.model.{layer}.lora_B.weight"] = torch.randn(rows, RANK, generator=generator)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA}))
    return folder


@pytest.fixture
def asked(tmp_path) -> list[AdapterOptions]:
    return [
        AdapterOptions("a", write_adapter(tmp_path / "a", 1), 0.5),
        AdapterOptions("b", write_adapter(tmp_path / "b", 2), -1.0),
    ]


def test_a_merged_checkpoint_has_the_loaded_adapters_weights(bundle, asked):
    """Of both adapters with their scales, under the original names; other tensors and files are the same bytes."""
    target = bundle.parent / "acestep-v15-mine"
    made = merge_adapters(read_info(bundle), asked, target)
    merged, loaded = open_checkpoint(target), open_checkpoint(bundle)
    for options in asked:
        load_adapter(loaded, options.path, name=options.name, scale=options.scale)
    for name, tensor in loaded.transformer.state_dict().items():
        torch.testing.assert_close(merged.transformer.state_dict()[name], tensor, rtol=1e-5, atol=1e-5, msg=name)
    before, after = (load_file(folder / "model.safetensors") for folder in (bundle, target))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder.layers.1.cross_attn.o_proj.weight", "decoder.layers.0.mlp.up_proj.weight"}
    assert (target / "silence_latent.pt").read_bytes() == (bundle / "silence_latent.pt").read_bytes()
    assert json.loads((target / "config.json").read_text())["merged_adapters"][0] == {"name": "a", "scale": 0.5}
    assert made["loras"][0]["matched"] == 4 and made["bytes"] > 0 and read_info(target).name == "mine"
    shutil.rmtree(target)


def test_weights_are_rounded_once_to_their_own_type(bundle, asked, tmp_path):
    """A bfloat16 checkpoint stays one; the sum is made in float32."""
    copy = Path(shutil.copytree(bundle.parent, tmp_path / "half")) / bundle.name
    half = {name: tensor.bfloat16() for name, tensor in load_file(bundle / "model.safetensors").items()}
    save_file(half, copy / "model.safetensors", {"format": "pt"})
    merge_adapters(read_info(copy), asked[:1], copy.parent / "acestep-v15-out")
    key = "layers.1.cross_attn.o_proj"
    factors = load_file(asked[0].path / "adapter_model.safetensors")
    change = factors[f"base_model.model.{key}.lora_B.weight"] @ factors[f"base_model.model.{key}.lora_A.weight"]
    weight = half[f"decoder.{key}.weight"]
    expected = (weight.float() + 0.5 * (ALPHA / RANK * change)).bfloat16()
    found = load_file(copy.parent / "acestep-v15-out" / "model.safetensors")[f"decoder.{key}.weight"]
    assert found.dtype == torch.bfloat16 and torch.equal(found, expected)


def test_what_cannot_be_merged_leaves_nothing_behind(bundle, asked, tmp_path, monkeypatch):
    """No adapter, a folder that is there, a full disk, an adapter of another size, a cancel in the middle."""
    info, target = read_info(bundle), tmp_path / "out"
    with pytest.raises(BadRequest, match="at least one"):
        merge_adapters(info, [], target)
    with pytest.raises(BadRequest, match="already exists"):
        merge_adapters(info, asked, tmp_path)

    def cancel():
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        merge_adapters(info, asked, target, cancel)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 10, 5))
        with pytest.raises(DiskFull, match=r"takes .* and 0 MB are free"):
            merge_adapters(info, asked, target)
    tensors = load_file(asked[0].path / "adapter_model.safetensors")
    save_file({name: torch.cat([tensor, tensor], 1 if "lora_A" in name else 0) for name, tensor in tensors.items()},
              asked[0].path / "adapter_model.safetensors")  # fmt: skip
    with pytest.raises(ModelUnsuited, match="another size"):
        merge_adapters(info, asked, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
