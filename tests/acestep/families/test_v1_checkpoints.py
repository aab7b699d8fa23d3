"""v1 checkpoints as people have them: the hub's layout and ComfyUI's file give the same model; what is missing is named."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.api import Registry
from acestep.api.errors import BadCheckpoint, ModelMissing
from acestep.checkpoints.families import find_models, model_problems
from acestep.families.ace_step_v1.layout import FOLDERS, locate, recognise
from acestep.families.ace_step_v1.load import open_checkpoint, supported_dtype
from acestep.families.ace_step_v1.published import TEXT, TRANSFORMER, VOCODER, WEIGHTS
from acestep.families.ace_step_v1.tiny import write_all_in_one
from acestep.families.ace_step_v1.weights import read_config, stored_numbers


@pytest.fixture
def copy(tiny_v1, tmp_path):
    return Path(shutil.copytree(tiny_v1, tmp_path / "ACE-Step-v1-3.5B"))


@pytest.fixture(scope="module")
def all_in_one(tiny_v1, tmp_path_factory):
    return write_all_in_one(tiny_v1, tmp_path_factory.mktemp("comfy") / "ace_step_v1_3.5b.safetensors")


def same_weights(one, other):
    for part, network in one.networks().items():
        theirs = other.networks()[part].state_dict()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in network.state_dict().items()), part


def test_the_hub_layout_opens(model_v1, tiny_v1):
    """Every network, all weights in the asked format, the unused fifth left on the disk."""
    assert recognise(tiny_v1) == "hub"
    assert set(model_v1.networks()) == set(FOLDERS)
    assert not any(
        tensor.is_meta for network in model_v1.networks().values() for tensor in network.state_dict().values()
    )
    stored = load_file(tiny_v1 / TRANSFORMER / WEIGHTS[TRANSFORMER])
    assert any("add_q_proj" in name for name in stored) and any(name.startswith("projectors.") for name in stored)
    words = model_v1.text_encoder
    assert words.encoder.embed_tokens.weight.data_ptr() == words.shared.weight.data_ptr()


def test_an_all_in_one_file_gives_the_same_model(all_in_one, model_v1):
    """Names under prefixes, no configs, the tokenizer as a SentencePiece model."""
    assert recognise(all_in_one) == "all-in-one"
    opened = open_checkpoint(all_in_one)
    same_weights(model_v1, opened)
    for text in ("lo-fi, piano, 80 bpm", "Ünknown", ""):
        assert opened.prompts.encode(text)[0].shape == model_v1.prompts.encode(text)[0].shape
    torch.testing.assert_close(opened.prompts.encode("soft piano")[0], model_v1.prompts.encode("soft piano")[0])


def test_newer_names_of_weight_norm_are_understood(copy, model_v1):
    """ComfyUI's current code writes the two halves of a weight under torch's newer names."""
    file = copy / VOCODER / WEIGHTS[VOCODER]
    renames = (("weight_g", "parametrizations.weight.original0"), ("weight_v", "parametrizations.weight.original1"))
    tensors = load_file(file)
    for old, new in renames:
        tensors = {name.replace(old, new): tensor for name, tensor in tensors.items()}
    save_file(tensors, file)
    same_weights(model_v1, open_checkpoint(copy))


def test_scaled_fp8_is_multiplied_out(copy):
    """Repacks in scaled fp8: a factor beside each weight."""
    file = copy / TRANSFORMER / WEIGHTS[TRANSFORMER]
    tensors, name = load_file(file), "transformer_blocks.0.attn.to_q.weight"
    tensors[name] = (tensors[name].float() * 4).to(torch.float8_e4m3fn)
    tensors[name.replace(".weight", ".scale_weight")] = torch.tensor(0.25)
    save_file(tensors, file)
    found = open_checkpoint(copy).transformer.get_parameter(name)
    assert torch.equal(found, tensors[name].float() * 0.25)


def test_the_cache_of_the_hub_opens_as_it_lies(tiny_v1, tmp_path):
    """``models--ACE-Step--ACE-Step-v1-3.5B`` with its snapshot, as other programs have downloaded it."""
    repository = tmp_path / "models--ACE-Step--ACE-Step-v1-3.5B"
    shutil.copytree(tiny_v1, repository / "snapshots" / "82cd0d7b")
    assert recognise(repository) == "hub"
    assert locate(repository).name == "ACE-Step-v1-3.5B"


@pytest.mark.parametrize("part", FOLDERS)
def test_a_missing_part_is_named(copy, part):
    shutil.rmtree(copy / part)
    assert recognise(copy) == "hub"
    with pytest.raises(ModelMissing, match=rf"not complete: the folder {part} is missing; download"):
        locate(copy)


FILES = [f"{part}/{name}" for part in FOLDERS for name in ("config.json", WEIGHTS[part])] + [f"{TEXT}/tokenizer.json"]
"""Without any of which there is no model."""


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("state", ["missing", "half"])
def test_a_file_that_is_missing_or_came_half_is_named(copy, file, state):
    """One sentence for whichever; and what is at fault is nobody's model (`find_models` passes over what `locate` refuses)."""
    place = copy / file
    if state == "missing":
        place.unlink()
    else:
        data = place.read_bytes()
        place.write_bytes(data[: len(data) // 2])
    part, _, name = file.partition("/")
    words = {"missing": f"{part} holds no weights" if name == WEIGHTS[part] else f"{file} is missing"}
    words["half"] = f"{file} is cut short"
    with pytest.raises(ModelMissing, match=f"not complete: {re.escape(words[state])}.*; download the model again"):
        locate(copy)


@pytest.mark.parametrize("part", FOLDERS)
@pytest.mark.parametrize("name", ["diffusion_pytorch_model_int4wo.bin", "pytorch_model_int4wo.bin"])
def test_int4_in_any_part_is_refused_by_its_name(copy, part, name):
    (copy / part / WEIGHTS[part]).rename(copy / part / name)
    with pytest.raises(BadCheckpoint, match=rf"holds int4 weights \({name}\), .* use the bfloat16 files"):
        locate(copy)


def test_everything_that_is_missing_is_named_at_once(copy):
    shutil.rmtree(copy / VOCODER)
    (copy / TEXT / "tokenizer.json").unlink()
    with pytest.raises(ModelMissing, match=rf"the folder {VOCODER} is missing; {TEXT}/tokenizer.json is missing"):
        locate(copy)


def test_half_a_file_is_named(copy):
    file = copy / TRANSFORMER / WEIGHTS[TRANSFORMER]
    whole = file.stat().st_size
    with file.open("r+b") as data:
        data.truncate(whole - 100)
    with pytest.raises(
        ModelMissing, match=rf"{TRANSFORMER}/{WEIGHTS[TRANSFORMER]} is cut short \({whole - 100} of {whole} bytes"
    ):
        locate(copy)


def test_a_shard_that_did_not_arrive_is_named(copy):
    """Sharded repacks: the list names a file that is not there."""
    folder = copy / TRANSFORMER
    (folder / WEIGHTS[TRANSFORMER]).rename(folder / "diffusion_pytorch_model-00001-of-00002.safetensors")
    rows = ", ".join(f'"t{index}": "diffusion_pytorch_model-0000{index}-of-00002.safetensors"' for index in (1, 2))
    (folder / f"{WEIGHTS[TRANSFORMER]}.index.json").write_text(f'{{"weight_map": {{{rows}}}}}')
    with pytest.raises(
        ModelMissing, match=rf"{TRANSFORMER}/diffusion_pytorch_model-00002-of-00002.safetensors is missing"
    ):
        locate(copy)


def test_an_onnx_set_is_refused_by_name(tmp_path):
    """One sentence for the set as it lies in lofi.nvim's cache, from whichever folder of it one looks."""
    folder = tmp_path / "lofi.nvim" / "models" / "ace-step"
    folder.mkdir(parents=True)
    for name in ("text_encoder.onnx", "transformer_decoder.onnx", "transformer_decoder_weights.bin", "vocoder.onnx"):
        (folder / name).write_bytes(b"")
    (folder / "tokenizer.json").write_text("{}")
    for place in (folder, folder.parent):
        assert recognise(place) == "onnx"
        with pytest.raises(BadCheckpoint, match=r"lofi.nvim's ONNX set"):
            locate(place)
    families = Registry.load().families
    for place in (folder, folder.parent, folder.parent.parent):
        found = model_problems([place], families)
        assert list(found) == [str(folder)] and "ONNX set of ACE-Step v1" in found[str(folder)]


def test_the_hubs_files_in_lofis_cache_open(tiny_v1, tmp_path):
    """Its folder for this backend, ``ace-step``, with the published files in it."""
    shutil.copytree(tiny_v1, tmp_path / "lofi.nvim" / "ace-step")
    (found,) = find_models([tmp_path / "lofi.nvim"], Registry.load().families)
    assert (found.name, found.family) == ("ace-step", "ace-step-v1")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("model.diffusion_model.decoder.proj_in.1.weight", "model.diffusion_model.tokenizer.quantizer.project_in.weight"),
         "is a file of ACE-Step 1.5"),
        (("double_blocks.0.img_attn.qkv.weight",), "Flux"),
        (("speaker_embedder.weight", "lyric_embs.weight"), "holds the transformer of ACE-Step v1 alone"),
        (("model.diffusion_model.lyric_embs.weight",), "holds no music_dcae_f8c8 and no music_vocoder and no umt5-base"),
    ],
)  # fmt: skip
def test_another_file_is_told_apart(tmp_path, names, words):
    file = tmp_path / "model.safetensors"
    save_file({name: torch.zeros(2, 2) for name in names}, file)
    with pytest.raises(BadCheckpoint, match=words):
        locate(file)


