"""A crossfade lies outside the region, or inside on request; what is beyond it is the source's own samples."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

START, END, FADE = 30_000, 60_000, 2_205
"""Samples at 44.1 kHz: a region in the middle, and 50 ms."""


def edit(runner, path, **wish):
    params = {"source": str(path), "steps": 1, "seed": 1, "start": START, "end": END, **wish}
    result, folder = runner.run("repaint", **params, returns=["whole", "patch"])
    files = {file.role: (file, soundfile.read(folder / file.name)[0]) for file in result.files}
    return files["whole"], files["patch"]


@pytest.mark.parametrize(("side", "reach"), [("outside", FADE), ("inside", 0)])
def test_beyond_the_crossfade_nothing_changes(runner, song, side, reach):
    """To the sample, on both sides; inside, the region's own edges fade, and patch and whole file agree."""
    path = song()
    source = soundfile.read(path)[0]
    (_, whole), (patch, cut) = edit(runner, path, crossfade_side=side)
    changed = np.flatnonzero((whole != source).any(1))
    assert START - reach <= changed[0] <= START - reach + 20 and END + reach - 20 <= changed[-1] < END + reach
    assert (patch.start, patch.length, patch.crossfade) == (START - reach, END - START + 2 * reach, FADE)
    assert (patch.lead_in, patch.lead_out) == (reach, reach)
    assert np.abs(np.clip(cut, -1, 1) - whole[patch.start : patch.start + patch.length]).max() <= 1 / 32768


def test_inside_the_middle_of_the_region_is_the_same_take(runner, song):
    """Only the edges differ between the two sides."""
    path = song()
    (_, outside), _ = edit(runner, path)
    (_, inside), _ = edit(runner, path, crossfade_side="inside")
    middle = slice(START + FADE, END - FADE)
    assert np.abs(outside[middle] - inside[middle]).max() <= 2 / 32768


@pytest.mark.parametrize(("start", "end"), [(30_000, 30_001), (30_000, 30_400), (0, 20_000), (100_000, 132_300)])
def test_short_regions_and_the_files_ends_fade_as_far_as_they_reach(runner, song, start, end):
    """At most half the region a side, and no fade where the file begins or ends."""
    path = song()
    source = soundfile.read(path)[0]
    (file, whole), _ = edit(runner, path, start=start, end=end, crossfade_side="inside")
    assert np.array_equal(whole[:start], source[:start]) and np.array_equal(whole[end:], source[end:])
    assert file.length == len(source)
