"""What a file says of itself besides its sound survives the edit: tags, pictures, markers, its place on a timeline."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from acestep.audio.chunks import Tags
from acestep.audio.flac_header import COMMENT, read_blocks, skip_to_stream
from acestep.audio.read import read_native
from acestep.audio.sniff import probe, sniff
from acestep.audio.splice import Splice, clamp_handles
from acestep.audio.whole import write_whole
from acestep.audio.write import Shape, form_of, write_audio

RATE = 48_000
HOUR = 3_600 * RATE


def chunk(kind: bytes, body: bytes, order: str = "<") -> bytes:
    return kind + struct.pack(f"{order}I", len(body)) + body + b"\0" * (len(body) & 1)


def bext(reference: int) -> bytes:
    head = struct.pack(
        "<256s32s32s10s8sQH", b"field recording", b"Recorder", b"REF", b"2024-05-06", b"10:11:12", reference, 1
    )
    return head + bytes(254)


def ixml(reference: int, rate: int = RATE) -> bytes:
    name = b"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT"
    return (
        b"<BWFXML><SPEED><TIMESTAMP_SAMPLE_RATE>%d</TIMESTAMP_SAMPLE_RATE><%s_HI>%d</%s_HI><%s_LO>%d</%s_LO></SPEED></BWFXML>"
        % (rate, name, reference >> 32, name, name, reference & 0xFFFFFFFF, name)
    )


def cue(*places: int) -> bytes:
    points = [struct.pack("<II4sIII", n + 1, place, b"data", 0, 0, place) for n, place in enumerate(places)]
    return struct.pack("<I", len(points)) + b"".join(points)


def smpl(start: int, end: int) -> bytes:
    return struct.pack("<9I", 0, 0, 20_833, 60, 0, 0, 0, 1, 0) + struct.pack("<6I", 0, 0, start, end, 0, 0)


def with_chunks(path, before: bytes = b"", after: bytes = b"", order: str = "<") -> None:
    """Put chunks before and behind the sound of a WAV that libsndfile wrote."""
    data = path.read_bytes()
    place = data.index(b"data")
    body = data[12:place] + before + data[place:] + after
    path.write_bytes(data[:4] + struct.pack("<I", len(body) + 4) + b"WAVE" + body)


def edit(path, start: int, length: int) -> Splice:
    layout = sniff(path)
    handles = clamp_handles(start, length, layout.frames, 10)
    new = np.full((layout.channels, length + handles.before + handles.after), 0.25, np.float32)
    return Splice(path=path, layout=layout, start=start, length=length, handles=handles, new=new)


@pytest.fixture
def song(tmp_path):
    """``song(subtype)``: a file of noise in the container that the ending says."""

    def write(name: str = "song.wav", subtype: str = "PCM_24"):
        path = tmp_path / name
        soundfile.write(path, np.random.default_rng(1).uniform(-0.5, 0.5, (9_600, 2)), RATE, subtype=subtype)
        return path

    return write


BWF = (
    b"<BEXT><BWF_TIME_REFERENCE_LOW>4800</BWF_TIME_REFERENCE_LOW>"
    b"<BWF_TIME_REFERENCE_HIGH>1</BWF_TIME_REFERENCE_HIGH></BEXT>"
)


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize(
    ("kind", "body", "position"),
    [
        (b"bext", bext(HOUR), HOUR),
        (b"bext", bext(2**33 + 7), 2**33 + 7),
        (b"bext", bext(0), 0),
        (b"iXML", ixml(HOUR), HOUR),
        (b"iXML", ixml(2**33 + 7), 2**33 + 7),
        (b"iXML", ixml(HOUR // RATE * 96_000, 96_000), HOUR),
        (b"iXML", ixml(0).replace(b"</BWFXML>", BWF + b"</BWFXML>"), (1 << 32) + 4_800),
        (b"iXML", b"<BWFXML>" + BWF + b"</BWFXML>", (1 << 32) + 4_800),
        (b"iXML", b"<BWFXML></BWFXML>", 0),
        (b"bext", b"short", 0),
    ],
)
def test_a_wavs_own_time_reference_is_found(song, where, kind, body, position):
    """In its broadcast extension or its iXML, wherever they stand."""
    path = song()
    with_chunks(path, **{where: chunk(kind, body)})
    assert probe(path).position == sniff(path).position == position


@pytest.mark.parametrize("first", [0, 500])
def test_a_whole_that_grows_keeps_its_chunks_and_moves_its_markers(song, tmp_path, first):
    """Behind the end nothing moves; before the beginning everything does, also the time reference."""
    path = song()
    text = chunk(b"LIST", b"INFOINAM" + struct.pack("<I", 4) + b"Song")
    marks = (
        chunk(b"bext", bext(HOUR))
        + chunk(b"iXML", ixml(HOUR) + BWF)
        + chunk(b"cue ", cue(100, 4_800))
        + chunk(b"smpl", smpl(10, 20))
    )
    with_chunks(path, before=text, after=marks)
    start, length = (-first, 1_000) if first else (9_000, 2_000)
    splice = edit(path, start, length)
    write_whole(tmp_path / "whole.wav", splice)
    layout, data = sniff(tmp_path / "whole.wav"), (tmp_path / "whole.wav").read_bytes()
    assert layout.frames == (10_100 if first else 11_000) and layout.position == HOUR - first
    assert text in data and chunk(b"cue ", cue(100 + first, 4_800 + first)) in data
    assert chunk(b"smpl", smpl(10 + first, 20 + first)) in data and ixml(HOUR - first) in data
    assert b"_LOW>%d</" % (4_800 - first) in data and b"_HIGH>1</" in data
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert soundfile.info(tmp_path / "whole.wav").frames == layout.frames
    kept = read_native(path, splice.layout, 2_000, 5_000)
    assert np.array_equal(read_native(tmp_path / "whole.wav", layout, 2_000 + first, 5_000), kept)


@pytest.mark.parametrize("first", [0, 480])
@pytest.mark.parametrize("coding", [b"", b"sowt"])
def test_an_aiff_that_grows_keeps_its_chunks_and_moves_its_markers(tmp_path, first, coding):
    """The same for the other family; its coding stays."""
    sound = np.random.default_rng(2).integers(-(2**15), 2**15, (9_600, 2)).astype("<i2" if coding else ">i2")
    marks = lambda shift: struct.pack(">HHIB3sHIB2sx", 2, 1, 100 + shift, 3, b"abc", 2, 4_800 + shift, 2, b"de")  # noqa: E731
    common = (
        struct.pack(">HIH", 2, 9_600, 16)
        + struct.pack(">HQ", 16383 + 15, RATE << 48)
        + (coding + b"\0\0" if coding else b"")
    )
    inner = (
        chunk(b"COMM", common, ">") + chunk(b"MARK", marks(0), ">") + chunk(b"SSND", bytes(8) + sound.tobytes(), ">")
    )
    inner = (b"AIFC" if coding else b"AIFF") + inner + chunk(b"ANNO", b"hello", ">")
    path = tmp_path / "song.aif"
    path.write_bytes(b"FORM" + struct.pack(">I", len(inner)) + inner)
    splice = edit(path, -first, 1_000) if first else edit(path, 9_000, 2_000)
    write_whole(tmp_path / "whole.aif", splice)
    layout, data = sniff(tmp_path / "whole.aif"), (tmp_path / "whole.aif").read_bytes()
    assert layout.frames == (9_600 + first if first else 11_000) and data[8:12] == (b"AIFC" if coding else b"AIFF")
    assert chunk(b"MARK", marks(first), ">") in data and chunk(b"ANNO", b"hello", ">") in data
    kept = read_native(path, splice.layout, 2_000, 5_000)
    assert np.array_equal(read_native(tmp_path / "whole.aif", layout, 2_000 + first, 5_000), kept)
    assert soundfile.info(tmp_path / "whole.aif").frames == layout.frames


def comments(*entries: str) -> bytes:
    words = [struct.pack("<I", len(entry.encode())) + entry.encode() for entry in entries]
    return struct.pack("<I", 4) + b"Test" + struct.pack("<I", len(words)) + b"".join(words)


def cuesheet(*offsets: int, end: int) -> bytes:
    tracks = [
        struct.pack(">QB12sB13xB", offset, n + 1, b"", 0, 1) + struct.pack(">QB3x", 0, 1)
        for n, offset in enumerate(offsets)
    ]
    tracks.append(struct.pack(">QB12sB13xB", end, 170, b"", 0, 0))
    return bytes(128) + struct.pack(">QB", 0, 0) + bytes(258) + bytes([len(tracks)]) + b"".join(tracks)


PICTURE = struct.pack(">II", 3, 9) + b"image/png" + bytes(20) + struct.pack(">I", 5) + b"\x89PNG!"


def with_blocks(path, *blocks: tuple[int, bytes], prefix: bytes = b"") -> None:
    """Give a FLAC these metadata blocks and no others, as other programs would."""
    with path.open("rb") as file:
        skip_to_stream(file)
        info = read_blocks(file, path.name)[0].data
        frames = file.read()
    every = [(0, info), *blocks]
    body = b"".join(
        bytes([kind | (0x80 if n == len(every) - 1 else 0)]) + len(data).to_bytes(3, "big") + data
        for n, (kind, data) in enumerate(every)
    )
    path.write_bytes(prefix + b"fLaC" + body + frames)


def blocks_of(path) -> list[tuple[int, bytes]]:
    with path.open("rb") as file:
        skip_to_stream(file)
        return [(block.kind, block.data) for block in read_blocks(file, path.name)]


WORDS = ("TITLE=Säng", "BPM=96.5", "REPLAYGAIN_TRACK_GAIN=-7.31 dB", "ARTIST=A", "ARTIST=B", "INITIALKEY=Am")


@pytest.mark.parametrize("first", [0, 480])
def test_flac_metadata_survives_the_edit(song, tmp_path, first):
    """Comments in their order, pictures, cue sheets and other programs' blocks, byte by byte; what names a time moves with it."""
    path = song("song.flac")
    reference = lambda shift: (2, b"riff" + chunk(b"bext", bext(HOUR - shift)))  # noqa: E731
    words = lambda shift: (COMMENT, comments(*WORDS, f"TIME_REFERENCE={HOUR - shift}"))  # noqa: E731
    cues = lambda shift, end: (5, cuesheet(shift, 4_800 + shift, end=end))  # noqa: E731
    with_blocks(path, words(0), (6, PICTURE), cues(0, 9_600), (2, b"abcdxyz"), reference(0), (1, bytes(100)))
    before = sniff(path)
    assert before.position == HOUR
    splice = edit(path, -first, 1_000) if first else edit(path, 2_000, 1_000)
    write_whole(tmp_path / "whole.flac", splice)
    layout = sniff(tmp_path / "whole.flac")
    assert layout.position == HOUR - first and layout.frames == 9_600 + first
    kept = [words(first), (6, PICTURE), cues(first, 9_600 + first), (2, b"abcdxyz"), reference(first)]
    assert blocks_of(tmp_path / "whole.flac")[1:] == kept
    sound = soundfile.read(tmp_path / "whole.flac", dtype="int32")[0].T >> 8
    assert np.array_equal(sound[:, 4_000 + first :], read_native(path, before, 4_000, 5_600))


