"""The header parser: agrees with libsndfile on good files, refuses hostile ones by name."""

from __future__ import annotations

import struct

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acestep.api.errors import AceError, CorruptAudio, NotAudio, NotFound
from acestep.audio.sniff import fingerprint, probe, sniff

GOOD = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "PCM_U8"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAVEX", "PCM_24"),
    ("WAVEX", "FLOAT"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("AIFF", "PCM_16"),
    ("AIFF", "PCM_24"),
    ("AIFF", "FLOAT"),
]


@pytest.mark.parametrize(("container", "subtype"), GOOD)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_agrees_with_libsndfile(make, container, subtype, channels):
    """Rate, channels, frames and subtype are what the reference decoder finds."""
    path = make(container, subtype, channels=channels, rate=88_200, frames=333)
    expected, facts = soundfile.info(path), probe(path)
    assert (facts.rate, facts.channels, facts.frames) == (expected.samplerate, expected.channels, expected.frames)
    assert facts.subtype == expected.subtype


def wav(form: bytes, data: bytes, claimed: int | None = None) -> bytes:
    """A WAV file with this format chunk."""
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data) if claimed is None else claimed) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


PCM16 = struct.pack("<HHIIHH", 1, 2, 44_100, 176_400, 4, 16)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", NotAudio),
        (b"just a text file, really", NotAudio),
        (b"RIFF\0\0\0\0WAVE", CorruptAudio),
        (wav(PCM16, b""), CorruptAudio),
        (wav(PCM16, b"\0" * 400, claimed=4_000), CorruptAudio),
        (wav(struct.pack("<HHIIHH", 17, 2, 44_100, 176_400, 4, 4), b"\0" * 400), NotAudio),
        (wav(struct.pack("<HHIIHH", 2, 2, 44_100, 176_400, 4, 16), b"\0" * 400), NotAudio),
        (wav(struct.pack("<HHIIHH", 1, 0, 44_100, 0, 0, 16), b"\0" * 400), CorruptAudio),
        (wav(struct.pack("<HHIIHH", 1, 2, 44_100, 0, 3, 16), b"\0" * 400), CorruptAudio),
        (wav(struct.pack("<HHIIHH", 1, 2, 4, 16, 4, 16), b"\0" * 400), NotAudio),
        (wav(struct.pack("<HHIIHH", 1, 2, 2**31, 16, 4, 16), b"\0" * 400), NotAudio),
        (b"fLaC" + bytes(3), CorruptAudio),
        (b"fLaC\x80\x00\x00\x22" + bytes(34), NotAudio),
        (b"FORM\0\0\0\x04AIFF", CorruptAudio),
        (b"OggS" + bytes(100), NotAudio),
        (b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(100), NotAudio),
    ],
    ids=range(16),
)
def test_bad_files_are_named(tmp_path, content, error):
    """Empty, foreign, truncated and lying files give their own error about the field source."""
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        sniff(path)
    assert caught.value.field == "source"


def test_missing_file_and_folder(tmp_path):
    """A path without a file is not found."""
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(NotFound):
            sniff(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    magic=st.sampled_from(
        [b"RIFF\0\0\0\0WAVE", b"RF64\0\0\0\0WAVE", b"FORM\0\0\0\0AIFC", b"fLaC", b"ID3", b"OggS", b"\xff\xfb\x90D"]
    ),
    kinds=st.lists(
        st.tuples(st.sampled_from([b"fmt ", b"data", b"ds64", b"COMM", b"SSND"]), st.binary(max_size=60)), max_size=5
    ),
    noise=st.binary(max_size=80),
)
def test_no_bytes_break_the_parser(tmp_path, magic, kinds, noise):
    """Any bytes give a layout within the limits or an error of ours."""
    path = tmp_path / "fuzz"
    path.write_bytes(magic + b"".join(kind + struct.pack("<I", len(body)) + body for kind, body in kinds) + noise)
    try:
        layout = sniff(path)
    except AceError:
        return
    assert layout.frames >= 1 and layout.channels >= 1


def test_fingerprint_follows_the_content(make):
    """Another content of the same length is another fingerprint."""
    path = make(seed=1)
    before = fingerprint(path)
    assert before == fingerprint(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert fingerprint(path) != before
