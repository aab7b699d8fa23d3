"""What is heard in a sound is what was played: tempo, bar lines, key and level of songs that are known to the sample."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from acestep.analysis.beat import BeatFinder, pulse
from acestep.analysis.harmony import find_keys, key_class
from acestep.analysis.level import FLOOR, find_level
from acestep.analysis.listen import listen
from acestep.api.metre import parse_metre
from acestep.training.songs import compose, song_seed
from acestep.training.songs.bank import RATE
from acestep.training.songs.score import Song
from acestep.training.songs.stem_render import render_mix, render_stems

LOOP = Path(__file__).resolve().parents[3] / "examples" / "loop"
SONGS = 20


class PluckBank:
    """A kit of noise and falling sines, and plucked tones of three partials, so that no test needs a sound font."""

    def note(self, track: str, program: int, pitch: int, layer: str) -> np.ndarray:
        return _note(track in ("drums", "percussion"), pitch)


@functools.cache
def _note(drum: bool, pitch: int) -> np.ndarray:
    time = np.arange(RATE // 2) / RATE
    noise = np.random.default_rng(pitch).standard_normal(len(time))
    if drum:
        if pitch in (35, 36):
            wave = np.sin(2 * np.pi * (50 * time + 4 * (1 - np.exp(-30 * time)))) * np.exp(-15 * time)
        elif pitch in (37, 38, 39, 40):
            wave = (0.5 * noise + np.sin(2 * np.pi * 190 * time)) * np.exp(-25 * time) * 0.5
        else:
            wave = np.diff(noise, prepend=0.0) * np.exp(-60 * time) * 0.2
    else:
        hertz = 440.0 * 2.0 ** ((pitch - 69) / 12.0)
        wave = sum(np.sin(2 * np.pi * hertz * k * time) / k**1.5 for k in (1, 2, 3)) * np.exp(-4 * time) * 0.3
    return (0.5 * wave).astype(np.float16)


@pytest.fixture(scope="module")
def songs() -> list[tuple[Song, float, BeatFinder]]:
    """Songs of every style and metre, each behind a pick-up or silence of its own length in seconds."""
    found = []
    for index in range(SONGS):
        song = compose(song_seed("test", index), 16)
        mix = render_mix(render_stems(song, PluckBank(), 16 * RATE))
        offset = round(0.07 * index % 0.9, 3)
        found.append((song, offset, BeatFinder(np.pad(mix, ((0, 0), (round(offset * RATE), 0))), RATE)))
    return found


def test_beats_are_found_within_20_ms_in_95_of_100(songs):
    """At the tempo that is known, the beats of the songs lie where the notes were written; so do their bar lines in most."""
    beats, bars = 0, 0
    for song, offset, finder in songs:
        metre = parse_metre(song.metre)
        found = finder.find(song.bpm, metre)
        for name, period in (("beat", pulse(metre) * 60 / song.bpm), ("bar", metre.bar * 60 / song.bpm)):
            off = abs((found.bar - offset + period / 2) % period - period / 2)
            beats += name == "beat" and off < 0.02
            bars += name == "bar" and off < 0.02
        assert found.clear and abs(found.bpm / song.bpm - 1) < 0.003
    assert beats >= 0.95 * SONGS
    assert bars >= 0.85 * SONGS


def test_an_unknown_tempo_is_found_at_one_of_its_levels(songs):
    """Half or double is the same pulse heard otherwise; three in two is what 6/8 and swing allow."""
    levels = (1 / 3, 0.5, 2 / 3, 1.0, 4 / 3, 1.5, 2.0)
    right = 0
    for song, _, finder in songs:
        found = finder.find()
        right += min(abs(found.bpm / song.bpm / level - 1) for level in levels) < 0.01
    assert right >= 0.9 * SONGS


def test_the_right_key_is_among_the_likely_ones(songs):
    """And one that shares few notes with it is not."""
    right = sum(find_keys(finder.pitches).allow(song.key) for song, _, finder in songs)
    assert right >= 0.9 * SONGS
    song, _, finder = songs[0]
    tonic, minor = key_class(song.key)
    strange = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"][(tonic + 6) % 12]
    assert not find_keys(finder.pitches).allow(f"{strange} {'minor' if minor else 'major'}")


def test_the_example_loop_is_heard_as_it_is():
    """Real instruments, at its own tempo and in its own key, beginning on a bar line."""
    facts = json.loads((LOOP / "loop.json").read_text())
    sound, rate = soundfile.read(LOOP / "mix.flac", dtype="float32", always_2d=True)
    heard = listen(sound.T, rate, float(facts["bpm"]), parse_metre(str(facts["time_signature"])))
    bar = parse_metre(str(facts["time_signature"])).bar * 60 / facts["bpm"]
    assert heard.beat.bpm == pytest.approx(facts["bpm"], rel=0.003)
    assert min(heard.beat.bar, bar - heard.beat.bar) < 0.02
    assert heard.keys.allow(facts["key"])


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 96_000])
def test_clicks_are_found_at_every_rate(rate):
    """A click track at a fractional tempo, to 5 ms, mono or stereo."""
    line = np.zeros(12 * rate)
    for beat in range(20):
        place = round((0.21 + beat * 60 / 97.3) * rate)
        line[place : place + rate // 100] = np.hanning(rate // 100)
    for sound in (line, np.stack([line, line])):
        found = BeatFinder(sound, rate).find(97.0)
        assert found.bpm == pytest.approx(97.3, rel=0.001)
        period = 60 / 97.3
        assert abs((found.bar - 0.21 + period / 2) % period - period / 2) < 0.008


def test_noise_and_silence_have_no_beat_and_no_key():
    noise = np.random.default_rng(1).standard_normal(12 * RATE) * 0.1
    assert not BeatFinder(noise, RATE).find(120.0).clear
    for silence in (np.zeros(12 * RATE), np.zeros((2, 12 * RATE)), np.zeros(10)):
        finder = BeatFinder(silence, RATE)
        assert finder.find() is None and find_keys(finder.pitches) is None


def test_levels_are_those_of_the_standard():
    """A sine of 997 Hz at -23 dBFS in both channels is -23 LUFS; a quiet half is gated away; silence has a floor."""
    time = np.arange(20 * RATE) / RATE
    sine = np.stack([np.sin(2 * np.pi * 997 * time)] * 2) * 10 ** (-23 / 20)
    level = find_level(sine, RATE)
    assert level.loudness == pytest.approx(-23.0, abs=0.1)
    assert level.peak == pytest.approx(-23.0, abs=0.01) and level.rms == pytest.approx(-26.0, abs=0.05)
    assert find_level(np.concatenate([sine, sine * 0.001], 1), RATE).loudness == pytest.approx(-23.0, abs=0.2)
    assert find_level(np.zeros((2, RATE)), RATE).loudness == FLOOR and find_level(np.zeros(10), RATE).silent
    assert find_level(np.zeros((2, 0)), RATE).silent


def test_listening_needs_no_torch():
    code = "import sys, acestep.analysis.listen; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
