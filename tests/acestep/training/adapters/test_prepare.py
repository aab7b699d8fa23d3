"""Preparing: tensors are what the renderer would make, each is made once, and whatever stops it costs one unit."""

from __future__ import annotations

import errno
import gc
import weakref

import numpy as np
import pytest
import soundfile
import torch
from diffusers import AutoencoderOobleck

from acestep.api.errors import BadCheckpoint, BadRequest, DiskFull, ModelUnsuited, NotFound
from acestep.audio.read import read_window
from acestep.audio.resample import resample, to_channels
from acestep.audio.sniff import sniff
from acestep.checkpoints.info import read_info
from acestep.checkpoints.load import open_checkpoint
from acestep.checkpoints.tiny import CODEC_CONFIGS, build_tiny
from acestep.codec.latent_codec import Codec
from acestep.conditioning.condition_cache import ConditionRequest, encode_condition
from acestep.conditioning.prompts import Prompt
from acestep.dataset.edit import edit_sample
from acestep.dataset.scan import scan
from acestep.training.adapters import encoders, store
from acestep.training.adapters.original import OriginalTensors, open_prepared
from acestep.training.adapters.pace import Pace
from acestep.training.adapters.prepare import PrepareOptions, prepare
from acestep.training.adapters.store import require_model, require_sizes

from .conftest import labelled, write_songs

CPU = PrepareOptions(device="cpu")


class Stopped(Exception):
    pass


def test_tensors_are_what_the_renderer_makes(prepared, dataset, tiny_info):
    """Latents are the codec's mean, conditions those of the same words with silence as reference, to the bit."""
    model = open_checkpoint(tiny_info.path)
    for row, sample in zip(prepared.manifest.rows, dataset.samples, strict=True):
        item, layout = prepared.read(row), sniff(sample.path)
        audio = resample(to_channels(read_window(sample.path, layout, 0, layout.frames), 2), layout.rate, 48_000,
                         int(sample.seconds * 48_000 + 0.5))  # fmt: skip
        latents = Codec(model.codec).encode(torch.from_numpy(audio), lambda done, tiles: None)[0]
        assert torch.equal(item.mean, latents) and row.frames == len(latents) and item.std is None
        prompt = Prompt(caption=f"zap, {sample.caption}", bpm=sample.bpm, instrumental=True, seconds=sample.seconds)
        assert torch.equal(item.states, encode_condition(model, ConditionRequest(prompt))[0])
    assert [row.validation for row in prepared.manifest.rows] == [False] * 4 + [True]
    assert prepared.manifest.trigger == "zap" and prepared.manifest.model.name == "tiny"


def test_the_posterior_of_the_published_codec_is_kept():
    """Mean and spread of diffusers' class, over tiles as over the whole."""
    torch.manual_seed(0)
    network = AutoencoderOobleck(**CODEC_CONFIGS["AutoencoderOobleck"]).eval()
    sound = 0.1 * torch.randn(2, 3 * 1920)
    mean, std = Codec(network).encode_posterior(sound, lambda done, tiles: None)
    with torch.inference_mode():
        posterior = network.encode(sound[None]).latent_dist
    torch.testing.assert_close(mean[0].T, posterior.mean[0])
    torch.testing.assert_close(std[0].T, posterior.std[0])


def test_what_is_there_is_not_made_again(tmp_path, tiny_info, monkeypatch):
    """A second time opens no network; a label redoes words alone; another name of the same sound redoes nothing."""
    songs = write_songs(tmp_path / "songs", (1.2, 1.4))
    dataset = labelled(songs)
    first = prepare(dataset, tiny_info, tmp_path / "p", CPU)
    opened = []
    for name in ("load_codec", "load_text_encoder", "build_component"):
        real = getattr(encoders, name)
        monkeypatch.setattr(encoders, name, lambda *given, real=real, name=name: opened.append(name) or real(*given))
    assert prepare(dataset, tiny_info, tmp_path / "p", CPU).manifest == first.manifest and opened == []
    changed = edit_sample(dataset, dataset.samples[0].id, {"caption": "another thing"})
    second = prepare(changed, tiny_info, tmp_path / "p", CPU)
    assert opened == ["load_text_encoder", "build_component"]
    assert second.manifest.dataset != first.manifest.dataset
    assert second.manifest.rows[0].latents == first.manifest.rows[0].latents
    (songs / "song a.wav").rename(songs / "renamed.wav")
    opened.clear()
    again = prepare(labelled(songs), tiny_info, tmp_path / "p", CPU).manifest
    assert {row.latents for row in again.rows} == {row.latents for row in first.manifest.rows}
    assert "load_codec" not in opened


