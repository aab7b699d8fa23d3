"""MP3, Ogg Vorbis and Opus as sources: counted as their decoder counts, read exactly at any place; other kinds are named."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.api.errors import CorruptAudio, NotAudio
from acestep.audio.read import read_native, read_window
from acestep.audio.sniff import probe, sniff

LOSSY = [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")]
RATES = {"MPEG_LAYER_III": [8_000, 22_050, 44_100, 48_000], "VORBIS": [44_100, 96_000], "OPUS": [24_000, 48_000]}


def write(path, container, subtype, *, rate=48_000, channels=2, frames=100_000, **how):
    """A tone under noise in a lossy format."""
    time = np.arange(frames)[:, None] / rate
    noise = np.random.default_rng(frames).normal(0, 0.05, (frames, channels))
    sound = (0.3 * np.sin(2 * np.pi * 330 * time) + noise) * np.linspace(1, 0.01, frames)[:, None]
    with soundfile.SoundFile(path, "w", rate, channels, subtype, format=container, **how) as file:
        for place in range(0, frames, 16_384):
            file.write(sound[place : place + 16_384])
    return path


@pytest.mark.parametrize(("container", "subtype", "rate"), [(*kind, rate) for kind in LOSSY for rate in RATES[kind[1]]])
@pytest.mark.parametrize("channels", [1, 2])
def test_counted_as_the_decoder_counts(tmp_path, container, subtype, rate, channels):
    """Rate, channels and length without priming and padding are what libsndfile decodes; the coding is told."""
    path = write(tmp_path / "song", container, subtype, rate=rate, channels=channels, frames=rate + 333)
    facts, sound = probe(path), soundfile.read(path, always_2d=True)[0]
    assert (facts.frames, facts.channels) == sound.shape == (rate + 333, channels)
    assert (facts.rate, facts.format, facts.subtype) == (rate, container, subtype)


@pytest.mark.parametrize(("container", "subtype"), LOSSY)
def test_any_window_is_the_same_sound(tmp_path, container, subtype):
    """A window read alone holds what the whole decoded file holds there, and zeros where it reaches outside."""
    path = write(tmp_path / "song", container, subtype)
    layout, whole = sniff(path), soundfile.read(path, dtype="float32", always_2d=True)[0].T
    for start in (0, 1, 1_151, 33_333, 98_000):
        window = read_native(path, layout, start, 2_000)
        assert np.abs(window - whole[:, start : start + 2_000]).max() < 1e-7
    assert not read_window(path, layout, 99_990, 30)[:, 10:].any()


def without_first_frame(path):
    """An MP3 without the frame that says how long it is, as old recorders and streams leave it."""
    data = path.read_bytes()
    path.write_bytes(data[data.index(data[:2], 4) :])
    return path


def test_untagged_mp3(tmp_path):
    """A constant bit rate is counted frame by frame; a variable one cannot be searched and is refused with what to do."""
    steady = without_first_frame(write(tmp_path / "a.mp3", *LOSSY[0], bitrate_mode="CONSTANT", compression_level=0.5))
    layout = sniff(steady)
    assert layout.frames % 1152 == 0 and 100_000 <= layout.frames <= 100_000 + 3 * 1152
    assert read_native(steady, layout, 0, layout.frames).shape == (2, layout.frames)
    moving = without_first_frame(write(tmp_path / "b.mp3", *LOSSY[0], bitrate_mode="VARIABLE", compression_level=0.5))
    with pytest.raises(NotAudio, match=r"variable bit rate .* convert it to WAV or FLAC"):
        sniff(moving)


def test_id3_before_the_sound(tmp_path):
    """Tags before the first frame are stepped over."""
    path = write(tmp_path / "a.mp3", *LOSSY[0])
    path.write_bytes(b"ID3\x04\0\0\0\0\x02\x00" + bytes(256) + path.read_bytes())
    assert sniff(path).frames == 100_000


@pytest.mark.parametrize(("container", "subtype"), LOSSY)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files_are_refused(tmp_path, container, subtype, share):
    """A file that was cut off is not taken for a shorter song."""
    path = write(tmp_path / "song", container, subtype)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CorruptAudio, match="truncated") as caught:
        sniff(path)
    assert caught.value.field == "source"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "M4A"),
        (b"\0\0\0\x20ftypisom\0\0\0\0", "MP4"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "WMA"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\0", "WebM"),
        (b"wvpk" + bytes(20), "WavPack"),
        (b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(20), "AAC"),
        (b"RIFX\0\0\0\x24WAVEfmt " + bytes(20), "RIFX"),
        (b"caff\0\x01\0\0" + bytes(20), "Core Audio"),
        (b"MThd\0\0\0\x06" + bytes(20), "MIDI"),
    ],
)
def test_other_kinds_are_named_with_what_to_do(tmp_path, head, kind):
    """An M4A is called one, and the sentence says how to get on."""
    path = tmp_path / "song.m4a"
    path.write_bytes(head)
    with pytest.raises(NotAudio) as caught:
        sniff(path)
    assert kind in caught.value.message
    assert "ffmpeg -i song.m4a" in caught.value.message or "as the guide" in caught.value.message
    assert caught.value.limits["choices"] == ["WAV", "FLAC", "AIFF", "MP3", "Ogg Vorbis", "Opus"]
