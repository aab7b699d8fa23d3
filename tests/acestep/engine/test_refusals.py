"""Bad input gets one clear error and costs nothing else."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import soundfile
import torch

from acestep.api.errors import (
    BadRequest,
    Cancelled,
    CorruptAudio,
    ModelMissing,
    ModelUnsuited,
    NotAudio,
    NotFound,
    OutOfMemory,
    OutputUnwritable,
    PluginFailed,
    RegionOutside,
    SourceChanged,
    TooLarge,
    UnknownName,
    UnsupportedChannels,
)
from acestep.api.sampling import SamplerSpec
from acestep.worker.backend import JobContext


def test_region_rules(runner, song):
    """Outside, reversed or empty regions are refused with the file's length."""
    path = str(song())
    for start, end in ((0, 10**7), (-5, 100), (500, 500), (500, 400), (10**7, 10**7 + 1)):
        with pytest.raises(RegionOutside):
            runner.run("repaint", source=path, start=start, end=end)


def test_sources_that_are_none(runner, tmp_path, song):
    """Missing, foreign, truncated, empty and many-channelled sources have their own code words."""
    text = tmp_path / "a.wav"
    text.write_text("hello, this is not a sound file at all")
    cut = tmp_path / "b.wav"
    cut.write_bytes(song().read_bytes()[:5000])
    many = song(channels=6)
    empty = tmp_path / "c.wav"
    soundfile.write(empty, np.zeros((0, 2)), 44_100)
    cases = [
        (tmp_path / "none.wav", NotFound),
        (text, NotAudio),
        (cut, CorruptAudio),
        (many, UnsupportedChannels),
        (empty, CorruptAudio),
    ]
    for path, error in cases:
        with pytest.raises(error):
            runner.run("repaint", source=str(path), steps=1)


def test_unknown_names(runner, song):
    """Sampler, track, model and schedule are named with what there is."""
    path = str(song())
    for params, error in (
        ({"sampler": "magic"}, UnknownName),
        ({"schedule": "magic"}, UnknownName),
        ({"guidance": "magic"}, UnknownName),
        ({"model": "magic"}, ModelMissing),
    ):
        with pytest.raises(error):
            runner.run("repaint", source=path, **params)
    with pytest.raises(UnknownName):
        runner.run("extract", source=path, track="theremin")


def test_numbers_beyond_their_limits(runner):
    """Durations, captions and steps have limits; NaN is not a number."""
    with pytest.raises((TooLarge, BadRequest)):
        runner.run("generate", duration=601.0)
    with pytest.raises(TooLarge):
        runner.run("generate", length=601 * 48_000)
    for params in (
        {"caption": "x" * 2**20},
        {"steps": 0},
        {"duration": float("nan")},
        {"guidance_scale": float("inf")},
    ):
        with pytest.raises(BadRequest):
            runner.run("generate", **params)


def test_changed_source_is_noticed(runner, song):
    """A file that was written to after the job was accepted is not silently used."""
    path = song()
    result, _ = runner.run("repaint", source=str(path), start=100, end=900, steps=1)
    soundfile.write(path, np.zeros((5_000, 2)), 44_100)
    with pytest.raises(SourceChanged):
        runner.run_recipe(result.recipe["request"])


def test_extract_needs_a_model_that_can(runner, song, tmp_path_factory):
    """A turbo checkpoint refuses extract by name and says what to load."""
    from acestep.checkpoints.tiny import build_tiny

    folder = runner.home / "checkpoints"
    build_tiny(folder, config={"model_version": "turbo", "is_turbo": True}, name="acestep-v15-turbo")
    with pytest.raises(ModelUnsuited, match="base"):
        runner.run("extract", source=str(song()), track="drums", model="turbo")


def test_unwritable_output_folder(runner, tmp_path):
    """A staging folder that cannot be written is that error, not a crash."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    context = JobContext("job", blocked, runner.registry, lambda *tick: None, backend=runner.engine)
    result, _ = runner.run("generate", length=100, steps=1)
    with pytest.raises(OutputUnwritable):
        runner.engine.run("render", result.recipe["request"], context)


def test_cancel_stops_at_the_next_unit(runner, tmp_path):
    """No velocity call begins after the cancel, and the next job is not harmed."""
    result, _ = runner.run("generate", length=48_000, steps=6)
    seen: list[str] = []

    def report(stage, step, steps, fraction):
        seen.append(stage)
        if seen.count("generate") == 2:
            context.cancel()

    context = JobContext("job", tmp_path, runner.registry, report, backend=runner.engine)
    with pytest.raises(Cancelled):
        runner.engine.run("render", result.recipe["request"], context)
    assert seen.count("generate") == 2
    again, _ = runner.run_recipe(result.recipe["request"])
    assert again.files[0].sha256 == result.files[0].sha256


def test_cancel_before_anything(runner, tmp_path):
    """A job that is cancelled before it starts loads and computes nothing."""
    result, _ = runner.run("generate", length=100, steps=1)
    context = JobContext("job", tmp_path, runner.registry, lambda *tick: None, backend=runner.engine)
    context.cancel()
    with pytest.raises(Cancelled):
        runner.engine.run("render", result.recipe["request"], context)
    assert not any(tmp_path.iterdir())


def test_a_sampler_that_raises_is_a_failed_plugin(runner):
    """A stranger's sampler ends its job with a name, not the worker."""

    def broken(velocity, x, times, noise, state=None):
        raise RuntimeError("off by one")
        yield

    runner.registry.samplers["broken"] = SamplerSpec(name="broken", run=broken, summary="Breaks.")
    try:
        with pytest.raises(PluginFailed, match="broken"):
            runner.run("generate", length=100, sampler="broken")
    finally:
        del runner.registry.samplers["broken"]


