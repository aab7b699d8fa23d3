"""What only a run could find out used to end there; whatever can be known before is said at the door, and no job is made of it."""

from __future__ import annotations

import asyncio
import gc
import logging

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from acestep.api.errors import AceError
from acestep.audio.latent_header import KEY, LatentFacts
from acestep.planner.tiny import build_tiny

THINKING = {"thinking": True, "planner_model": "mine"}
TINY = {"model": "tiny", "length": 48_000}


def thought(*lines: str) -> str:
    return "\n".join(["<think>", *lines, "</think>"])


BAD_THOUGHTS = {
    "hello": "cot_text holds no thought",
    thought(): "cot_text holds no thought",
    thought("mood: dark"): "cot_text holds no thought",
    thought("bpm: 9000"): "the bpm in cot_text is '9000'; it takes a whole number from 30 to 300",
    thought("bpm: fast", "duration: 12"): "the bpm in cot_text is 'fast'; it takes a whole number from 30 to 300",
    thought("duration: 3"): "the duration in cot_text is '3'; it takes a whole number from 10 to 600",
    thought("bpm: 90", "keyscale: H minor"): "the keyscale in cot_text is 'H minor'; it takes one of ",
    thought("bpm: 90", "language: klingon"): "the language in cot_text is 'klingon'; it takes one of ",
    thought("bpm: 90", "timesignature: 12/8"): "the timesignature in cot_text is '12'; it takes one of 2, 3, 4, 6",
    thought("caption: a <|im_end|> song"): "cot_text contains '<|im_end|>'",
    thought("caption: " + "x" * 5000): "the caption in cot_text has 5000 characters; it may have 4096",
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder with one language model."""
    folder = tmp_path_factory.mktemp("checkpoints")
    build_tiny(folder / "acestep-5Hz-lm-mine")
    return folder


@pytest.fixture
async def here(desk, checkpoints):
    """A core with a language model, and everything that was refused was refused at the door."""
    one = await desk(checkpoints=[str(checkpoints)])
    yield one
    assert await one.service.jobs() == []


async def refused(one, operation, **params) -> AceError:
    with pytest.raises(AceError) as caught:
        await one.submit(operation=operation, **params)
    assert caught.value.code != "internal"
    return caught.value


async def test_a_thought_that_is_none(here):
    """For a render, in a chain and for a plan, with the same sentence."""
    for text, said in BAD_THOUGHTS.items():
        render = await refused(here, "generate", length=480_000, cot_text=text, **THINKING)
        assert render.field == "cot_text" and render.message.startswith(said)
        chain = {"stages": [{"type": "generate"}], "conditioning": {"cot_text": text, **THINKING}}
        assert (await refused(here, "render", **chain)).field == "conditioning.cot_text"
        plan = await refused(here, "plan", cot_text=text, model="mine")
        assert (plan.field, plan.message) == ("cot_text", render.message)


async def test_codes_that_nothing_gives_a_length(here):
    """Neither the thought nor the request says how long the codes should be."""
    text = thought("bpm: 90")
    assert (await refused(here, "plan", cot_text=text, model="mine")).field == "duration"
    render = await refused(
        here, "render", stages=[{"type": "generate", "model": "tiny"}], conditioning={"cot_text": text, **THINKING}
    )
    assert render.field == "conditioning.duration"


STEPS = [
    ("generate", {"steps": 4, "checkpoint_step": 5}, 4),
    ("generate", {"timesteps": [1.0, 0.5], "checkpoint_step": 3}, 2),
    ("generate", {"checkpoint_step": 9}, 8),
]


async def test_a_step_that_is_never_reached(here):
    """In the flat form and in the second stage of a chain, which is named."""
    for operation, params, last in STEPS:
        error = await refused(here, operation, **TINY, **params)
        assert (error.field, error.limits) == ("checkpoint_step", {"min": 1, "max": last})
        assert f"step {params['checkpoint_step']} is never reached" in error.message
        stages = [{"type": "generate", "model": "tiny", "steps": 2}, {"type": operation, "model": "tiny", **params}]
        error = await refused(here, "render", stages=stages)
        assert error.field == "stages[1].checkpoint_step" and error.message.startswith("stage 2: ")


async def test_a_run_that_starts_later_has_fewer_steps(here, sound_file):
    """The steps that are left are what counts."""
    wish = {"model": "tiny", "steps": 4, "shift": 1.0, "t_start": 0.4}
    error = await refused(here, "refine", source=str(sound_file()), checkpoint_step=3, **wish)
    assert (error.field, error.limits) == ("checkpoint_step", {"min": 1, "max": 2})
    stages = [{"type": "generate", "model": "tiny"}, {"type": "refine", "checkpoint_step": 3, **wish}]
    assert (await refused(here, "render", stages=stages)).field == "stages[1].checkpoint_step"


def store(one, name: str, **changes) -> str:
    """A stored step in the library, made by a run of the tiny model with four steps; its id."""
    stage = {"type": "generate", "sampler": "euler", "guidance": "apg", "guidance_scale": 1.0, "velocity_average": 0.0}
    facts = LatentFacts(
        family="acestep-1.5-random",
        codec="c",
        model="tiny",
        weights="w",
        frames=250,
        rate=48_000,
        channels=2,
        samples=48_000,
        recipe={"request": {"stages": [stage]}},
        checkpoint={"stage": 0, "index": 1, "t": 0.5},
    )
    folder = one.service.library.folder / name
    folder.mkdir(parents=True)
    described = msgspec.json.encode(msgspec.structs.replace(facts, **changes)).decode()
    latent = np.zeros((1, 250, 64), np.float32)
    save_file({"latent": latent}, folder / "step.safetensors", metadata={KEY: described})
    return f"{name}/step.safetensors"


RUN = {"steps": 4, "shift": 1.0, **TINY}


OTHER_RUNS = [
    ({"checkpoint": None}, {}, "resume", "finished latent, no stored step; use it as source_latent"),
    ({"family": "acestep-v1"}, {}, "resume", "a latent of the family acestep-v1"),
    ({}, {"sampler": "heun"}, "resume", "stored with sampler euler, not heun"),
    ({}, {"velocity_average": 0.2}, "resume", "velocity_average off, not on"),
    ({}, {"steps": 6}, "resume", "this schedule does not pass there"),
    ({"recipe": {}}, {}, "resume", "does not say which stage"),
    ({"checkpoint": {"stage": 0, "index": 1}}, {}, "resume", "lacks 't'"),
    ({}, {"checkpoint_step": 2}, "checkpoint_step", "step 2 lies behind the stored one, after step 2"),
    ({}, {"variants": 2}, "variants", "one variant"),
]


async def test_a_stored_step_of_another_run(here):
    """The header and the recipe say enough; the field is named in a chain too."""
    for number, (stored, wish, field, said) in enumerate(OTHER_RUNS):
        name = store(here, f"before-{number}", **stored)
        error = await refused(here, "generate", **{**RUN, **wish}, resume=name)
        assert error.field == field and said in error.message
        variants = {name: wish[name] for name in wish if name == "variants"}
        stage = {"type": "generate", "model": "tiny", "steps": 4, "shift": 1.0, **wish, "resume": name}
        stage.pop("variants", None)
        error = await refused(here, "render", stages=[stage], output={"length": 48_000, **variants})
        assert error.field == ("output.variants" if variants else f"stages[0].{field}")


async def test_a_stored_step_of_the_same_run(desk):
    """Nothing is refused that a run would take."""
    one = await desk()
    name = store(one, "before")
    await one.submit(operation="generate", **{**RUN, "length": 480_000}, resume=name, checkpoint_step=3)


UNHEARD = [
    ({"start": 90_000, "end": 99_000}, "end", "is not inside the source's 96000 samples"),
    ({"start": 50_000, "end": 40_000}, "end", "at or before its start"),
    ({"start_seconds": 1.0, "start": 4}, "start_seconds", "in samples or in seconds, not both"),
    ({"start": "3bars"}, "start", "bpm"),
    ({"start": "soon"}, "start", "'soon'"),
    ({"upload": "x"}, "upload", "name one source"),
]


async def test_a_region_that_cannot_be_listened_to(here, sound_file):
    """Operations that listen refuse what those that edit refuse."""
    source = str(sound_file(frames=96_000, rate=48_000))
    for operation, named in (
        ("understand", {"model": "mine", "checkpoint": "tiny"}),
        ("codes", {"checkpoint": "tiny"}),
    ):
        for wish, field, said in UNHEARD:
            error = await refused(here, operation, source=source, **named, **wish)
            assert error.field == field and said in error.message


async def test_a_latent_is_not_listened_to(here):
    """The sentence says what to name instead."""
    path = str(here.service.library.folder / store(here, "before"))
    error = await refused(here, "codes", source=path, checkpoint="tiny")
    assert error.field == "source" and "name the audio file beside it" in error.message


async def test_more_channels_than_two_are_not_listened_to(here, sound_file):
    error = await refused(here, "codes", source=str(sound_file(channels=3)), checkpoint="tiny")
    assert error.code == "unsupported_channels" and error.field == "source"


async def test_nothing_to_score(here):
    """A piece is held against words, and there are none."""
    error = await refused(here, "score", audio_codes=[1, 2], model="mine")
    assert error.field == "caption" and "nothing to score" in error.message


async def test_a_written_duration_is_read(desk, checkpoints):
    """A plan is as long as its bars, and bars need a tempo."""
    one = await desk(checkpoints=[str(checkpoints)])
    with pytest.raises(AceError) as caught:
        await one.submit(operation="plan", model="mine", duration="8bars")
    assert caught.value.field == "duration" and "bpm" in caught.value.message
    accepted = await one.submit(operation="plan", model="mine", duration="8bars", bpm=120.0)
    assert one.service.job(accepted.id).request["duration"] == 16.0


async def test_guidance_that_a_backend_cannot_give(here, monkeypatch):
    """vLLM runs without it: said before it loads anything."""
    monkeypatch.setattr("bridge.core.planners.missing_packages", lambda spec: [])
    error = await refused(here, "plan", model="mine", backend="vllm")
    assert error.field == "cfg_scale" and "set it to 1" in error.message
    error = await refused(here, "generate", length=480_000, planner_backend="vllm", **THINKING)
    assert error.field == "planner_cfg_scale"


async def test_a_refusal_that_nobody_waits_for_is_no_fault(desk, caplog):
    """The client left while its request was checked: asyncio has no exception to complain of."""
    one = await desk()
    asking = asyncio.ensure_future(one.submit(operation="repaint", source="/nowhere.wav"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await one.service.barrier()
    gc.collect()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
