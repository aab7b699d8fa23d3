"""Every result has exactly the asked samples, at the asked rate, in the asked form; outside the edit nothing changes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import soundfile

from acestep.audio import pcm
from acestep.audio.read import read_native
from acestep.audio.sniff import sniff

FORMS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("AIFF", "PCM_24"),
]
RATES = [44_100, 48_000, 88_200, 96_000]
REGIONS = [(0, 1), (17, 9_001), (40_000, 88_201), (0, None)]
"""First and last + 1; None is the end of the file."""

CASES = [
    (rate, channels, form, REGIONS[(index + channels) % len(REGIONS)])
    for index, (rate, channels, form) in enumerate(itertools.product(RATES, [1, 2], FORMS))
]
"""Every rate with every form and both channel counts; the regions go round."""


@pytest.mark.parametrize(("rate", "channels", "form", "region"), CASES)
def test_repaint_is_exact_and_leaves_the_rest(runner, song, rate, channels, form, region):
    """Patch, span and whole file agree with each other and with the source, bit for bit outside region + crossfade."""
    path = song(*form, rate=rate, channels=channels)
    frames = sniff(path).frames
    start, end = region[0], region[1] or frames
    span = (max(0, start - 500), min(frames, end + 700))
    result, folder = runner.run(
        "repaint", source=str(path), start=start, end=end, returns=["patch", "span", "whole"],
        span_start=span[0], span_end=span[1], steps=1, seed=1,
    )  # fmt: skip
    files = {file.role: file for file in result.files}
    whole, layout = folder / files["whole"].name, sniff(folder / files["whole"].name)
    assert (layout.rate, layout.channels, layout.frames) == (rate, channels, frames)
    assert (layout.container, layout.subtype) == (sniff(path).container, form[1])
    patch = files["patch"]
    assert patch.start == start - patch.lead_in and patch.length == end - start + patch.lead_in + patch.lead_out
    before, after = read_native(path, sniff(path), 0, frames), read_native(whole, layout, 0, frames)
    assert np.array_equal(before[:, : patch.start], after[:, : patch.start])
    assert np.array_equal(before[:, patch.start + patch.length :], after[:, patch.start + patch.length :])
    assert not np.array_equal(before[:, start:end], after[:, start:end])
    inside = soundfile.read(folder / patch.name, always_2d=True, dtype="float64")[0].T
    assert inside.shape == (channels, patch.length)
    rounded, clipped = pcm.quantise(inside, form[1])
    assert np.array_equal(rounded, after[:, patch.start : patch.start + patch.length])
    assert files["whole"].clipped == clipped
    cut = soundfile.read(folder / files["span"].name, always_2d=True, dtype="float64")[0].T
    assert cut.shape == (channels, span[1] - span[0])
    assert np.array_equal(
        cut[:, : max(0, patch.start - span[0])], pcm.to_float(before, form[1])[:, span[0] : patch.start]
    )


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000, 22_050])
@pytest.mark.parametrize("length", [1, 44_099, 480_001])
def test_new_parts_have_exactly_the_asked_length(runner, rate, length):
    """From one sample on, at any rate."""
    result, folder = runner.run("generate", length=length, rate=rate, steps=1, format="wav32f")
    assert soundfile.info(folder / result.files[0].name).frames == length == result.files[0].length


def test_the_longest_part(runner):
    """600 s and no sample less."""
    result, folder = runner.run("generate", duration=600.0, rate=8_000, channels=1, steps=1, format="flac16")
    info = soundfile.info(folder / result.files[0].name)
    assert (info.frames, info.channels, info.samplerate) == (600 * 8_000, 1, 8_000)


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_stem_and_residual_add_up_to_the_source(runner, song, rate):
    """Extract keeps length and place exactly: stem + residual is the source."""
    path = song("WAV", "PCM_16", rate=rate)
    result, folder = runner.run(
        "extract", source=str(path), start=1_001, end=50_002, track="BV", returns=["stem", "residual"],
        format="wav32f", steps=1,
    )  # fmt: skip
    sounds = {file.role: soundfile.read(folder / file.name, dtype="float64")[0] for file in result.files}
    source = soundfile.read(path, dtype="float64")[0][1_001:50_002]
    assert [(file.start, file.length, file.track) for file in result.files] == [(1_001, 49_001, "backing_vocals")] * 2
    assert np.abs(sounds["stem"] + sounds["residual"] - source).max() < 1e-6


@pytest.mark.parametrize(("start", "end"), [(120_000, 400_001), (-200_003, 5_000), (-10, 140_000)])
def test_extending_keeps_the_file_and_grows_by_the_region(runner, song, start, end):
    """Past the end and before the start: the whole file is as long as both together, the old samples in their place."""
    path = song("FLAC", "PCM_24")
    frames = sniff(path).frames
    result, folder = runner.run("extend", source=str(path), start=start, end=end, returns=["whole", "patch"], steps=1)
    whole, patch = result.files
    layout = sniff(folder / whole.name)
    assert whole.start == min(0, start)
    assert layout.frames == whole.length == max(frames, end) - min(0, start)
    before, after = (
        read_native(path, sniff(path), 0, frames),
        read_native(folder / whole.name, layout, 0, layout.frames),
    )
    shift = max(0, -start)
    assert np.array_equal(before[:, : max(patch.start, 0)], after[:, shift : shift + max(patch.start, 0)])
    kept = patch.start + patch.length
    assert np.array_equal(
        before[:, kept:], after[:, shift + kept : shift + frames] if kept < frames else before[:, kept:]
    )


def test_a_new_rate_and_channels_for_parts(runner, song):
    """A part made from a source can have another rate and mono."""
    path = song(rate=44_100)
    result, folder = runner.run("cover", source=str(path), start=0, end=44_100, rate=48_000, channels=1, steps=1)
    info = soundfile.info(folder / result.files[0].name)
    assert (info.samplerate, info.channels, info.frames) == (48_000, 1, 48_000)


def test_fractional_tempo_is_conformed(runner):
    """121.5 bpm is rendered at 122 and played slower by the rest; the result says by how many cents."""
    result, folder = runner.run("generate", length=100_000, bpm=121.5, steps=1)
    assert any("cents" in note for note in result.notes)
    assert soundfile.info(folder / result.files[0].name).frames == 100_000
