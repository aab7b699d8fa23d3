"""What the model is told reaches it: words, reference, codes and guide each change a take, and cached ones change nothing."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile

from acestep.api.errors import BadRequest, NotFound
from acestep.engine import conditions

BASE = {"length": 30_000, "rate": 48_000, "seed": 3, "steps": 2, "format": "wav32f"}


def take(runner, operation="generate", **params) -> np.ndarray:
    """The sound of a job's first file."""
    result, folder = runner.run(
        operation, **{**(BASE if operation == "generate" else {"seed": 3, "steps": 2}), **params}
    )
    return soundfile.read(folder / result.files[0].name)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"caption": "loud drums"},
        {"lyrics": "[Verse]\nla la la"},
        {"bpm": 90.0},
        {"key": "A minor"},
        {"time_signature": "3/4"},
        {"language": "de", "lyrics": "la"},
        {"audio_codes": [1, 2, 3, 63_999]},
        {"guide": "beat", "bpm": 120.0},
        {"guide": "Am F C G", "bpm": 120.0},
        {"variation": 0.5},
        {"guidance": "cfg", "guidance_scale": 4.0},
        {"sampler": "heun"},
        {"shift": 1.0},
        {"timesteps": [1.0, 0.4]},
        {"velocity_limit": 0.5},
        {"velocity_average": 0.5},
        {"latent_shift": 0.3},
        {"latent_rescale": 0.5},
        {"correction_low": 0.2},
        {"correction_high": 0.2},
        {"condition_strength": 0.5, "audio_codes": [1, 2, 3, 63_999]},
    ],
    ids=lambda change: "-".join(change),
)
def test_every_wish_matters(runner, change):
    """No parameter is accepted and then ignored."""
    given = {"audio_codes": change["audio_codes"]} if "condition_strength" in change else {}
    assert not np.array_equal(take(runner, **given), take(runner, **change))


CONDITIONED = {
    "lego": {"track": "bass", "end": 60_000},
    "repaint": {"start": 10_000, "end": 60_000, "mode": "aggressive", "returns": ["patch"]},
    "cover": {"end": 60_000},
}


@pytest.mark.parametrize("operation", CONDITIONED)
def test_condition_strength_is_a_switch_after_a_share_of_the_steps(runner, song, operation):
    """Of 4 steps, the task's own condition and context hold for ``int(4 * strength)``, whatever the task."""
    wish = {"source": str(song()), "steps": 4, "format": "wav32f", **CONDITIONED[operation]}
    shares = (0.0, 0.24, 0.25, 0.49, 0.5, 0.99, 1.0)
    sounds = {share: take(runner, operation, **wish, condition_strength=share) for share in shares}
    for one, other in ((0.0, 0.24), (0.25, 0.49)):
        assert np.array_equal(sounds[one], sounds[other])
    for one, other in ((0.24, 0.25), (0.49, 0.5), (0.5, 0.99), (0.99, 1.0)):
        assert not np.array_equal(sounds[one], sounds[other])
    assert np.array_equal(sounds[1.0], take(runner, operation, **wish))


def test_strength_of_a_cover_and_condition_strength_are_one(runner, song):
    """Either gives the same sound; both at once are refused."""
    wish = {"source": str(song()), "end": 60_000, "steps": 4, "format": "wav32f"}
    sounds = [take(runner, "cover", **wish, **{name: 0.5}) for name in ("strength", "condition_strength")]
    assert np.array_equal(*sounds)
    with pytest.raises(BadRequest) as caught:
        take(runner, "cover", **wish, strength=0.5, condition_strength=0.5)
    assert caught.value.field == "condition_strength"


def test_after_the_switch_nothing_of_the_task_is_left(runner, song):
    """From the first step on, lego is what plain text to music is under the same mask: another track changes nothing."""
    wish = {"source": str(song()), "end": 60_000, "format": "wav32f"}
    tracks = [take(runner, "lego", **wish, track=track, condition_strength=0.0) for track in ("bass", "drums")]
    assert np.array_equal(*tracks)
    assert not np.array_equal(*(take(runner, "lego", **wish, track=track) for track in ("bass", "drums")))


def test_condition_strength_of_plain_text_to_music_is_named_idle(runner):
    """A part from words alone has nothing to switch off; the result says so."""
    result, _ = runner.run("generate", **BASE, condition_strength=0.5)
    assert any("condition_strength" in note for note in result.notes)
    hinted, _ = runner.run("generate", **BASE, condition_strength=0.5, audio_codes=[1, 2])
    assert not any("condition_strength" in note for note in hinted.notes)