def test_a_flac_behind_an_id3_tag_keeps_it(song, tmp_path):
    """Some shops sell such files."""
    path = song("song.flac")
    tag = b"ID3\x04\0\0\0\0\0\x14" + bytes(20)
    with_blocks(path, (COMMENT, comments(*WORDS)), prefix=tag)
    write_whole(tmp_path / "whole.flac", edit(path, 2_000, 1_000))
    assert (tmp_path / "whole.flac").read_bytes().startswith(tag + b"fLaC")
    assert blocks_of(tmp_path / "whole.flac")[1:] == [(COMMENT, comments(*WORDS))]


def test_a_flac_of_unknown_length_keeps_its_tags(song, tmp_path):
    """Its whole has a length."""
    path = song("song.flac")
    with_blocks(path, (COMMENT, comments(*WORDS)))
    data = bytearray(path.read_bytes())
    data[18:26] = (int.from_bytes(data[18:26], "big") & ~0xFFFFFFFFF).to_bytes(8, "big")
    path.write_bytes(data)
    write_whole(tmp_path / "whole.flac", edit(path, 2_000, 1_000))
    layout = sniff(tmp_path / "whole.flac")
    assert (layout.frames, layout.open_ended) == (9_600, False)
    assert blocks_of(tmp_path / "whole.flac")[1:] == [(COMMENT, comments(*WORDS))]


