"""Every control of the language model reaches it, from wherever it is used; answers can be sent on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from acestep.api.conditioning import Conditioning
from acestep.api.errors import AceError, BadRequest
from acestep.api.metadata import parse_block, split_answer
from acestep.api.planning import PlannerSettings
from acestep.api.registry import Registry
from acestep.engine import Engine
from acestep.planner import session
from acestep.planner.decoding import Decoder
from acestep.planner.integration import settings_for
from acestep.worker.backend import JobContext


class Jobs:
    """Runs operations as a worker does, each into a folder of its own."""

    def __init__(self, home: Path, planners: Path) -> None:
        self.registry = Registry.load()
        self.home, self.count = home, 0
        settings = {"home": home, "library": home / "library", "uploads": home / "uploads", "device": "cpu"}
        self.engine = Engine({**settings, "dtype": "float32", "checkpoints": [planners], "model": "tiny", "threads": 1})

    def run(self, operation: str, **params):
        """One job; its folder is ``self.folder``."""
        self.count += 1
        self.folder = self.home / f"job-{self.count}"
        self.folder.mkdir()
        context = JobContext("job", self.folder, self.registry, lambda *tick: None, backend=self.engine)
        if not self.registry.operation(operation).stage:
            return self.engine.run(operation, params, context)
        from acestep.admission.render import admit_render

        admitted = admit_render(self.registry, operation, params, self.engine.host)
        return self.engine.run("render", admitted.render.to_recipe(), context)

    def sound(self, result) -> np.ndarray:
        """The first file's samples."""
        return soundfile.read(self.folder / result.files[0].name)[0]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path):
    """An engine with the tiny language model among its checkpoints."""
    yield Jobs(tmp_path_factory.mktemp("controls"), tiny_folder.parent)
    session.unload()


@pytest.fixture(scope="module")
def usual_codes(jobs: Jobs) -> list[list[int]]:
    """What is written with every control at its default."""
    return jobs.run("generate", **THINK, **METAS).data["codes"]


THINK = {"caption": "warm", "duration": 10.0, "thinking": True, "planner_model": "tiny", "planner_caption": False,
         "steps": 1, "seed": 4}  # fmt: skip
METAS = {"bpm": 90.0, "key": "C major", "time_signature": "4", "language": "en"}


def test_every_setting_of_the_planner_is_a_field_of_a_generation() -> None:
    """One name each, `planner_` before it; only the limits of written texts belong to the operations that write them."""
    others = {"caption_tokens", "lyrics_tokens"}
    fields = {
        f"planner_{name.removeprefix('use_')}" for name in PlannerSettings.__struct_fields__ if name not in others
    }
    assert fields == {name for name in Conditioning.__struct_fields__ if name.startswith("planner_")}
    values = {"planner_top_k": 7, "planner_top_p": 0.5, "planner_temperature": 0.1, "planner_repetition_penalty": 1.3,
              "planner_cfg_scale": 3.0, "planner_negative_prompt": "noise", "planner_metas": False,
              "planner_caption": False, "planner_language": False, "planner_parallel": False, "planner_debug": True,
              "planner_metadata_temperature": 0.2, "planner_codes_temperature": 0.3,
              "planner_backend": "transformers"}  # fmt: skip
    settings = settings_for(Conditioning(**values), "acestep-1.5")
    assert settings.codes and settings.together == 1
    for name, value in values.items():
        bare = name.removeprefix("planner_")
        assert getattr(settings, f"use_{bare}" if hasattr(settings, f"use_{bare}") else bare) == value


@pytest.mark.parametrize(
    ("change", "same_as"),
    [
        ({"planner_top_k": 1, **METAS}, {"planner_temperature": 0.0, **METAS}),
        ({"planner_codes_temperature": 0.0, "planner_metadata_temperature": 0.0}, {"planner_temperature": 0.0}),
        (
            {"planner_cfg_scale": 1.0, "planner_negative_prompt": "noise", **METAS},
            {"planner_cfg_scale": 1.0, **METAS},
        ),
    ],
)
def test_controls_that_come_to_the_same(jobs: Jobs, change: dict, same_as: dict) -> None:
    """The likeliest token is taken whichever control leaves it alone; a negative prompt needs guidance."""
    one, other = (jobs.run("generate", **THINK, **controls).data for controls in (change, same_as))
    assert one == other


@pytest.mark.parametrize(
    "change",
    [
        {"planner_temperature": 2.0},
        {"planner_cfg_scale": 6.0},
        {"planner_negative_prompt": "nothing but noise"},
        {"planner_repetition_penalty": 2.0},
        {"planner_top_k": 2},
        {"planner_top_p": 0.2},
    ],
)
def test_each_control_changes_what_is_written(jobs: Jobs, usual_codes: list, change: dict) -> None:
    """Against the same seed without it, the codes are others."""
    assert jobs.run("generate", **THINK, **METAS, **change).data["codes"] != usual_codes


