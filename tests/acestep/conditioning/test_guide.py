"""Guides: exact lengths, locked to the tempo map, understood from text, chords and MIDI, refused with one clear error."""

from __future__ import annotations

import itertools
import subprocess
import sys

import mido
import numpy as np
import pytest

from acestep.api.errors import BadRequest
from acestep.api.metre import parse_metre
from acestep.api.tempo_map import TempoMap, TempoPoint
from acestep.conditioning.chords import parse_chord, parse_chord_line
from acestep.conditioning.guide_audio import render_guide, rhythm_of
from acestep.conditioning.guide_text import RHYTHMS, Guide, parse_guide
from acestep.conditioning.midi_file import ClipNote

RATE = 48000


def _onsets(sound: np.ndarray, floor: float = 1e-3) -> list[int]:
    """First loud samples after at least 100 ms of quiet."""
    loud = np.flatnonzero(np.abs(sound[0]) > floor)
    return [int(loud[0]), *(int(b) for a, b in itertools.pairwise(loud) if b - a > RATE // 10)]


@pytest.mark.parametrize("length", [1, 1919, 48000, 123_457])
def test_length_is_exact(length):
    """Exactly the asked samples, stereo float32, for a guide that is longer or shorter."""
    for text in ("beat", "Am F C G"):
        sound = render_guide(parse_guide(text), TempoMap.steady(97.5), length)
        assert sound.shape == (2, length) and sound.dtype == np.float32


def test_clicks_fall_on_the_tempo_maps_samples():
    """A quarter-note clip at 60 bpm that doubles at sample 96 000: clicks at 0, 1, 2, 2.5, 3 ... s."""
    tempo = TempoMap.of([TempoPoint(sample=0, bpm=60.0), TempoPoint(sample=96_000, bpm=120.0)], RATE)
    clip = Guide(rhythm="", notes=(ClipNote(0.0, 0.0, 36, 1.0, drum=True),), clip_quarters=1.0)
    found = _onsets(render_guide(clip, tempo, 4 * RATE))
    expected = [0, 48_000, 96_000, 120_000, 144_000, 168_000]
    assert len(found) == len(expected)
    assert all(abs(a - b) <= 60 for a, b in zip(found, expected, strict=True))


def test_the_downbeat_moves_the_whole_guide():
    """A bar line at sample 5000 shifts everything by exactly 5000 samples; bars before it are filled as well."""
    plain = render_guide(parse_guide("beat"), TempoMap.steady(120), 4 * RATE)
    moved = render_guide(parse_guide("beat"), TempoMap.steady(120, downbeat=5000), 4 * RATE)
    assert np.allclose(moved[:, 5000 + RATE :], plain[:, RATE:-5000], atol=1e-6)
    assert np.abs(moved[:, :5000]).max() > 0


@pytest.mark.parametrize(
    ("symbol", "bass", "tones"),
    [("Am", 9, (9, 0, 4)), ("F", 5, (5, 9, 0)), ("C#m7", 1, (1, 4, 8, 11)), ("Bb", 10, (10, 2, 5)), ("G/B", 11, (7, 11, 2)),
     ("Dsus4", 2, (2, 7, 9)), ("E♭maj7", 3, (3, 7, 10, 2)), ("N.C.", 0, ())],
)  # fmt: skip
def test_chord_symbols(symbol, bass, tones):
    """Pitch classes of common symbols, slash basses and rests."""
    chord = parse_chord(symbol)
    assert (chord.bass, chord.tones) == (bass, tones)


def test_chord_line_forms():
    """Spaces make bars, bars share their time equally, % repeats."""
    assert [len(bar) for bar in parse_chord_line("Am F C G")] == [1, 1, 1, 1]
    bars = parse_chord_line("Am F | C | %")
    assert [chord.share for chord in bars[0]] == [0.5, 0.5] and bars[1] == bars[2]


@pytest.mark.parametrize("line", ["Am Q C", "hello", "", "Am | | C", "Cmajor7b", "disco: Am", "A" * 3000])
def test_unparsable_text_is_one_clear_error(line):
    """`bad_request` on the field `guide`, whatever the text."""
    with pytest.raises(BadRequest) as caught:
        parse_guide(line)
    assert caught.value.field == "guide" and caught.value.code == "bad_request"


def test_the_chords_sound_in_their_bars():
    """In every bar of `Am F` the loudest pitch classes are the chord's own."""
    sound = render_guide(Guide(rhythm="", bars=parse_chord_line("Am F")), TempoMap.steady(120), 4 * RATE)[0]
    for start, tones in ((0, {9, 0, 4}), (2 * RATE, {5, 9, 0})):
        spectrum = np.abs(np.fft.rfft(sound[start : start + 2 * RATE] * np.hanning(2 * RATE)))
        hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
        middle = (hertz > 230) & (hertz < 480)
        classes = np.round(69 + 12 * np.log2(hertz[middle] / 440)).astype(int) % 12
        energy = np.bincount(classes, spectrum[middle] ** 2, minlength=12)
        assert set(np.argsort(energy)[-3:]) == tones


@pytest.mark.parametrize(
    ("key", "roots"), [("A minor", [9, 5, 0, 7]), ("C major", [0, 7, 9, 5]), ("F# minor", [6, 2, 9, 4]), ("", [])]
)
def test_auto_is_the_beat_with_the_keys_progression(key, roots):
    """Four chords that all lie in the key; without a key the beat alone."""
    guide = parse_guide("auto", "4", key)
    assert guide.rhythm == "beat" and [bar[0].bass for bar in guide.bars] == roots
    tonic = roots[0] if roots else 0
    steps = (0, 2, 3, 5, 7, 8, 10) if "minor" in key else (0, 2, 4, 5, 7, 9, 11)
    assert all((tone - tonic) % 12 in steps for bar in guide.bars for tone in bar[0].tones)


def test_every_rhythm_fills_its_bar():
    """Patterns have as many sixteenths as the metre's bar, so no beat drifts."""
    quarters = {"2": 2, "3": 3, "4": 4, "6": 3}
    for metres in RHYTHMS.values():
        for metre, sounds in metres.items():
            assert all(len(pattern) == 4 * quarters[metre] for pattern in sounds.values())


@pytest.mark.parametrize("metre", ["12/8", "9/8", "5/8", "7/8", "5/4", "6/4", "3/8", "2/2", "3/16", "1/4"])
def test_any_metre_has_a_beat_of_its_own_length(metre):
    """Where a style has no pattern, kick and snare take turns on the groups, and the kick is on one."""
    bar = parse_metre(metre)
    rows = rhythm_of("beat", bar).rows
    assert {len(row) for row in rows.values()} == {round(bar.bar * 4)}
    assert rows["kick"][0] == "x"


def _loudest_bass(sound: np.ndarray, start: float, end: float) -> int:
    """Pitch class of the strongest tone below 130 Hz between two times (s)."""
    piece = sound[0][round(start * RATE) : round(end * RATE)]
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 8 * RATE))
    hertz = np.fft.rfftfreq(8 * RATE, 1 / RATE)
    low = (hertz > 60) & (hertz < 130)
    return round(69 + 12 * np.log2(hertz[low][spectrum[low].argmax()] / 440)) % 12


