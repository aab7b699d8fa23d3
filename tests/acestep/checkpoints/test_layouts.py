"""Weights as people have them: every layout opens to the same networks, bit for bit, and names what it borrows or lacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import foreign_files as foreign
import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.api.errors import BadCheckpoint, ModelMissing, ModelUnsuited
from acestep.checkpoints.info import EMBEDDED, checkpoint_problems, find_checkpoint, find_checkpoints, read_info
from acestep.checkpoints.layout import SILENCE, TEXT_ENCODER, locate
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.checkpoints.tiny import XL_SIZES, build_tiny
from acestep.checkpoints.weights import tensor_index

TURBO = {"model_version": "turbo", "is_turbo": True, "trained": True}


@pytest.fixture(scope="module", params=["2B", "XL"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DiT folder of a bundle with the published codec class, at both kinds of sizes; read only."""
    config = {**TURBO, **(XL_SIZES if request.param == "XL" else {})}
    name = "acestep-v15-xl-turbo" if request.param == "XL" else "acestep-v15-turbo"
    return build_tiny(tmp_path_factory.mktemp("published"), config=config, name=name, codec="AutoencoderOobleck")


def equal(one: Model, other: Model) -> bool:
    """Whether two models have the same networks and the same silence, bit for bit."""
    networks = other.networks()
    return torch.equal(one.silence, other.silence) and all(
        torch.equal(tensor, networks[part].state_dict()[name])
        for part, network in one.networks().items()
        for name, tensor in network.state_dict().items()
    )


def companions(dit: Path, root: Path) -> Path:
    """What ComfyUI's files lack, as one download brings it: silence latent and text tokenizer."""
    (root / TEXT_ENCODER).mkdir(parents=True)
    shutil.copy(dit / SILENCE, root)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(dit.parent / TEXT_ENCODER / name, root / TEXT_ENCODER)
    return root


def test_a_bundle_with_a_config_at_its_root_is_a_bundle(published: Path, tmp_path: Path) -> None:
    """The main repository repeats the config of its model at the root: no warning forever, and the one inside is found."""
    root = shutil.copytree(published.parent, tmp_path / "Ace-Step1.5")
    shutil.copy(published / "config.json", root)
    assert [info.path for info in find_checkpoints([root])] == [str(root / published.name)]
    assert checkpoint_problems([root]) == {} and locate(root).transformer == root / published.name


@pytest.mark.parametrize("prefix", ["", "net.", "model.diffusion_model.", "decoder._orig_mod."])
def test_what_others_put_before_the_names_changes_nothing(published: Path, tmp_path: Path, prefix: str) -> None:
    """Trainers, compilers and ComfyUI wrap the same tensors."""
    dit = shutil.copytree(published.parent, tmp_path / "b") / published.name
    tensors = load_file(dit / "model.safetensors")
    wrapped = {
        name.replace("decoder.", prefix, 1) if "_orig_mod" in prefix and name.startswith("decoder.") else
        name if "_orig_mod" in prefix else f"{prefix}{name}": tensor
        for name, tensor in tensors.items()
    }  # fmt: skip
    save_file(wrapped, dit / "model.safetensors")
    assert equal(open_checkpoint(dit), open_checkpoint(published))


def test_comfyuis_split_files_open(published: Path, tmp_path: Path) -> None:
    """Codec in stable-audio-tools' names, no config; tokenizer and silence latent are borrowed, and named when missing."""
    models = tmp_path / "models"
    file = foreign.comfy_files(published, models)
    with pytest.raises(ModelMissing, match=r"silence latent and the text tokenizer.*models download companions"):
        read_info(file, [models])
    assert str(file) in checkpoint_problems([models]), "what cannot be opened yet is mentioned with the way to mend it"
    near = [models, companions(published, tmp_path / "companions")]
    info = find_checkpoint(file.stem, near)
    assert (info.origin, info.variant, info.xl) == ("ComfyUI", read_info(published).variant, read_info(published).xl)
    assert {"codec", "text_encoder", "text_tokenizer", "silence_latent"} == set(info.borrowed)
    assert checkpoint_problems(near) == {}
    assert equal(open_checkpoint(file, near=near), open_checkpoint(published))


def test_comfyuis_single_file_opens(published: Path, tmp_path: Path) -> None:
    """Every part out of one file, each under its own prefix."""
    file = foreign.all_in_one(published, tmp_path / "models" / "checkpoints" / "ace_step_1.5_turbo_aio.safetensors")
    near = [tmp_path / "models", companions(published, tmp_path / "companions")]
    info = find_checkpoint("ace_step_1.5_turbo_aio", near)
    assert set(info.borrowed) == {"text_tokenizer", "silence_latent"} and info.size_bytes == file.stat().st_size
    assert equal(open_checkpoint(file, near=near), open_checkpoint(published))