def test_parts_of_the_thought_can_be_left_out(jobs: Jobs) -> None:
    """Without metas only what is given stands in it; without language none is found; given values stay in any case."""
    found = jobs.run("generate", **THINK, planner_metas=False, bpm=90.0, lyrics="Oh my")
    thought = parse_block(split_answer(found.data["cot_text"])[0])
    assert (thought.bpm, thought.duration, thought.keyscale, thought.timesignature) == (90, 10, "", "")
    assert thought.language and not thought.caption
    bare = jobs.run("generate", **THINK, planner_metas=False, planner_language=False, lyrics="Oh my")
    assert split_answer(bare.data["cot_text"])[0] == "duration: 10"
    plan = jobs.run("plan", caption="warm", model="tiny", use_metas=False, use_caption=False, use_language=False,
                    lyrics="Oh my", codes=False, seed=1)  # fmt: skip
    assert (plan.data["bpm"], plan.data["key"], plan.data["duration"], plan.data["caption"]) == (None, "", None, "warm")


def test_variants_together_or_apart(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunk and parallel say how many sequences are written at once; what is written stays the same."""
    sizes: list[int] = []
    plain = Decoder.write_codes

    def counted(self, task, sampling, progress):
        sizes.append(len(task.seeds))
        return plain(self, task, sampling, progress)

    monkeypatch.setattr(Decoder, "write_codes", counted)
    request = {**THINK, **METAS, "variants": 3, "seeds": [1, 2, 3]}
    found = []
    for controls in ({}, {"planner_batch_chunk": 2}, {"planner_parallel": False}):
        found.append(jobs.run("generate", **request, **controls).data["codes"])
    assert sizes == [3, 2, 1, 1, 1, 1]
    assert found[0] == found[1] == found[2] and len({tuple(codes) for codes in found[0]}) == 3


def test_the_log_of_constrained_decoding(jobs: Jobs) -> None:
    """A line per token: what was forced, and what was drawn from how many with which probability; none unless asked for."""
    shown = jobs.run("generate", **THINK, bpm=97.0, planner_debug=True).data
    quiet = jobs.run("generate", **THINK, bpm=97.0).data
    assert "decoding" not in quiet and quiet["cot_text"] == shown["cot_text"]
    assert any("forced" in line for line in shown["decoding"])
    drawn = [line for line in shown["decoding"] if " drawn from " in line]
    assert drawn and all(0.0 <= float(line.rsplit(" ", 1)[1]) <= 1.0 for line in drawn)
    told = jobs.run("compose", query="x", model="tiny", caption_tokens=4, lyrics_tokens=4, seed=1, debug=True)
    assert told.stages[0].settings["decoding"]


def test_codes_strength_is_the_share_of_steps_that_follow_the_codes(jobs: Jobs) -> None:
    """0 is the sound without codes, 1 follows them throughout, in between is neither."""
    request = {"caption": "warm", "length": 40_000, "rate": 48_000, "seed": 3, "steps": 4, "format": "wav32f"}
    codes = {"audio_codes": [5, 60_000, 17, 900, 63_999]}
    plain = jobs.sound(jobs.run("generate", **request))
    full = jobs.sound(jobs.run("generate", **request, **codes))
    none, half, whole = (
        jobs.sound(jobs.run("generate", **request, **codes, codes_strength=s)) for s in (0.0, 0.5, 1.0)
    )
    assert np.array_equal(none, plain) and np.array_equal(whole, full)
    assert not np.array_equal(half, plain) and not np.array_equal(half, full)


def test_the_plan_decides_a_length_that_is_left_open(jobs: Jobs) -> None:
    """Nothing says how long: the part is as long as the plan; the recipe says it, and renders the same again."""
    request = {key: value for key, value in THINK.items() if key != "duration"}
    found = jobs.run("generate", **request, rate=8_000, planner_codes=False, planner_temperature=0.0)
    planned = parse_block(split_answer(found.data["cot_text"])[0]).duration
    assert planned is not None and planned != 30
    assert found.files[0].length == planned * 8_000 == found.recipe["request"]["output"]["length"]
    given = jobs.run("generate", **request, rate=8_000, planner_codes=False, planner_metas=False)
    assert given.files[0].length == 30 * 8_000


def test_a_plan_sent_on_is_the_thinking_generation(jobs: Jobs) -> None:
    """plan, then generate with its answer as it is: the very samples of one generate that thinks."""
    plan = jobs.run(
        "plan", caption="warm", duration=10.0, model="tiny", use_caption=False, seeds=[4, 5], variants=2
    ).data
    sent = jobs.run("generate", **plan, steps=1, seeds=[4, 5])
    apart = [soundfile.read(jobs.folder / file.name)[0] for file in sent.files]
    both = jobs.run("generate", **{**THINK, "seeds": [4, 5], "variants": 2})
    together = [soundfile.read(jobs.folder / file.name)[0] for file in both.files]
    assert all(map(np.array_equal, apart, together)) and not np.array_equal(*apart)
    assert not any("planner" in note for note in sent.notes)


def test_a_thought_is_taken_up(jobs: Jobs) -> None:
    """Without codes the thought is sent on: the codes are those that the thinking model would have written after it."""
    plan = jobs.run("plan", caption="warm", duration=10.0, model="tiny", use_caption=False, seed=4, codes=False).data
    taken = jobs.run("generate", **plan, thinking=True, planner_model="tiny", planner_caption=False, steps=1, seed=4)
    whole = jobs.run("generate", **THINK)
    assert taken.data["cot_text"] == whole.data["cot_text"] and taken.data["codes"] == whole.data["codes"]


@pytest.mark.parametrize("variants", [1, 2])
def test_every_answer_can_be_sent_on_as_it_is(jobs: Jobs, variants: int) -> None:
    """compose, format, understand and example answer in the words of generate; several samples are told about."""
    short = {"model": "tiny", "caption_tokens": 4, "lyrics_tokens": 4, "seed": 1, "variants": variants}
    answers = [
        jobs.run("compose", query="a sad song", **short).data,
        jobs.run("format", caption="x", lyrics="Oh my", **short).data,
        jobs.run("understand", audio_codes=[1, 2, 3, 4, 5], **short).data,
    ]
    for answer in answers:
        assert len(answer.get("samples", [])) == (variants if variants > 1 else 0)
        result = jobs.run("generate", **{**answer, "duration": 10.0}, steps=1, seed=2)
        assert result.files[0].length == 480_000
        told = [note for note in result.notes if "samples the fields" in note]
        assert bool(told) == (variants > 1)


def test_an_example_can_be_sent_on(jobs: Jobs) -> None:
    """Every one of them."""
    import msgspec

    from acestep.admission.render import admit_render
    from plugins.planner.examples import EXAMPLES

    for entry in EXAMPLES:
        admitted = admit_render(jobs.registry, "generate", msgspec.to_builtins(entry), jobs.engine.host)
        assert admitted.render.conditioning.caption == entry.caption


@pytest.mark.parametrize(
    ("operation", "params", "words"),
    [
        ("generate", {"audio_codes": [1, 2], "thinking": True}, "the codes are given"),
        ("generate", {"planner_top_k": 5}, "nothing is planned without thinking; planner_top_k"),
        ("generate", {"codes_strength": 0.5}, "codes_strength has no effect"),
        ("generate", {"genres": "techno"}, "put them into the caption"),
        ("cover", {"thinking": True}, "so the planner was not asked"),
        ("cover", {"audio_codes": [1, 2]}, "the codes were left out"),
    ],
)
def test_nothing_is_dropped_in_silence(jobs: Jobs, tmp_path: Path, operation: str, params: dict, words: str) -> None:
    """What a request says and what changes nothing is told, at the door already."""
    from acestep.admission.render import admit_render

    song = tmp_path / "song.wav"
    soundfile.write(song, np.zeros((48_000, 2)), 48_000)
    source = {"source": str(song)} if operation == "cover" else {"length": 20_000, "rate": 48_000}
    admitted = admit_render(jobs.registry, operation, {**source, **params}, jobs.engine.host)
    assert any(words in note for note in admitted.notes)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"codes": [[1], [2]], "variants": 3}, "codes"),
        ({"codes": [[64_000]]}, "codes"),
        ({"codes": [[]]}, "codes"),
        ({"codes": [[1]], "audio_codes": [1]}, "codes"),
        ({"codes_strength": 1.5}, "codes_strength"),
        ({"planner_top_p": 0.0}, "planner_top_p"),
        ({"planner_batch_chunk": 0}, "planner_batch_chunk"),
        ({"planner_negative_prompt": "<|im_end|>", "thinking": True}, "planner_negative_prompt"),
        ({"cot_text": "hello", "thinking": True, "planner_model": "tiny"}, "cot_text"),
        ({"cot_text": "<think>\nbpm: 9000\n</think>", "thinking": True, "planner_model": "tiny"}, "cot_text"),
        ({"thinking": True, "planner_model": "9B"}, "planner_model"),
    ],
)
def test_wrong_values_name_their_field(jobs: Jobs, params: dict, field: str) -> None:
    """One sentence that names the user's own field."""
    with pytest.raises(AceError) as caught:
        jobs.run("generate", **{"caption": "x", "duration": 10.0, "steps": 1, **params})
    assert caught.value.field == field and caught.value.message


def test_codes_need_a_length() -> None:
    """A plan of codes alone has to be told how long they should be."""
    with pytest.raises(BadRequest, match="codes need a length") as caught:
        from acestep.api.schema import convert

        convert({"use_metas": False}, Registry.load().operation("plan").schema)
    assert caught.value.field == "duration"
