"""Opening a checkpoint is strict: what fits exactly opens, everything else is one clear error."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
import torch

from acestep.api.errors import BadCheckpoint, Cancelled
from acestep.checkpoints.load import open_checkpoint
from acestep.checkpoints.tiny import build_tiny


def test_both_layouts_give_the_same_model(converted):
    """Published and diffusers layout of one checkpoint have equal weights, silence latent and timbre rule."""
    published, diffusers = (open_checkpoint(path) for path in converted)
    for name, network in published.networks().items():
        others = diffusers.networks()[name].state_dict()
        own = network.state_dict()
        assert own.keys() == others.keys()
        assert all(torch.equal(tensor, others[key]) for key, tensor in own.items()), name
    assert torch.equal(published.silence, diffusers.silence)
    text, lyric, timbre = torch.randn(1, 5, 32), torch.randn(1, 7, 32), torch.randn(1, 30, 64)
    states = [model.condition_encoder.encode(text, lyric, timbre) for model in (published, diffusers)]
    assert torch.equal(*states)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("decoder.norm_out.weight"), r"1 missing \(transformer/norm_out.weight\)"),
        (lambda t: t.update({"decoder.layers.9.mlp.up_proj.weight": torch.zeros(2)}), "1 extra"),
        (lambda t: t.update({"lm_head.weight": torch.zeros(2)}), "1 extra"),
        (lambda t: t.update({"null_condition_emb": torch.zeros(1, 1, 63)}), r"wrongly shaped.*\[1, 1, 63\] instead of"),
    ],
)  # fmt: skip
def test_tensors_must_fit(bundle, edit_weights, change, message):
    """Missing, extra and wrongly shaped tensors are named."""
    edit_weights(bundle / "model.safetensors", change)
    with pytest.raises(BadCheckpoint, match=message):
        open_checkpoint(bundle)


def test_codec_and_text_encoder_are_strict_too(bundle, edit_weights):
    """The shared parts are held to the same rule."""
    edit_weights(bundle.parent / "vae" / "diffusion_pytorch_model.safetensors", lambda t: t.popitem())
    with pytest.raises(BadCheckpoint, match="vae does not fit its config"):
        open_checkpoint(bundle)


def test_text_encoder_of_a_causal_export_opens(bundle, edit_weights):
    """Names with ``model.`` and a tied head, as a causal-LM export has them, are the same text encoder."""

    def export(tensors):
        for name in list(tensors):
            tensors[f"model.{name}"] = tensors.pop(name)
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    before = open_checkpoint(bundle).text_encoder.state_dict()
    edit_weights(bundle.parent / "Qwen3-Embedding-0.6B" / "model.safetensors", export)
    after = open_checkpoint(bundle).text_encoder.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_silence_of_zeros_is_refused(bundle):
    """An all-zero silence latent would drone."""
    torch.save(torch.zeros(1, 64, 15000), bundle / "silence_latent.pt")
    with pytest.raises(BadCheckpoint, match="all zero"):
        open_checkpoint(bundle)


def test_silence_that_runs_code_is_refused(bundle, tmp_path):
    """The one pickled file is read without running anything in it."""
    mark = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    (bundle / "silence_latent.pt").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(BadCheckpoint, match="not a plain tensor"):
        open_checkpoint(bundle)
    assert not mark.exists()


def test_damaged_header_is_refused(bundle):
    """Bytes that are no safetensors file are refused, not parsed."""
    (bundle / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(BadCheckpoint, match="not a safetensors file"):
        open_checkpoint(bundle)


@pytest.mark.parametrize("change", [{"_class_name": "Evil"}, {"_class_name": "os.system"}])
def test_unknown_codec_is_refused(bundle, change):
    """Only codec classes of the table are ever built."""
    path = bundle.parent / "vae" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadCheckpoint, match="unknown"):
        open_checkpoint(bundle)


def test_sizes_that_make_no_network_are_refused(bundle):
    """A config with impossible sizes is a bad checkpoint, not a crash."""
    path = bundle / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "hidden_size": -3}))
    with pytest.raises(BadCheckpoint):
        open_checkpoint(bundle)


def test_remote_code_is_never_run(bundle, tmp_path):
    """Python files beside the weights, and configs that point at them, are left alone."""
    mark = tmp_path / "ran"
    path = bundle / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoModel": "modeling_acestep.Model"}}))
    for folder in (bundle, bundle.parent / "vae", bundle.parent / "Qwen3-Embedding-0.6B"):
        (folder / "modeling_acestep.py").write_text(f"open({str(mark)!r}, 'w')")
    open_checkpoint(bundle)
    assert not mark.exists()


def test_weights_in_the_asked_dtype(bundle):
    """Floating weights take the asked dtype, a CPU's codec apart; constants that no file holds keep their own."""
    model = open_checkpoint(bundle, dtype=torch.bfloat16)
    networks = model.networks()
    assert {p.dtype for p in networks.pop("codec").parameters()} == {torch.float32}
    assert {p.dtype for network in networks.values() for p in network.parameters()} == {torch.bfloat16}
    assert model.audio_tokenizer.quantizer.levels.dtype == torch.int64
    assert model.silence.dtype == torch.float32
    assert not any(p.is_meta for network in model.networks().values() for p in network.parameters())


def test_shared_parts_are_loaded_once(bundle):
    """A second model of the bundle takes codec and text encoder from the first; its own networks are its own."""
    other = build_tiny(bundle.parent, name="acestep-v15-other", salt="other/")
    shared: dict = {}
    first, second = (open_checkpoint(path, shared=shared) for path in (bundle, other))
    assert first.codec is second.codec and first.text_encoder is second.text_encoder
    assert first.text_tokenizer is second.text_tokenizer
    assert first.transformer is not second.transformer and first.digest != second.digest


def test_equal_parts_in_two_places_are_one(bundle, tmp_path):
    """Sharing goes by the weights' content, not by their path."""
    shutil.copytree(bundle.parent, tmp_path / "copy")
    shared: dict = {}
    first = open_checkpoint(bundle, shared=shared)
    second = open_checkpoint(tmp_path / "copy" / bundle.name, shared=shared)
    assert first.codec is second.codec and first.digest == second.digest


def test_loading_can_be_cancelled(bundle):
    """The check is called while tensors are read, and what it raises ends the loading."""

    def check() -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        open_checkpoint(bundle, check=check)
