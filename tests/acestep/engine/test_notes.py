"""Nothing in silence: what is snapped, held, ignored, cut off, assumed or clipped is a sentence with the old and the new value."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.analysis.level import find_level
from acestep.api import Registry
from acestep.api.plan import SourceFacts
from acestep.api.request import Stage
from acestep.api.resolve import resolve_stage
from acestep.api.result import ResultFile
from acestep.api.variants import VARIANTS, ModelInfo
from acestep.engine.deliver import clip_notes

ONE = {"length": 48_000, "rate": 48_000, "seed": 1, "steps": 1}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def resolve(registry, variant, stage="refine", **asked):
    """A stage on ten seconds of sound, settled."""
    info = ModelInfo(name=variant, path="", variant=variant, task_types=VARIANTS[variant].tasks)
    kind = registry.stage(stage)
    params = kind.Params(**asked)
    facts = SourceFacts(rate=48_000, channels=2, frames=480_000, start=0, length=480_000)
    return resolve_stage(registry, Stage(stage, params), kind.plan(params, facts, info), info)


def test_a_snapped_shift_is_told_and_stands_in_the_recipe(registry):
    """Shift 10 runs as 3, and says so."""
    stage = resolve(registry, "turbo", "generate", shift=10.0)
    assert stage.params.shift == 3.0 and "shift 10 runs as 3" in stage.notes[0]
    held = resolve(registry, "turbo-continuous", "generate", shift=9.0)
    assert held.params.shift == 5.0 and "shift 9 runs as 5" in held.notes[0]
    assert resolve(registry, "turbo", "generate", shift=2.0).notes == ()


@pytest.mark.parametrize(
    ("asked", "start", "steps"),
    [
        (0.25, 0.25, 1),
        (0.3, 0.3, 1),
        (0.35, 0.3, 1),
        (0.4, 0.4, 2),
        (0.5, 0.5, 2),
        (0.6, 0.545455, 3),
        (0.7, 0.666667, 4),
        (1.0, 1.0, 8),
    ],
)
def test_a_start_never_lies_above_the_asked_one(registry, asked, start, steps):
    """It moves down to the next of the twenty times that turbo was trained at; two polishes are not the same one."""
    stage = resolve(registry, "turbo", t_start=asked)
    assert stage.times[0] == pytest.approx(start, abs=1e-6) and stage.times[0] <= asked + 1e-6
    assert len(stage.times) - 1 == steps and stage.params.t_start == pytest.approx(start, abs=1e-6)
    assert any(f"instead of {asked:g}" in note for note in stage.notes) == (abs(start - asked) > 1e-4)
    again = resolve(registry, "turbo", t_start=stage.params.t_start)
    assert again.times == stage.times and not again.notes, "the recipe runs the same, with nothing left to tell"


def test_a_start_below_all_trained_times_is_kept_and_told(registry):
    stage = resolve(registry, "turbo", t_start=0.1)
    assert stage.times == pytest.approx([0.1, 0.0]) and any("below the times" in note for note in stage.notes)


def test_other_models_start_where_they_are_asked_to(registry):
    stage = resolve(registry, "sft", t_start=0.47)
    assert stage.times[0] == pytest.approx(0.47) and stage.notes == ()


def test_timesteps_stand_above_steps_shift_and_schedule(registry):
    wish = {"timesteps": [1.0, 0.6, 0.2], "steps": 20, "shift": 2.0, "schedule": "linear"}
    stage = resolve(registry, "turbo", "generate", **wish)
    assert stage.params.steps == 3
    assert [note.split(" has no effect")[0] for note in stage.notes] == ["steps 20", "shift 2.0", "schedule linear"]
    assert resolve(registry, "turbo", "generate", timesteps=[1.0, 0.5, 0.0], steps=2).notes == ()


def test_a_strength_beside_a_mode_is_told(registry):
    notes = resolve(registry, "turbo", "repaint", mode="aggressive", strength=0.3).plan.notes
    assert notes == ("strength 0.3 has no effect beside mode aggressive, which is 1",)
    assert resolve(registry, "turbo", "repaint", mode="aggressive", strength=1.0).plan.notes == ()
    assert resolve(registry, "turbo", "repaint", strength=0.3).plan.notes == ()


def test_guidance_of_a_distilled_model_is_told(registry):
    notes = resolve(registry, "turbo", "generate", guidance_scale=7.0, guidance_end=0.5).notes
    assert "turbo is distilled and runs without guidance: guidance_scale 7.0 has no effect" in notes
    assert "guidance_start and guidance_end have no effect without guidance" in notes


def test_settings_without_effect_are_told(runner):
    wish = {"variation_seed": 5, "batch": True, "seeds": [1, 2, 3], **ONE, "seed": 9, "duration": 5.0}
    notes = notes_of(runner, wish)
    for said in (
        "variation_seed 5 has no effect while variation is 0",
        "batch has no effect for a single variant",
        "3 seeds are given for one result: 2, 3 are not used",
        "seed 9 has no effect, because seeds is set and begins with 1",
        "length is 1 s, so duration 5 s has no effect",
    ):
        assert said in notes
    assert "no length is given: the part lasts 30 s" in notes_of(runner, {"steps": 1}, run=False)


def notes_of(runner, wish, *, run=True, operation="generate"):
    """What is said about a request: at the door, and by the result."""
    from acestep.admission.render import admit_render

    admitted = admit_render(runner.registry, operation, wish, runner.engine.host)
    return [*admitted.notes, *(runner.run_recipe(admitted.render.to_recipe())[0].notes if run else [])]


def test_long_words_are_cut_where_the_note_says(runner):
    """The model reads 256 tokens of caption and facts, and 2,048 of lyrics; the note quotes the end of what it reads."""
    caption = " ".join(f"word{number}" for number in range(300))
    lyrics = "\n".join(f"line number {number}" for number in range(1500))
    notes = notes_of(runner, {**ONE, "caption": caption, "lyrics": lyrics})
    (about_caption,) = [note for note in notes if "caption and music facts" in note]
    (about_lyrics,) = [note for note in notes if note.startswith("the lyrics are")]
    assert "the model reads 256" in about_caption and "the model reads 2048" in about_lyrics
    for note, text in ((about_caption, caption), (about_lyrics, " ".join(lyrics.split()))):
        end = note.split("'...")[1].rstrip("'")
        assert end in text and not text.endswith(end)
    assert not [note for note in notes_of(runner, {**ONE, "caption": "short", "lyrics": "la"}) if "tokens" in note]


def test_codes_of_another_length_are_told(runner):
    wish = {**ONE, "length": 480_000}
    assert "the codes last 4 s and the part 10 s: the rest follows none" in notes_of(
        runner, {**wish, "audio_codes": [5] * 20}
    )
    assert "the codes last 12 s and the part 10 s: the rest of them is left out" in notes_of(
        runner, {**wish, "audio_codes": [5] * 60}
    )
    assert not [note for note in notes_of(runner, {**wish, "audio_codes": [5] * 50}) if "codes last" in note]


def test_lyrics_for_a_model_without_a_voice_are_told(runner):
    wish = {**ONE, "model": "nano", "guide": "none"}
    assert "nano cannot sing: the lyrics are not heard. The published models can" in notes_of(
        runner, {**wish, "lyrics": "la la"}
    )
    for words in ({}, {"lyrics": "[Instrumental]"}, {"lyrics": "la", "instrumental": True}):
        assert not [note for note in notes_of(runner, {**wish, **words}) if "sing" in note]


def test_stereo_that_becomes_mono_is_told(runner, song):
    assert "the part is mono as asked: the model's stereo was mixed down" in notes_of(runner, {**ONE, "channels": 1})
    wish = {"source": str(song(channels=1)), "track": "bass", "steps": 1}
    notes = notes_of(runner, wish, operation="lego")
    assert "the source is mono, so the stereo that the model makes was mixed down to it" in notes


def test_clipped_samples_are_told_with_what_keeps_them(runner):
    """By file, with the number that the result holds; floats keep them."""
    facts = {"rate": 48_000, "channels": 2, "start": 0, "length": 9}
    part = ResultFile(role="part", name="a.wav", clipped=7, subtype="PCM_24", **facts)
    whole = ResultFile(role="whole", name="b.wav", clipped=1, subtype="PCM_16", **facts)
    assert clip_notes([part, whole, ResultFile(role="part", name="c.wav", subtype="FLOAT", **facts)]) == [
        "7 samples of a.wav clipped to full scale (PCM_24): format wav32f keeps them, level peak makes room for them",
        "1 sample of b.wav clipped to full scale (PCM_16): a patch keeps them, it is floating point",
    ]
    for form in ("wav24", "wav32f"):
        made, _ = runner.run("generate", **ONE, format=form)
        assert any(" clipped to full scale" in note for note in made.notes) == (made.files[0].clipped > 0)
    assert made.files[0].clipped == 0


def test_a_level_is_left_or_brought_to_a_peak_or_a_loudness(runner):
    """Measured in the file; the note says from where to where; nothing is clipped."""
    given, folder = runner.run("generate", **ONE, format="wav32f")
    start, _ = soundfile.read(folder / given.files[0].name)
    for wish, measure in (
        ({"level": "peak"}, ("peak", -1.0)),
        ({"level": "peak", "level_target": -6.0}, ("peak", -6.0)),
        ({"level": "lufs", "level_target": -30.0}, ("loudness", -30.0)),
    ):
        made, place = runner.run("generate", **ONE, **wish, format="wav32f")
        sound, rate = soundfile.read(place / made.files[0].name)
        assert getattr(find_level(sound.T, rate), measure[0]) == pytest.approx(measure[1], abs=0.05)
        assert np.allclose(sound / np.abs(sound).max(), start / np.abs(start).max(), atol=1e-5)
        assert any(note.startswith("the level was changed by") for note in made.notes) and made.files[0].clipped == 0


def test_a_loudness_never_takes_the_peak_over(runner):
    made, place = runner.run("generate", **ONE, level="lufs", level_target=0.0, format="wav32f")
    sound, rate = soundfile.read(place / made.files[0].name)
    assert find_level(sound.T, rate).peak <= -1.0 + 0.01
    assert any("would have taken the peak over -1 dBFS" in note for note in made.notes)


def test_a_level_is_for_new_parts(runner, song):
    """An edit keeps the level around it, and says that the wish changed nothing."""
    wish = {"source": str(song()), "start": 0, "end": 9_000, "steps": 1, "level": "peak"}
    assert "level peak has no effect here: it applies to new parts, not to patch" in notes_of(
        runner, wish, operation="repaint"
    )
