"""The fields of the REST interface: every name, every kind of value, and what is told of what was not taken as it was sent."""

from __future__ import annotations

import json

import pytest

from acestep.api.errors import AceError, BadRequest, NotAllowed
from bridge.doors.rest.fields import BOOLEAN, INTEGER, NESTED, NUMBER, RULES, TEXT, Body
from bridge.doors.rest.planned import BY_RULES, with_words
from bridge.doors.rest.translate import Standing, translate

HERE = Standing(models=frozenset({"nano", "turbo"}), planner=True, planners=frozenset({"lm-0.6B", "lm-1.7B"}))
SAMPLES = {TEXT: "words", BOOLEAN: True, INTEGER: 7, NUMBER: 0.5, "any": "5"}
NAMES = [(name, alias) for name, rule in RULES.items() for alias in rule.names]


@pytest.mark.parametrize(("name", "alias"), NAMES, ids=[f"{name}-{alias}" for name, alias in NAMES])
def test_every_name_of_a_field_is_read_everywhere(name, alias):
    """In the body, in param_obj as object and as text, and in each place of metadata."""
    value = SAMPLES[RULES[name].kind]
    nested = [{"param_obj": {alias: value}}, {"param_obj": json.dumps({alias: value})}]
    nested += [{place: {alias: value}} for place in NESTED] + [{"metas": json.dumps({alias: value})}]
    for sent in ({alias: value}, *nested):
        body = Body(sent)
        assert body.value(name) == value
        assert (body.told.ignored, body.told.changed) == ([], {})


def test_the_body_beats_what_is_nested_and_an_earlier_name_a_later_one():
    """The order of the original."""
    assert Body({"bpm": 90, "param_obj": {"bpm": 101}, "metas": {"bpm": 102}}).value("bpm") == 90
    assert Body({"param_obj": {"bpm": 101}, "metas": {"bpm": 102}}).value("bpm") == 101
    assert Body({"metas": {"bpm": 102}, "metadata": {"bpm": 103}}).value("bpm") == 102
    assert Body({"caption": "later", "prompt": "first"}).text("prompt") == "first"


@pytest.mark.parametrize(
    ("name", "sent", "read"),
    [
        *[("thinking", text, True) for text in (True, 1, "1", "true", "YES", "y", "On")],
        *[("thinking", text, False) for text in (False, 0, "0", "false", "off", "t", "no", "")],
        *[("inference_steps", text, 8) for text in (8, "8", 8.7)],
        ("inference_steps", True, 1),
        *[("inference_steps", text, None) for text in ("abc", "", "8.0", None, [], {})],
        *[("guidance_scale", text, 10.0) for text in (10, "10", "1e1", 10.0)],
        *[("guidance_scale", text, None) for text in ("x", "", None, "nan", "inf", [])],
        ("prompt", 5, "5"),
    ],
)
def test_values_are_mended_as_in_the_original(name, sent, read):
    """And what cannot be read counts as not sent."""
    assert Body({name: sent}).value(name) == read


@pytest.mark.parametrize(
    ("sent", "param", "used", "field"),
    [
        ({"inference_steps": "abc"}, "steps", None, "inference_steps"),
        ({"inference_steps": 5000}, "steps", 200, "inference_steps"),
        ({"batch_size": 99}, "variants", 8, "batch_size"),
        ({"batch_size": 0}, "variants", 1, "batch_size"),
        ({"bpm": 5000}, "bpm", 300.0, "bpm"),
        ({"guidance_scale": 0.5}, "guidance_scale", 1.0, "guidance_scale"),
        ({"key_scale": "H-dur of nothing"}, "key", None, "key_scale"),
        ({"time_signature": "x"}, "time_signature", None, "time_signature"),
        ({"vocal_language": "klingon"}, "language", "en", "vocal_language"),
        ({"audio_duration": 5000}, "duration", 600.0, "audio_duration"),
        ({"model": "acestep-v15-turbo"}, "model", None, "model"),
        ({"infer_method": "magic"}, "sampler", None, "infer_method"),
        ({"seed": 2**40 + 3, "use_random_seed": False}, "seeds", [3], "seed"),
        ({"seed": "x", "use_random_seed": False}, "seeds", None, "seed"),
        ({"seed": "1,2,3", "use_random_seed": False, "batch_size": 1}, "seeds", [1], "seed"),
    ],
)
def test_nothing_is_changed_in_silence(sent, param, used, field):
    """The value that is used, what was sent, and why."""
    translation = translate({"prompt": "x", **sent}, {}, HERE)
    assert translation.params.get(param) == used
    told = translation.told.to_extra()["changed"][field]
    assert told["sent"] == next(iter(sent.values())) and told["why"]


