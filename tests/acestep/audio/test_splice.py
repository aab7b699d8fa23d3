"""The edit in its source: exact lengths, the source's own bits outside, crossfades outside the region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from acestep.api.errors import CorruptAudio, DiskFull, NumericFailure, OutputUnwritable
from acestep.api.formats import FORMATS
from acestep.audio import pcm
from acestep.audio.chunks import Tags
from acestep.audio.read import read_native, read_window
from acestep.audio.resample import resample, to_channels
from acestep.audio.sniff import sniff
from acestep.audio.splice import Splice, clamp_handles
from acestep.audio.whole import write_whole
from acestep.audio.write import Form, Shape, form_of, storage_errors, write_audio

KINDS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "PCM_U8"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAVEX", "PCM_24"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("AIFF", "PCM_16"),
    ("AIFF", "PCM_24"),
    ("AIFF", "FLOAT"),
]


def edit(path: Path, start: int, length: int, crossfade: int, level: float = 0.5) -> Splice:
    """A splice whose new sound is a constant."""
    layout = sniff(path)
    handles = clamp_handles(start, length, layout.frames, crossfade)
    new = np.full((layout.channels, handles.before + length + handles.after), level, np.float32)
    return Splice(path=path, layout=layout, start=start, length=length, handles=handles, new=new)


@pytest.mark.parametrize(("container", "subtype"), KINDS)
@pytest.mark.parametrize("rate", [44_100, 48_000, 88_200, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_outside_is_the_sources_own(make, tmp_path, container, subtype, rate, channels):
    """Outside region + crossfade the whole file holds the source's very samples, inside the region the new ones."""
    path = make(container, subtype, rate=rate, channels=channels)
    splice = edit(path, 1_000, 777, 100)
    target = tmp_path / "whole"
    write_whole(target, splice)
    layout = sniff(target)
    assert (layout.rate, layout.channels, layout.frames, layout.subtype) == (rate, channels, 5_000, subtype)
    before = read_native(path, splice.layout, 0, 5_000)
    after = read_native(target, layout, 0, 5_000)
    assert np.array_equal(before[:, :900], after[:, :900])
    assert np.array_equal(before[:, 1_877:], after[:, 1_877:])
    assert np.allclose(pcm.to_float(after, subtype)[:, 1_000:1_777], 0.5, atol=2**-7)
    assert not np.array_equal(before[:, 900:1_000], after[:, 900:1_000])


def test_uncompressed_header_survives_byte_by_byte(make, tmp_path):
    """Chunks that other programs wrote (markers, notes, dates) stay where they are."""
    path = make("WAV", "PCM_24")
    data = path.read_bytes() + b"note\x06\0\0\0hello!"
    path.write_bytes(data)
    splice = edit(path, 1_000, 500, 10)
    write_whole(tmp_path / "whole", splice)
    whole = (tmp_path / "whole").read_bytes()
    first = splice.layout.data + splice.first * 6
    last = splice.layout.data + splice.last * 6
    assert whole[:first] == data[:first] and whole[last:] == data[last:]
    assert len(whole) == len(data)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(-400, 1_200),
    length=st.integers(1, 1_500),
    crossfade=st.integers(0, 500),
    kind=st.sampled_from([("WAV", "PCM_16"), ("FLAC", "PCM_24"), ("AIFF", "PCM_24"), ("WAV", "FLOAT")]),
)
def test_any_region_keeps_every_other_sample(make, tmp_path, start, length, crossfade, kind):
    """Inside or beyond either end: the length is exact and every source sample outside region + crossfade is kept."""
    assume(start + length >= 0)  # a region that does not touch the file is refused at the door
    path = make(*kind, frames=1_200)
    splice = edit(path, start, length, crossfade)
    write_whole(tmp_path / "whole", splice)
    layout = sniff(tmp_path / "whole")
    shift = max(0, -start)
    assert layout.frames == shift + max(1_200, start + length)
    before = read_native(path, splice.layout, 0, 1_200)
    after = read_native(tmp_path / "whole", layout, 0, layout.frames)
    assert np.array_equal(before[:, : max(splice.first, 0)], after[:, shift : shift + max(splice.first, 0)])
    if splice.last < 1_200:
        assert np.array_equal(before[:, max(splice.last, 0) :], after[:, shift + max(splice.last, 0) :])


@pytest.mark.parametrize(("level", "clipped"), [(0.5, 0), (1.5, 2 * 300), (-1.0, 0), (1.0, 2 * 300)])
def test_clipped_samples_are_counted(make, tmp_path, level, clipped):
    """Every sample that does not fit the integer depth is counted once; -1 fits, +1 does not."""
    splice = edit(make(), 100, 300, 0, level)
    assert write_whole(tmp_path / "whole", splice).clipped == clipped


