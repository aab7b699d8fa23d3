"""A song as a Standard MIDI File: one track per part, tempo, metre and key in the first."""

from __future__ import annotations

from pathlib import Path

import mido

from acestep.training.songs.score import Part, Song

TICKS = 480
DRUM_CHANNEL = 9
_METRES = {"4": (4, 4), "3": (3, 4), "6": (6, 8)}
_KEYS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR_KEYS = ("Cm", "C#m", "Dm", "Ebm", "Em", "Fm", "F#m", "Gm", "G#m", "Am", "Bbm", "Bm")


def to_midi(song: Song) -> mido.MidiFile:
    """Type-1 file; every part on its own channel, drums and percussion on channel 10."""
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    numerator, denominator = _METRES[song.metre]
    file.tracks.append(mido.MidiTrack([
        mido.MetaMessage("track_name", name=f"{song.style} {song.seed}"),
        mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(song.bpm)),
        mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator),
        mido.MetaMessage("key_signature", key=(_MINOR_KEYS if song.minor else _KEYS)[song.tonic]),
        mido.MetaMessage("end_of_track"),
    ]))  # fmt: skip
    channels = iter(channel for channel in range(16) if channel != DRUM_CHANNEL)
    for part in song.parts:
        file.tracks.append(_to_track(part, DRUM_CHANNEL if part.unpitched else next(channels)))
    return file


def write_midi(song: Song, path: Path) -> None:
    to_midi(song).save(path)


def _to_track(part: Part, channel: int) -> mido.MidiTrack:
    events: list[tuple[int, int, mido.Message]] = []
    for note in part.notes:
        start = round(note.start * TICKS)
        end = max(start + 1, round((note.start + (note.length or 0.25)) * TICKS))
        events.append((start, 1, mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)))
        events.append((end, 0, mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)))
    events.sort(key=lambda event: event[:2])  # a note ends before its repetition begins
    track = mido.MidiTrack(
        [
            mido.MetaMessage("track_name", name=part.track),
            mido.Message("program_change", channel=channel, program=part.program),
        ]
    )
    now = 0
    for tick, _, message in events:
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track"))
    return track