def test_what_changes_nothing_is_told():
    """Unknown names, and fields of other tasks."""
    sent = {
        "prompt": "x",
        "batchSize": 3,
        "negative_prompt": "y",
        "instruction": "z",
        "repainting_start": 3,
        "ai_token": "t",
    }
    translation = translate(sent, {}, HERE)
    assert set(translation.told.to_extra()["ignored"]) == {
        "batchSize",
        "negative_prompt",
        "instruction",
        "repainting_start",
    }
    assert translate({"prompt": "x"}, {}, HERE).told.to_extra() is None


@pytest.mark.parametrize(
    ("sent", "seeds"),
    [(5, [5]), ("5", [5]), ("5,6", [5, 6]), ("5, 6", [5, 6]), (-1, None), ("-1", None), (None, None), ("", None)],
)
def test_seeds_are_read_in_every_form(sent, seeds):
    """And used only where chance is switched off."""
    assert translate({"prompt": "x", "seed": sent, "use_random_seed": False}, {}, HERE).params.get("seeds") == seeds
    assert "seeds" not in translate({"prompt": "x", "seed": sent}, {}, HERE).params


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"task_type": "stem_separation"}, "task_type"),
        ({"task_type": "../x"}, "task_type"),
        ({"task_type": "cover"}, "src_audio_path"),
        ({"task_type": "lego", "src_audio_path": "/x.wav"}, "track_name"),
        ({"audio_format": "aac"}, "audio_format"),
        ({"audio_format": "xyz"}, "audio_format"),
        ({"repaint_mode": "wild"}, "repaint_mode"),
        ({"repaint_strength": 3}, "repaint_strength"),
        ({"chunk_mask_mode": "x"}, "chunk_mask_mode"),
        ({"lm_backend": "x"}, "lm_backend"),
        ({"audio_code_string": "la la"}, "audio_code_string"),
        ({"task_type": "cover", "src_audio_path": "rel.wav"}, "src_audio_path"),
        ({"task_type": "cover", "src_audio_path": "file:///etc/hostname"}, "src_audio_path"),
        ({"task_type": "cover", "src_audio_path": "http://127.0.0.1/x.wav"}, "src_audio_path"),
        (
            {"task_type": "repaint", "src_audio_path": "/x", "repainting_start": 5, "repainting_end": 4},
            "repainting_end",
        ),
        ({"full_analysis_only": True}, "src_audio_path"),
    ],
)
def test_what_cannot_be_done_as_asked_is_refused(sent, field):
    """With the field that is meant."""
    with pytest.raises(AceError) as refused:
        translate({"prompt": "x", **sent}, {}, HERE)
    assert refused.value.field == field


def test_aac_says_what_to_take_instead():
    """And why there is none."""
    with pytest.raises(BadRequest, match=r"AAC is not available.*mp3"):
        translate({"audio_format": "AAC"}, {}, HERE)


def test_a_path_means_a_file_here_only_to_programs_on_this_machine():
    """Others upload."""
    sent = {"task_type": "cover", "src_audio_path": "/home/me/song.wav"}
    assert translate(sent, {}, HERE).params["source"] == "/home/me/song.wav"
    with pytest.raises(NotAllowed):
        translate(sent, {}, Standing(local=False))
    assert translate(sent, {"source": "up-1"}, Standing(local=False)).params["upload"] == "up-1"


@pytest.mark.parametrize(
    ("sent", "operation"),
    [
        ({"thinking": True}, None),
        ({"sample_query": "a song"}, "compose"),
        ({"description": "a song", "thinking": "1"}, "compose"),
        ({"sample_mode": True}, "compose"),
        ({"use_format": True}, "format"),
    ],
)
def test_without_a_language_model_rules_plan_and_that_is_told(sent, operation):
    """Once, whatever is planned; no model is named, so that the daemon takes the rules."""
    translation = translate({"prompt": "x", **sent}, {}, Standing(planner=False))
    assert translation.told.to_extra() == {"notes": [BY_RULES]}
    assert translation.words is None if operation is None else translation.words[0] == operation
    assert translation.params.get("thinking", False) is (operation is None)
    assert translate({"prompt": "x", **sent}, {}, HERE).told.notes == []


def test_lyrics_give_way_only_to_lyrics():
    """Rules write none, and what the client sent is sung."""
    said = {"caption": "warm folk", "lyrics": "[Instrumental]", "language": "unknown", "instrumental": True, "bpm": 96}
    kept = with_words({"caption": "", "lyrics": "[Verse]\noh", "instrumental": False, "language": "de"}, said)
    assert (kept["caption"], kept["lyrics"], kept["instrumental"], kept["language"]) == (
        "warm folk", "[Verse]\noh", False, "de",
    )  # fmt: skip
    played = with_words({"caption": "x", "lyrics": "", "instrumental": True, "language": "en"}, said)
    assert (played["instrumental"], played["language"], played["bpm"]) == (True, "unknown", 96)