def test_float_is_never_clipped(make, tmp_path):
    """A float file takes any level."""
    assert write_whole(tmp_path / "whole", edit(make("WAV", "FLOAT"), 100, 300, 0, 2.0)).clipped == 0


def test_not_finite_sound_is_refused(make, tmp_path):
    """NaN never reaches a file."""
    with pytest.raises(NumericFailure):
        write_whole(tmp_path / "whole", edit(make(), 100, 300, 0, float("nan")))
    with pytest.raises(NumericFailure):
        write_audio(tmp_path / "part.wav", [np.full((2, 4), np.inf)], Shape(48_000, 2, 4), form_of("wav24"), Tags())


def test_window_reaches_over_both_ends(make):
    """What a window asks for outside the file is silence."""
    path = make(frames=100)
    window = read_window(path, sniff(path), -30, 200)
    inside = read_window(path, sniff(path), 0, 100)
    assert window.shape == (2, 200)
    assert np.array_equal(window[:, 30:130], inside)
    assert not window[:, :30].any() and not window[:, 130:].any()


def test_truncated_flac_is_found_when_read(make):
    """A FLAC cut off behind its header fails with a reason when the lost samples are asked for."""
    path = make("FLAC", "PCM_16", frames=50_000)
    layout = sniff(path)
    path.write_bytes(path.read_bytes()[:60_000])
    with pytest.raises(CorruptAudio):
        read_native(path, layout, 40_000, 10_000)


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("length", [1, 1_001])
def test_parts_have_exact_length_and_depth(tmp_path, name, channels, length):
    """A new part holds exactly its samples in the asked form, readable by the reference decoder."""
    form: Form = form_of(name)
    path = tmp_path / ("part" + form.suffix)
    audio = np.random.default_rng(1).uniform(-1, 0.99, (channels, length))
    tags = Tags(position=12_345, bpm=120.5, description="a part", recipe={"caption": "a < b & ü"})
    write_audio(path, [audio[:, :500], audio[:, 500:]], Shape(44_100, channels, length), form, tags)
    data, rate = soundfile.read(path, always_2d=True, dtype="float64")
    assert rate == 44_100 and data.shape == (length, channels)
    assert np.abs(data.T - audio).max() <= {"PCM_16": 2**-16, "PCM_24": 2**-24, "FLOAT": 2**-24}[form.subtype]
    assert soundfile.info(path).subtype == form.subtype


def test_wav_says_where_it_belongs(tmp_path):
    """The broadcast chunk carries the position, the tempo chunk the tempo, iXML the recipe."""
    path = tmp_path / "part.wav"
    tags = Tags(position=2**33 + 5, bpm=98.5, description="a part", recipe={"caption": "a < b"})
    write_audio(path, [np.zeros((1, 48_000))], Shape(48_000, 1, 48_000), form_of("wav24"), tags)
    data = path.read_bytes()
    bext, acid = data.index(b"bext") + 8, data.index(b"acid") + 8
    assert int.from_bytes(data[bext + 338 : bext + 346], "little") == 2**33 + 5
    assert np.frombuffer(data[acid + 20 : acid + 24], "<f4")[0] == np.float32(98.5)
    assert b"a &lt; b" in data[data.index(b"iXML") :]


@settings(max_examples=30, deadline=None)
@given(
    rate=st.sampled_from([44_100, 48_000, 88_200, 96_000]),
    length=st.integers(1, 3_000),
)
def test_there_and_back_keeps_time(rate, length):
    """A tone resampled to the codec's rate and back stands where it was, to a small fraction of a sample."""
    padded = length + 4_000
    time = np.arange(padded) / rate
    tone = np.sin(2 * np.pi * 997 * time)[None].astype(np.float32)
    there = resample(tone, rate, 48_000, -(-padded * 48_000 // rate))
    back = resample(there, 48_000, rate, padded)
    middle = slice(2_000, 2_000 + length)
    assert back.shape == tone.shape
    assert np.abs(back[:, middle] - tone[:, middle]).max() < 1e-3


def test_channels_are_doubled_and_mixed():
    """Mono doubles exactly; stereo to mono is the mean."""
    mono = np.array([[0.5, -0.25]], np.float32)
    assert np.array_equal(to_channels(to_channels(mono, 2), 1), mono)


def test_storage_errors_are_ours(tmp_path):
    """A full disk and a forbidden folder have their own code words."""
    with pytest.raises(DiskFull), storage_errors(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    with pytest.raises(OutputUnwritable):
        write_audio(tmp_path / "none" / "a.wav", [], Shape(48_000, 1, 0), form_of("wav24"), Tags())
