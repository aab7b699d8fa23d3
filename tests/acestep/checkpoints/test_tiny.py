"""The tiny checkpoint: everything of a real one but the training."""

from __future__ import annotations

import threading

import pytest
import torch
from safetensors.torch import load_file

from acestep.checkpoints.architecture import build_codec
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.files import weight_files
from acestep.checkpoints.layout import locate
from acestep.checkpoints.load import open_checkpoint
from acestep.checkpoints.mapping import COMPONENTS, to_diffusers, to_original
from acestep.checkpoints.tiny import build_tiny


def digest(dit):
    return weights_digest([file for folder in locate(dit).folders() for file in weight_files(folder)])


def test_deterministic(tmp_path, pristine):
    """Two machines build the same weights; another salt builds others."""
    assert digest(build_tiny(tmp_path / "a")) == digest(pristine)
    assert digest(build_tiny(tmp_path / "b", salt="b/")) != digest(pristine)


def test_two_builders_at_once(tmp_path):
    """Two processes that build it at the same moment leave one complete checkpoint and no drafts."""
    builders = [threading.Thread(target=build_tiny, args=(tmp_path,)) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Qwen3-Embedding-0.6B", "acestep-v15-tiny", "vae"]
    open_checkpoint(tmp_path / "acestep-v15-tiny")


def test_tokenizer_keeps_the_end_marker_whole(pristine):
    """``<|endoftext|>`` is one token, and any text comes back."""
    words = open_checkpoint(pristine).text_tokenizer
    ids = words.ids("# Lyric\nHéllo 世界 🎵<|endoftext|>\n")
    assert ids.count(words.id_of("<|endoftext|>")) == 1
    assert words.decode(ids) == "# Lyric\nHéllo 世界 🎵<|endoftext|>\n"


def test_published_codec_class(tmp_path):
    """With the published codec class the layout opens too, and a latent frame is 1920 samples."""
    model = open_checkpoint(build_tiny(tmp_path, codec="AutoencoderOobleck"))
    assert type(model.codec).__name__ == "AutoencoderOobleck"
    assert model.info.latent_family == "acestep-1.5-random"
    with torch.inference_mode():
        assert model.codec.decode(torch.randn(1, 64, 3)).sample.shape == (1, 2, 3 * 1920)
        assert model.codec.encode(torch.zeros(1, 2, 2 * 1920)).latent_dist.mode().shape == (1, 64, 2)


def test_names_map_both_ways(pristine):
    """Every original name has a place in diffusers' modules, and comes back as it was."""
    from acestep.checkpoints.files import tensor_table

    names = list(tensor_table(pristine / "model.safetensors"))
    assert [to_original(*to_diffusers(name)) for name in names] == names
    assert {to_diffusers(name)[0] for name in names} == set(COMPONENTS.values())
    assert to_diffusers("lm_head.weight") is None


@pytest.mark.parametrize("name", ["decoder.proj_in.1.weight", "decoder.layers.0.self_attn.o_proj.weight"])
def test_known_renames(name):
    """The two kinds of renames of the published converter."""
    assert to_diffusers(name)[1] in ("proj_in_conv.weight", "layers.0.self_attn.to_out.0.weight")


@torch.inference_mode()
def test_the_published_codecs_weights_are_multiplied_out(tmp_path):
    """Once, when it is opened: not at every tile; the same sound and latents to the bit."""
    path = build_tiny(tmp_path, codec="AutoencoderOobleck")
    opened = open_checkpoint(path).codec
    plain = build_codec(path.parent / "vae")
    plain.load_state_dict(load_file(path.parent / "vae" / "diffusion_pytorch_model.safetensors"), assign=True)
    assert any(name.endswith("weight_g") for name in plain.state_dict())
    assert not any(name.endswith(("weight_g", "weight_v")) for name in opened.state_dict())
    latents = torch.randn(1, 64, 5, generator=torch.Generator().manual_seed(0))
    sound = plain.decode(latents).sample
    assert torch.equal(opened.decode(latents).sample, sound)
    assert torch.equal(opened.encode(sound).latent_dist.mode(), plain.encode(sound).latent_dist.mode())
