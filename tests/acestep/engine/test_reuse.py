"""Repeated edits of our own results go on from the stored latent where it was made, and from the sound everywhere else."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile
import torch

from acestep.api.plan import SourceFacts
from acestep.api.source import Source
from acestep.audio.sniff import sniff
from acestep.engine.geometry import region_frames, source_window
from acestep.engine.source_encoder import OpenSource
from acestep.latents.latent_file import load_latent
from acestep.latents.latent_store import list_latents, trim_latents
from bridge.core.library import Library

RATE = 44_100


@pytest.fixture
def edited(runner, song):
    """A repaint (or an extension to the front) of a song: the whole file, its stored latent, and the region in it."""

    def edit(start: float, end: float, operation: str = "repaint"):
        path = song(seconds=30.0)
        wish = {"start": round(start * RATE), "end": round(end * RATE), "returns": ["whole", "latent"], "steps": 1}
        result, folder = runner.run(operation, source=str(path), seed=4, **wish)
        whole, latent = (next(file for file in result.files if file.role == role) for role in ("whole", "latent"))
        return folder / whole.name, folder / latent.name, whole

    return edit


def opened(runner, path):
    """What a job would open, and the model."""
    engine = runner.engine
    model = engine.models.open("", lambda: None)
    tick = lambda done, total: None  # noqa: E731
    return engine._resources.source_encoder.open(
        Source(path=str(path)), engine.settings, model, runner.home, tick
    ), model


def encoded(runner, source, model, window):
    """The window's latents as a job gets them."""
    return runner.engine._resources.source_encoder.encode(source, window, model, lambda done, total: None)[0]


def window_around(path, start: float, end: float):
    layout = sniff(path)
    facts = SourceFacts(
        rate=layout.rate, channels=layout.channels, frames=layout.frames,
        start=round(start * layout.rate), length=round((end - start) * layout.rate),
    )  # fmt: skip
    return source_window(facts, 2.0)


@pytest.mark.parametrize(
    ("second", "what"), [((12.0, 15.0), "the same region"), ((14.0, 18.0), "one that overlaps it")]
)
def test_a_second_edit_starts_from_the_stored_latent(runner, edited, second, what):
    """Inside the first region the latents are the stored ones to the bit; outside they are the file's own, encoded."""
    path, latent, _ = edited(12.0, 15.0)
    source, model = opened(runner, path)
    window = window_around(path, *second)
    found = encoded(runner, source, model, window)
    plain = encoded(runner, OpenSource(source.path, source.layout), model, window)
    stored, facts, _ = load_latent(latent, model.info.latent_family)
    shift = (window.start - facts.start) * 25 // RATE
    first, last = source.latent.frames
    low, high = max(first - shift, 0), min(last - shift, window.frames)
    assert high - low >= 20, what
    assert torch.equal(found[:, low:high], stored[:, low + shift : high + shift])
    assert torch.equal(found[:, :low], plain[:, :low]) and torch.equal(found[:, high:], plain[:, high:])
    assert not torch.equal(found, plain)


def test_an_edit_elsewhere_in_the_file_reads_the_file(runner, edited):
    """The stored latent does not reach there."""
    path, _, _ = edited(12.0, 15.0)
    source, model = opened(runner, path)
    window = window_around(path, 24.0, 26.0)
    plain = encoded(runner, OpenSource(source.path, source.layout), model, window)
    assert torch.equal(encoded(runner, source, model, window), plain)


def test_a_changed_file_never_gets_stale_latents(runner, edited):
    """One sample in the middle is enough, whatever the size, the date and both ends say."""
    path, _, _ = edited(12.0, 15.0)
    assert opened(runner, path)[0].latent is not None
    with soundfile.SoundFile(path, "r+") as file:
        file.seek(14 * RATE)
        file.write(np.full((1, 2), 0.25))
    assert opened(runner, path)[0].latent is None


def test_an_extended_file_knows_where_its_latent_lies(runner, edited):
    """Its sample 0 is not the old file's; the new part is found in it all the same."""
    path, latent, whole = edited(-4.0, 2.0, "extend")
    source, model = opened(runner, path)
    stored, facts, _ = load_latent(latent, model.info.latent_family)
    assert source.latent.offset == whole.start - facts.start
    window = window_around(path, 0.0, 6.0)
    found = encoded(runner, source, model, window)
    first, last = source.latent.frames
    assert torch.equal(found[:, window.lead : window.lead + 60], stored[:, first : first + 60]) and last - first >= 60


def test_only_frames_wholly_inside_count():
    """The region begins and ends between frames: those two belong to the source's sound as well."""
    window = window_like(start=1.01, length=0.5)
    first, last = region_frames(window)
    samples = lambda frame: frame * RATE // 25  # noqa: E731
    assert samples(first) >= window.region_start and samples(last) <= window.region_start + window.region_length
    assert samples(first - 1) < window.region_start and samples(last + 1) > window.region_start + window.region_length
    assert region_frames(window_like(start=1.01, length=0.01)) == (26, 26)