def test_reference_is_read_in_excerpts_and_matters(runner, song):
    """A reference changes the take; a silent one changes nothing and is named; a missing one is an error."""
    plain = take(runner)
    assert not np.array_equal(take(runner, reference=str(song(seconds=40.0))), plain)
    assert not np.array_equal(take(runner, reference=str(song(seconds=2.0))), plain)
    silent = song(seconds=1.0, seed=9)
    soundfile.write(silent, np.zeros((44_100, 2)), 44_100)
    result, folder = runner.run("generate", **BASE, reference=str(silent))
    assert any("silent" in note for note in result.notes)
    assert np.array_equal(soundfile.read(folder / result.files[0].name)[0], plain)
    with pytest.raises(NotFound):
        take(runner, reference=str(silent.with_name("none.wav")))


def test_guide_of_a_repaint_fills_the_region(runner, song):
    """A guide takes the place of silence in the painted region."""
    region = {"source": str(song()), "start": 10_000, "end": 60_000}
    assert not np.array_equal(
        take(runner, "repaint", **region), take(runner, "repaint", **region, guide="beat", bpm=120.0)
    )


def test_guide_is_left_out_where_audio_rules(runner, song):
    """Extract follows its source; the result says that the guide was not used."""
    result, _ = runner.run("extract", source=str(song()), track="drums", guide="beat", steps=1)
    assert any("guide" in note for note in result.notes)


def test_guide_runs_at_the_tempo_that_is_rendered(runner, monkeypatch):
    """A fractional tempo is rendered at the whole one, and so is its guide; both are conformed together."""
    seen = []
    monkeypatch.setattr(
        conditions,
        "render_guide",
        lambda guide, tempo, length, origin: seen.append(tempo) or np.zeros((2, length), np.float32),
    )
    take(runner, guide="beat", bpm=121.5)
    assert seen[0].bpm(0, 48_000) == pytest.approx(122.0)


def test_bad_guide_and_codes(runner):
    """A guide that is not a chord line and codes outside the book are refused."""
    with pytest.raises(BadRequest):
        take(runner, guide="H#7 X", bpm=120.0)
    with pytest.raises(BadRequest):
        take(runner, audio_codes=[64_000])


def test_caches_change_nothing(runner, song):
    """The second job finds words and sound encoded, and gives the same samples."""
    engine = runner.fresh_engine()
    region = {"source": str(song()), "start": 10_000, "end": 60_000, "caption": "calm", "seed": 2, "steps": 1}
    first, _ = runner.run("repaint", engine, **region)
    hits = engine._sources.hits, engine._texts.hits
    again, _ = runner.run("repaint", engine, **region)
    assert again.files[0].sha256 == first.files[0].sha256
    assert (engine._sources.hits, engine._texts.hits) == (hits[0] + 1, hits[1] + 1)


def test_same_sound_in_another_file_is_the_same_content(runner, song, tmp_path):
    """Caches go by content, results by samples: a copy gives the same patch."""
    path = song()
    copy = tmp_path / "copy.wav"
    shutil.copyfile(path, copy)
    region = {"start": 10_000, "end": 60_000, "seed": 2, "steps": 1}
    sounds = [take(runner, "repaint", source=str(place), **region) for place in (path, copy)]
    assert np.array_equal(*sounds)


def test_uploads_are_sources(runner, song):
    """A file that a client sent is found by its id."""
    folder = runner.home / "uploads"
    folder.mkdir(exist_ok=True)
    path = song()
    shutil.copyfile(path, folder / "up-1.audio")
    region = {"start": 10_000, "end": 60_000}
    assert np.array_equal(
        take(runner, "repaint", upload="up-1", **region), take(runner, "repaint", source=str(path), **region)
    )


@pytest.mark.parametrize("name", ["take 7", "../../etc/x", "a/b\\c:d", "...", "naïve – 日本", "日" * 80])
def test_file_names_are_safe(runner, name):
    """Whatever a file should be called, it lies in the result's folder."""
    result, folder = runner.run("generate", length=10, steps=1, name=name)
    assert (folder / result.files[0].name).is_file()
    assert not set(result.files[0].name) & set('/\\:*?"<>|')
    assert len(result.files[0].name.encode()) < 200


def test_whole_song_reference_of_many_channels(runner, song):
    """A reference with more than two channels gives its first two."""
    assert take(runner, reference=str(song(channels=6, seconds=1.0))).shape == (30_000, 2)
