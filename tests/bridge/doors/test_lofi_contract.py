"""lofi.nvim's parameters and error codes. Pure."""

from __future__ import annotations

import json
import os

import msgspec
import pytest

from acestep.api.errors import BadRequest, Busy, DaemonUnreachable, ModelMissing, UnknownName
from bridge.doors.lofi import contract, session, studio
from bridge.doors.lofi.cache import UNFINISHED, TrackCache, default_folder
from bridge.doors.lofi.contract import Bounds, LofiError, parse_generate
from bridge.doors.lofi.stdio import daemon_variables, defaults_of

ROWS = [
    {"name": "nano", "path": "/models/nano", "size_bytes": 5, "present": True, "default": True, "kind": "checkpoint",
     "family": "ace-step-15", "variant": "nano"},
    {"name": "lm-1.7B", "present": True, "default": False, "kind": "language"},
    {"name": "turbo", "present": False, "default": False, "kind": "checkpoint"},
]  # fmt: skip


def terms(rows=ROWS):
    """What a daemon with these models takes."""
    found = {one.type: one for one in studio.backends(rows)}
    return contract.LofiTerms(
        backends=found,
        samplers={"euler", "heun", "pingpong", "auto"},
        steps=Bounds(1, 200),
        guidance=Bounds(1, 30),
        prompt=512,
    )


def order(**params):
    """The order in a request."""
    return parse_generate({"prompt": "lofi", **params}, terms(), 7)[0]


def test_the_transcripts_request_is_understood():
    """And becomes a job of ours."""
    made, priority = parse_generate(
        {"prompt": "lofi", "duration_sec": 5, "seed": 42, "priority": "normal", "backend": "ace_step"}, terms(), 0
    )
    assert priority == 0
    assert made.job() == {
        "caption": "lofi", "duration": 5.0, "seed": 42, "instrumental": True, "model": "nano", "rate": 48_000, "channels": 2,
        "format": "wav32f",
    }  # fmt: skip


def test_what_is_not_said_has_lofis_defaults():
    """Thirty seconds, a seed that the caller drew; null is not said."""
    made = order(seed=None, backend="ace-step", duration_sec=None)
    assert (made.duration_sec, made.seed, made.backend, made.steps) == (30.0, 7, "ace_step", None)


@pytest.mark.parametrize("spelling", ["ace_step", "ace-step", "acestep", "ACE-Step", "ace step"])
def test_a_backend_may_be_spelt_as_people_do(spelling):
    """The plug-in's own files disagree."""
    assert order(backend=spelling).backend == "ace_step"


@pytest.mark.parametrize("name", ["inference_steps", "infer_steps", "infer_step"])
def test_steps_have_three_names(name):
    """All mean the same; two that disagree are refused."""
    assert order(**{name: 27.0}).job()["steps"] == 27
    with pytest.raises(LofiError, match="twice"):
        order(inference_steps=1, infer_steps=2)


WRONG = [
    ({"prompt": ""}, "INVALID_PROMPT", -32006),
    ({"prompt": " \n"}, "INVALID_PROMPT", -32006),
    ({"prompt": None}, "INVALID_PROMPT", -32006),
    ({"prompt": 5}, "INVALID_PROMPT", -32006),
    ({"prompt": "x" * 513}, "INVALID_PROMPT", -32006),
    ({"duration_sec": 4.9}, "INVALID_DURATION", -32005),
    ({"duration_sec": 241}, "INVALID_DURATION", -32005),
    ({"duration_sec": "5"}, "INVALID_DURATION", -32005),
    ({"duration_sec": True}, "INVALID_DURATION", -32005),
    ({"backend": "suno"}, "INVALID_BACKEND", -32007),
    ({"backend": 5}, "INVALID_BACKEND", -32007),
    ({"backend": ["ace_step"]}, "INVALID_BACKEND", -32007),
    ({"backend": "musicgen"}, "BACKEND_NOT_INSTALLED", -32008),
    ({"inference_steps": 0}, "INVALID_INFERENCE_STEPS", -32009),
    ({"inference_steps": 201}, "INVALID_INFERENCE_STEPS", -32009),
    ({"inference_steps": 2.5}, "INVALID_INFERENCE_STEPS", -32009),
    ({"inference_steps": "8"}, "INVALID_INFERENCE_STEPS", -32009),
    ({"guidance_scale": 0.9}, "INVALID_GUIDANCE_SCALE", -32010),
    ({"guidance_scale": 31}, "INVALID_GUIDANCE_SCALE", -32010),
    ({"guidance_scale": False}, "INVALID_GUIDANCE_SCALE", -32010),
    ({"scheduler": "ddim"}, "INVALID_SCHEDULER", -32011),
    ({"scheduler": 1}, "INVALID_SCHEDULER", -32011),
    ({"seed": -1}, "INVALID_PARAMS", -32602),
    ({"seed": 2**53}, "INVALID_PARAMS", -32602),
    ({"seed": 1.5}, "INVALID_PARAMS", -32602),
    ({"priority": "urgent"}, "INVALID_PARAMS", -32602),
    ({"priority": ["high"]}, "INVALID_PARAMS", -32602),
    ({"tempo": 90}, "INVALID_PARAMS", -32602),
]