def test_one_network_at_a_time(tmp_path, tiny_info, monkeypatch):
    """When one is opened, the one before is gone."""
    alive: list[weakref.ref] = []

    def watched(real):
        def load(*given):
            gc.collect()
            assert [ref() for ref in alive if ref() is not None] == []
            network = real(*given)
            alive.append(weakref.ref(network))
            return network

        return load

    for name in ("load_codec", "load_text_encoder", "load_network"):
        monkeypatch.setattr(encoders, name, watched(getattr(encoders, name)))
    prepare(labelled(write_songs(tmp_path / "s", (1.2,))), tiny_info, tmp_path / "p", CPU)
    assert len(alive) == 3


def test_an_interrupted_preparing_continues(tmp_path, tiny_info):
    """Whatever stage it was stopped in, what was made is there, and the result is that of one run."""
    dataset = labelled(write_songs(tmp_path / "s", (1.2, 1.4, 1.6)))
    whole = prepare(dataset, tiny_info, tmp_path / "whole", CPU)
    for stage in ("sounds", "words", "conditions"):

        def stop(progress, stage=stage):
            if progress.stage == stage and progress.done == 2:
                raise Stopped

        with pytest.raises(Stopped):
            prepare(dataset, tiny_info, tmp_path / "parts", CPU, stop)
        if stage == "sounds":
            assert len(list((tmp_path / "parts" / "latents").iterdir())) == 2
            assert not (tmp_path / "parts" / "manifest.json").exists()
    parts = prepare(dataset, tiny_info, tmp_path / "parts", CPU)
    assert parts.manifest == whole.manifest
    for row in parts.manifest.rows:
        assert torch.equal(parts.read(row).mean, whole.read(row).mean)
        assert torch.equal(parts.read(row).states, whole.read(row).states)


def test_songs_that_change_or_say_nothing_are_left_out(tmp_path, tiny_info):
    """A file that is written while it is prepared, one that is gone, one of silence: each with its sentence."""
    songs = write_songs(tmp_path / "s", (1.2, 1.4, 1.6))
    soundfile.write(songs / "still.wav", np.zeros(48_000), 24_000)
    dataset = labelled(songs)

    def meddle(progress):
        if (progress.stage, progress.done) == ("hashes", 4):
            soundfile.write(songs / "song a.wav", np.ones(48_000) * 0.1, 24_000)

    (songs / "song b.wav").unlink()
    manifest = prepare(dataset, tiny_info, tmp_path / "p", CPU, meddle).manifest
    assert [row.name for row in manifest.rows] == ["song c.wav"]
    told = dict(sentence.split(": ", 1) for sentence in manifest.left_out)
    assert set(told) == {"song a.wav", "song b.wav", "still.wav"}
    assert "changed while it was prepared" in told["song a.wav"] and "silence" in told["still.wav"]
    with pytest.raises(BadRequest, match="nothing of the dataset"):
        (songs / "song a.wav").unlink()
        (songs / "song c.wav").unlink()
        prepare(dataset, tiny_info, tmp_path / "p", CPU)


def test_a_long_song_is_learned_from_its_beginning_only(tmp_path, tiny_info):
    dataset = labelled(write_songs(tmp_path / "s", (3.0,)))
    manifest = prepare(dataset, tiny_info, tmp_path / "p", PrepareOptions(device="cpu", max_seconds=2.0)).manifest
    assert manifest.rows[0].frames == 50
    assert manifest.notes == ("song a.wav is 0:03 long; its first 0:02 are learned from",)
    with pytest.raises(BadRequest, match="max_seconds is 1 to 600"):
        PrepareOptions(max_seconds=0.2)


