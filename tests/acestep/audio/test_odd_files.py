"""Files as pipes, crashed recorders and careless programs leave them: read whole, with a note, or refused by the coding's name."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from acestep.api.errors import CorruptAudio, NotAudio
from acestep.audio import pcm
from acestep.audio.read import read_native, read_window
from acestep.audio.sniff import probe, sniff
from acestep.audio.splice import Splice, clamp_handles
from acestep.audio.whole import write_whole

RATE = 48_000
FRAMES = 6_001
SOUND = np.random.default_rng(5).integers(-(2**23), 2**23, (2, FRAMES)).astype(np.int32)


def chunk(kind: bytes, body: bytes, *, order: str = "<", pad: bool = True, size: int | None = None) -> bytes:
    return kind + struct.pack(f"{order}I", len(body) if size is None else size) + body + b"\0" * (len(body) & 1 & pad)


def form(tag: int = 1, bits: int = 24, size: int | None = None, extra: bytes = b"") -> bytes:
    align = (size or -(-bits // 8)) * 2
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, 2, RATE, RATE * align, align, bits) + extra)


def riff(body: bytes, size: int | None = None, mark: bytes = b"RIFF") -> bytes:
    return mark + struct.pack("<I", len(body) + 4 if size is None else size) + b"WAVE" + body


DATA = pcm.encode(SOUND, "PCM_24")
EXTRA = b"\0" * 200
BIG = 0xFFFFFFFF


def ds64(*sizes: int) -> bytes:
    return chunk(b"ds64", struct.pack("<QQQI", *sizes, 0))


def streamed(claimed: int, whole: int, head: bytes = b"") -> bytes:
    return riff(head + form() + chunk(b"data", DATA, size=claimed, pad=False), whole)


OPEN = {
    "all ones": streamed(BIG, BIG),
    "zero": streamed(0, 0),
    "sox": streamed(0x7FFFF000, 0x7FFFF024),
    "half": streamed(0x7FFFFFFF, 0x7FFFFFFF),
    "sign bit": streamed(0x80000000, 0x80000024),
    "only the sound's size": streamed(BIG, len(DATA) + 36),
    "recorder that began": streamed(0, 36),
    "recorder that planned": streamed(len(DATA) + 4096, 36),
    "behind other chunks": streamed(0, 0, chunk(b"JUNK", bytes(28)) + chunk(b"LIST", b"INFOISFT\4\0\0\0abc\0")),
    "RF64 without sizes": riff(ds64(0, 0, 0) + form() + chunk(b"data", DATA, size=BIG, pad=False), BIG, b"RF64"),
    "zero beside a right size of the file": streamed(0, len(DATA) + 36),
    "sox into a pipe, smaller": streamed(0x7F000000, 0x7F000024),
    "half a sample at the end": streamed(0, 0) + b"\1\2",
}


@pytest.mark.parametrize("name", OPEN)
def test_a_wav_without_a_size_is_read_to_its_end(tmp_path, name):
    """Every sample is there, and the user is told."""
    path = tmp_path / "take.wav"
    path.write_bytes(OPEN[name])
    layout = sniff(path)
    assert layout.frames == FRAMES and layout.open_ended
    assert np.array_equal(read_native(path, layout, 0, FRAMES), SOUND)
    (note,) = probe(path).notes
    assert "take.wav" in note and "6,001 samples" in note


@pytest.mark.parametrize("name", OPEN)
def test_the_whole_of_such_a_file_has_a_right_header(tmp_path, name):
    """Other programs read the result, with every sample outside the edit."""
    path = tmp_path / "take.wav"
    path.write_bytes(OPEN[name])
    layout = sniff(path)
    handles = clamp_handles(1_000, 500, layout.frames, 10)
    new = np.zeros((2, 500 + handles.before + handles.after), np.float32)
    write_whole(
        tmp_path / "whole.wav", Splice(path=path, layout=layout, start=1_000, length=500, handles=handles, new=new)
    )
    after, rate = soundfile.read(tmp_path / "whole.wav", dtype="int32")
    assert rate == RATE and after.shape == (FRAMES, 2)
    after = after.T >> 8
    assert np.array_equal(after[:, :990], SOUND[:, :990]) and np.array_equal(after[:, 1_510:], SOUND[:, 1_510:])
    assert not after[:, 1_000:1_500].any() and not sniff(tmp_path / "whole.wav").open_ended


CLOSED = {
    "plain": riff(form() + chunk(b"data", DATA)),
    "odd chunk without padding": riff(
        form() + chunk(b"LIST", b"INFOISFT\5\0\0\0Take1", pad=False) + chunk(b"data", DATA)
    ),
    "two of them": riff(
        chunk(b"axml", b"<x/>\n" * 33, pad=False) + form() + chunk(b"abcd", b"123", pad=False) + chunk(b"data", DATA)
    ),
    "odd chunk with padding": riff(form() + chunk(b"axml", b"<x/>\n" * 33) + chunk(b"data", DATA)),
    "odd chunk with padding of another byte": riff(
        form() + chunk(b"axml", b"xyz", pad=False) + b"!" + chunk(b"data", DATA)
    ),
    "RF64": riff(ds64(0, len(DATA), FRAMES) + form() + chunk(b"data", DATA, size=BIG), BIG, b"RF64"),
    "BW64": riff(ds64(0, len(DATA), FRAMES) + form() + chunk(b"data", DATA, size=BIG), BIG, b"BW64"),
    "RF64 with the size in its old place": riff(ds64(0, 0, 0) + form() + chunk(b"data", DATA), BIG, b"RF64"),
    "20 bits in 3 bytes": riff(form(bits=20) + chunk(b"data", DATA)),
    "20 valid bits": riff(
        form(0xFFFE, 24, extra=struct.pack("<HHIH", 22, 20, 3, 1) + bytes.fromhex("000000001000800000aa00389b71"))
        + chunk(b"data", DATA)
    ),
    "24 bits in 4 bytes": riff(form(size=4) + chunk(b"data", (SOUND.T << 8).astype("<i4").tobytes())),
    "chunks behind": riff(form() + chunk(b"data", DATA) + chunk(b"LIST", b"INFO")),
}


@pytest.mark.parametrize("name", CLOSED)
def test_careless_wavs_are_read_as_they_are_meant(tmp_path, name):
    """Padding, sizes and depths as programs write them: the same samples, and nothing to tell."""
    path = tmp_path / "take.wav"
    path.write_bytes(CLOSED[name])
    layout = sniff(path)
    assert (layout.frames, layout.open_ended, layout.notes) == (FRAMES, False, ())
    native = read_native(path, layout, 0, FRAMES)
    assert np.array_equal(native >> (layout.bits - 24), SOUND)


@pytest.mark.parametrize("behind", [b"", chunk(b"LIST", b"INFOISFT\4\0\0\0abc\0"), chunk(b"cue ", bytes(4))])
def test_a_sound_of_nothing_is_not_what_follows_it(tmp_path, behind):
    """A size of 0 is meant where the file ends or another chunk stands there."""
    path = tmp_path / "take.wav"
    path.write_bytes(riff(form() + chunk(b"data", b"") + behind))
    with pytest.raises(CorruptAudio, match="no samples"):
        sniff(path)


def test_a_flac_that_was_cut_off_says_where(tmp_path):
    """In a sentence of ours, with the seconds that were asked for."""
    path = tmp_path / "take.flac"
    soundfile.write(path, SOUND.T.astype(np.int32) << 8, RATE, subtype="PCM_24")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(CorruptAudio, match=r"take\.flac is damaged or cut short: .* from 0\.100 to 0\.120 s"):
        read_native(path, sniff(path), 4_800, 960)


@pytest.mark.parametrize(
    ("claimed", "whole"), [(len(DATA) + 4096, len(DATA) + 4096 + 36), (2 * len(DATA), 2 * len(DATA) + 36)]
)
def test_a_copy_that_broke_off_is_still_refused(tmp_path, claimed, whole):
    """Its header is complete, so what is missing is known to be missing."""
    path = tmp_path / "take.wav"
    path.write_bytes(streamed(claimed, whole))
    with pytest.raises(CorruptAudio, match="truncated"):
        sniff(path)


def test_an_empty_recording_holds_no_samples(tmp_path):
    """A right header of nothing is not taken for an open one."""
    path = tmp_path / "take.wav"
    path.write_bytes(riff(form() + chunk(b"data", b"") + chunk(b"LIST", b"INFO" + bytes(100))))
    with pytest.raises(CorruptAudio, match="no samples"):
        sniff(path)


def extended(rate: int) -> bytes:
    shift = 63 - rate.bit_length() + 1
    return struct.pack(">HQ", 16383 + 63 - shift, rate << shift)


def aiff(
    coding: bytes = b"",
    *,
    bits: int = 24,
    frames: int = FRAMES,
    body: bytes | None = None,
    size: int | None = None,
    whole: int | None = None,
) -> bytes:
    """An AIFF, or with a coding an AIFC, with any sizes in its header."""
    body = DATA if body is None else body
    common = struct.pack(">HIH", 2, frames, bits) + extended(RATE) + (coding + b"\0\0" if coding else b"")
    sound = b"SSND" + struct.pack(">III", len(body) + 8 if size is None else size, 0, 0) + body
    inner = (b"AIFC" if coding else b"AIFF") + chunk(b"COMM", common, order=">") + sound
    return b"FORM" + struct.pack(">I", len(inner) if whole is None else whole) + inner


HIGH_FIRST = pcm.encode(SOUND, "PCM_24", big_endian=True)


@pytest.mark.parametrize(
    ("frames", "size", "whole"),
    [(0, 0, 0), (0, 8, None), (BIG, BIG, BIG), (0, BIG, BIG), (0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF),
     (0, None, None), (BIG, 0, 0), (0x7F000000 // 6, 0x7F000008, 0x7F00002E)],
)  # fmt: skip
def test_an_aiff_with_placeholders_is_read_to_its_end(tmp_path, frames, size, whole):
    """As programs write into pipes."""
    path = tmp_path / "take.aiff"
    path.write_bytes(aiff(frames=frames, size=size, whole=whole, body=HIGH_FIRST))
    layout = sniff(path)
    assert layout.frames == FRAMES and layout.open_ended and "take.aiff" in layout.notes[0]
    assert np.array_equal(read_native(path, layout, 0, FRAMES), SOUND)


@pytest.mark.parametrize("coding", [b"NONE", b"twos", b"in24", b"sowt", b"42ni", b"ni24", b""])
def test_every_coding_of_plain_integers_is_read(tmp_path, coding):
    """AIFC names the byte order in many ways."""
    path = tmp_path / "take.aifc"
    low_first = coding in (b"sowt", b"42ni", b"ni24")
    path.write_bytes(aiff(coding, body=DATA if low_first else HIGH_FIRST))
    layout = sniff(path)
    assert layout.frames == FRAMES and layout.notes == ()
    assert np.array_equal(read_native(path, layout, 0, FRAMES), SOUND)


@pytest.mark.parametrize("total", ["known", "unknown"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("frames", [1, 4_096, 4_097, 200_000])
def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path, total, subtype, frames):
    """Every sample to the last; a file that says its length needs no note."""
    path = tmp_path / "take.flac"
    noise = np.random.default_rng(frames).uniform(-0.9, 0.9, (frames, 2))
    soundfile.write(path, noise, RATE, subtype=subtype)
    expected = soundfile.read(path, dtype="int32")[0].T
    if total == "unknown":
        data = bytearray(path.read_bytes())
        data[18:26] = (int.from_bytes(data[18:26], "big") & ~0xFFFFFFFFF).to_bytes(8, "big")
        path.write_bytes(data)
    layout = sniff(path)
    assert layout.frames == frames and layout.open_ended == bool(layout.notes) == (total == "unknown")
    for start in {0, frames // 2, frames - 1}:
        native = read_native(path, layout, start, frames - start)
        assert np.array_equal(native << (32 - layout.bits), expected[:, start:])


@pytest.mark.parametrize("tail", [b"", b"\0" * 10, b"\xff\xf8\xc9" + b"x" * 20])
def test_a_flac_stream_that_broke_off_is_read_to_its_last_whole_frame(tmp_path, tail):
    """Half a frame at the end is not a sound."""
    path = tmp_path / "take.flac"
    soundfile.write(path, np.random.default_rng(1).uniform(-0.9, 0.9, (50_000, 2)), RATE, subtype="PCM_16")
    expected = soundfile.read(path, dtype="int32")[0].T
    data = bytearray(path.read_bytes())
    data[18:26] = (int.from_bytes(data[18:26], "big") & ~0xFFFFFFFFF).to_bytes(8, "big")
    path.write_bytes(data[: len(data) * 2 // 3] + tail)
    layout = sniff(path)
    assert 0 < layout.frames < 50_000 and layout.frames % 4_096 == 0
    assert np.array_equal(read_native(path, layout, 0, layout.frames) << 16, expected[:, : layout.frames])


AMBISONIC = bytes.fromhex("00002107d3118644c8c1ca000000")
TAIL = bytes.fromhex("000000001000800000aa00389b71")
NAMED = [
    (riff(form(6, 8) + chunk(b"data", DATA)), "A-law"),
    (riff(form(7, 8) + chunk(b"data", DATA)), "mu-law"),
    (riff(form(2, 4, 1) + chunk(b"data", DATA)), "Microsoft ADPCM"),
    (riff(form(0x11, 4, 1) + chunk(b"data", DATA)), "IMA ADPCM"),
    (riff(form(0x55, 0, 1) + chunk(b"data", DATA)), "MP3"),
    (riff(form(0x1234, 16) + chunk(b"data", DATA)), "0x1234"),
    (riff(form(0xFFFE, 16, extra=struct.pack("<HHIH", 22, 16, 3, 6) + TAIL) + chunk(b"data", DATA)), "A-law"),
    (riff(form(0xFFFE, 16, extra=struct.pack("<HHIH", 22, 16, 0, 1) + AMBISONIC) + chunk(b"data", DATA)), "Ambisonic"),
    (riff(form(0xFFFE, 16, extra=struct.pack("<HHIH", 22, 16, 0, 1) + bytes(14)) + chunk(b"data", DATA)), "private format"),
    (riff(form(3, 16) + chunk(b"data", DATA)), "16-bit float"),
    (riff(form(1, 24, 4) + chunk(b"data", DATA)), "24-bit integer samples in 4 bytes"),
    (aiff(b"ulaw", bits=16), "mu-law"),
    (aiff(b"alaw", bits=16), "A-law"),
    (aiff(b"ima4", bits=16), "IMA ADPCM"),
    (aiff(b"MAC6", bits=16), "MACE 6:1"),
    (aiff(b"zzzz", bits=16), "'zzzz'"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "coding"), NAMED, ids=[coding for _, coding in NAMED])
def test_a_coding_that_is_not_read_is_named(tmp_path, content, coding):
    """The user learns what the file holds and what to do."""
    path = tmp_path / "take.wav"
    path.write_bytes(content)
    with pytest.raises(NotAudio) as caught:
        sniff(path)
    assert coding in caught.value.message and "convert" in caught.value.message


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_a_sample_that_is_no_number_is_the_sources_fault_where_it_matters(tmp_path, value, word, subtype):
    """Named with its place by whoever reads it; windows that do not reach it are read."""
    path = tmp_path / "take.wav"
    sound = np.zeros((48_000, 2))
    sound[30_000:30_010, 1] = value
    soundfile.write(path, sound, RATE, subtype=subtype)
    layout = sniff(path)
    assert not read_window(path, layout, 0, 30_000).any() and not read_window(path, layout, 30_010, 20_000).any()
    with pytest.raises(CorruptAudio) as caught:
        read_window(path, layout, 29_000, 5_000)
    assert (
        "sample 30,000" in caught.value.message and "0.625 s" in caught.value.message and word in caught.value.message
    )
    assert caught.value.field == "source"


@pytest.mark.parametrize("where", ["far", "in the crossfade"])
def test_the_whole_keeps_what_it_does_not_touch(tmp_path, where):
    """Values that are not numbers stay as they are outside the edit; in the crossfade they are refused."""
    path = tmp_path / "take.wav"
    sound = np.zeros((4_800, 2), np.float32)
    sound[100] = np.nan
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    start = 2_000 if where == "far" else 105
    handles = clamp_handles(start, 500, 4_800, 10)
    new = np.zeros((2, 500 + handles.before + handles.after), np.float32)
    splice = Splice(path=path, layout=sniff(path), start=start, length=500, handles=handles, new=new)
    if where == "far":
        write_whole(tmp_path / "whole.wav", splice)
        assert (tmp_path / "whole.wav").read_bytes()[:2_000] == path.read_bytes()[:2_000]
    else:
        with pytest.raises(CorruptAudio, match="sample 100 "):
            write_whole(tmp_path / "whole.wav", splice)
