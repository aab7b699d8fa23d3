"""A guide runs on the song's own time: the one that is given, else the one that is heard, and what was assumed is told."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.conditioning.guide_audio import render_guide
from acestep.engine import conditions

RATE = 44_100
BPM = 120.0


@pytest.fixture
def guides(monkeypatch) -> list[tuple]:
    """Every guide that is rendered, as its tempo map, its first bar and its sound."""
    made = []

    def spy(guide, tempo, length, origin):
        sound = render_guide(guide, tempo, length, origin)
        made.append((tempo, origin, sound))
        return sound

    monkeypatch.setattr(conditions, "render_guide", spy)
    return made


@pytest.fixture(scope="module")
def pick_up(tmp_path_factory):
    """24 s of kick, snare and a chord a bar at 120 bpm, whose first bar begins at 0.3 s."""
    rng = np.random.default_rng(4)
    line = np.zeros(24 * RATE)
    time = np.arange(RATE // 5) / RATE
    kick = np.sin(2 * np.pi * 55 * time) * np.exp(-20 * time)
    snare = rng.standard_normal(len(time)) * 0.4 * np.exp(-30 * time)
    held = np.arange(2 * RATE - 500) / RATE
    for beat in range(46):
        start = round((0.3 + beat * 0.5) * RATE)
        hit = snare if beat % 2 else kick
        line[start : start + len(hit)] += hit
        if beat % 4 == 0:
            root = (220.0, 174.6, 261.6, 196.0)[beat // 4 % 4]
            chord = sum(np.sin(2 * np.pi * root * ratio * held) for ratio in (1, 1.25, 1.5)) * 0.05
            line[start : start + len(chord)] += chord[: len(line) - start]
    path = tmp_path_factory.mktemp("song") / "pick-up.wav"
    soundfile.write(path, np.stack([line, line], 1) * 0.5, RATE, subtype="PCM_24")
    return path


def repaint(runner, source, **wish):
    return runner.run("repaint", source=str(source), steps=1, seed=1, **wish)[0]


def _first_bars(tempo) -> list[float]:
    """Seconds of the guide's own bar lines, on the timeline of its window."""
    return [tempo.bar_sample(bar) / tempo.rate for bar in range(1, 4)]


def test_a_guide_follows_the_beat_that_is_heard(runner, pick_up, guides):
    """A song with a pick-up of 0.3 s is repainted on its own beat. The recipe holds what was heard, and runs without listening."""
    result = repaint(runner, pick_up, start="0:12", end="0:16", guide="beat", bpm=BPM)
    window = 12 - 10  # the region and ten seconds a side
    (tempo, _, sound) = guides[0]
    assert [place + window for place in _first_bars(tempo)] == pytest.approx([0.3, 2.3, 4.3], abs=0.02)
    loud = np.flatnonzero(np.abs(sound[0]) > 0.02)[0] / 48_000 + window
    assert (loud - 0.3 + 0.125) % 0.25 - 0.125 == pytest.approx(0.0, abs=0.02)
    assert any("bar 1 was heard at 0." in note for note in result.notes)
    kept = result.recipe["request"]["conditioning"]
    assert kept["bar_offset"] == pytest.approx(0.3 * RATE, abs=0.02 * RATE)
    again, _ = runner.run_recipe(result.recipe["request"])
    assert again.files[0].sha256 == result.files[0].sha256
    assert not any("was heard" in note for note in again.notes)


def test_what_is_said_is_followed_to_the_sample(runner, pick_up, guides):
    """An offset or a map is never doubted."""
    points = [{"sample": 4410, "bpm": BPM, "bar": 1}, {"sample": 4410 + 2 * RATE, "bpm": 60.0, "metre": "3/4"}]
    for wish in ({"bar_offset": 4410, "bpm": BPM}, {"bar_offset": "100ms", "bpm": BPM}, {"tempo_map": points}):
        result = repaint(runner, pick_up, start="0:04", end="0:07", guide="beat", **wish)
        tempo, _, _ = guides.pop()
        end = 4.1 if "bpm" in wish else 5.1
        assert _first_bars(tempo) == pytest.approx([0.1, 2.1, end])
        assert not any("heard" in note for note in result.notes)


def test_without_a_tempo_the_tempo_is_heard_too(runner, pick_up, guides):
    result = repaint(runner, pick_up, start="0:12", end="0:16", guide="beat")
    assert guides[0][0].bpm(0, 48_000) == pytest.approx(BPM, rel=0.002)
    assert any("bpm were heard around the region" in note for note in result.notes)
    assert result.recipe["request"]["conditioning"]["bpm"] == pytest.approx(BPM, rel=0.002)


def test_without_a_beat_the_assumption_is_told(runner, song, guides):
    """Noise has none: bar 1 begins with the file, at the tempo that was given."""
    result = repaint(runner, song(seconds=14.0), start="0:05", end="0:08", guide="beat", bpm=100.0)
    assert _first_bars(guides[0][0])[0] == 0.0
    assert any("no beat could be heard" in note for note in result.notes)


def test_a_job_without_a_guide_does_not_listen(runner, pick_up, monkeypatch):
    monkeypatch.setattr("acestep.engine.tempo.BeatFinder", None)
    repaint(runner, pick_up, start="0:12", end="0:16", bpm=BPM)


def test_chords_begin_with_the_song_or_with_the_region(runner, pick_up, guides):
    """Bars 3 and 4 get the third and fourth chord, and are told so; with guide_from region the first two."""
    wish = {"start": "bar3", "end": "bar5", "bpm": BPM, "bar_offset": "300ms", "guide": "C G A F"}
    result = repaint(runner, pick_up, **wish)
    assert guides[0][1] == 1
    assert any("from bar 3 on, begins with bar 3 of the line" in note for note in result.notes)
    result = repaint(runner, pick_up, **wish, guide_from="region")
    assert guides[1][1] == 3
    assert not any("chord line" in note for note in result.notes)


def test_a_tempo_in_fractions_is_noted_only_where_it_makes_a_difference(runner, pick_up):
    """A guide gives the exact tempo, and so does rounding in a host; words alone do not."""
    part = {"length": 30_000, "rate": 48_000, "seed": 3, "steps": 1}
    noted = lambda **wish: [note for note in runner.run("generate", **part, **wish)[0].notes if "97" in note]  # noqa: E731
    assert noted(bpm=96.5)
    assert not noted(bpm=96.5, guide="beat")
    assert not noted(bpm=97.00000001)
    assert not [note for note in repaint(runner, pick_up, start="0:12", end="0:13", bpm=96.5).notes if "97" in note]


def test_a_pulse_without_a_key_is_told(runner, guides):
    """A part without drums and without a key gets one, which the recipe holds and the result tells."""
    result, _ = runner.run("generate", duration=10.0, bpm=120.0, guide="pulse", steps=1, seed=1)
    assert "no key is given; the guide plays in C major" in result.notes
    assert result.recipe["request"]["conditioning"]["key"] == "C major"


def test_a_pulse_over_music_plays_in_its_key(runner, guides, pick_up):
    """The key that is heard around the region: A minor or the major that shares its notes."""
    result = repaint(runner, pick_up, start=8 * RATE, end=12 * RATE, bpm=BPM, guide="pulse")
    key = result.recipe["request"]["conditioning"]["key"]
    assert any(note.startswith(f"no key is given; {key} was heard around the region") for note in result.notes)