@pytest.mark.parametrize(
    ("sent", "used"),
    [
        ("acestep-5Hz-lm-1.7B", "1.7B"),
        ("1.7B", "1.7B"),
        ("lm-0.6B", "0.6B"),
        ("/models/acestep-5Hz-lm-0.6B", "0.6B"),
        ("lm-4B", None),
    ],
)
def test_a_language_model_of_this_machine_is_taken_by_any_of_its_names(sent, used):
    """One that is not here counts as not named, and that is told."""
    translation = translate({"prompt": "x", "thinking": True, "lm_model_path": sent}, {}, HERE)
    assert translation.params.get("planner_model") == used
    assert ("lm_model_path" in translation.told.changed) == (used is None)


def test_the_language_model_writes_the_words_first():
    """What the request says itself stays."""
    translation = translate({"sample_query": "a sad song", "bpm": 90, "lm_temperature": 0.5}, {}, HERE)
    assert translation.words == ("compose", {"query": "a sad song", "bpm": 90.0, "temperature": 0.5})
    filled = with_words(
        translation.params, {"caption": "sad", "lyrics": "[Verse] oh", "bpm": 120, "key": "C minor", "language": "en"}
    )
    assert (filled["caption"], filled["lyrics"], filled["bpm"], filled["key"]) == ("sad", "[Verse] oh", 90.0, "C minor")
    assert filled["instrumental"] is False
    operation, params = translate({"prompt": "a", "lyrics": "b", "use_format": "1", "bpm": 90}, {}, HERE).words
    assert (operation, params["caption"], params["lyrics"], params["bpm"]) == ("format", "a", "b", 90.0)


def test_settings_of_the_language_model_reach_it():
    """Under our names, when it thinks."""
    sent = {"prompt": "x", "thinking": True, "lm_temperature": 0.7, "lm_cfg_scale": 2.5, "lm_top_k": 20, "lm_top_p": 0.8,
            "use_cot_caption": False, "use_cot_language": "0", "lm_model_path": "acestep-5Hz-lm-1.7B"}  # fmt: skip
    params = translate(sent, {}, HERE).params
    expected = {"thinking": True, "planner_temperature": 0.7, "planner_cfg_scale": 2.5, "planner_top_k": 20, "planner_top_p": 0.8,
                "planner_caption": False, "planner_language": False, "planner_model": "1.7B"}  # fmt: skip
    assert params.items() >= expected.items()


@pytest.mark.parametrize(
    ("sent", "codes"),
    [
        ("<|audio_code_5|><|audio_code_6|>", [5, 6]),
        ("5, 6", [5, 6]),
        ([5, 6], [5, 6]),
        (["<|audio_code_5|>"], [5]),
        ("", None),
    ],
)
def test_codes_are_read_in_every_form(sent, codes):
    """Marked, with commas, as a list."""
    assert translate({"prompt": "x", "audio_code_string": sent}, {}, HERE).params.get("audio_codes") == codes


def test_each_task_becomes_its_operation():
    """With its own parameters."""

    def params(**sent):
        translation = translate({"prompt": "x", **sent}, {"source": "up-1"}, HERE)
        return translation.operation, translation.params

    operation, found = params(task_type="cover", audio_cover_strength=0.4, cover_noise_strength="0.3", audio_duration=8)
    assert (operation, found["strength"], found["noise_strength"], "duration" in found) == ("cover", 0.4, 0.3, False)
    assert params(task_type="cover-nofsq")[1]["bottleneck"] is False
    operation, found = params(
        task_type="repaint", repainting_start=2, repainting_end="4", repaint_wav_crossfade_sec=0.1
    )
    assert (operation, found["start_seconds"], found["end_seconds"], found["crossfade"]) == ("repaint", 2.0, 4.0, 100.0)
    assert found["returns"] == ["whole"]
    assert "end_seconds" not in params(task_type="repaint", repainting_end=-1)[1]
    assert params(task_type="lego", track_name="Drums")[1]["track"] == "drums"
    assert params(task_type="extract", track_name="VOCALS")[1]["returns"] == ["stem"]
    assert params(task_type="complete", track_classes="bass")[1]["tracks"] == ["bass"]
    assert params(task_type="complete", instruments=["bass", "drums"])[1]["tracks"] == ["bass", "drums"]
    operation, found = params(task_type="text2music")
    assert (operation, "upload" in found) == ("generate", False)
    assert translate({"extract_codes_only": True}, {"source": "up-1"}, HERE).operation == "codes"
    assert translate({"full_analysis_only": "true"}, {"source": "up-1"}, HERE).operation == "understand"


def test_what_was_chosen_before_goes_into_the_task():
    """The model of /v1/init and the adapters."""
    standing = Standing(models=frozenset({"turbo", "sft"}), model="sft", adapters=("velvet=0.5",))
    assert translate({"prompt": "x"}, {}, standing).params.items() >= {"model": "sft", "lora": ["velvet=0.5"]}.items()
    assert translate({"prompt": "x", "dit_model": "acestep/turbo"}, {}, standing).params["model"] == "turbo"
