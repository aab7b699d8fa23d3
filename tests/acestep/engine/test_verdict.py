"""What a job asks of its parts is checked, mended where that is asked, and told. The ear is scripted here; what it hears is
`test_truth`'s subject."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.engine import verdict
from acestep.engine.verdict import Verdict

PART = {"length": 60_000, "rate": 48_000, "seed": 3, "steps": 2, "format": "wav32f", "bpm": 120.0}
WRONG = "asked for 120 bpm, 97.0 are heard"


@pytest.fixture
def ear(monkeypatch):
    """Let every part be checked, and say what is heard in each, in order."""
    verdicts: list[Verdict] = []
    monkeypatch.setattr(verdict, "is_checked", lambda stage: stage.state.render.output.check != "off")
    monkeypatch.setattr(verdict, "judge", lambda sound, rate, wanted: verdicts.pop(0))
    return verdicts


def wrong(speed: float = 1.2) -> Verdict:
    return Verdict({"bpm": 97.0}, (WRONG,), speed)


def right(speed: float = 1.0) -> Verdict:
    return Verdict({"bpm": 120.0 / speed}, (), speed)


def sound(result, folder, number: int = 0) -> np.ndarray:
    return soundfile.read(folder / result.files[number].name)[0]


def test_a_problem_is_noted_and_nothing_else_changes(runner, ear):
    ear += [wrong()]
    result, folder = runner.run("generate", **PART)
    plain, other = runner.run("generate", **PART, check="off")
    assert WRONG in result.notes and np.array_equal(sound(result, folder), sound(plain, other))
    assert result.data["check"] == [{"stage": 1, "variant": 0, "seed": 3, "heard": {"bpm": 97.0}, "problems": [WRONG]}]
    assert "check" not in plain.data


def test_a_remark_is_noted_and_nothing_is_made_again(runner, ear):
    """Half-time is on the grid: no problem, one sentence."""
    ear += [Verdict({"bpm": 120.0, "felt": 60.0}, (), 1.0, ("it is heard as 60, half of 120",))]
    result, _ = runner.run("generate", **PART, check="retry")
    assert "it is heard as 60, half of 120" in result.notes
    assert result.data["check"][0]["problems"] == [] and "tried" not in result.data["check"][0]


def test_a_retry_takes_another_seed_shows_it_and_is_repeatable(runner, ear):
    """The second seed is right: its sound, its latent, its seed in the recipe, and what was tried beside it."""
    ear += [wrong(), right()]
    result, folder = runner.run("generate", **PART, check="retry")
    (told,) = result.data["check"]
    assert [one["seed"] for one in told["tried"]] == [3, told["seed"]] and told["seed"] != 3
    assert any(name == "generate (retry 1)" for name, *_ in runner.ticks)
    fractions = [fraction for *_, fraction in runner.ticks]
    assert fractions == sorted(fractions)
    assert result.seeds == (told["seed"],) and result.files[0].seed == told["seed"]
    assert result.recipe["tried"] == [{"stage": 1, "variant": 0, "seeds": [3, told["seed"]]}]
    assert any("made again 1 time with other seeds" in note for note in result.notes)
    plain, other = runner.run("generate", **{**PART, "seed": told["seed"]}, check="off")
    assert np.array_equal(sound(result, folder), sound(plain, other))
    ear += [right()]
    again, third = runner.run_recipe(result.recipe["request"])
    assert np.array_equal(sound(again, third), sound(result, folder))


def test_after_two_retries_the_best_is_kept(runner, ear):
    """The first was the nearest: it is returned, and what is wrong with it is told."""
    ear += [wrong(1.1), wrong(1.2), wrong(1.3)]
    result, folder = runner.run("generate", **PART, check="retry")
    plain, other = runner.run("generate", **PART, check="off")
    assert np.array_equal(sound(result, folder), sound(plain, other))
    assert len(result.data["check"][0]["tried"]) == 3 and WRONG in result.notes and result.seeds == (3,)


def test_only_the_variant_that_is_wrong_is_made_again(runner, ear):
    ear += [right(), wrong(), right()]
    wish = {**PART, "seeds": [3, 4], "variants": 2}
    result, folder = runner.run("generate", **wish, check="retry")
    plain, other = runner.run("generate", **wish, check="off")
    assert np.array_equal(sound(result, folder), sound(plain, other))
    assert not np.array_equal(sound(result, folder, 1), sound(plain, other, 1))
    assert result.seeds[0] == 3 and result.seeds[1] != 4


def test_a_part_within_half_a_percent_is_conformed_and_keeps_its_length(runner, ear):
    ear += [right(1.004)]
    result, folder = runner.run("generate", **PART, check="conform")
    assert len(sound(result, folder)) == 60_000
    assert np.abs(sound(result, folder)[-200:]).max() > 0
    assert any("heard and conformed" in note and "+6.9 cents" in note for note in result.notes)
    ear += [right(1.02)]
    result, _ = runner.run("generate", **PART, check="conform")
    assert not any("conformed" in note for note in result.notes)


def test_models_that_were_not_trained_are_not_listened_to(runner, song, monkeypatch):
    """Noise says nothing."""
    monkeypatch.setattr(verdict, "judge", None)
    assert "check" not in runner.run("generate", **PART)[0].data


def beats(path, *, bpm=126.0, first=0.2, seconds=12):
    """Kicks on the beats of a song, the first of them after so many seconds."""
    rate = 44_100
    line = np.zeros(seconds * rate)
    time = np.arange(rate // 6) / rate
    kick = np.sin(2 * np.pi * 60 * time) * np.exp(-25 * time)
    for beat in range(int((seconds - first - 0.2) * bpm / 60)):
        start = round((first + beat * 60 / bpm) * rate)
        line[start : start + len(kick)] += kick
    soundfile.write(path, np.stack([line, line], 1) * 0.7, rate)
    return path


@pytest.mark.parametrize(("operation", "more"), [("lego", {"track": "bass"}), ("complete", {"tracks": ["bass"]})])
def test_a_part_is_compared_with_the_tempo_and_the_beat_of_what_it_goes_with(
    runner, monkeypatch, tmp_path, operation, more
):
    """Found in the audio around it, counted from the region's start, where the job names no tempo."""
    wanted = []
    monkeypatch.setattr(verdict, "is_checked", lambda stage: True)
    monkeypatch.setattr(verdict, "judge", lambda sound, rate, expected: wanted.append(expected) or right())
    source = beats(tmp_path / "beats.wav")
    runner.run(operation, source=str(source), start_seconds=1.0, end_seconds=11.0, steps=1, seed=1, **more)
    (expected,) = wanted
    beat = 60 / 126
    assert expected.bpm == pytest.approx(126, rel=0.003)
    off = (expected.beat - (0.2 - 1.0) + beat / 2) % beat - beat / 2
    assert abs(off) < 0.02
    assert expected.source == "the audio it was made for"


