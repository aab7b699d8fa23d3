"""The embedded model in stereo: an edit is as wide as the music around it, a new part is not two equal channels."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.codec.width import measure

RATE = 48_000
START, END = 6 * RATE, 9 * RATE


def chord(gains: dict[int, float], time: np.ndarray) -> np.ndarray:
    """Pitches at gains, struck four times a second."""
    wave = sum(
        gain * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * k * time + pitch * k) / k
        for pitch, gain in gains.items()
        for k in (1, 2, 3, 5)
    )
    return 0.04 * wave * np.exp(-6 * (time % 0.25))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """``wide(name)``: 15 s of hits and chords whose voices stand left and right; mono ones have one or two channels."""
    folder = tmp_path_factory.mktemp("wide")
    time = np.arange(15 * RATE) / RATE
    voices = dict.fromkeys((41, 45, 48, 52, 55, 60, 64, 67, 71, 72, 76, 79), 1.0)
    places = (0.1, -0.2, 0.5, -0.6, 0.7, -0.5, 0.6, -0.7, 0.4, 0.8, -0.8, -0.4)
    hits = np.random.default_rng(4).standard_normal((3, len(time))) * np.exp(-12 * (time % 0.5)) * 0.06
    middle = chord(voices, time) + hits[0]
    side = chord(dict(zip(voices, places, strict=True)), time)
    stereo = np.stack([middle + side, middle - side]) + hits[1:] * 0.7
    sounds = {"wide": stereo, "mono": middle[None], "double": np.stack([middle, middle])}
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound.T, RATE, subtype="PCM_24")
    return lambda name="wide": folder / f"{name}.wav"


@pytest.fixture(scope="module")
def nano(runner):
    """``nano(operation, ...)``: the first sound [C, n] that the embedded model makes, and the result."""
    engine = runner.fresh_engine(model="nano")

    def run(operation, **wish):
        result, folder = runner.run(operation, engine=engine, **{"seed": 1, "steps": 2, "check": "off", **wish})
        return soundfile.read(folder / result.files[0].name, always_2d=True)[0].T, result, folder

    return run


def side_levels(sound: np.ndarray) -> np.ndarray:
    """Amplitude of the side against the middle's, of the bands from 160 Hz to 9 kHz."""
    found = measure([sound.astype(np.float32)], RATE)
    return np.hypot(found.pan, found.spread)[2:19]


def correlation(sound: np.ndarray) -> float:
    return float(np.corrcoef(sound)[0, 1])


@pytest.mark.parametrize(
    ("operation", "wish"),
    [("repaint", {"bpm": 120.0}), ("cover", {}), ("refine", {"t_start": 0.5}),
     ("extend", {"start": 14 * RATE, "end": 18 * RATE})],
)  # fmt: skip
def test_an_edit_is_as_wide_as_the_music_around_it(nano, wide, operation, wish):
    """Level of the side by band, and the correlation that follows from it, within a third of the source's; the rest to the bit."""
    source = soundfile.read(wide(), always_2d=True, dtype="int32")[0].T
    span = {"start": START, "end": END, **wish}
    made, result, folder = nano(operation, source=str(wide()), returns=["whole"], **span)
    inside = made[:, span["start"] + 2400 : span["end"] - 2400]
    asked, found = side_levels(source / 2.0**31), side_levels(inside)
    assert np.all((found > asked * 2 / 3) & (found < asked * 4 / 3)), np.round(found / asked, 2)
    exact = soundfile.read(folder / result.files[0].name, always_2d=True, dtype="int32")[0].T
    last = span["start"] - 2400
    assert np.array_equal(exact[:, :last], source[:, :last])
    assert result.recipe["width"]["from"] == ("source" if operation in ("cover", "refine") else "surroundings")


def test_the_model_itself_plays_nearly_mono(nano, wide):
    """Why all this: `width` model leaves what the codec makes, whose sum both have."""
    wish = {"source": str(wide()), "start": START, "end": END, "bpm": 120.0, "returns": ["patch"]}
    plain, result, _ = nano("repaint", width="model", **wish)
    made, _, _ = nano("repaint", **wish)
    inside = slice(4800, -4800)
    assert correlation(plain[:, inside]) > 0.98 > 0.9 > correlation(made[:, inside])
    assert np.abs((plain - made).sum(0)).max() < 1e-5
    assert "width" not in result.recipe


@pytest.mark.parametrize(("name", "operation"), [("mono", "repaint"), ("double", "repaint"), ("double", "cover")])
def test_mono_stays_mono(nano, wide, name, operation):
    """A file of one channel keeps one, a file of two equal channels keeps them equal."""
    made, _, _ = nano(operation, source=str(wide(name)), start=START, end=END, bpm=120.0, returns=["whole"])
    assert made.shape[0] == (1 if name == "mono" else 2)
    assert np.array_equal(made[0], made[-1])


@pytest.mark.parametrize(
    ("operation", "wish"),
    [("generate", {"duration": 10.0, "caption": "rock"}), ("lego", {"track": "guitar"}), ("complete", {})],
)
def test_a_new_part_is_not_two_equal_channels(nano, wide, operation, wish):
    """Its top has width, its bass has none."""
    given = {} if operation == "generate" else {"source": str(wide()), "start": START, "end": END}
    made, result, _ = nano(operation, **given, **wish, format="wav32f")
    found = measure([made.astype(np.float32)], RATE)
    assert min(found.spread[8:18]) > 0.2 and found.spread[0] < 0.1
    assert result.recipe["width"] == {"from": "new part"}
    single, _, _ = nano(operation, **given, **wish, channels=1, format="wav32f")
    assert single.shape[0] == 1 and np.abs(single[0] - made.mean(0)).max() < 1e-5


def test_a_result_and_its_latent_sound_the_same(nano, wide, runner):
    """The recipe runs again to the bit, and the stored latent decodes to what the file holds."""
    made, result, folder = nano(
        "repaint", source=str(wide()), start=START, end=END, bpm=120.0, returns=["patch", "latent"], format="wav32f"
    )
    again, place = runner.run_recipe(result.recipe["request"], runner.fresh_engine(model="nano"))
    assert np.array_equal(soundfile.read(place / again.files[0].name, always_2d=True)[0].T, made)
    context = runner.context(folder.parent / "decoded", runner.fresh_engine(model="nano"))
    latent = next(file for file in result.files if file.role == "latent")
    decoded = context.backend.run("decode", {"latent": f"{folder.name}/{latent.name}", "format": "wav32f"}, context)
    sound = soundfile.read(context.staging / decoded.files[0].name, always_2d=True)[0].T
    inside = sound[:, START - latent.start + 4800 : END - latent.start - 4800]
    assert np.abs(inside - made[:, 2400 + 4800 : -2400 - 4800]).max() < 1e-4


def test_width_is_told_where_it_changes_nothing(runner, song):
    """A model that plays in stereo is never made wider."""
    result, _ = runner.run("generate", duration=10.0, steps=1, seed=1, width="model")
    assert any("width model has no effect here: tiny plays in stereo" in note for note in result.notes)
    assert "width" not in result.recipe
