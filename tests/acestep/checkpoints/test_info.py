"""Checkpoints are found by their files and recognised by their configs, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from acestep.api.errors import BadCheckpoint, ModelMissing
from acestep.checkpoints.files import weight_files
from acestep.checkpoints.info import (
    checkpoint_folders,
    checkpoint_problems,
    find_checkpoint,
    find_checkpoints,
    read_info,
    recognise_variant,
)
from acestep.checkpoints.layout import TEXT_ENCODER, locate
from acestep.checkpoints.tiny import DIT_CONFIG


def test_no_torch():
    """Listing models costs the daemon no torch."""
    modules = ", ".join(f"acestep.checkpoints.{name}" for name in ("info", "digest", "mapping"))
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bundle_is_found(bundle):
    """A bundle's model is found from the folder above it, from itself, and by short name, folder name or path."""
    for folder in (bundle.parent.parent, bundle.parent, bundle):
        assert [info.name for info in find_checkpoints([folder])] == ["tiny"]
    for name in ("tiny", "acestep-v15-tiny", str(bundle)):
        assert find_checkpoint(name, [bundle.parent]).path == str(bundle)


def test_info_says_what_it_is(bundle):
    """Facts come from the config; a random checkpoint is not a trained one and shares latents with none."""
    info = read_info(bundle)
    assert (info.variant, info.hidden_size, info.layers, info.xl, info.trained) == ("tiny", 64, 4, False, False)
    assert info.latent_family == "nano-random"
    assert info.size_bytes == sum(f.stat().st_size for f in bundle.parent.rglob("*.safetensors"))


def test_single_repository_borrows_from_a_bundle_beside_it(bundle):
    """A DiT folder alone takes codec and text encoder from a bundle next to it."""
    alone = bundle.parent.parent / "acestep-v15-base"
    shutil.copytree(bundle, alone)
    (alone / "config.json").write_text(json.dumps({**DIT_CONFIG, "model_version": "base"}))
    parts = locate(alone)
    assert parts.vae == bundle.parent / "vae"
    assert {info.name for info in find_checkpoints([bundle.parent.parent])} == {"tiny", "base"}


def test_unknown_name_lists_the_known(bundle):
    """A model that is not there is refused with those that are."""
    with pytest.raises(ModelMissing) as failure:
        find_checkpoint("turbo", [bundle.parent])
    assert failure.value.limits == {"choices": ["tiny"]}


@pytest.mark.parametrize(
    "part",
    [
        "acestep-v15-tiny/model.safetensors",
        "acestep-v15-tiny/silence_latent.pt",
        "vae/diffusion_pytorch_model.safetensors",
        f"{TEXT_ENCODER}/model.safetensors",
        f"{TEXT_ENCODER}/config.json",
    ],
)
def test_folders_without_their_files_are_no_model(bundle, part):
    """Presence is judged by the weight files of every part, not by folders."""
    (bundle.parent / part).unlink()
    assert find_checkpoints([bundle.parent]) == []
    assert list(checkpoint_problems([bundle.parent])) == [str(bundle)]
    with pytest.raises(ModelMissing):
        read_info(bundle)


def test_interrupted_download_is_no_model(bundle):
    """A file shorter than its own header promises is named as cut short."""
    path = bundle / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelMissing, match="cut short"):
        read_info(bundle)


NESTED = b"[" * 100_000
"""JSON that no parser follows to its end."""


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_endless_nesting_is_a_damaged_file(bundle, name):
    """In a config or a header: one model less, and the others are still listed."""
    data = NESTED if name == "config.json" else len(NESTED).to_bytes(8, "little") + NESTED
    (bundle / name).write_bytes(data)
    assert find_checkpoints([bundle.parent]) == []
    with pytest.raises(BadCheckpoint):
        read_info(bundle)


def test_a_header_with_an_infinite_offset_is_damaged(bundle):
    """JSON knows no infinity, but its parser does."""
    header = b'{"a": {"shape": [1], "dtype": "F32", "data_offsets": [0, Infinity]}}'
    (bundle / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(BadCheckpoint, match="damaged"):
        weight_files(bundle)


def test_every_shard_must_be_there(bundle):
    """A list of shards counts only with all its shards."""
    path = bundle / "model.safetensors"
    path.rename(bundle / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (bundle / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelMissing, match="00002-of-00002"):
        weight_files(bundle)
    shutil.copy(bundle / "model-00001-of-00002.safetensors", bundle / "model-00002-of-00002.safetensors")
    assert len(weight_files(bundle)) == 2


def test_shard_outside_the_folder_is_refused(bundle):
    """A list of shards cannot reach out of its folder."""
    (bundle / "model.safetensors").unlink()
    (bundle / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    with pytest.raises(BadCheckpoint, match="not a safetensors file of that folder"):
        weight_files(bundle)


def test_pickles_are_refused(bundle):
    """Pickled weights can run code: refused by name."""
    (bundle / "model.safetensors").rename(bundle / "pytorch_model.bin")
    with pytest.raises(BadCheckpoint, match="pickle"):
        weight_files(bundle)


@pytest.mark.parametrize(
    ("folder", "config", "variant"),
    [
        ("acestep-v15-turbo", {"is_turbo": True}, "turbo"),
        ("acestep-v15-turbo-shift3", {"is_turbo": True, "model_version": "turbo"}, "turbo-shift3"),
        ("acestep-v15-turbo-continuous", {"is_turbo": True}, "turbo-continuous"),
        ("acestep-v15-base", {"is_turbo": False, "model_version": "base"}, "base"),
        ("acestep-v15-sft", {"is_turbo": False}, "sft"),
        ("acestep-v15-xl-turbo", {"is_turbo": True, "hidden_size": 2560, "encoder_hidden_size": 2048}, "xl-turbo"),
        ("my-finetune", {"model_version": "sft", "hidden_size": 2560, "encoder_hidden_size": 2048}, "xl-sft"),
        ("my-finetune", {"is_turbo": True}, "turbo"),
        ("my-finetune", {}, "base"),
        ("turbo-base-merge", {"model_version": "base"}, "base"),
        ("x", {"model_version": "nano"}, "nano"),
    ],
)
def test_variant(folder, config, variant):
    """The config says turbo, base or sft and the size; the folder's name only which sort of turbo."""
    assert recognise_variant(folder, {"hidden_size": 2048, **config}) == variant


def test_environment_folders(bundle, monkeypatch, tmp_path):
    """ACE-Step's own variables are honoured, after the given folders."""
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", str(bundle.parent))
    (tmp_path / "project" / "checkpoints").mkdir(parents=True)
    monkeypatch.setenv("ACESTEP_PROJECT_ROOT", str(tmp_path / "project"))
    found = checkpoint_folders(tmp_path, tmp_path / "nowhere")
    assert found == [tmp_path, bundle.parent, tmp_path / "project" / "checkpoints"]