@pytest.mark.parametrize("name", ["wav24", "wav32f", "flac24", "flac16"])
def test_a_written_file_says_where_it_begins(tmp_path, name):
    """Every exact format carries the place, and is read back with it."""
    path = tmp_path / "stem"
    tags = Tags(position=HOUR + 123, bpm=96.5, description="stem")
    write_audio(path, [np.zeros((2, 480), np.float32)], Shape(RATE, 2, 480), form_of(name), tags)
    assert sniff(path).position == HOUR + 123
    assert soundfile.info(path).frames == 480 and not soundfile.read(path)[0].any()


def test_the_id3_tag_of_an_mp3_is_in_the_wav_that_stands_for_it(tmp_path):
    """Byte by byte, where programs look for it in a WAV."""
    path = tmp_path / "song.mp3"
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (48_000, 2))
    soundfile.write(path, noise, RATE, format="MP3", subtype="MPEG_LAYER_III")
    frame = b"TBPM" + bytes([0, 0, 0, 5]) + b"\0\0" + b"\x03 96 "
    tag = b"ID3\x04\0\0" + bytes([0, 0, 0, len(frame)]) + frame
    sound = path.read_bytes()
    assert sound[:3] != b"ID3"
    path.write_bytes(tag + sound)
    write_whole(tmp_path / "whole.wav", edit(path, 2_000, 1_000))
    data = (tmp_path / "whole.wav").read_bytes()
    assert chunk(b"id3 ", tag) in data and struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert soundfile.info(tmp_path / "whole.wav").frames == sniff(path).frames
