"""Standard MIDI Files as players read them: every variant of the format in, the notes of a clip out. Pure bytes.

Formats 0, 1 and 2, bare or wrapped in RIFF, ticks a beat or SMPTE time, running status across meta events, vendor chunks, missing
note-offs. What no player could play is refused with its reason. The clip's tempo is left out: the job's own tempo rules. Facts of
the format: Standard MIDI Files 1.0 and RP-019 (RMID) of the MIDI Association.
"""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from acestep.api.errors import BadRequest

MAX_BYTES = 8 * 1024 * 1024
"""A clip of this size is not a clip; long orchestral scores take a tenth."""

MAX_NOTES = 20_000
DRUM_CHANNEL = 9
OVERHANG = 0.125
"""Quarters by which a clip may reach beyond a bar line without another bar being meant: the last note's release."""

SUSTAIN, SOUND_OFF, RESET, NOTES_OFF = 64, 120, 121, 123


@dataclass(frozen=True, slots=True)
class ClipNote:
    """A note of a clip: quarters from the clip's start, MIDI pitch, gain 0..1; drums carry no pitch."""

    start: float
    length: float
    pitch: int
    gain: float
    drum: bool = False


@dataclass(frozen=True, slots=True)
class Clip:
    """The notes, and after how many quarters they repeat: whole bars of the file's own metre, where it has one."""

    notes: tuple[ClipNote, ...]
    quarters: float
    remarks: tuple[str, ...] = ()
    """Sentences for the user: what was read otherwise than it was written."""


class MidiEvent(NamedTuple):
    """Something that happens in a track: ticks from its start, track number, status byte and what follows it."""

    tick: int
    track: int
    status: int
    data: bytes


class Header(NamedTuple):
    """Format 0 to 2, and either ticks a quarter or ticks a second."""

    form: int
    per_quarter: float
    per_second: float


@dataclass
class _Track:
    """The events of one track, its length in ticks, and whether the file ended before it did."""

    events: list[MidiEvent] = field(default_factory=list)
    end: int = 0
    cut: bool = False


def read_midi(data: bytes, name: str, *, bar: float = 4.0, bpm: float = 120.0) -> Clip:
    """The clip in a MIDI file. ``bar`` is the job's bar in quarters, for a file without a metre of its own; ``bpm`` places the
    notes of a file that counts in seconds. Raises `BadRequest` that says what is wrong with the file ``name``.
    """
    header, chunks = _open(data, name)
    tracks = [_read_track(body, number, cut=cut, name=name) for number, (body, cut) in enumerate(chunks)]
    notes = ["the MIDI file ends early; the rest of it was read"] if any(track.cut for track in tracks) else []
    scale = 1.0 / header.per_quarter if header.per_quarter else bpm / 60.0 / header.per_second
    if not header.per_quarter:
        notes.append("the MIDI file counts in seconds; its notes keep their times at any tempo")
    if header.form == 2:
        notes.append("the MIDI file contains separate patterns (format 2); they are played one after another")
        clip = _in_turn(tracks, scale, bar)
    else:
        clip = _together(tracks, scale, bar)
    if not clip.notes:
        raise BadRequest(f"{name} holds no notes", field="guide")
    if len(clip.notes) > MAX_NOTES:
        raise BadRequest(f"{name} has too many notes", field="guide", limits={"max": MAX_NOTES})
    return Clip(clip.notes, clip.quarters, tuple(notes))


def _open(data: bytes, name: str) -> tuple[Header, list[tuple[bytes, bool]]]:
    """The header and the bodies of the tracks, each with whether the file ends inside it."""
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        data = _riff_data(data, name)
    place = data.find(b"MThd", 0, 4096)  # behind what an old Macintosh or a download put before it
    if place < 0 or len(data) < place + 14:
        raise BadRequest(f"{name} is not a MIDI file" if data else f"{name} is empty", field="guide")
    size, form, _, division = struct.unpack(">IHHH", data[place + 4 : place + 14])
    if form > 2:
        raise BadRequest(f"{name} is a MIDI file of format {form}; only 0, 1 and 2 exist", field="guide")
    header = Header(form, *_division(division, name))
    tracks = []
    place += 8 + max(size, 6)
    while place + 8 <= len(data):
        kind, size = struct.unpack(">4sI", data[place : place + 8])
        body = data[place + 8 : place + 8 + size]
        if kind == b"MTrk":
            tracks.append((body, len(body) < size))
        place += 8 + size
    if not tracks:
        raise BadRequest(f"{name} holds no tracks", field="guide")
    return header, tracks


