"""Repeated edits of our own results go on from the stored latent where it was made, and from the sound everywhere else."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from acestep.api.plan import SourceFacts
from acestep.api.request import Source
from acestep.audio.sniff import sniff
from acestep.engine.geometry import region_frames, source_window
from acestep.engine.latents import load_latent
from acestep.engine.source import OpenSource

RATE = 44_100


@pytest.fixture
def edited(studio, song):
    """A repaint (or an extension to the front) of a song: the whole file, its stored latent, and the region in it."""

    def edit(start: float, end: float, operation: str = "repaint"):
        path = song(seconds=30.0)
        wish = {"start": round(start * RATE), "end": round(end * RATE), "returns": ["whole", "latent"], "steps": 1}
        result, folder = studio.run(operation, source=str(path), seed=4, **wish)
        whole, latent = (next(file for file in result.files if file.role == role) for role in ("whole", "latent"))
        return folder / whole.name, folder / latent.name, whole

    return edit


def opened(studio, path):
    """What a job would open, and the model."""
    engine = studio.engine
    model = engine.models.open("", lambda: None)
    tick = lambda done, total: None  # noqa: E731
    return engine._workshop.studio.open(Source(path=str(path)), engine.settings, model, studio.home, tick), model


def encoded(studio, source, model, window):
    """The window's latents as a job gets them."""
    return studio.engine._workshop.studio.encode(source, window, model, lambda done, total: None)


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
def test_a_second_edit_starts_from_the_stored_latent(studio, edited, second, what):
    """Inside the first region the latents are the stored ones to the bit; outside they are the file's own, encoded."""
    path, latent, _ = edited(12.0, 15.0)
    source, model = opened(studio, path)
    window = window_around(path, *second)
    found = encoded(studio, source, model, window)
    plain = encoded(studio, OpenSource(source.path, source.layout), model, window)
    stored, facts, _ = load_latent(latent, model.info.latent_family)
    shift = (window.start - facts.start) * 25 // RATE
    first, last = source.latent.frames
    low, high = max(first - shift, 0), min(last - shift, window.frames)
    assert high - low >= 20, what
    assert torch.equal(found[:, low:high], stored[:, low + shift : high + shift])
    assert torch.equal(found[:, :low], plain[:, :low]) and torch.equal(found[:, high:], plain[:, high:])
    assert not torch.equal(found, plain)


def test_an_edit_elsewhere_in_the_file_reads_the_file(studio, edited):
    """The stored latent does not reach there."""
    path, _, _ = edited(12.0, 15.0)
    source, model = opened(studio, path)
    window = window_around(path, 24.0, 26.0)
    plain = encoded(studio, OpenSource(source.path, source.layout), model, window)
    assert torch.equal(encoded(studio, source, model, window), plain)


def test_a_changed_file_never_gets_stale_latents(studio, edited):
    """One sample in the middle is enough, whatever the size, the date and both ends say."""
    path, _, _ = edited(12.0, 15.0)
    assert opened(studio, path)[0].latent is not None
    with soundfile.SoundFile(path, "r+") as file:
        file.seek(14 * RATE)
        file.write(np.full((1, 2), 0.25))
    assert opened(studio, path)[0].latent is None


def test_an_extended_file_knows_where_its_latent_lies(studio, edited):
    """Its sample 0 is not the old file's; the new part is found in it all the same."""
    path, latent, whole = edited(-4.0, 2.0, "extend")
    source, model = opened(studio, path)
    stored, facts, _ = load_latent(latent, model.info.latent_family)
    assert source.latent.offset == whole.start - facts.start
    window = window_around(path, 0.0, 6.0)
    found = encoded(studio, source, model, window)
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
