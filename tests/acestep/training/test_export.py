"""The exported folder is a checkpoint like any other: found, complete, small, pinned."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file

from acestep.checkpoints.info import find_checkpoints
from acestep.checkpoints.load import open_checkpoint
from acestep.checkpoints.mapping import to_diffusers
from acestep.networks.nano_codec import NanoCodec
from acestep.training.blend import blend_run
from acestep.training.commands import main
from acestep.training.dit.dit_model import NanoModel
from acestep.training.dit.words import train_tokenizer
from acestep.training.errors import CheckpointUnreadable, CheckpointUnwritable, RunMissing, StartUnsuited
from acestep.training.evaluation import report
from acestep.training.export import export_checkpoint
from acestep.training.start import start_codec, start_model
from acestep.training.weights import averaged_weights, save_codec


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """An export of random weights at full size."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    model = NanoModel()
    torch.save({"model": model.state_dict(), "ema": {}}, folder / "state.pt")
    save_codec(NanoCodec(), folder / "vae")
    train_tokenizer(songs=60).save_pretrained(folder / "tokenizer")
    export_checkpoint(folder, folder / "vae", folder / "nano")
    return folder / "nano", model


def test_it_is_found_as_the_nano_variant(bundle):
    """The ordinary search finds one trained checkpoint that can do every task."""
    [info] = find_checkpoints([bundle[0]])
    assert (info.name, info.variant, info.codec, info.trained) == ("nano", "nano", "NanoCodec", True)
    assert {"text2music", "repaint", "cover", "extract", "lego", "complete"} <= set(info.task_types)


def test_it_fits_the_package(bundle):
    """At most 40 MB in all."""
    assert sum(path.stat().st_size for path in bundle[0].rglob("*") if path.is_file()) <= 40_000_000


def test_every_weight_has_its_published_name(bundle):
    """Names map back onto the modules one to one, values survive half precision."""
    folder, model = bundle
    stored = load_file(folder / "acestep-v15-nano" / "model.safetensors")
    modules = {"transformer": model.transformer, "condition_encoder": model.condition_encoder,
               "audio_tokenizer": model.tokenizer, "audio_detokenizer": model.detokenizer}  # fmt: skip
    wanted = {(component, name) for component, module in modules.items() for name in module.state_dict()}
    assert {to_diffusers(name) for name in stored} == wanted
    for name, value in stored.items():
        component, ours = to_diffusers(name)
        assert torch.equal(value, modules[component].state_dict()[ours].half())


def test_the_strict_loader_opens_it(bundle):
    """Every tensor finds its place and none is left over; codec and text encoder come along."""
    model = open_checkpoint(bundle[0])
    assert isinstance(model.codec, NanoCodec) and model.silence.shape == (1, 15000, 64)
    assert model.text_tokenizer.ids("<|endoftext|>") == [model.text_tokenizer.id_of("<|endoftext|>")]
    latents = torch.randn(1, 64, 4)
    assert model.codec.decode(latents).shape == (1, 2, 4 * 1920)


def test_silence_has_the_published_shape(bundle):
    """[1, 64, 15000], readable with weights_only, the same frame throughout."""
    silence = torch.load(bundle[0] / "acestep-v15-nano" / "silence_latent.pt", weights_only=True)
    assert silence.shape == (1, 64, 15000) and torch.equal(silence[..., 0], silence[..., -1])