@pytest.mark.parametrize(("params", "word", "number"), WRONG)
def test_each_mistake_has_lofis_word_and_number(params, word, number):
    """One sentence; what would be allowed stands in details."""
    with pytest.raises(LofiError) as refused:
        order(**params)
    error = json.loads(msgspec.json.encode(refused.value.to_wire()))
    assert (error["data"]["error_code"], error["code"]) == (word, number)
    assert error["message"] and error["data"]["details"]


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "lofi "}, {"duration_sec": 6}, {"seed": 43}, {"seed": 2**32 + 42}, {"inference_steps": 9}, {"guidance_scale": 3},
        {"scheduler": "heun"},
    ],
)  # fmt: skip
def test_other_settings_are_another_track(other):
    """The hash is of everything that decides the sound: the original's leaves steps, scheduler and guidance out."""
    base = {"duration_sec": 5, "seed": 42}
    assert (
        order(**base).track_id == order(**base, priority="high").track_id == order(**base, backend="ace-step").track_id
    )
    assert len(order(**base).track_id) == 16
    assert order(**{**base, **other}).track_id != order(**base).track_id


def test_another_model_of_the_same_name_is_another_track():
    """Its path and size tell."""
    others = [{**ROWS[0], "size_bytes": 6}]
    there = parse_generate({"prompt": "lofi"}, terms(others), 7)[0]
    assert there.track_id != order().track_id


@pytest.mark.parametrize("seed", [0, 42, 2**32 - 1, 2**32, 2**53 - 1])
def test_a_seed_of_lua_is_one_of_ours(seed):
    """Small ones stay as they are, large ones are folded into what the engine takes, the same way every time."""
    ours = order(seed=seed).job()["seed"]
    assert 0 <= ours < 2**32
    assert ours == seed or seed >= 2**32


@pytest.mark.parametrize(
    ("failure", "word"),
    [
        (Busy("x"), "QUEUE_FULL"),
        (ModelMissing("x"), "MODEL_NOT_FOUND"),
        (BadRequest("x", field="stages[0].steps"), "INVALID_INFERENCE_STEPS"),
        (UnknownName("x", field="sampler"), "INVALID_SCHEDULER"),
        (BadRequest("x", field="rate"), "INVALID_PARAMS"),
        (DaemonUnreachable("x"), "INTERNAL_ERROR"),
    ],
)
def test_what_the_daemon_refuses_is_told_in_lofis_words(failure, word):
    """With our own word in details."""
    error = contract.from_ours(failure)
    assert (error.word, error.message, error.details["code"]) == (word, "x", failure.code)


def test_backends_are_what_is_installed_under_its_true_name():
    """Every field that the editor formats is there and whole."""
    musicgen, ours = (one.to_wire() for one in studio.backends(ROWS))
    assert ours == {
        "type": "ace_step", "name": "ACE-Step 1.5 (nano)", "status": "ready", "min_duration_sec": 5, "max_duration_sec": 240,
        "sample_rate": 48_000, "model_version": "nano",
    }  # fmt: skip
    assert (musicgen["type"], musicgen["status"], musicgen["model_version"]) == ("musicgen", "not_installed", None)
    family = {"name": "musicgen-small", "present": True, "kind": "checkpoint", "family": "musicgen"}
    assert [one.model for one in studio.backends([*ROWS, family])] == ["musicgen-small", "nano"]
    assert [one.model for one in studio.backends([])] == ["", ""]