def test_scaled_fp8_is_multiplied_out(published: Path, tmp_path: Path) -> None:
    """A factor for the whole weight or for each row; what goes with fp8 arithmetic is left alone, four-bit blocks are refused."""
    dit = shutil.copytree(published.parent, tmp_path / "b") / published.name
    tensors = load_file(dit / "model.safetensors")
    expected = {}
    for name, ending, shape in (("decoder.layers.0.mlp.up_proj", "scale_weight", ()),
                                ("decoder.layers.1.mlp.up_proj", "weight_scale", (-1, 1))):  # fmt: skip
        weight = tensors[f"{name}.weight"]
        factor = (weight.abs().amax() if shape == () else weight.abs().amax(1)) / 448
        small = (weight / factor.reshape(shape)).to(torch.float8_e4m3fn)
        tensors |= {f"{name}.weight": small, f"{name}.{ending}": factor}
        expected[name.removeprefix("decoder.")] = small.float() * factor.reshape(shape)
    tensors["decoder.layers.0.mlp.up_proj.scale_input"] = torch.tensor(1.0)
    tensors["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    save_file(tensors, dit / "model.safetensors")
    model = open_checkpoint(dit)
    for name, weight in expected.items():
        assert torch.equal(model.transformer.get_submodule(name).weight, weight)
    save_file({**tensors, "decoder.layers.2.mlp.up_proj.weight_scale_2": torch.tensor(1.0)}, dit / "model.safetensors")
    with pytest.raises(BadCheckpoint, match="four-bit blocks"):
        open_checkpoint(dit)


def diffusers(published: Path, root: Path, *, codes: bool) -> Path:
    """The checkpoint as the official diffusers repositories have it, with or without the networks for codes."""
    root.mkdir(parents=True)
    foreign.convert(published, root)
    if not codes:
        for name in ("audio_tokenizer", "audio_token_detokenizer"):
            shutil.rmtree(root / name)
    return root


def test_an_official_diffusers_repository_without_codes(published: Path, tmp_path: Path) -> None:
    """Text2music and repaint; the rest says which parts it needs, or they are borrowed from a sibling of the same size."""
    from acestep.api.plan import require_task
    from acestep.conditioning.context import bottleneck

    root = diffusers(published, tmp_path / "alone" / "acestep-v15-turbo-diffusers", codes=False)
    info = find_checkpoint("turbo-diffusers", [root.parent])
    assert (info.origin, info.task_types) == ("diffusers", ("text2music", "repaint"))
    assert info.lacks == ("audio_tokenizer", "audio_token_detokenizer")
    with pytest.raises(ModelUnsuited, match="audio_tokenizer and audio_token_detokenizer"):
        require_task("cover", info, operation="cover")
    model = open_checkpoint(root)
    assert "audio_tokenizer" not in model.networks()
    with pytest.raises(ModelUnsuited, match="audio_tokenizer"):
        bottleneck(model, torch.zeros(1, 5, 64))

    near = [root.parent, published.parent]
    lent = find_checkpoint("turbo-diffusers", near)
    assert lent.lacks == () and "cover" in lent.task_types and lent.borrowed["audio_tokenizer"] == str(published)
    assert equal(open_checkpoint(root, near=near), open_checkpoint(published))


def test_nothing_is_borrowed_from_another_size(published: Path, tmp_path: Path) -> None:
    """The networks for codes of a 2B model are not those of an XL one."""
    root = diffusers(published, tmp_path / "alone" / "acestep-v15-turbo-diffusers", codes=False)
    other = build_tiny(tmp_path / "other", config={**TURBO, "hidden_size": 128}, codec="AutoencoderOobleck")
    assert read_info(root, [other.parent]).lacks


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_the_hubs_cache_is_read_as_it_lies(published: Path, tmp_path: Path, links: bool) -> None:
    """Several repositories together, named by themselves and not by sums; one of a model alone borrows from the main bundle."""
    cache = tmp_path / "hub"
    foreign.hub_cache(published.parent, cache, "ACE-Step/Ace-Step1.5", links=links)
    base = build_tiny(tmp_path / "single", config={"model_version": "base"}, name="acestep-v15-base", salt="base/")
    alone = foreign.hub_cache(base, cache, "ACE-Step/acestep-v15-base", links=links)
    found = {info.name: info for info in find_checkpoints([cache])}
    assert set(found) == {published.name.removeprefix("acestep-v15-"), "base"} and checkpoint_problems([cache]) == {}
    assert found["base"].origin == "original, ACE-Step/acestep-v15-base" and found["base"].path == str(alone)
    folders = [entry for entry in cache.iterdir()]
    assert {info.name for info in find_checkpoints(folders)} == set(found), "folders of repositories, given together"
    assert {info.name for info in find_checkpoints([tmp_path])} >= set(found), "the folder above, as HF_HOME names it"


def test_a_link_out_of_the_cache_is_refused(published: Path, tmp_path: Path) -> None:
    """One clear error; the rest of the list still works."""
    cache = tmp_path / "hub"
    snapshot = foreign.hub_cache(published.parent, cache, "ACE-Step/Ace-Step1.5")
    weights = snapshot / published.name / "model.safetensors"
    shutil.copy(weights, tmp_path / "outside.safetensors")
    weights.unlink()
    weights.symlink_to(tmp_path / "outside.safetensors")
    build_tiny(tmp_path / "own")
    assert [info.name for info in find_checkpoints([cache, tmp_path / "own"])] == ["tiny"]
    assert "leads out of the cache" in checkpoint_problems([cache])[str(weights.parent)]


@pytest.mark.parametrize("given", ["rope_parameters", "by layer type"])
def test_rope_theta_is_taken_from_rope_parameters(published: Path, tmp_path: Path, given: str) -> None:
    """As newer transformers writes it; another kind of rotary embedding is refused rather than ignored."""
    dit = shutil.copytree(published.parent, tmp_path / "b") / published.name
    config = json.loads((dit / "config.json").read_text())
    config.pop("rope_theta")
    row = {"rope_theta": 50_000.0, "rope_type": "default"}
    config["rope_parameters"] = row if given == "rope_parameters" else {"sliding_attention": row, "full_attention": row}
    (dit / "config.json").write_text(json.dumps(config))
    assert open_checkpoint(dit).transformer.sizes.rope_theta == 50_000.0
    config["rope_parameters"] = {"rope_theta": 50_000.0, "rope_type": "yarn"}
    (dit / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadCheckpoint, match="rope_parameters"):
        open_checkpoint(dit)


def test_whole_numbers_are_no_weights(published: Path, tmp_path: Path) -> None:
    """A tensor of another type than the network computes with is named."""
    dit = shutil.copytree(published.parent, tmp_path / "b") / published.name
    tensors = load_file(dit / "model.safetensors")
    tensors["decoder.norm_out.weight"] = tensors["decoder.norm_out.weight"].to(torch.int32)
    save_file(tensors, dit / "model.safetensors")
    with pytest.raises(BadCheckpoint, match=r"not a floating-point number \(transformer/norm_out\.weight int32\)"):
        open_checkpoint(dit)


def test_what_is_not_ours_is_named_and_hides_nothing(published: Path, tmp_path: Path) -> None:
    """Other families, other architectures, pickles, damaged files: each with its reason, and the rest of the list works."""
    import gguf

    folder = tmp_path / "models"
    build_tiny(folder / "own")
    files = folder / "files"
    files.mkdir()
    save_file({"speaker_embedder.weight": torch.zeros(2)}, files / "ace_v1.safetensors")
    save_file({"alien.weight": torch.zeros(2)}, files / "alien.safetensors")
    plain = lambda name, tensor: gguf.GGMLQuantizationType.F32  # noqa: E731
    foreign.write_gguf(files / "llama.gguf", "llama", {"token_embd.weight": torch.zeros(4, 4)}, {}, plain)
    (files / "cut.gguf").write_bytes(b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16)
    (files / "short.safetensors").write_bytes(b"\x10")
    (files / "old.ckpt").write_bytes(b"pickle")
    for name, config in (("v1/ace_step_transformer", {"_class_name": "ACEStepTransformer2DModel"}),
                         ("musicgen-small", {"model_type": "musicgen"})):  # fmt: skip
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(config))
    assert [info.name for info in find_checkpoints([folder])] == ["tiny"]
    problems = checkpoint_problems([folder])
    expected = {
        "v1": "ACE-Step v1", "musicgen-small": "MusicGen", "files/llama.gguf": "architecture (llama)",
        "files/alien.safetensors": "unknown model family", "files": "ACE-Step v1", "files/cut.gguf": "cut short",
        "files/short.safetensors": "not a safetensors file", "files/old.ckpt": "pickle",
    }  # fmt: skip
    assert {Path(path).relative_to(folder).as_posix() for path in problems} == set(expected)
    for path, words in expected.items():
        assert words in problems[str(folder / path)], path