def test_chords_begin_with_their_first_bar_and_follow_metre_and_map():
    """From bar 1 of the song, or from a region's first bar; across a change to 6/8 at 60 each chord lasts its own bar."""
    guide = Guide(rhythm="", bars=parse_chord_line("C G A"))
    plain = TempoMap.steady(120)
    for origin, roots in ((1, [0, 7, 9, 0]), (3, [7, 9, 0, 7])):
        sound = render_guide(guide, plain, 8 * RATE, origin)
        assert [_loudest_bass(sound, 2 * bar, 2 * bar + 2) for bar in range(4)] == roots
    points = [TempoPoint(sample=0, bpm=120.0), TempoPoint(sample=2 * RATE, bpm=60.0, metre="6/8")]
    sound = render_guide(guide, TempoMap.of(points, RATE), 8 * RATE)
    assert [_loudest_bass(sound, *times) for times in ((0, 2), (2, 5), (5, 8))] == [0, 7, 9]


def test_midi_clip_is_read_and_repeats(tmp_path):
    """A one-bar clip at another tempo follows the job's tempo map and repeats every bar."""
    file = mido.MidiFile(ticks_per_beat=96)
    file.tracks.append(mido.MidiTrack([
        mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(77)),
        mido.Message("note_on", note=60, velocity=100), mido.Message("note_off", note=60, time=96)]))  # fmt: skip
    file.save(tmp_path / "clip.mid")
    guide = parse_guide(str(tmp_path / "clip.mid"))
    assert guide.clip_quarters == 4.0
    found = _onsets(render_guide(guide, TempoMap.steady(120), 6 * RATE))
    assert [round(place / (2 * RATE)) for place in found] == [0, 1, 2]


@pytest.mark.parametrize(
    "content", [b"", b"RIFFxxxx", b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x60MTrk\x00\x00\x10\x00"]
)
def test_a_broken_midi_file_is_one_clear_error(tmp_path, content):
    """Empty, another format, cut short; and a file that is not there."""
    (tmp_path / "x.mid").write_bytes(content)
    for name in ("x.mid", "none.mid"):
        with pytest.raises(BadRequest) as caught:
            parse_guide(str(tmp_path / name))
        assert caught.value.field == "guide"


def test_the_guide_needs_no_torch():
    """The daemon may check a guide at the door."""
    code = "import sys, acestep.conditioning.guide_audio; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_pulse_has_no_drums():
    """Chords of the key are struck on every beat, in any metre, and nothing in them is noise."""
    guide = parse_guide("pulse", "4", "A minor")
    assert guide.rhythm == "pulse" and len(guide.bars) == 4 and parse_guide("pulse").bars
    sound = render_guide(guide, TempoMap.steady(100), 5 * RATE)
    hits = np.abs(np.diff(np.convolve(np.abs(sound[0]), np.ones(960) / 960, "same")))
    beats = [round(beat * 0.6 * RATE) for beat in range(1, 8)]
    assert all(hits[beat - 960 : beat + 1920].max() > 3 * np.median(hits) for beat in beats)
    spectrum = np.abs(np.fft.rfft(sound[0])) ** 2
    assert spectrum[round(len(spectrum) * 6000 / 24_000) :].sum() < 1e-4 * spectrum.sum()


@pytest.mark.parametrize("metre", ["2", "3", "4", "6", "5/4", "7/8", "9/8", "12/8"])
def test_every_metre_has_a_pulse(metre):
    """Where the beat has a kick or a snare the pulse strikes its chord, and no drum sounds."""
    rows = rhythm_of("pulse", parse_metre(metre)).rows
    beat = rhythm_of("beat", parse_metre(metre)).rows
    assert set(rows) == {"chord"} and rows["chord"][0] == "x" and len(rows["chord"]) == len(beat["kick"])


def test_chords_can_be_given_to_a_pulse():
    """`pulse: Am F` strikes them without drums."""
    guide = parse_guide("pulse: Am F")
    assert guide.rhythm == "pulse" and [bar[0].bass for bar in guide.bars] == [9, 5]
