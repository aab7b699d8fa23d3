"""Measures: each is checked on sounds whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acestep.api.metre import parse_metre
from acestep.api.tempo_map import TempoMap
from acestep.conditioning.chords import parse_chord_line
from acestep.conditioning.guide_audio import render_guide
from acestep.conditioning.guide_text import Guide
from acestep.training.evaluation import measures
from acestep.training.evaluation.report import as_markdown
from acestep.training.evaluation.trained_model import shifted_times

RATE = 48000


def _guide(bpm: float, chords: str = "", rhythm: str = "beat", metre: str = "4") -> torch.Tensor:
    guide = Guide(rhythm=rhythm, metre=metre, bars=parse_chord_line(chords) if chords else ())
    return torch.from_numpy(render_guide(guide, TempoMap.steady(bpm, metre=parse_metre(metre)), 10 * RATE))


@pytest.mark.parametrize("bpm", [63, 88, 120, 141, 176])
def test_tempo_of_a_drum_pattern(bpm):
    """A plain beat is found within 2 % at some metrical level."""
    assert measures.same_tempo(measures.detect_tempo(_guide(bpm)), bpm)


def test_another_tempo_is_not_taken_for_the_same():
    """10 % off is another tempo, at every metrical level."""
    found = measures.detect_tempo(_guide(110))
    assert not measures.same_tempo(found, 100) and not measures.same_tempo(found, 121)


def test_noise_has_no_tempo():
    """White noise agrees with a tempo no more often than chance: of twenty noises, fewer than half."""
    generator = torch.Generator().manual_seed(0)
    found = [measures.detect_tempo(0.1 * torch.randn(2, 8 * RATE, generator=generator)) for _ in range(20)]
    assert sum(measures.same_tempo(tempo, 120) for tempo in found) < 10


def test_in_key_tells_the_key_from_a_distant_one():
    """Triads of C major lie in C major and largely outside F# major."""
    sound = _guide(120, "C F G C", rhythm="")
    scale = [0, 2, 4, 5, 7, 9, 11]
    assert measures.in_key(sound, tuple(scale)) > 0.9
    assert measures.in_key(sound, tuple((step + 6) % 12 for step in scale)) < 0.5


def test_chroma_correlation_is_one_with_itself_and_low_with_other_chords():
    """Perfect agreement with itself; A minor against E flat minor has next to none."""
    first, other = _guide(120, "Am", rhythm=""), _guide(120, "Ebm", rhythm="")
    assert measures.chroma_correlation(first, first) == pytest.approx(1.0, abs=1e-4)
    assert measures.chroma_correlation(first, other) < 0.3


def test_mel_error_is_zero_only_for_the_same_sound():
    """Zero against itself; 6 dB more level is at most 6.02 dB of error."""
    sound = _guide(120, "Am F")
    assert measures.mel_error(sound, sound) == 0
    assert 0 < measures.mel_error(2 * sound, sound) <= 6.03


def test_drums_are_hardly_notes():
    """A beat beside a chord adds less than a tenth to what is held outside the chord."""
    chord, both = _guide(120, "C", rhythm=""), _guide(120, "C")
    assert measures.in_key(both, (0, 4, 7)) > measures.in_key(chord, (0, 4, 7)) - 0.1


def test_a_partial_is_no_note():
    """A tone with faint partials is one pitch class, though its third and fifth partial are E and C sharp."""
    time = torch.arange(2 * RATE) / RATE
    strengths = [0.2, 0.04, 0.04, 0.03, 0.03]
    tone = sum(a * torch.sin(2 * torch.pi * 220 * n * time) for n, a in enumerate(strengths, 1)).expand(2, -1)
    assert measures.in_key(tone, (9,)) == pytest.approx(1.0)


def test_a_chord_line_follows_itself_and_no_other():
    """A chord a bar: high against its own chords, below zero against those a tritone away."""
    sound = _guide(120, "C F G C", rhythm="")
    own = [(0, 4, 7), (5, 9, 0), (7, 11, 2), (0, 4, 7)]
    far = [tuple((tone + 6) % 12 for tone in chord) for chord in own]
    assert measures.follows_chords(sound, own, bar=2.0) > 0.7
    assert measures.follows_chords(sound, far, bar=2.0) < 0


def test_a_cut_shows_at_the_seam():
    """A jump from a chord to silence is a greater change than the chord makes between its onsets."""
    sound = _guide(120, "Am", rhythm="")
    cut = sound.clone()
    cut[:, 4 * RATE :] = 0
    assert measures.frame_change(cut, [4 * RATE]) > 5 * measures.frame_change(sound, [3 * RATE + RATE // 4])


def test_times_fall_from_one_to_zero():
    """Shift 3 spends more steps near the noise; both ends are exact."""
    times = shifted_times(8, 3.0)
    assert times[0] == 1 and times[-1] == 0 and (np.diff(times.numpy()) < 0).all()
    assert times[4] == pytest.approx(0.75)


def test_the_table_says_what_is_missed():
    """A figure past its bound is marked met, one short of it missed, one without a bound neither."""
    table = as_markdown({"codec": {"mel error dB": 2.4, "chroma correlation": 0.5, "count": 3, "seconds": 1.0}})
    assert "| 2.4 |  | <= 2.5 | met |" in table and "| 0.5 |  | >= 0.93 | missed |" in table