def window_like(start: float, length: float):
    facts = SourceFacts(rate=RATE, channels=2, frames=20 * RATE, start=round(start * RATE), length=round(length * RATE))
    return source_window(facts, 10.0)


WISH = {"start": 480_000, "end": 500_000, "seed": 2, "steps": 1}
"""A repaint in the middle of a part of twenty seconds."""


def part(runner, engine=None, **wish):
    """A new part as anybody makes it, without a word of latents: its file and its result."""
    result, folder = runner.run("generate", engine, length=20 * 48_000, seed=1, steps=1, **wish)
    return folder / result.files[0].name, result


def samples_of(runner, source, **wish):
    """A repaint of ``source`` in a fresh engine: its samples, whether the stored latent was used, and how much was encoded."""
    engine = runner.fresh_engine()
    result, folder = runner.run("repaint", engine, source=str(source), **{**WISH, **wish})
    sound, _ = soundfile.read(folder / result.files[0].name, dtype="float32")
    return sound, any("stored latent" in note for note in result.notes), engine._sources.misses


def test_every_result_keeps_its_latent_unasked(runner):
    """It lies beside the files and is listed among the latents, not among the files; an edit encodes nothing at all."""
    path, result = part(runner, caption="kept unasked")
    assert [file.role for file in result.files] == ["part"]
    (row,) = list_latents(runner.library, "kept unasked", 10)["latents"]
    assert row["id"] == f"{path.parent.name}/generate-latent.safetensors"
    _, used, encoded = samples_of(runner, path)
    assert used and encoded == 0
    by_name, folder = runner.run("repaint", source_latent=row["id"], **WISH)
    expected, _ = soundfile.read(folder / by_name.files[0].name, dtype="float32")
    assert np.array_equal(samples_of(runner, path)[0], expected)


def test_each_variant_keeps_its_own(runner):
    """An edit of the second take starts from the second take's latent."""
    result, folder = runner.run("generate", length=20 * 48_000, seeds=[5, 6], variants=2, steps=1)
    for number, file in enumerate(result.files, 1):
        source, _ = opened(runner, folder / file.name)
        assert source.latent.path == folder / f"generate-{number}-latent.safetensors"


def test_without_the_setting_only_asked_latents_are_kept(runner):
    """`keep_latents` off: an edit reads the sound again."""
    engine = runner.fresh_engine(keep_latents=False)
    path, _ = part(runner, engine)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    _, used, encoded = samples_of(runner, path)
    assert not used and encoded == 1
    asked, folder = runner.run("generate", engine, length=9_000, steps=1, returns=["part", "latent"])
    assert (folder / asked.files[1].name).is_file()


@pytest.mark.parametrize("form", ["wav24", "wav32f", "flac24"])
def test_a_copy_elsewhere_starts_from_the_same_latent(runner, tmp_path, form):
    """Under another name, in the folder of a song: known by its content, also to an engine that has run for a while."""
    opened(runner, part(runner)[0])  # the results so far are known by now
    path, _ = part(runner, format=form, caption=f"copied as {form}")
    copy = tmp_path / f"take-2{path.suffix}"
    shutil.copyfile(path, copy)
    source, _ = opened(runner, copy)
    assert source.latent is not None and source.latent.path.parent == path.parent
    (expected, *_), (found, used, encoded) = samples_of(runner, path), samples_of(runner, copy)
    assert used and encoded == 0 and np.array_equal(found, expected)


def test_a_copy_that_was_changed_is_read_anew(runner, tmp_path):
    """The size is the same, the samples are not."""
    path, _ = part(runner)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    copy = tmp_path / "take.wav"
    copy.write_bytes(data)
    _, used, encoded = samples_of(runner, copy)
    assert not used and encoded == 1


def test_a_later_edit_of_an_edit_starts_inside_from_its_latent(runner):
    """Also when nobody asked the edits for latents: the whole file of a repaint knows the repainted region."""
    path, _ = part(runner)
    result, folder = runner.run("repaint", source=str(path), **WISH, returns=["whole"])
    source, _ = opened(runner, folder / result.files[0].name)
    assert source.latent.path == folder / "repaint-latent.safetensors"


def test_the_latent_goes_with_its_job(runner, tmp_path):
    """Removed from the library, nothing of it is left; a copy of the sound is then read like any other file."""
    path, _ = part(runner, caption="soon gone")
    copy = tmp_path / "take.wav"
    shutil.copyfile(path, copy)
    assert opened(runner, copy)[0].latent is not None
    Library(runner.library, tmp_path / "staging").remove(path.parent.name)
    assert list_latents(runner.library, "soon gone", 10)["latents"] == []
    assert opened(runner, copy)[0].latent is None


def test_the_cap_takes_unasked_latents_too(runner, tmp_path):
    """And the sound stays, to be read again."""
    path, _ = part(runner, caption="beyond the cap")
    shutil.copytree(path.parent, tmp_path / "library" / path.parent.name)
    assert trim_latents(tmp_path / "library", 1).gone == (f"{path.parent.name}/generate-latent.safetensors",)
    assert (tmp_path / "library" / path.parent.name / path.name).is_file()
