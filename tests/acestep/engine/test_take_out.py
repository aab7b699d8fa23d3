"""The embedded model does what the words say: where nobody asked for drums, none are heard, and the tempo holds."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.admission.render import admit_render
from acestep.analysis.beat import BeatFinder
from acestep.analysis.level import find_level
from acestep.api.errors import Cancelled
from acestep.api.metre import Metre
from acestep.engine import take_out

RATE = 48_000
LEAST = 20.0
"""dB by which extracted drums lie below what they were extracted from."""


@pytest.fixture(scope="module")
def nano(runner):
    """``nano(operation, ...)``: the first sound [C, n] that the embedded model makes, the result, and its path."""
    engine = runner.fresh_engine(model="nano")

    def run(operation, **wish):
        wish = {"seed": 1, "check": "off", "format": "wav32f", **wish}
        result, folder = runner.run(operation, engine=engine, **wish)
        path = folder / result.files[0].name
        return soundfile.read(path, always_2d=True)[0].T, result, path

    return run


@pytest.mark.parametrize(("caption", "bpm"), [("string quartet, slow and sad", 84.0), ("Flöte, ohne Schlagzeug", 96.0)])
def test_no_drums_are_heard_where_the_words_leave_them_out(nano, caption, bpm):
    """Neither by an extraction with the take's own seed nor by one with another; length and tempo are as asked."""
    made, result, path = nano("generate", caption=caption, bpm=bpm, key="A minor", duration=10.0)
    for seed in (1, 77):
        wish = {"source": str(path), "start": 0, "end": made.shape[1], "track": "drums"}
        stem, _, _ = nano("extract", seed=seed, returns=["stem"], **wish)
        below = find_level(made, RATE).rms - find_level(stem, RATE).rms
        assert below >= LEAST, f"seed {seed}: {below:.1f} dB"
    beat = BeatFinder(made, RATE).find(bpm, Metre())
    assert beat is not None and beat.clear and abs(beat.bpm / bpm - 1) < 0.01
    assert made.shape[1] == 10 * RATE
    assert result.recipe["request"]["stages"][0]["drums"] == "out"
    assert any("no drums were asked for" in note for note in result.notes)


def test_drums_that_are_asked_for_stay(nano):
    """Hand percussion beside a guitar: the part is the model's own, and an extraction hears it."""
    wish = {"caption": "acoustic folk, guitar, shaker and congas", "bpm": 100.0, "duration": 10.0}
    made, result, path = nano("generate", **wish)
    assert result.recipe["request"]["stages"][0]["drums"] == "model"
    source = {"source": str(path), "start": 0, "end": made.shape[1]}
    stem, _, _ = nano("extract", track="drums", returns=["stem"], **source)
    assert find_level(made, RATE).rms - find_level(stem, RATE).rms < 12


@pytest.fixture
def quick(monkeypatch):
    """Taken out once, by extractions of a single take: enough where only the way is looked at."""
    monkeypatch.setattr(take_out, "ROUNDS", 2)
    monkeypatch.setattr(take_out, "FRESH", 0)


def test_a_recipe_comes_back_to_the_bit_and_older_ones_as_they_were(nano, runner, quick):
    """What was taken out stands in the recipe; one from before the field was there leaves what the model plays."""
    wish = {"caption": "solo piano", "duration": 10.0, "steps": 2}
    engine = runner.fresh_engine(model="nano")
    played = {}
    for drums in ("auto", "model"):
        played[drums], result, _ = nano("generate", drums=drums, **wish)
        recipe = result.recipe
        if drums == "model":
            del recipe["request"]["stages"][0]["drums"]
        admitted = admit_render(runner.registry, "render", recipe, engine.host)
        again, folder = runner.run_recipe(admitted.render.to_recipe(), engine)
        sound = soundfile.read(folder / again.files[0].name, always_2d=True)[0].T
        assert np.array_equal(sound, played[drums]), drums
    assert not np.array_equal(played["auto"], played["model"])


@pytest.mark.parametrize("operation", ["repaint", "cover", "extend"])
def test_an_edit_leaves_everything_outside_its_region(nano, tmp_path, quick, operation):
    """Only the region is without drums; the rest of the file is the source's own samples."""
    path, start, end = tmp_path / "song.wav", 6 * RATE, 9 * RATE
    noise = np.random.default_rng(2).standard_normal((12 * RATE, 2))
    time = np.arange(12 * RATE)[:, None] / RATE
    song = 0.1 * np.sin(2 * np.pi * 220 * time) + 0.1 * noise * np.exp(-20 * (time % 0.5))
    soundfile.write(path, song, RATE, subtype="PCM_24")
    if operation == "extend":
        start, end = 11 * RATE, 14 * RATE
    wish = {"source": str(path), "start": start, "end": end, "caption": "solo piano", "bpm": 120.0, "steps": 2}
    made, result, _ = nano(operation, returns=["whole"], **wish)
    plain, _, _ = nano(operation, returns=["whole"], drums="model", **wish)
    source = soundfile.read(path, always_2d=True)[0].T
    last = start - 2400
    assert np.array_equal(made[:, :last], source[:, :last])
    assert np.array_equal(made[:, end + 2400 :], source[:, end + 2400 :])
    assert not np.array_equal(made[:, start:end], plain[:, start:end])
    assert result.recipe["request"]["stages"][0]["drums"] == "out"


def test_progress_grows_and_a_cancel_is_heard_while_drums_are_taken_out(runner, quick):
    """The phase has a name; a cancel in it ends the job."""
    engine = runner.fresh_engine(model="nano")
    wish = {"caption": "solo piano", "duration": 10.0, "steps": 2, "seed": 1, "check": "off"}
    recipe = admit_render(runner.registry, "generate", wish, engine.host).render.to_recipe()
    context = runner.context(runner.library / "cancelled", engine)
    ticks, report = [], context._report

    def cancel(*tick):
        report(*tick)
        ticks.append(tick)
        if tick[0] == take_out.PHASE:
            context.cancel()

    context._report = cancel
    with pytest.raises(Cancelled):
        engine.run("render", recipe, context)
    assert [tick[0] for tick in ticks].count(take_out.PHASE) == 1
    result, _ = runner.run_recipe(recipe, engine)
    fractions = [tick[3] for tick in runner.ticks]
    assert fractions == sorted(fractions) and any(tick[0] == take_out.PHASE for tick in runner.ticks)
    assert "take out" in result.stages[0].seconds
