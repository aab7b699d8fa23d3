"""Edits of whole songs in stereo: songs that training never saw, played by the test with panned voices in a room."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.codec.width import measure
from acestep.training.songs import compose
from acestep.training.songs.seeds import song_seed

RATE = 48_000
SECONDS = 16
PLACES = (0.7, -0.7, 0.4, -0.4)
THIRD = (2 / 3, 4 / 3)


def play(seed: int) -> np.ndarray:
    """A composed song [2, n]: bass and drums in the middle, the other parts left and right with the room's own side."""
    song, rng = compose(seed, SECONDS + 1), np.random.default_rng(seed)
    mix, reach = np.zeros((2, (SECONDS + 3) * RATE)), RATE
    time = np.arange(2 * RATE) / RATE
    for number, part in enumerate(song.parts):
        pan = 0.0 if part.track in ("bass", "drums") else PLACES[number % len(PLACES)]
        for note in part.notes:
            start = round(note.start * 60 / song.bpm * RATE)
            if start >= SECONDS * RATE:
                continue
            if part.unpitched:
                wave = rng.standard_normal(len(time)) * np.exp(-30 * time) * 0.15
            else:
                pitch = 440 * 2 ** ((note.pitch - 69) / 12)
                wave = sum(np.sin(2 * np.pi * pitch * k * time + k) / k for k in range(1, 9) if pitch * k < 12_000)
                wave = wave * np.exp(-time / max(note.length * 60 / song.bpm, 0.1))
            wave = wave * (note.velocity / 127) * np.clip((2 - time) / 0.1, 0, 1)
            place = slice(start, start + len(wave))
            mix[0, place] += wave * (1 - pan)
            mix[1, place] += wave * (1 + pan)
    echo = rng.standard_normal((2, reach)) * np.exp(-8 * np.arange(reach) / RATE) * 0.01
    size = 1 << (mix.shape[1] + reach).bit_length()
    room = np.fft.irfft(np.fft.rfft(mix.mean(0), size) * np.fft.rfft(echo, size), size)[:, : mix.shape[1]]
    made = (mix + room)[:, : SECONDS * RATE]
    return 0.5 * made / np.abs(made).max()


def sides(sound: np.ndarray) -> np.ndarray:
    """Amplitude of the side against the middle's, by the bands from 160 Hz to 9 kHz."""
    found = measure([sound.astype(np.float32)], RATE)
    return np.hypot(found.pan, found.spread)[2:19]


def correlation(sound: np.ndarray) -> float:
    return float(np.corrcoef(sound)[0, 1])


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """``songs(number)``: the file of a song of the test split, and its sound as the file holds it."""
    folder, known = tmp_path_factory.mktemp("songs"), {}

    def song(number):
        if number not in known:
            path = folder / f"{number}.wav"
            soundfile.write(path, play(song_seed("test", number)).T, RATE, subtype="PCM_24")
            known[number] = path, soundfile.read(path, always_2d=True)[0].T
        return known[number]

    return song


@pytest.fixture(scope="module")
def nano(runner):
    return runner.fresh_engine(model="nano")


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("operation", "start", "end"),
    [("repaint", 6.0, 10.0), ("cover", 6.0, 10.0), ("extend", SECONDS - 1.0, SECONDS + 3.0)],
)
def test_an_edit_of_a_song_is_as_wide_as_the_song(runner, nano, songs, number, operation, start, end):
    """The correlation inside the region and the side's level in every band lie within a third of those outside; a cover, which
    follows its source, is held against the source's own."""
    path, song = songs(number)
    first, last = round(start * RATE), round(end * RATE)
    wish = {"source": str(path), "start": first, "end": last, "bpm": 120.0, "steps": 2, "seed": 1, "check": "off"}
    result, folder = runner.run(operation, engine=nano, returns=["patch"], format="wav32f", **wish)
    made = soundfile.read(folder / result.files[0].name, always_2d=True)[0].T
    inside = made[:, 4800 : last - first - 2400]
    outside = song[:, first:last] if operation == "cover" else np.concatenate([song[:, :first], song[:, last:]], 1)
    ratio = correlation(inside) / correlation(outside)
    assert THIRD[0] < ratio < THIRD[1], f"correlation {correlation(inside):.2f}, outside {correlation(outside):.2f}"
    bands = sides(inside) / sides(outside)
    assert np.all((bands > THIRD[0]) & (bands < THIRD[1])), np.round(bands, 2)