def test_a_full_disk_is_told_as_one(tmp_path, tiny_info, monkeypatch):
    """And after room was made the same command completes."""
    dataset = labelled(write_songs(tmp_path / "s", (1.2,)))
    with monkeypatch.context() as patch:
        patch.setattr(store, "save_file", lambda *given: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
        with pytest.raises(DiskFull):
            prepare(dataset, tiny_info, tmp_path / "p", CPU)
    assert not list((tmp_path / "p").rglob("*.partial"))
    assert len(prepare(dataset, tiny_info, tmp_path / "p", CPU).manifest.rows) == 1


def test_tensors_of_another_model_are_refused(prepared, tiny_info, tmp_path):
    """By the digests of its networks, named; a model with the same ones may use them."""
    other = read_info(build_tiny(tmp_path, salt="other/"))
    with pytest.raises(ModelUnsuited, match="another codec and text encoder and condition encoder"):
        require_model(prepared.manifest, encoders.model_facts(other))
    require_model(prepared.manifest, encoders.model_facts(tiny_info))
    row = prepared.manifest.rows[0]
    with pytest.raises(ModelUnsuited, match="64 numbers; this one's have 2048"):
        require_sizes(prepared.read(row), row, 2048)


def test_rate_and_time_left():
    """The rate is that of what was done now; what was there before has none."""
    now, told = [0.0], []
    pace = Pace("sounds", 10, told.append, lambda: now[0])
    pace.skip(2)
    assert (told[-1].done, told[-1].rate, told[-1].eta) == (2, 0.0, None)
    for _ in range(4):
        now[0] += 0.5
        pace.advance()
    assert (told[-1].done, told[-1].rate, told[-1].eta, told[-1].fraction) == (6, 2.0, 2.0, 0.6)


def original(frames=20, tokens=6, padding=2, **more):
    """A file as the original's preprocessing writes it."""
    torch.manual_seed(0)
    keep = torch.cat([torch.ones(tokens), torch.zeros(padding)])
    return {
        "target_latents": torch.randn(frames, 64), "attention_mask": torch.ones(frames),
        "encoder_hidden_states": torch.randn(tokens + padding, 64), "encoder_attention_mask": keep,
        "context_latents": torch.cat([torch.full((frames, 64), 0.25), torch.ones(frames, 64)], 1),
        "metadata": {"filename": "one.wav", "caption": "blues", "bpm": 90, "preprocess_mode": "lora"}, **more,
    }  # fmt: skip


def test_the_originals_tensors_are_opened(tmp_path):
    """Without their padding, with the context they come with."""
    data = original()
    torch.save(data, tmp_path / "1a2b.pt")
    (tmp_path / "manifest.json").write_text('{"metadata": {}, "samples": ["1a2b.pt"], "num_samples": 1}')
    opened = open_prepared(tmp_path)
    assert isinstance(opened, OriginalTensors) and [row.name for row in opened.manifest.rows] == ["one.wav"]
    item = opened.read(opened.manifest.rows[0])
    assert torch.equal(item.mean, data["target_latents"]) and torch.equal(
        item.states, data["encoder_hidden_states"][:6]
    )
    assert torch.equal(item.context, data["context_latents"])
    assert "do not say which model" in opened.manifest.notes[0]


class Evil:
    def __reduce__(self):
        return print, ("this must never run",)


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"metadata": Evil()}, BadCheckpoint, "more than tensors"),
        ({"target_latents": torch.zeros(3, 32)}, BadCheckpoint, "shapes that no song has"),
        ({"target_latents": None}, BadCheckpoint, "lacks target_latents"),
        ({"target_latents": torch.full((20, 64), torch.nan)}, BadCheckpoint, "not numbers"),
    ],
)
def test_tensors_that_are_none_are_refused(tmp_path, capsys, more, error, words):
    torch.save(original(**more), tmp_path / "a.pt")
    with pytest.raises(error, match=words):
        open_prepared(tmp_path)
    assert "never run" not in capsys.readouterr().out


def test_tensors_that_show_the_answer_are_refused(tmp_path):
    """What the original prepares for LoKr has the song itself as context."""
    data = original()
    data["context_latents"][:, :64] = data["target_latents"]
    torch.save(data, tmp_path / "a.pt")
    with pytest.raises(BadRequest, match="prepared for LoKr"):
        open_prepared(tmp_path)


def test_no_prepared_folder(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(NotFound):
            open_prepared(place)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BadRequest, match="not a manifest"):
        open_prepared(tmp_path)


def test_windows_of_a_file_are_prepared_apart(tmp_path, tiny_info):
    """Two regions of one file: two latents, each of its own window."""
    from acestep.dataset.scan import SampleRegion, from_regions

    song = str(write_songs(tmp_path / "s", (3.0,)) / "song a.wav")
    made = from_regions(
        [SampleRegion(path=song, start=0, length=36_000), SampleRegion(path=song, start=36_000, length=36_000)]
    )
    rows = prepare(made.dataset, tiny_info, tmp_path / "p", CPU).manifest.rows
    assert [row.frames for row in rows] == [38, 38] and rows[0].latents != rows[1].latents
    assert scan([tmp_path / "s"], known=made.dataset).dataset.samples == made.dataset.samples
