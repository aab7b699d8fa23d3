"""MIDI files as players read them: the right notes at the right places out of every variant of the format, or a reason."""

from __future__ import annotations

import struct

import pytest

from acestep.api.errors import BadRequest
from acestep.conditioning.midi_file import read_midi

P = 480


def number(value: int) -> bytes:
    """A quantity of variable length."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.insert(0, value & 0x7F | 0x80)
    return bytes(out)


def on(delta: int, pitch: int, velocity: int = 100, channel: int = 0) -> bytes:
    return number(delta) + bytes([0x90 | channel, pitch, velocity])


def off(delta: int, pitch: int, channel: int = 0) -> bytes:
    return number(delta) + bytes([0x80 | channel, pitch, 64])


def meta(delta: int, kind: int, data: bytes) -> bytes:
    return number(delta) + bytes([0xFF, kind]) + number(len(data)) + data


def track(body: bytes, end: int | None = 0) -> bytes:
    body += b"" if end is None else meta(end, 0x2F, b"")
    return b"MTrk" + struct.pack(">I", len(body)) + body


def file(*tracks: bytes, form: int = 0, division: int = P, declared: int | None = None, extra: bytes = b"") -> bytes:
    count = len(tracks) if declared is None else declared
    head = struct.pack(">IHHH", 6 + len(extra), form, count, division & 0xFFFF) + extra
    return b"MThd" + head + b"".join(tracks)


PLAIN = on(0, 60) + off(P, 60) + on(P, 64) + off(P, 64) + on(0, 67) + off(P, 67)
WANTED = [(60, 0.0, 1.0), (64, 2.0, 1.0), (67, 3.0, 1.0)]


def riff(data: bytes, before: bytes = b"") -> bytes:
    body = b"RMID" + before + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def heard(data: bytes, **where) -> list[tuple[int, float, float]]:
    """Pitch, start and length of the notes, in quarters."""
    clip = read_midi(data, "clip.mid", **where)
    return [(note.pitch, round(note.start, 6), round(note.length, 6)) for note in clip.notes]


SYSEX = number(0) + b"\xf0\x03\x7d\x01\xf7"
RUNNING = on(0, 60) + number(P) + bytes([60, 0])
TAIL = number(P) + bytes([64, 100]) + number(P) + bytes([64, 0, 0, 67, 100]) + number(P) + bytes([67, 0])

SAME = {
    "plain": file(track(PLAIN)),
    "header of eight bytes": file(track(PLAIN), extra=b"\0\0"),
    "in RIFF": riff(file(track(PLAIN))),
    "in RIFF behind another chunk": riff(file(track(PLAIN)), b"DISP\x03\0\0\0abc\0"),
    "behind a MacBinary header": bytes(128) + file(track(PLAIN)),
    "bytes behind the last track": file(track(PLAIN)) + bytes(37),
    "more tracks declared": file(track(PLAIN), form=1, declared=7),
    "fewer tracks declared": file(track(b""), track(PLAIN), form=1, declared=1),
    "vendor chunks around": file(b"XFIH\0\0\0\x03abc", track(PLAIN), b"XFKM\0\0\0\x01z"),
    "no end of track": file(track(PLAIN, end=None)),
    "running status over a meta event": file(track(RUNNING + meta(0, 1, b"hi") + TAIL)),
    "running status over a system exclusive": file(track(RUNNING + SYSEX + TAIL)),
    "a clock in the track": file(track(on(0, 60) + number(P // 2) + b"\xf8" + number(P // 2) + bytes([60, 0]) + TAIL)),
    "impossible key": file(track(meta(0, 0x59, b"\x09\x05") + PLAIN)),
    "empty key": file(track(meta(0, 0x59, b"") + PLAIN)),
    "short tempo": file(track(meta(0, 0x51, b"\x07\xa1") + PLAIN)),
    "tempo 0": file(track(meta(0, 0x51, bytes(3)) + PLAIN)),
    "frame rate that is none": file(track(meta(0, 0x54, b"\x61\0\0\0\0") + PLAIN)),
    "name in another alphabet": file(track(meta(0, 3, b"\x82\xd0\x83\x82") + PLAIN)),
    "unknown meta event": file(track(meta(0, 0x4B, b"x" * 200) + PLAIN)),
    "another tempo": file(track(meta(0, 0x51, b"\x10\0\0") + PLAIN)),
    "25 frames of 40 ticks": file(
        track(on(0, 60) + off(500, 60) + on(500, 64) + off(500, 64) + on(0, 67) + off(500, 67)), division=0xE728
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_every_form_of_the_same_clip_gives_the_same_notes(name):
    """Containers, headers, running status, foreign chunks and nonsense in meta events change nothing."""
    assert heard(SAME[name]) == WANTED


def test_a_file_that_counts_in_seconds_keeps_its_seconds():
    """At another tempo its notes lie at other quarters, so that they sound at the same time, and the user is told."""
    clip = read_midi(SAME["25 frames of 40 ticks"], "clip.mid", bpm=90.0)
    assert [note.start / 90 * 60 for note in clip.notes] == pytest.approx([0.0, 1.0, 1.5])
    assert "keep their times" in clip.remarks[0]
    drop = file(track(on(0, 60) + off(2997, 60)), division=(256 - 29) << 8 | 100)
    assert read_midi(drop, "clip.mid").notes[0].length == pytest.approx(2.0, abs=1e-5)  # 29.97 frames of 100 ticks: 1 s


@pytest.mark.parametrize(
    ("body", "end", "wanted"),
    [
        (on(0, 60) + off(P, 60) + on(P, 64), 2 * P, [(60, 0, 1), (64, 2, 2)]),
        (on(0, 48), 16 * P, [(48, 0, 16)]),
        (on(0, 60) + on(P, 60) + on(P, 60), P, [(60, 0, 1), (60, 1, 1), (60, 2, 1)]),
        (on(0, 60) + on(2 * P, 60) + off(P, 60) + off(P, 60), 0, [(60, 0, 3), (60, 2, 2)]),
        (off(0, 60) + on(0, 60) + off(P, 60) + off(P, 60), 0, [(60, 0, 1)]),
        (number(0) + b"\xb0\x40\x7f" + on(0, 60) + off(P, 60) + number(3 * P) + b"\xb0\x40\0", 0, [(60, 0, 4)]),
        (number(0) + b"\xb0\x40\x7f" + on(0, 60) + off(P, 60) + on(P, 60) + off(P, 60), P, [(60, 0, 2), (60, 2, 2)]),
        (on(0, 60) + number(P) + b"\xb0\x7b\0", P, [(60, 0, 1)]),
        (number(0) + bytes([0x90, 60, 200]) + off(P, 60), 0, [(60, 0, 1)]),
        (on(0, 60) + number(P) + bytes([0xC0, 5]) + off(0, 60), 0, [(60, 0, 1)]),
    ],
    ids=["no note-off", "nothing but one", "only note-ons", "overlap", "stray note-off", "pedal", "pedal struck again",
         "all notes off", "velocity beyond 127", "program change"],
)  # fmt: skip
def test_notes_last_as_a_player_lets_them(body, end, wanted):
    """What is never let go lasts until its pitch is struck again or the track ends; the pedal holds."""
    assert heard(file(track(body, end))) == wanted


def test_the_same_pitch_on_two_tracks_is_two_notes():
    """A pedal point on one track is not cut by the same pitch on the other, on the same channel."""
    tracks = track(on(0, 48) + off(16 * P, 48)), track(on(P, 48) + off(P // 2, 48) + on(3 * P, 48) + off(P // 2, 48))
    assert sorted(heard(file(*tracks, form=1))) == [(48, 0, 16), (48, 1, 0.5), (48, 4.5, 0.5)]


@pytest.mark.parametrize(
    ("body", "end", "bar", "quarters"),
    [
        (on(0, 60) + off(P, 60), 15 * P, 4.0, 16.0),
        (on(8 * P, 60) + off(P, 60), 0, 4.0, 12.0),
        (PLAIN, 0, 3.0, 6.0),
        (meta(0, 0x58, b"\x03\x02\x18\x08") + PLAIN, 2 * P, 4.0, 6.0),
        (meta(0, 0x58, b"\x05\x02\x18\x08") + PLAIN, 0, 4.0, 5.0),
        (meta(0, 0x58, b"\x07\x03\x0c\x08") + PLAIN, 0, 4.0, 7.0),
        (meta(0, 0x58, b"\x06\x03\x24\x08") + on(0, 60) + off(3 * P, 60), 0, 4.0, 3.0),
        (meta(0, 0x58, b"\x03\x02\x18") + on(0, 60) + off(3 * P, 60), 0, 4.0, 3.0),
        (meta(0, 0x58, b"\0\x02\x18\x08") + PLAIN, 0, 4.0, 4.0),
        (on(0, 60) + off(4 * P, 60), 12, 4.0, 4.0),
        (on(0, 60) + off(4 * P, 60) + on(0, 60) + off(12, 60), 0, 4.0, 8.0),
        (meta(0, 0x58, b"\x03\x02\x18\x08") + on(0, 60) + off(3 * P, 60) + meta(0, 0x58, b"\x04\x02\x18\x08"), 3 * P, 4.0, 7.0),
    ],
    ids=["empty bars behind", "silence before", "the job's bar", "3/4", "5/4", "7/8", "6/8", "short metre", "0/4", "release",
         "a note on the bar line", "the metre changes"],
)  # fmt: skip
def test_a_clip_repeats_after_whole_bars_of_its_own_metre(body, end, bar, quarters):
    """The end of the track counts, in the file's metre, else in the job's; a release beyond the bar line adds no bar."""
    assert read_midi(file(track(body, end)), "clip.mid", bar=bar).quarters == quarters


def test_patterns_of_format_2_follow_one_another():
    """Each in whole bars."""
    two = file(track(on(0, 60) + off(P, 60)), track(on(P, 62) + off(P, 62), 6 * P), form=2)
    clip = read_midi(two, "clip.mid")
    assert [(note.pitch, note.start) for note in clip.notes] == [(60, 0.0), (62, 5.0)]
    assert clip.quarters == 12.0 and "format 2" in clip.remarks[0]


def test_drums_are_known_by_their_channel():
    """Channel 10, with or without note-offs."""
    clip = read_midi(file(track(on(0, 36, channel=9) + on(P, 38, channel=9), P)), "clip.mid")
    assert [(note.pitch, note.drum) for note in clip.notes] == [(36, True), (38, True)]


def test_a_file_that_ends_early_is_read_as_far_as_it_goes():
    """What is there is heard, and the user is told."""
    clip = read_midi(file(track(PLAIN))[:-12], "clip.mid")
    assert [(note.pitch, note.start) for note in clip.notes][:2] == [(60, 0.0), (64, 2.0)]
    assert "ends early" in clip.remarks[0]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"RIFF\x04\0\0\0WAVE" + bytes(40), "not a MIDI file"),
        (b"just words", "not a MIDI file"),
        (b"RIFF\x0c\0\0\0RMIDLIST\0\0\0\0", "no MIDI data"),
        (file(track(PLAIN), division=0), "0 ticks"),
        (file(track(PLAIN), division=0xE700), "0 ticks"),
        (file(track(PLAIN), division=0x8128), "127 frames"),
        (file(track(PLAIN), form=3), "format 3"),
        (file(), "no tracks"),
        (file(track(b"")), "no notes"),
        (file(track(meta(0, 3, b"Tempo"))), "no notes"),
        (file(track(number(0) + bytes([60, 100]))), "without a status"),
        (file(track(b"\xff\xff\xff\xff\x7f\x90\x3c\x40")), "four bytes"),
    ],
    ids=range(13),
)
def test_what_no_player_can_play_is_refused_with_its_reason(data, word):
    """One sentence that names the file, about the field guide."""
    with pytest.raises(BadRequest) as caught:
        read_midi(data, "clip.mid")
    assert word in caught.value.message and "clip.mid" in caught.value.message and caught.value.field == "guide"


def test_any_bytes_are_read_or_refused():
    """Every single byte of a good file replaced, and every prefix of it: notes or a `BadRequest`, nothing else."""
    good = file(track(meta(0, 0x58, b"\x03\x02\x18\x08") + PLAIN), track(RUNNING + SYSEX + TAIL), form=1)
    changed = [good[:i] + bytes([value]) + good[i + 1 :] for i in range(len(good)) for value in (0, 0x7F, 0x80, 0xFF)]
    for data in [*changed, *(good[:end] for end in range(len(good)))]:
        try:
            assert read_midi(data, "clip.mid").quarters > 0
        except BadRequest as refused:
            assert refused.field == "guide"
