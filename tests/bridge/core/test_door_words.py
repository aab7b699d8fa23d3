"""What a user reads when a request does not fit: one sentence about the field as the user wrote it, with what it takes."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.api import Registry, describe
from acestep.api.errors import AceError, BadRequest, WeightsChanged
from acestep.api.kept import preset_of
from acestep.api.upstream import MEANT

WHOLE = {"length": 480_000, "rate": 48_000}


@pytest.fixture
def song(tmp_path):
    """Twelve seconds of noise at 44.1 kHz."""
    path = tmp_path / "song.wav"
    soundfile.write(path, np.random.default_rng(1).uniform(-0.1, 0.1, (44_100 * 12, 2)), 44_100)
    return str(path)


def chain(*stages, **rest):
    return {"operation": "render", "stages": list(stages), **rest}


MAKE = {"type": "generate"}
REFUSED = [
    ({"codes": "abc"}, "codes", "a list of lists of whole numbers"),
    ({"codes": [1, 2]}, "codes[0]", "codes[0] is 1; it takes a list of whole numbers"),
    ({"codes": [[1.5]]}, "codes[0][0]", "whole numbers"),
    ({"seed": 5_000_000_000}, "seed", "from -1 to 4294967295"),
    ({"format": "m4a"}, "format", "use mp3, ogg or opus, or convert a wav"),
    ({"format": "AIFF"}, "format", "use wav"),
    ({"format": "FLAC"}, "format", "did you mean 'flac'?"),
    ({"level": "luf"}, "level", "did you mean 'lufs'?"),
    (chain({}), "stages[0].type", "stage 1: type is missing"),
    (chain(MAKE, weights={"nano": 5}), "weights.nano", "weights.nano is 5; it takes a text"),
    (chain(MAKE, version="2"), "version", "it takes a whole number of 1 or more"),
    (chain(MAKE, {"type": "refine", "lora": ["no-such"]}), "stages[1].lora", "stage 2: there is no LoRA 'no-such'"),
    (chain(MAKE, {"type": "refine", "returns": ["stem"]}), "stages[1].returns", "stage 2: this operation returns"),
    (chain({**MAKE, "returns": []}), "stages[0].returns", "at least one file"),
    (chain(MAKE, output={"returns": ["stem"]}), "output.returns", "returns part, latent, not stem"),
    (chain(MAKE, conditioning={"key": "H minor"}), "conditioning.key", "H minor"),
    (chain(MAKE, conditioning={"reference": "/no/where.wav"}), "conditioning.reference", "no"),
    (chain({"type": "refine", "source": {"latent": "a/b"}}), "stages[0].source.latent", "stage 1: there is no stored"),
    ({"thinking": True, "planner_backend": "vllm", "planner_model": "tiny"}, "planner_backend", "not installed"),
    ({"operation": "codes", "source": "SONG", "checkpoint": "no-such"}, "checkpoint", "there is no model 'no-such'"),
    (
        {"operation": "understand", "source": "SONG", "checkpoint": "nano", "model": "tiny"},
        "checkpoint",
        "does not know the codes of nano; name a checkpoint of ACE-Step 1.5",
    ),
    ({"length": 10**12}, "length", "1 sample to 600 s"),
    (chain(MAKE, {"type": "refine", "resume": "a/b"}), "stages[1].resume", "there is no stored latent 'a/b'"),
    ({"operation": "split-into-stems"}, "source", "split-into-stems needs a source"),
    ({"operation": "base-to-turbo-refine", "models": ["nano", "sft"]}, "models", "models download sft"),
]


@pytest.mark.parametrize(
    ("params", "field", "words"), REFUSED, ids=[f"{field}-{words[:20]}" for _, field, words in REFUSED]
)
async def test_a_wrong_request_is_refused_in_words(desk, song, params, field, words):
    """The field stands where the user wrote it, the sentence says what it takes, and nothing is stored."""
    one = await desk()
    asked = {name: song if value == "SONG" else value for name, value in params.items()}
    with pytest.raises(AceError) as caught:
        await one.submit(**asked)
    assert caught.value.field == field and words in caught.value.message
    assert "Expected `" not in caught.value.message
    assert await one.service.jobs() == []


async def test_changed_weights_are_said_before_a_load(desk):
    """A recipe names what it was made with; the files here are looked at before the job is accepted."""
    one = await desk()
    with pytest.raises(WeightsChanged, match="other weights of nano") as caught:
        await one.submit(**chain(MAKE, weights={"nano": "0" * 32}, output=WHOLE))
    here = caught.value.limits["nano"]
    await one.submit(**chain(MAKE, weights={"nano": here}, output=WHOLE))


async def test_a_stage_that_goes_on_from_a_latent_still_does_when_rendered_again(desk):
    """The canonical request tells `{"stage": 1}` from a region that begins at 0."""
    one = await desk()
    stages = [MAKE, {"type": "refine", "source": {"stage": 1}}, {"type": "refine", "source": {"stage": 1, "start": 0}}]
    first = await one.submit(**chain(*stages, output=WHOLE))
    request = one.service.job(first.id).request
    again = await one.submit(operation="render", **request)
    assert one.service.job(again.id).request == request
    assert [stage["source"]["start"] for stage in request["stages"][1:]] == [None, 0]
    assert [stage["source"]["length"] for stage in request["stages"][1:]] == [None, 480_000]


async def test_a_region_of_a_part_whose_length_the_plan_decides(desk):
    """It may lie beyond the usual 30 s, and "to the end" stays open until the plan is there."""
    one = await desk()
    stages = [MAKE, {"type": "refine", "source": {"stage": 1, "start_seconds": 40.0, "end_seconds": 44.0}},
              {"type": "refine", "source": {"stage": 1, "start_seconds": 2.0}}]  # fmt: skip
    wish = {"caption": "x", "thinking": True, "planner_model": "tiny"}
    taken = await one.submit(**chain(*stages, conditioning=wish))
    regions = [(s["source"]["start"], s["source"]["length"]) for s in one.service.job(taken.id).request["stages"][1:]]
    assert regions == [(40 * 48_000, 4 * 48_000), (2 * 48_000, None)]
    with pytest.raises(AceError, match="not inside the source's 28800000 samples"):
        await one.submit(**chain(MAKE, {"type": "refine", "source": {"stage": 1, "start_seconds": 700.0, "end_seconds": 701.0}},
                                 conditioning=wish))  # fmt: skip


async def test_a_stages_own_file_decides_the_rate_where_the_job_has_none(desk, song, tmp_path):
    """A stem has the rate and channels of its file; of a further file of another rate it is told."""
    other = str(tmp_path / "other.flac")
    soundfile.write(other, np.zeros((48_000 * 12, 2)), 48_000)
    one = await desk()
    stem = {"type": "extract", "track": "bass"}
    taken = await one.submit(**chain({**stem, "source": {"path": song}}))
    assert one.service.job(taken.id).request["output"]["rate"] == 44_100 and list(taken.notes) == []
    taken = await one.submit(
        **chain({**stem, "source": {"path": other}}, {**stem, "source": {}}, source={"path": song})
    )
    assert list(taken.notes) == ["stage 1 works on a sound of 48000 Hz; what it makes new is written at 44100 Hz"]


async def test_a_preset_of_a_chain_keeps_where_its_stages_work(desk, song):
    """A region of the new part stays, in seconds; several files or regions are refused, as a preset takes one of each."""
    one = await desk()
    region = {"stage": 1, "start_seconds": 2.0, "end_seconds": 4.5}
    taken = await one.submit(**chain(MAKE, {"type": "repaint", "source": region}, output={**WHOLE, "rate": 44_100}))
    kept = preset_of(one.service.registry, "mine", one.service.job(taken.id).request)
    assert kept.stages[1]["source"] == region and not kept.source
    stem = {"type": "extract", "track": "bass"}
    taken = await one.submit(**chain({**stem, "source": {"path": song}}))
    kept = preset_of(one.service.registry, "mine", one.service.job(taken.id).request)
    assert kept.source and kept.stages == [{**stem, "model": "nano", "source": {}}]
    regions = [{"start_seconds": 1.0, "end_seconds": 2.0}, {"start_seconds": 4.0, "end_seconds": 5.0}]
    for operation in ("repaint", "extract"):
        track = {"track": "bass"} if operation == "extract" else {}
        taken = await one.submit(operation=operation, source=song, regions=regions, **track)
        with pytest.raises(AceError, match="several regions"):
            preset_of(one.service.registry, "mine", one.service.job(taken.id).request)


ELSEWHERE = [
    ("generate", {"inference_steps": 8}, "steps"),
    ("generate", {"infer_step": 60}, "steps"),
    ("generate", {"inferenceSteps": 8}, "steps"),
    ("generate", {"audio_duration": 30.0}, "duration"),
    ("generate", {"prompt": "x"}, "caption"),
    ("generate", {"key_scale": "A minor"}, "key"),
    ("generate", {"vocal_language": "en"}, "language"),
    ("generate", {"batch_size": 2}, "variants"),
    ("generate", {"lm_temperature": 0.5}, "planner_temperature"),
    ("generate", {"retake_variance": 0.2}, "variation"),
    ("plan", {"lm_temperature": 0.5}, "temperature"),
    ("compose", {"sample_query": "x"}, "query"),
    ("repaint", {"repainting_start": 1.0}, "start_seconds"),
    ("repaint", {"src_audio_path": "x.wav"}, "source"),
    ("cover", {"audio_cover_strength": 0.5}, "strength"),
    ("extract", {"track_name": "drums"}, "track"),
    ("flow-edit", {"source_prompt": "x"}, "source_caption"),
]


async def test_the_originals_names_are_understood(desk):
    """Whoever comes from the original's front ends is told what its field is called here, in a stage of a chain too."""
    one = await desk()
    for operation, params, ours in ELSEWHERE:
        (theirs,) = params
        with pytest.raises(BadRequest, match=f"there is no field '{theirs}' here; did you mean '{ours}'") as caught:
            await one.submit(operation=operation, **params)
        assert caught.value.field == theirs
        if ours == "steps":
            with pytest.raises(BadRequest, match="did you mean 'steps'") as caught:
                await one.submit(operation="render", stages=[{"type": operation}, {"type": operation, **params}])
            assert caught.value.field == f"stages[1].{theirs}"


def test_every_name_of_the_original_leads_to_a_field():
    """No hint names a field that nothing has, and none a name that is ours already."""
    registry = Registry.load()
    fields = {info.name for operation in registry.operations.values() for info in describe(operation.schema)}
    assert {name for ours in MEANT.values() for name in ours} <= fields
    assert not fields & MEANT.keys()