@pytest.mark.parametrize(
    ("operation", "region", "source"),
    [
        ("repaint", (16.0, 21.0), "the audio around it"),
        ("repaint", (2.0, 8.0), "the audio around it"),
        ("cover", (16.0, 21.0), "the audio around it"),
        ("cover", (0.0, 24.0), "what was there"),
    ],
)
def test_an_edit_in_place_is_compared_with_its_surroundings(runner, monkeypatch, tmp_path, operation, region, source):
    """Tempo and beat are those of the longer side, counted on to the region; what is heard is the region without its crossfades."""
    wanted, heard = [], []
    monkeypatch.setattr(verdict, "is_checked", lambda stage: True)

    def judge(sound, rate, expected):
        wanted.append(expected)
        heard.append(sound.shape[-1])
        return right()

    monkeypatch.setattr(verdict, "judge", judge)
    start, end = region
    song = beats(tmp_path / "beats.wav", first=0.3, seconds=24)
    wish = {"source": str(song), "start_seconds": start, "end_seconds": end, "returns": ["patch"]}
    result, _ = runner.run(operation, **wish, steps=1, seed=1)
    (expected,) = wanted
    beat = 60 / 126
    assert expected.bpm == pytest.approx(126, rel=0.002) and expected.source == source
    off = (expected.beat - (0.3 - start) + beat / 2) % beat - beat / 2
    assert abs(off) < 0.03
    assert heard == [round((end - start) * 44_100)]
    assert result.data["check"][0]["problems"] == []


def test_an_edit_that_leaves_the_beat_of_its_song_is_told():
    """Judged against the tempo around it."""
    rate = 44_100
    line = np.zeros(8 * rate)
    time = np.arange(rate // 6) / rate
    for beat in range(13):
        start = round(beat * 60 / 105 * rate)
        line[start : start + len(time)] += np.sin(2 * np.pi * 60 * time) * np.exp(-25 * time)
    sound = np.stack([line, line]).astype(np.float32) * 0.7
    (problem,) = verdict.judge(sound, rate, verdict.Expected(bpm=126.0, source="the audio around it")).problems
    assert problem.startswith("the audio around it has 126.0 bpm, ")