def test_manifest_pins_every_file(bundle):
    """Sizes and sha256 of all files but itself; a changed byte shows."""
    folder = bundle[0]
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert set(files) == {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {
        "manifest.json"
    }
    for name, pin in files.items():
        content = (folder / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (pin["bytes"], pin["sha256"])


def test_no_private_path_is_shipped(bundle):
    """Nothing in the text files tells where the training ran."""
    folder = bundle[0]
    for path in folder.rglob("*"):
        if path.suffix in (".json", ".md"):
            assert str(folder.parent) not in path.read_text()


def test_training_goes_on_from_the_shipped_weights(bundle, tmp_path):
    """A fresh model started from the bundle has its weights and its tokenizer; another folder is refused by name."""
    torch.manual_seed(5)
    model, codec = NanoModel(), NanoCodec()
    start_model(model, bundle[0], tmp_path)
    start_codec(codec, bundle[0])
    for name, value in bundle[1].state_dict().items():
        assert torch.equal(model.state_dict()[name], value.half().float()), name
    assert (tmp_path / "tokenizer" / "tokenizer.json").is_file()
    with pytest.raises(StartUnsuited):
        start_codec(codec, tmp_path)
    with pytest.raises(StartUnsuited):
        start_codec(NanoCodec(decoder_width=16), bundle[0])


def test_a_checkpoint_is_measured_without_a_run(bundle, tmp_path, sine_bank, capsys, monkeypatch):
    """`evaluate --start` makes the run it needs, once; a trial that there is none of is refused before anything is written."""
    monkeypatch.setattr(report, "open_bank", lambda: sine_bank)
    run, out = tmp_path / "run", tmp_path / "out"
    given = ["evaluate", "--run", str(run), "--codec", str(bundle[0] / "vae"), "--start", str(bundle[0]), "--count", "1",
             "--processes", "1", "--out", str(out), "--only"]  # fmt: skip
    assert main([*given, "codec", "lullaby"]) == 2
    assert "no_such_trial: there is no trial 'lullaby'; there are 'codec', " in capsys.readouterr().err
    assert not run.exists() and not out.exists()
    assert main([*given, "codec"]) == 0
    figures = json.loads((out / "figures.json").read_text())
    assert set(figures) == {"codec"} and figures["codec"]["count"] == 1 and figures["codec"]["mel error dB"] > 0
    assert main(["evaluate", "--run", str(tmp_path / "none"), *given[3:5], *given[7:9], "--processes", "2",
                 "--out", str(out), "--only", "codec"]) == 2  # fmt: skip
    assert "run_missing: there is no " in capsys.readouterr().err
    torch.save({"trainer": {}}, tmp_path / "state.pt")
    with pytest.raises(CheckpointUnreadable, match="'model'"):
        averaged_weights(tmp_path)
    written = (run / "state.pt").stat().st_mtime_ns
    assert main([*given, "codec"]) == 0 and (run / "state.pt").stat().st_mtime_ns == written


def test_a_run_leans_back_towards_its_start(bundle, tmp_path, capsys):
    """Every weight lies on the line between the two, and the blend exports like a run; a share outside it is refused."""
    checkpoint, model = bundle
    after = {name: value + 1.0 if value.is_floating_point() else value for name, value in model.state_dict().items()}
    history = {"elapsed": 1.0, "step": 1, "history": []}
    (tmp_path / "run").mkdir()
    torch.save({"model": model.state_dict(), "ema": after, **history}, tmp_path / "run" / "state.pt")
    given = ["blend", "--run", str(tmp_path / "run"), "--start", str(checkpoint), "--out", str(tmp_path / "out")]
    assert main([*given, "--share", "0.25"]) == 0
    state = torch.load(tmp_path / "out" / "state.pt", weights_only=True)
    blended = state["model"] | state["ema"]
    for name, value in model.state_dict().items():
        step = 0.25 if value.is_floating_point() else 0
        assert torch.allclose(blended[name].float(), value.float() + step, atol=2e-3, rtol=1e-3)
    export_checkpoint(tmp_path / "out", checkpoint / "vae", tmp_path / "again")
    with pytest.raises(SystemExit):
        main([*given, "--share", "1.5"])
    assert "1.5 is outside 0 to 1" in capsys.readouterr().err
    with pytest.raises(RunMissing, match="nowhere"):
        blend_run(tmp_path / "nowhere", checkpoint, 0.5, tmp_path / "other")
    assert not (tmp_path / "other").exists(), "a refused blend leaves nothing"
    with pytest.raises(CheckpointUnwritable, match="the run itself"):
        blend_run(tmp_path / "run", checkpoint, 0.5, tmp_path / "run")