def _riff_data(data: bytes, name: str) -> bytes:
    place = 12
    while place + 8 <= len(data):
        kind, size = struct.unpack("<4sI", data[place : place + 8])
        if kind == b"data":
            return data[place + 8 : place + 8 + size]
        place += 8 + size + (size & 1)
    raise BadRequest(f"{name} holds no MIDI data", field="guide")


def _division(division: int, name: str) -> tuple[float, float]:
    """Ticks a quarter and ticks a second, one of them 0."""
    if not division & 0x8000:
        if division == 0:
            raise BadRequest(f"{name} says 0 ticks a beat, so none of its notes has a place", field="guide")
        return float(division), 0.0
    frames, ticks = 256 - (division >> 8), division & 0xFF
    if frames not in (24, 25, 29, 30) or ticks == 0:
        raise BadRequest(f"{name} counts {frames} frames a second with {ticks} ticks; no player can", field="guide")
    return 0.0, (30_000 / 1001 if frames == 29 else float(frames)) * ticks


class _Cut(Exception):
    """The bytes of a track ended inside an event."""


class _Bytes:
    """A cursor over the bytes of a track."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    @property
    def more(self) -> bool:
        return self.place < len(self.data)

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        found = self.data[self.place : self.place + count]
        if len(found) < count:
            raise _Cut
        self.place += count
        return found

    def number(self, where: str) -> int:
        """A quantity of variable length: seven bits a byte, at most four bytes."""
        value = 0
        for _ in range(4):
            byte = self.byte()
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                return value
        raise BadRequest(f"{where} is damaged at byte {self.place}: a number has more than four bytes", field="guide")


def _read_track(body: bytes, number: int, *, cut: bool, name: str) -> _Track:
    """The events of a track up to its end mark, or as far as the bytes reach."""
    track, source, where = _Track(cut=cut), _Bytes(body), f"track {number + 1} of {name}"
    tick, running = 0, 0
    try:
        while source.more:
            tick += source.number(where)
            track.end = tick
            status = source.byte()
            if status < 0x80:
                if not running:
                    raise BadRequest(f"{where} is damaged at byte {source.place}: data without a status", field="guide")
                source.place -= 1
                status = running
            elif status < 0xF0:
                running = status
            if status == 0xFF:
                kind = source.byte()
                data = bytes([kind]) + source.take(source.number(where))
                if kind == 0x2F:
                    track.cut = False
                    break
            elif status in (0xF0, 0xF7):
                data = source.take(source.number(where))
            else:
                data = source.take(_length(status))
            track.events.append(MidiEvent(tick, number, status, data))
    except _Cut:
        track.cut = True
    return track


def _length(status: int) -> int:
    """Data bytes of a channel message, or of a system message that strayed into a file."""
    if status >= 0xF0:
        return {0xF1: 1, 0xF2: 2, 0xF3: 1}.get(status, 0)
    return 1 if status & 0xE0 == 0xC0 else 2


def _together(tracks: list[_Track], scale: float, bar: float) -> Clip:
    """Formats 0 and 1: all tracks at once."""
    end = max(track.end for track in tracks)
    events = sorted((event for track in tracks for event in track.events), key=lambda event: event.tick)
    notes = tuple(sorted(_scaled(_notes(events, end), scale), key=lambda note: (note.start, note.pitch)))
    onset = max((note.start for note in notes), default=0.0)
    return Clip(notes, _whole_bars(end * scale, onset, list(_metres(events, scale, bar))))


def _in_turn(tracks: list[_Track], scale: float, bar: float) -> Clip:
    """Format 2: each track is a pattern; one follows the other, each in whole bars."""
    notes: list[ClipNote] = []
    start = 0.0
    for track in tracks:
        clip = _together([track], scale, bar)
        notes += [ClipNote(start + n.start, n.length, n.pitch, n.gain, n.drum) for n in clip.notes]
        start += clip.quarters if clip.notes or track.end else 0.0
    return Clip(tuple(notes), start)


class _Sounding(NamedTuple):
    start: int
    velocity: int
    number: int
    """Of the note in the order of their beginnings."""


class _Voices:
    """Which notes sound: note-offs end the oldest of their voice, a held pedal keeps what was let go."""

    def __init__(self) -> None:
        self.done: list[tuple[int, int, int, int, int]] = []
        """Start, end, pitch, velocity and channel."""
        self._held: dict[tuple[int, int, int], list[_Sounding]] = defaultdict(list)
        self._let_go: dict[int, list[tuple[int, _Sounding]]] = defaultdict(list)
        self._pedal: set[int] = set()
        self._starts: dict[tuple[int, int, int], list[int]] = defaultdict(list)

    def begin(self, voice: tuple[int, int, int], tick: int, velocity: int) -> None:
        """A note-on of a voice (track, channel, pitch)."""
        for pitch, sounding in [entry for entry in self._let_go[voice[1]] if entry[0] == voice[2]]:
            self._let_go[voice[1]].remove((pitch, sounding))  # struck again under the pedal
            self._end(voice, sounding, tick)
        starts = self._starts[voice]
        starts.append(tick)
        self._held[voice].append(_Sounding(tick, velocity, len(starts) - 1))

    def release(self, voice: tuple[int, int, int], tick: int) -> None:
        """A note-off; without a note it is for nothing."""
        if self._held[voice]:
            sounding = self._held[voice].pop(0)
            if voice[1] in self._pedal:
                self._let_go[voice[1]].append((voice[2], sounding))
            else:
                self._end(voice, sounding, tick)

    def pedal(self, channel: int, tick: int, *, down: bool) -> None:
        """The sustain pedal of a channel."""
        if down:
            self._pedal.add(channel)
            return
        self._pedal.discard(channel)
        for pitch, sounding in self._let_go.pop(channel, []):
            self._end((0, channel, pitch), sounding, tick)

    def silence(self, channel: int, tick: int) -> None:
        """All notes of a channel end."""
        for voice in [voice for voice in self._held if voice[1] == channel]:
            for sounding in self._held.pop(voice):
                self._end(voice, sounding, tick)
        self.pedal(channel, tick, down=False)

    def finish(self, tick: int) -> None:
        """What was never let go ends where its voice is struck again, else with the clip."""
        for voice, left in list(self._held.items()):
            starts = self._starts[voice]
            for sounding in left:
                later = [start for start in starts[sounding.number + 1 :] if start > sounding.start]
                self._end(voice, sounding, later[0] if later else tick)
        for channel in list(self._let_go):
            self.pedal(channel, tick, down=False)

    def _end(self, voice: tuple[int, int, int], sounding: _Sounding, tick: int) -> None:
        self.done.append((sounding.start, tick, voice[2], sounding.velocity, voice[1]))


def _notes(events: Iterable[MidiEvent], end: int) -> list[tuple[int, int, int, int, int]]:
    voices = _Voices()
    for event in events:
        kind, channel = event.status & 0xF0, event.status & 0x0F
        if kind in (0x80, 0x90):
            pitch, velocity = event.data[0] & 0x7F, min(event.data[1], 127)
            voice = (event.track, channel, pitch)
            if kind == 0x90 and velocity:
                voices.begin(voice, event.tick, velocity)
            else:
                voices.release(voice, event.tick)
        elif kind == 0xB0 and event.data[0] in (SUSTAIN, RESET):
            voices.pedal(channel, event.tick, down=event.data[0] == SUSTAIN and event.data[1] >= 64)
        elif kind == 0xB0 and event.data[0] in (SOUND_OFF, NOTES_OFF):
            voices.silence(channel, event.tick)
    voices.finish(end)
    return voices.done


def _scaled(notes: Iterable[tuple[int, int, int, int, int]], scale: float) -> Iterator[ClipNote]:
    for start, end, pitch, velocity, channel in notes:
        yield ClipNote(start * scale, (end - start) * scale, pitch, velocity / 127.0, channel == DRUM_CHANNEL)


def _metres(events: Iterable[MidiEvent], scale: float, bar: float) -> Iterator[tuple[float, float]]:
    """Where a metre begins and its bar, in quarters; the job's bar until the file says another."""
    yield 0.0, bar
    for event in events:
        if event.status == 0xFF and event.data[0] == 0x58 and len(event.data) >= 3:
            beats, unit = event.data[1], event.data[2]
            if beats and unit <= 6:
                yield event.tick * scale, beats * 4.0 / 2**unit


def _whole_bars(end: float, onset: float, metres: list[tuple[float, float]]) -> float:
    """The first bar line at or after the end, in the metre that holds there; at least one bar, and behind the last onset."""
    start, bar = 0.0, metres[0][1]
    for place, following in metres:
        if place > max(end, onset):
            break
        start += (
            math.ceil((place - start) / bar - 1e-6) * bar
        )  # a metre that changes inside a bar waits for the next line
        bar = following
    bars = max(math.ceil((end - OVERHANG - start) / bar - 1e-6), math.floor((onset - start) / bar + 1e-6) + 1)
    return start + max(bars, 0 if start > 0 else 1) * bar
