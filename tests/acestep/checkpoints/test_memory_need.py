"""What a model needs in memory is known from its headers, and refused with figures before it is read. Full sizes, sparse files."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path

import msgspec
import pytest

from acestep.api.errors import ModelUnsuited, OutOfMemory
from acestep.checkpoints.adapter_file import fit, read_adapter_file
from acestep.checkpoints.adapter_names import spellings
from acestep.checkpoints.info import part_paths, read_info
from acestep.checkpoints.installed import model_facts
from acestep.checkpoints.layers import layer_shapes
from acestep.checkpoints.memory import (
    Room,
    _container_free,
    check_room,
    device_bytes,
    free_ram,
    mapped_too_large,
    resident_bytes,
    stored_numbers,
    whole_bytes,
)
from acestep.checkpoints.published import FILES, bytes_of
from acestep.runtime.tiers import Offload

_spec = importlib.util.spec_from_file_location("full_size", Path(__file__).with_name("full_size.py"))
full_size = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = full_size
_spec.loader.exec_module(full_size)

GB = 1e9


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("full")
    return {"turbo": full_size.write_full_size(root / "a"), "xl-turbo": full_size.write_full_size(root / "b", xl=True)}


@pytest.fixture(scope="module")
def numbers(models):
    return {name: stored_numbers(part_paths(read_info(path))) for name, path in models.items()}


def test_the_files_have_the_published_lengths(models):
    """Byte for byte, so the networks here have the published names and shapes."""
    turbo = models["turbo"]
    assert (turbo / "model.safetensors").stat().st_size == FILES["acestep-v15-turbo"]["model.safetensors"].size
    for part, name in (("vae", "diffusion_pytorch_model.safetensors"), ("Qwen3-Embedding-0.6B", "model.safetensors")):
        assert (turbo.parent / part / name).stat().st_size == FILES[part][name].size
    shards = sum(path.stat().st_size for path in models["xl-turbo"].glob("*.safetensors"))
    assert abs(shards - bytes_of("acestep-v15-xl-turbo")) < 5_000_000


def test_needs_of_the_published_models(numbers):
    """2B: 12.6 GB as float32 on a CPU, nothing of its own as bfloat16. XL in float32 stays mapped but for the shared parts."""
    assert round(resident_bytes(numbers["turbo"], "float32") / GB, 1) == 12.6
    assert resident_bytes(numbers["turbo"], "bfloat16") == 0
    assert round(resident_bytes(numbers["xl-turbo"], "float32") / GB, 1) == 3.1
    assert round(whole_bytes(numbers["xl-turbo"], "bfloat16") / GB, 1) == 11.5


def test_a_cpu_with_too_little_memory_is_told(numbers):
    """Both figures, and that bfloat16 needs less; with enough, or in bfloat16, nothing is said."""
    little = Room(dtype="float32", ram=int(8 * GB))
    with pytest.raises(
        OutOfMemory, match=r"turbo needs about 13\.\d GB of memory as float32 and 8\.0 GB are free.*bfloat16"
    ) as no:
        check_room("turbo", numbers["turbo"], little)
    assert no.value.limits["free_bytes"] == 8 * GB and no.value.field == "model"
    check_room("turbo", numbers["turbo"], msgspec.structs.replace(little, dtype="bfloat16"))
    check_room("turbo", numbers["turbo"], msgspec.structs.replace(little, ram=int(16 * GB)))


def test_mapped_weights_that_do_not_fit_are_slow_and_that_is_told(numbers):
    """XL in float32 opens on 16 GB, reads its 20 GB again at every step, and says so; with room for all of it nothing is said."""
    room = Room(dtype="float32", ram=int(16 * GB))
    check_room("xl-turbo", numbers["xl-turbo"], room)
    assert "19.9 GB" in mapped_too_large(numbers["xl-turbo"], room)
    assert mapped_too_large(numbers["xl-turbo"], msgspec.structs.replace(room, ram=int(32 * GB))) == ""
    assert mapped_too_large(numbers["turbo"], msgspec.structs.replace(room, dtype="bfloat16")) == ""
    assert mapped_too_large(numbers["xl-turbo"], msgspec.structs.replace(room, device=int(40 * GB))) == ""


def test_a_small_gpu_is_told(numbers):
    """By the offload policy: XL in bfloat16 fits neither 8 GB at once nor part by part, with 8-bit weights it does."""
    room = Room(dtype="bfloat16", ram=None, device=int(8 * GB))
    with pytest.raises(OutOfMemory, match=r"device memory as bfloat16 and 8\.0 GB are free; set offload to all.*int8"):
        check_room("xl-turbo", numbers["xl-turbo"], room)
    lighter = msgspec.structs.replace(room, offload=Offload.ALL, int8=True)
    check_room("xl-turbo", numbers["xl-turbo"], lighter)
    sizes = [device_bytes(numbers["turbo"], msgspec.structs.replace(room, offload=offload)) for offload in Offload]
    assert sizes == sorted(sizes, reverse=True)


def test_the_check_can_be_switched_off(numbers, monkeypatch):
    """By the variable that the original knows."""
    monkeypatch.setenv("ACESTEP_SKIP_VRAM_PREFLIGHT", "1")
    check_room("turbo", numbers["turbo"], Room(dtype="float32", ram=1))


def test_facts_tell_memory_and_licences(models):
    """`models info` before anything is loaded."""
    facts = model_facts(read_info(models["turbo"]))
    assert {name: round(count / GB, 1) for name, count in facts["memory_bytes"].items()} == {
        "float32": 12.6, "bfloat16": 6.3}  # fmt: skip
    assert (facts["license"], facts["text_encoder_license"]) == ("MIT", "Apache-2.0")


def test_free_memory_of_containers(tmp_path):
    """The tightest bound above the process counts, its file cache is free; no bound is no answer."""
    assert free_ram() > 0
    own = tmp_path / "cgroup" / "user" / "job"
    own.mkdir(parents=True)
    (tmp_path / "self").write_text("0::/user/job\n")
    for folder, bound, used in ((own, "max", 5), (own.parent, "4000", 3000)):
        (folder / "memory.max").write_text(f"{bound}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text("anon 10\ninactive_file 500\n")
    assert list(_container_free(tmp_path / "cgroup", tmp_path / "self")) == [1500]
    assert list(_container_free(tmp_path / "nowhere", tmp_path / "nothing")) == []


def upstream_adapter(folder: Path, width: int, layers: int) -> Path:
    """The tensors that the original's trainer writes for a model of this width: four projections of both attentions, alpha 2 r."""
    shapes = {}
    for layer, attention in itertools.product(range(layers), ("self_attn", "cross_attn")):
        for name, (rows, columns) in {"q_proj": (heads(width), width), "k_proj": (1024, width), "v_proj": (1024, width),
                                      "o_proj": (width, heads(width))}.items():  # fmt: skip
            key = f"base_model.model.layers.{layer}.{attention}.{name}"
            shapes[f"{key}.lora_A.weight"], shapes[f"{key}.lora_B.weight"] = (64, columns), (rows, 64)
    folder.mkdir()
    full_size.write_sparse(folder / "adapter_model.safetensors", shapes, "F32")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 64, "lora_alpha": 128}')
    return folder


def heads(width: int) -> int:
    """Columns of all query heads: 16 of 128, in XL 32 of 128."""
    return 2048 if width == 2048 else 4096


def test_adapters_of_the_full_sizes(models, tmp_path):
    """By headers alone: every tensor has its layer in its own size, and the other size is refused as such."""
    small, large = upstream_adapter(tmp_path / "small", 2048, 24), upstream_adapter(tmp_path / "large", 2560, 32)
    layers = {name: layer_shapes(path) for name, path in models.items()}
    for folder, name, tensors in ((small, "turbo", 384), (large, "xl-turbo", 512)):
        facts = fit(read_adapter_file(folder), layers[name]).facts()
        assert (facts["matched"], facts["tensors"], facts["scaling"], facts["rank"]) == (tensors, tensors, 2.0, 64)
    for folder, name in ((small, "xl-turbo"), (large, "turbo")):
        with pytest.raises(ModelUnsuited, match="a model of another size"):
            fit(read_adapter_file(folder), layers[name])
    for known in layers.values():
        assert set(spellings(known).values()) == set(known)
