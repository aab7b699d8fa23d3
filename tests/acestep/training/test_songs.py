"""Songs: the same seed gives the same song, held-out songs stay held out, stems make the mix."""

from __future__ import annotations

import io
import sys
from itertools import pairwise

import mido
import numpy as np
import pytest

from acestep.api.music import METRES, TRACKS
from acestep.training.commands import main
from acestep.training.errors import SoundFontMissing, SynthesiserMissing
from acestep.training.songs import compose, song_seed
from acestep.training.songs.bank import RATE, build_bank, find_sound_font
from acestep.training.songs.midi import to_midi
from acestep.training.songs.score import Note, Part
from acestep.training.songs.seeds import SPAN
from acestep.training.songs.song_tracks import TRACKS as SOUNDS
from acestep.training.songs.stem_render import place, render_mix, render_part, render_stems

MANY = [compose(seed, 6.0) for seed in range(400)]


def test_the_same_seed_gives_the_same_song_to_the_last_bit(sine_bank):
    """Two independent compositions and renderings of one seed are equal."""
    first, second = compose(11, 4.0), compose(11, 4.0)
    assert first == second
    one, two = render_stems(first, sine_bank), render_stems(second, sine_bank)
    assert list(one) == list(two) and all(np.array_equal(one[track], two[track]) for track in one)


def test_splits_never_share_a_seed():
    """The seed ranges of training, validation and test are disjoint, and an index outside a range is refused."""
    ends = [(song_seed(split, 0), song_seed(split, SPAN - 1)) for split in ("train", "validation", "test")]
    assert all(last < first for (_, last), (first, _) in pairwise(ends))
    for index in (-1, SPAN):
        with pytest.raises(ValueError):
            song_seed("train", index)


def test_every_track_class_and_at_least_25_programs_occur():
    """All twelve classes of the model sound somewhere, with many colours."""
    parts = [part for song in MANY for part in song.parts]
    assert {part.track for part in parts} == set(TRACKS) == set(SOUNDS)
    assert len({(part.program, part.unpitched) for part in parts}) >= 25


def test_tempi_metres_and_keys_cover_what_is_asked():
    """60 to 180 bpm, three metres, all twelve tonics in both modes."""
    tempi = [song.bpm for song in MANY]
    assert min(tempi) <= 65 and max(tempi) >= 175 and all(60 <= bpm <= 180 for bpm in tempi)
    assert {song.metre for song in MANY} == {"3", "4", "6"} <= set(METRES)
    assert {(song.tonic, song.minor) for song in MANY} == {
        (tonic, minor) for tonic in range(12) for minor in (True, False)
    }


def test_every_note_lies_in_its_instruments_range():
    """The bank holds a recording for every note that can be written."""
    for song in MANY:
        for part in song.parts:
            assert all(SOUNDS[part.track].low <= note.pitch <= SOUNDS[part.track].high for note in part.notes)
            assert all(1 <= note.velocity <= 127 for note in part.notes)


def test_song_is_whole_bars_and_long_enough():
    """At least the asked seconds, at most one bar more."""
    for song in MANY[:50]:
        bar = song.quarters_per_bar * 60 / song.bpm
        assert 6.0 - 1e-6 <= song.seconds < 6.0 + bar
        assert len(song.chords) == song.bars


def test_stems_add_up_to_the_mix(sine_bank):
    """The mix is the plain sum of the stems: nothing acts on the mix alone."""
    stems = render_stems(MANY[3], sine_bank, 2 * RATE)
    assert np.array_equal(render_mix(stems), np.sum(list(stems.values()), axis=0))
    assert np.abs(render_mix(stems)).max() <= 0.93


def test_a_note_starts_on_its_sample_and_nothing_sounds_before(sine_bank):
    """Quarter 3 at 90 bpm is sample 96 000."""
    line = render_part(Part("keyboard", 0, (Note(3.0, 1.0, 69, 100),)), 90, sine_bank, 3 * RATE)
    assert not line[:96_000].any()
    assert line[96_001] != 0


def test_a_detuned_part_keeps_its_time(sine_bank):
    """Detune changes pitch only: the note still starts within one sample of its place."""
    note = (Note(3.0, 1.0, 69, 100),)
    line = render_part(Part("keyboard", 0, note, detune=-5.0), 90, sine_bank, 3 * RATE)
    assert not line[:95_998].any() and np.abs(line[96_000:96_010]).max() > 0


def test_panning_keeps_the_power(sine_bank):
    """Left and right powers of a panned line add up to the line's own."""
    line = np.ones(100, np.float32)
    for pan in (-1.0, -0.3, 0.0, 1.0):
        stereo = place(line, Part("bass", 33, (), pan=pan))
        assert np.allclose((stereo**2).sum(0), 1.0, atol=1e-6)


def test_midi_file_reads_back_with_every_note():
    """mido opens the file: tempo, and as many note-ons a track as the part has notes."""
    song = MANY[5]
    buffer = io.BytesIO()
    to_midi(song).save(file=buffer)
    buffer.seek(0)
    file = mido.MidiFile(file=buffer)
    tempo = next(message for message in file.tracks[0] if message.type == "set_tempo")
    assert round(mido.tempo2bpm(tempo.tempo)) == song.bpm
    for part, track in zip(song.parts, file.tracks[1:], strict=True):
        assert sum(message.type == "note_on" for message in track) == len(part.notes)


def test_missing_sound_font_names_the_command_that_installs_it(monkeypatch, tmp_path, capsys):
    """The error is one sentence with the package, from the library and from the command line (exit status 2)."""
    monkeypatch.setenv("ACESTEP_BRIDGE_SOUND_FONT", str(tmp_path / "none.sf2"))
    with pytest.raises(SoundFontMissing, match="apt install fluid-soundfont-gm"):
        find_sound_font()
    monkeypatch.setattr("acestep.training.songs.bank.default_bank_folder", lambda: tmp_path / "bank")
    assert main(["songs", "--out", str(tmp_path / "songs"), "--seconds", "2"]) == 2
    assert "sound_font_missing" in capsys.readouterr().err
    assert not (tmp_path / "bank" / "index.json").exists()


def test_missing_synthesiser_names_the_command_too(monkeypatch, tmp_path):
    """Without tinysoundfont nothing is written and the error says how to get it."""
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(SynthesiserMissing, match="pip install"):
        build_bank(tmp_path / "bank", tmp_path / "any.sf2")
    assert not (tmp_path / "bank").exists()