def test_tensors_that_do_not_fit_are_named(copy):
    file = copy / TRANSFORMER / WEIGHTS[TRANSFORMER]
    tensors = load_file(file)
    tensors.pop("genre_embedder.bias")
    tensors["stranger.weight"] = torch.zeros(2)
    save_file(tensors, file)
    with pytest.raises(BadCheckpoint, match=r"1 missing \(genre_embedder.bias\); 1 extra \(stranger.weight\)"):
        open_checkpoint(copy)


def test_what_a_file_holds_is_read_from_its_shapes(all_in_one, tiny_v1):
    """The configs that a single file lacks, for all that shapes can say."""
    inside, beside = locate(all_in_one), locate(tiny_v1)
    for part in FOLDERS:
        found, published = read_config(inside, part), read_config(beside, part)
        unseen = {"trained", "ssl_latent_dims", "decoder_qkv_multiscales", "encoder_qkv_multiscales"}
        assert {key: found[key] for key in published.keys() - unseen} == {
            key: published[key] for key in published.keys() - unseen
        }
    assert stored_numbers(inside) == stored_numbers(beside)


def test_macs_compute_in_float32():
    """bfloat16 fails there."""
    assert supported_dtype(torch.device("mps"), torch.bfloat16) == torch.float32
    assert supported_dtype(torch.device("cpu"), torch.bfloat16) == torch.bfloat16


def test_bfloat16_opens_and_computes(tiny_v1):
    model = open_checkpoint(tiny_v1, dtype=torch.bfloat16)
    states = model.transformer.encode(torch.zeros(1, 3, 32), torch.ones(1, 3), torch.tensor([[0]]), torch.tensor([[0]]))
    velocity = model.transformer.velocity(torch.randn(1, 8, 16, 9), 500.0, model.transformer.condition(*states))
    assert velocity.dtype == torch.float32 and torch.isfinite(velocity).all()


def test_loading_can_be_stopped(tiny_v1):
    class Stop(Exception):
        pass

    def stop():
        raise Stop

    with pytest.raises(Stop):
        open_checkpoint(tiny_v1, check=stop)