def test_an_index_that_names_a_missing_file(published: Path, tmp_path: Path) -> None:
    """Said with the shard's name; a shard that two lists claim is an error, not a race."""
    dit = shutil.copytree(published.parent, tmp_path / "b") / published.name
    tensors = load_file(dit / "model.safetensors")
    (dit / "model.safetensors").unlink()
    names = sorted(tensors)
    save_file({name: tensors[name] for name in names[:9]}, dit / "model-00001-of-00002.safetensors")
    index = {name: f"model-0000{1 + (place >= 9)}-of-00002.safetensors" for place, name in enumerate(names)}
    (dit / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    with pytest.raises(ModelMissing, match="model-00002-of-00002"):
        read_info(dit)
    save_file({name: tensors[name] for name in names[8:]}, dit / "model-00002-of-00002.safetensors")
    with pytest.raises(BadCheckpoint, match="another shard holds too"):
        tensor_index(dit, "transformer")


def test_nothing_lies_there_unseen(published: Path, tmp_path: Path) -> None:
    """Weights without a config, shards without a list, adapters in the wrong place and lone parts: each with its reason."""
    folder = tmp_path / "models"
    for name in ("bare", "shards", "adapter", "loras"):
        (folder / name).mkdir(parents=True)
    shutil.copy(published / "model.safetensors", folder / "bare")
    save_file({"a": torch.zeros(2)}, folder / "shards" / "model-00001-of-00002.safetensors")
    factor = {"base_model.model.layers.0.self_attn.q_proj.lora_A.weight": torch.zeros(4, 64)}
    for place in ("adapter/adapter_model", "voice", "loras/voice"):
        save_file(factor, folder / f"{place}.safetensors")
    shutil.copytree(published.parent / "vae", folder / "codec")
    expected = {"bare": "no config.json", "shards": "no list", "adapter": "'loras'", "voice.safetensors": "'loras'",
                "codec": "no model that can be opened here uses it"}  # fmt: skip
    problems = checkpoint_problems([folder])
    assert {Path(path).relative_to(folder).as_posix() for path in problems} == set(expected)
    for path, words in expected.items():
        assert words in problems[str(folder / path)], path


def test_files_beside_a_bundles_own_config_are_seen(published: Path, tmp_path: Path) -> None:
    """The main bundle has a config at its root; a file of another program put beside it is a model all the same."""
    bundle = shutil.copytree(published.parent, tmp_path / "b")
    shutil.copy(published / "config.json", bundle)
    foreign.all_in_one(published, bundle / "ace_step_1.5_turbo_aio.safetensors")
    shutil.copy(bundle / "vae" / "diffusion_pytorch_model.safetensors", bundle / "vae" / "model.fp16.safetensors")
    assert {info.name for info in find_checkpoints([bundle])} == {
        published.name.removeprefix("acestep-v15-"),
        "ace_step_1.5_turbo_aio",
    }
    assert checkpoint_problems([bundle]) == {}


@pytest.mark.parametrize(("name", "title", "variant", "told"), [
    ("my_mix", None, "base", False), ("my_mix", {"modelspec.title": "ACE-Step 1.5 Turbo"}, "turbo", True),
    ("my_sft_mix", None, "sft", True),
])  # fmt: skip
def test_what_a_file_does_not_say_of_itself_is_told(
    published: Path, tmp_path: Path, name: str, title: dict[str, str] | None, variant: str, told: bool
) -> None:
    """Turbo and base have the same tensors: name and header count, and what is assumed without them is a sentence."""
    plain = foreign.comfy_files(published, tmp_path / "models")
    file = plain.parent / f"{name}.safetensors"
    save_file(load_file(plain), file, metadata=title)
    plain.unlink()
    [info] = find_checkpoints([tmp_path / "models", companions(published, tmp_path / "lent")])
    assert info.variant.removeprefix("xl-") == variant
    assert bool(info.assumed) is not told and (told or "run as" in info.assumed)


def test_the_small_model_lends_nothing_to_published_ones(published: Path, tmp_path: Path) -> None:
    """Its codec has as many channels, and its silence and words lie in folders of the same names: all of them would be wrong."""
    near = [EMBEDDED, tmp_path / "models"]
    file = foreign.all_in_one(published, tmp_path / "models" / "turbo.safetensors")
    with pytest.raises(ModelMissing, match="silence latent and the text tokenizer"):
        locate(file, near)
    copy = shutil.copytree(EMBEDDED, tmp_path / "copy" / "nano")
    with pytest.raises(ModelMissing, match="silence latent and the text tokenizer"):
        locate(file, [*near, copy])
    lent = companions(published, tmp_path / "lent")
    parts = locate(file, [*near, copy, lent])
    assert parts.silence == lent / SILENCE and parts.text_tokenizer == lent / TEXT_ENCODER
    alone = shutil.copytree(published, tmp_path / "alone" / published.name)
    shutil.copytree(published.parent / TEXT_ENCODER, alone.parent / TEXT_ENCODER)
    with pytest.raises(ModelMissing, match="folder vae"):
        locate(alone, [EMBEDDED, copy])
