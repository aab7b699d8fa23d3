"""Lossy files in and out: copies beside the exact result, and edits of songs that exist as MP3 only."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.api.errors import NotAudio
from acestep.api.formats import FORMATS, FormatName, format_of_suffix
from acestep.audio.sniff import sniff

LOSSY = {"mp3": "MPEG_LAYER_III", "ogg": "VORBIS", "opus": "OPUS"}


def test_the_table_holds_every_name():
    """The names that requests take are the rows; a file's ending finds its row."""
    assert set(FormatName.__args__) == set(FORMATS)
    assert [format_of_suffix(end) for end in (".wav", ".FLAC", ".mp3", ".ogg", ".opus", ".m4a")] == [
        "wav", "flac", "mp3", "ogg", "opus", "",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), [("wav", ("WAV", "PCM_24")), ("flac", ("FLAC", "PCM_24")),
                                            ("wav16", ("WAV", "PCM_16"))])  # fmt: skip
def test_plain_names_have_a_sensible_depth(runner, name, kind):
    """wav and flac are 24 bit."""
    result, folder = runner.run("generate", length=9_000, rate=48_000, steps=1, format=name)
    (file,) = result.files
    info = soundfile.info(folder / file.name)
    assert (info.format, info.subtype, info.frames) == (*kind, 9_000)


@pytest.mark.parametrize("name", sorted(LOSSY))
@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_a_lossy_format_is_a_copy_beside_the_exact_file(runner, name, rate):
    """The exact WAV is the result; the copy begins and ends where it does, and says whose copy it is and how late it may sound."""
    wish = {"length": 3 * rate // 2 + 1, "rate": rate, "steps": 1, "seed": 5, "caption": "a bell"}
    exact, other = runner.run("generate", **wish, format="wav")
    result, folder = runner.run("generate", **wish, format=name)
    part, copy = result.files
    assert [part.role, copy.role, copy.copy_of] == ["part", "copy", part.name]
    assert (folder / part.name).read_bytes()[-9_000:-3_000] != b""
    assert np.array_equal(soundfile.read(folder / part.name)[0], soundfile.read(other / exact.files[0].name)[0])
    held = FORMATS[name].rate_for(rate)
    info = soundfile.info(folder / copy.name)
    assert (info.subtype, info.samplerate, info.frames) == (LOSSY[name], copy.rate, copy.length)
    assert copy.rate == held and abs(copy.length / held - part.length / rate) < 1 / held
    assert copy.delay == {"mp3": 1_105, "ogg": 0, "opus": 312}[name]
    assert any(f"{copy.name} is a lossy copy of {part.name}: {copy.length} samples" in note for note in result.notes)
    assert folder.joinpath(copy.name).suffix == f".{name}"


def test_a_copy_lies_on_the_sound(runner, song):
    """No shift: the copy of a tone follows the exact file sample by sample."""
    path = song("WAV", "PCM_16", rate=44_100)
    result, folder = runner.run("cover", source=str(path), start=0, end=88_200, steps=1, format="ogg", variants=2)
    assert [file.role for file in result.files] == ["part", "copy"] * 2
    for part, copy in zip(result.files[::2], result.files[1::2], strict=True):
        exact, coded = (soundfile.read(folder / file.name, always_2d=True)[0][:, 0] for file in (part, copy))
        shifts = {shift: np.dot(exact[1_000:80_000], coded[1_000 + shift : 80_000 + shift]) for shift in range(-40, 41)}
        assert max(shifts, key=shifts.get) == 0


@pytest.mark.parametrize(("container", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_editing_a_lossy_song(runner, song, container, subtype):
    """Outside region and crossfade the whole file holds exactly what the source decodes to; a float WAV, and it says why."""
    path = song(container, subtype, rate=48_000)
    before = soundfile.read(path, dtype="float32", always_2d=True)[0]
    result, folder = runner.run(
        "repaint", source=str(path), start=60_000, end=90_001, returns=["whole", "patch"], steps=1
    )
    whole, patch = result.files
    after = soundfile.read(folder / whole.name, dtype="float32", always_2d=True)[0]
    assert (sniff(folder / whole.name).container, whole.subtype, whole.length) == ("WAV", "FLOAT", len(before))
    edge = patch.start, patch.start + patch.length
    assert np.array_equal(before[: edge[0]], after[: edge[0]]) and np.array_equal(before[edge[1] :], after[edge[1] :])
    assert not np.array_equal(before[60_000:90_001], after[60_000:90_001])
    assert any("32-bit float WAV" in note for note in result.notes)


def test_a_lossy_reference_is_heard(runner, song):
    """An MP3 as reference sounds into the result: another one makes another result."""
    wish = {"length": 20_000, "rate": 48_000, "seed": 3, "steps": 2, "format": "wav32f"}
    sounds = []
    for reference in ("", str(song("MP3", "MPEG_LAYER_III", seed=1)), str(song("OGG", "OPUS", rate=48_000, seed=2))):
        result, folder = runner.run("generate", **wish, reference=reference)
        sounds.append(soundfile.read(folder / result.files[0].name)[0])
    assert not any(np.array_equal(sounds[one], sounds[other]) for one, other in ((0, 1), (0, 2), (1, 2)))


def test_what_cannot_be_read_is_named(runner, tmp_path):
    """An M4A is refused at the door, with how to convert it."""
    path = tmp_path / "song.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(400))
    with pytest.raises(NotAudio, match=r"an M4A file .*ffmpeg -i song.m4a"):
        runner.run("repaint", source=str(path), start=0, end=10)