def test_ace_step_is_the_chosen_model_else_v1():
    """lofi.nvim means v1 by the name; the model that somebody made the default stands above it, a stranger's family never."""
    here = {"present": True, "kind": "checkpoint", "default": False}
    v1 = {**here, "name": "v1", "family": "ace-step-v1", "family_title": "ACE-Step v1", "variant": "v1"}
    base = {**here, "name": "base", "family": "ace-step-15", "variant": "base"}
    sines = {**here, "name": "hum", "family": "sines", "variant": "sines"}

    def chosen(*rows):
        return next(one for one in studio.backends(list(rows)) if one.type == "ace_step")

    assert (chosen(*ROWS, v1).model, chosen(*ROWS, v1).name) == ("v1", "ACE-Step v1 (v1)")
    undecided = [{**ROWS[0], "default": False}]
    assert chosen(*undecided, v1, {**base, "default": True}).model == "base"
    assert chosen(*undecided, base, {**v1, "default": True}).model == "v1"
    assert chosen({**sines, "default": True}, *undecided).model == "nano"
    assert chosen({**sines, "default": True}).model == ""


def test_lofis_variables_are_understood():
    """For requests that do not say, and for a daemon that is started."""
    variables = {"LOFI_BACKEND": "ace-step", "LOFI_ACE_STEP_STEPS": "27", "LOFI_ACE_STEP_GUIDANCE": "7.5", "LOFI_DEVICE": "metal",
                 "LOFI_THREADS": "3"}  # fmt: skip
    assert defaults_of(variables) == {"backend": "ace_step", "inference_steps": 27, "guidance_scale": 7.5}
    assert daemon_variables(variables) == {"ACESTEP_BRIDGE_DEVICE": "mps", "ACESTEP_BRIDGE_THREADS": "3"}
    assert daemon_variables({**variables, "ACESTEP_BRIDGE_DEVICE": "cpu", "ACESTEP_BRIDGE_THREADS": "1"}) == {}
    for wrong in ({"LOFI_BACKEND": "suno"}, {"LOFI_ACE_STEP_STEPS": "many"}):
        with pytest.raises(BadRequest):
            defaults_of(wrong)


@pytest.mark.parametrize(
    ("step", "steps", "asked", "told"), [(3, 8, None, (3, 8)), (3, 8, 4, (1, 4)), (8, 8, 4, (4, 4)), (0, 0, 4, (0, 0))]
)
def test_steps_are_counted_as_the_user_counts(step, steps, asked, told):
    """Heun looks at the model twice a step."""
    assert session._steps({"step": step, "steps": steps}, asked) == told


# The cache


def test_a_track_is_whole_or_not_there(tmp_path):
    """Without its facts, or with another size, it is none; what a killed process has left is removed."""
    cache = TrackCache(tmp_path)
    cache.open()
    assert cache.find("a") is None
    cache.draft("a").write_bytes(b"sound")
    assert cache.find("a") is None
    cache.put("a", {"seed": 1})
    assert cache.find("a")["path"] == str(tmp_path / "a.wav")
    (tmp_path / "a.wav").write_bytes(b"soun")
    assert cache.find("a") is None
    dead, ours = tmp_path / UNFINISHED / "b.999999999", tmp_path / UNFINISHED / f"c.{os.getpid()}"
    dead.touch(), ours.touch()
    TrackCache(tmp_path).open()
    assert (dead.exists(), ours.exists()) == (False, True)


def test_the_oldest_tracks_make_room(tmp_path):
    """The one just made stays, whatever its size; one that was asked for lately is young."""
    cache = TrackCache(tmp_path, most=25)
    cache.open()
    for number, name in enumerate("abc"):
        cache.draft(name).write_bytes(bytes(10))
        cache.put(name, {})
        if name != "c":
            os.utime(tmp_path / f"{name}.wav", (number, number))
        if name == "b":
            assert cache.find("a")
    assert [name for name in "abc" if cache.find(name)] == ["a", "c"]
    cache.draft("d").write_bytes(bytes(100))
    cache.put("d", {})
    assert sorted(path.name for path in tmp_path.glob("*.*") if path.is_file()) == ["d.json", "d.wav"]


def test_the_cache_is_lofis_own(tmp_path):
    """Where its variable says, else in the user's caches."""
    assert default_folder({"LOFI_CACHE_PATH": str(tmp_path)}) == tmp_path
    assert "lofi.nvim" in str(default_folder({}))
