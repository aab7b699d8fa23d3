"""What a source file brings with it: its own place on the timeline, levels beyond full scale, faults, an open header."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from acestep.api.errors import CorruptAudio
from acestep.audio import pcm
from acestep.audio.read import read_native
from acestep.audio.sniff import sniff

RATE = 44_100
HOUR = 3_600 * RATE


def samples(path) -> np.ndarray:
    layout = sniff(path)
    return pcm.to_float(read_native(path, layout, 0, layout.frames), layout.subtype)


def with_reference(path, reference: int):
    """Put a broadcast extension behind the sound."""
    body = bytes(338) + struct.pack("<QH", reference, 1) + bytes(254)
    data = path.read_bytes() + b"bext" + struct.pack("<I", len(body)) + body
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    return path


def test_the_sources_time_reference_carries_into_every_file(runner, song):
    """Patch, span and whole stand where the source stands, each at its own first sample."""
    path = with_reference(song(rate=RATE, seconds=3.0), HOUR)
    result, folder = runner.run(
        "repaint", source=str(path), start=44_100, end=88_200, steps=1, returns=["patch", "span", "whole"],
        span_start=40_000, span_end=100_000, crossfade=10.0,
    )  # fmt: skip
    places = {file.role: sniff(folder / file.name).position for file in result.files}
    assert places == {"patch": HOUR + 44_100 - 441, "span": HOUR + 40_000, "whole": HOUR}
    starts = {file.role: file.start for file in result.files}
    assert starts == {"patch": 44_100 - 441, "span": 40_000, "whole": 0}  # in the result: of the file's own timeline


@pytest.mark.parametrize("format", ["wav24", "wav32f", "flac24"])
@pytest.mark.parametrize(("rate", "place"), [(None, HOUR + 44_100), (88_200, 2 * (HOUR + 44_100))])
def test_stems_stand_where_the_source_stands(runner, song, format, rate, place):
    """In every exact format, counted at the stem's own rate."""
    path = with_reference(song(rate=RATE, seconds=3.0), HOUR)
    wish = {"rate": rate} if rate else {}
    result, folder = runner.run(
        "extract", source=str(path), start=44_100, end=88_200, track="drums", steps=1, returns=["stem", "residual"],
        format=format, **wish,
    )  # fmt: skip
    assert [sniff(folder / file.name).position for file in result.files] == [place, place]


@pytest.mark.parametrize("format", ["wav24", "flac24", "flac16", "wav32f"])
def test_stem_and_residual_of_a_hot_mix_add_up_to_it(runner, tmp_path, format):
    """A float mix far above 0 dBFS: nothing is clipped, the sum is the source, and the user is told of another form."""
    path = tmp_path / "hot.wav"
    mix = (np.random.default_rng(3).uniform(-8, 8, (2 * RATE, 2))).astype(np.float32)
    soundfile.write(path, mix, RATE, subtype="FLOAT")
    result, folder = runner.run(
        "extract", source=str(path), track="drums", steps=1, returns=["stem", "residual"], format=format
    )
    parts = [samples(folder / file.name) for file in result.files]
    assert np.abs(sum(parts) - mix.T).max() <= 8 * 2**-23
    assert [file.clipped for file in result.files] == [0, 0]
    beyond = [file for file, part in zip(result.files, parts, strict=True) if np.abs(part).max() > 1]
    told = [note for note in result.notes if "32-bit float WAV: it goes beyond 0 dBFS" in note]
    assert beyond and all(file.subtype == "FLOAT" and file.name.endswith(".wav") for file in beyond)
    assert len(told) == (0 if format == "wav32f" else len(beyond))
    assert [note for note in result.notes if "+18.1 dBFS" in note]


def test_a_quiet_mix_keeps_the_asked_form(runner, song):
    """Within full scale nothing changes."""
    result, _ = runner.run(
        "extract", source=str(song(seconds=1.0)), track="drums", steps=1, returns=["stem", "residual"], format="flac24"
    )
    assert [file.subtype for file in result.files] == ["PCM_24", "PCM_24"]
    assert not [note for note in result.notes if "dBFS" in note]


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_a_value_that_is_no_number_is_the_sources_fault(runner, tmp_path, value, word):
    """Not the model's: named with its place where the edit reads it, and not in the way where it does not."""
    path = tmp_path / "song.wav"
    sound = np.random.default_rng(4).uniform(-0.3, 0.3, (40 * RATE, 2)).astype(np.float32)
    sound[30 * RATE, 1] = value
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    with pytest.raises(CorruptAudio) as caught:
        runner.run("repaint", source=str(path), start=28 * RATE, end=29 * RATE, steps=1)
    assert f"sample {30 * RATE:,} (at 30.000 s)" in caught.value.message and word in caught.value.message
    result, folder = runner.run("repaint", source=str(path), start=RATE, end=2 * RATE, steps=1, returns=["whole"])
    whole = soundfile.read(folder / result.files[0].name, dtype="float32")[0]
    assert np.array_equal(whole[20 * RATE :], sound[20 * RATE :], equal_nan=True)
    with pytest.raises(CorruptAudio):
        runner.run("generate", caption="x", duration=1.0, steps=1, reference=str(path))


def test_an_open_header_is_told_and_mended(runner, song):
    """The note comes on admission and with the result; the whole file has its length."""
    path = song("WAV", "PCM_16", seconds=1.0)
    data = bytearray(path.read_bytes())
    place = data.index(b"data")
    data[4:8] = data[place + 4 : place + 8] = b"\xff" * 4
    path.write_bytes(data)
    from acestep.admission.render import admit_render

    wish = {"source": str(path), "end": 22_050, "steps": 1, "returns": ["whole"]}
    admitted = admit_render(runner.registry, "repaint", wish, runner.engine.host)
    assert [note for note in admitted.notes if path.name in note and "never completed" in note]
    result, folder = runner.run("repaint", **wish)
    assert soundfile.info(folder / result.files[0].name).frames == 44_100