def card_full(*args, **kwargs):
    """What a CUDA device without room does."""
    raise torch.OutOfMemoryError("CUDA out of memory")


def cpu_full(*args, **kwargs):
    """What a CPU without room does: a real allocation, larger than any address space."""
    torch.empty(2**50)


@pytest.mark.parametrize("full", [card_full, cpu_full])
def test_out_of_memory_is_named(runner, monkeypatch, full):
    """A device without room is one error, whatever the device, and the worker lives on."""
    from acestep.networks.dit import Dit

    with monkeypatch.context() as patch:
        patch.setattr(Dit, "velocity", full)
        with pytest.raises(OutOfMemory):
            runner.run("generate", length=100)
    runner.run("generate", length=100, steps=1)


@pytest.fixture
def empty_engine(runner):
    """An engine of its own in a process without planners: those belong to the process, and another test may have left one."""
    engine = runner.fresh_engine()
    engine.unload("")
    return engine


def test_unload_frees_the_memory(runner, empty_engine):
    """After an unload no model is open, and the next job opens it again."""
    engine = empty_engine
    first, _ = runner.run("generate", engine, length=100, steps=1, seed=1)
    assert engine.info()["models"] == ["tiny"] and engine.info()["memory_bytes"] > 0
    engine.unload("")
    assert engine.info()["models"] == [] and engine.info()["memory_bytes"] == 0
    again, _ = runner.run("generate", engine, length=100, steps=1, seed=1)
    assert again.files[0].sha256 == first.files[0].sha256


def test_memory_policy_unload(runner, empty_engine):
    """A stage may ask for its model to be forgotten afterwards, with what it shares when nothing else uses that."""
    engine = empty_engine
    runner.run("generate", engine, length=100, steps=1, memory="unload")
    assert engine.info()["models"] == [] and engine.info()["memory_bytes"] == 0


def test_shared_parts_stay_from_stage_to_stage_and_go_at_the_end(runner, monkeypatch):
    """A chain that unloads each model after its stage reads codec and text encoder once; a chain that fails lets go of them too."""
    from acestep.checkpoints import load
    from acestep.checkpoints.tiny import build_tiny

    build_tiny(runner.home / "cache" / "checkpoints", name="acestep-v15-tiny2", salt="other/")
    engine = runner.fresh_engine(checkpoints=[runner.home / "cache" / "checkpoints"])
    engine.unload("")  # a planner that another test has left belongs to the process
    read = []
    for name in ("load_codec", "load_text_encoder", "load_networks"):
        original = getattr(load, name)
        monkeypatch.setattr(load, name, lambda *a, name=name, original=original: read.append(name) or original(*a))
    stages = [
        {"type": "generate", "steps": 1, "memory": "unload"},
        {"type": "refine", "model": "tiny2", "steps": 2, "memory": "unload"},
    ]
    runner.run("render", engine, stages=stages, output={"length": 1000})
    assert sorted(read) == ["load_codec", "load_networks", "load_networks", "load_text_encoder"]
    assert engine.info()["models"] == [] and engine.info()["memory_bytes"] == 0
    stages[1]["lora"] = ["nowhere"]
    with pytest.raises(UnknownName):
        runner.run("render", engine, stages=stages, output={"length": 1000})
    assert read.count("load_networks") == 3 and engine.info()["memory_bytes"] == 0


def test_unloading_a_model_forgets_its_words(runner):
    """Its conditions lie on the device too; those of another model stay, and what a stage unloads goes likewise."""
    from acestep.checkpoints.tiny import build_tiny

    build_tiny(runner.home / "cache" / "checkpoints", name="acestep-v15-tiny2", salt="other/")
    engine = runner.fresh_engine(checkpoints=[runner.home / "cache" / "checkpoints"])
    words = {"length": 100, "steps": 1, "caption": "warm"}
    for model in ("tiny", "tiny2"):
        runner.run("generate", engine, **words, model=model)
    cache = engine._texts
    engine.unload("tiny")
    for model, missed in (("tiny2", 0), ("tiny", 1)):
        before = cache.misses
        runner.run("generate", engine, **words, model=model, memory="unload")
        assert cache.misses - before == missed
    assert not cache._kept


def test_models_of_a_chain_share_their_parts(runner):
    """Two models in one job load codec and text encoder once."""
    from acestep.checkpoints.tiny import build_tiny

    build_tiny(runner.home / "cache" / "checkpoints", name="acestep-v15-tiny2", salt="other/")
    engine = runner.fresh_engine(checkpoints=[runner.home / "cache" / "checkpoints"])
    result, _ = runner.run(
        "render", engine, stages=[{"type": "generate", "steps": 1}, {"type": "refine", "model": "tiny2", "steps": 2}],
        output={"length": 1000},
    )  # fmt: skip
    assert [report.model for report in result.stages] == ["tiny", "tiny2"]
    opened = list(engine.models._open.values())
    assert opened[0].codec is opened[1].codec and opened[0].transformer is not opened[1].transformer
    assert result.recipe["weights"].keys() == {"tiny", "tiny2"}


def test_progress_never_falls(runner, song):
    """Fractions grow from stage to stage and end at 1 at most; every phase is named."""
    runner.run("repaint", source=str(song()), start=0, end=9_000, variants=2, steps=2)
    fractions = [tick[3] for tick in runner.ticks]
    assert fractions == sorted(fractions) and fractions[-1] <= 1
    assert {tick[0] for tick in runner.ticks} >= {"load", "repaint", "decode", "write"}
    assert threading.active_count() < 50
