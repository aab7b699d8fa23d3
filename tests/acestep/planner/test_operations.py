"""The planner's operations as jobs of a real engine, with a tiny language model and a tiny checkpoint."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import torch

from acestep.api.errors import BadRequest, Cancelled, ModelMissing, ModelUnsuited, RegionOutside, Unavailable
from acestep.api.metadata import parse_block, split_answer
from acestep.api.planned import PLANNING_SHARE, THINK, PlannedConditioning, PlanWish
from acestep.api.planning import CODE_FAMILY
from acestep.api.registry import Registry
from acestep.engine import Engine
from acestep.planner import integration, session
from acestep.worker.backend import JobContext, Ties

SHORT = {"model": "tiny", "caption_tokens": 6}


class Jobs:
    """Runs operations the way a worker does."""

    def __init__(self, home: Path, planners: Path) -> None:
        self.registry = Registry.load()
        self.home = home
        self.ticks: list[tuple[str, int, int, float]] = []
        settings = {"home": home, "library": home / "library", "uploads": home / "uploads", "device": "cpu"}
        self.engine = Engine({**settings, "dtype": "float32", "checkpoints": [planners], "model": "tiny", "threads": 1})

    def context(self) -> JobContext:
        """A context that writes down ticks."""
        self.ticks = []
        folder = self.home / "staging"
        folder.mkdir(exist_ok=True)
        return JobContext("job", folder, self.registry, lambda *tick: self.ticks.append(tick), backend=self.engine)

    def run(self, operation: str, **params):
        """One job."""
        return self.engine.run(operation, params, self.context())

    def render(self, operation: str, **params):
        """A render from its flat form."""
        from acestep.admission.render import admit_render

        admitted = admit_render(self.registry, operation, params, self.engine.host)
        return self.engine.run("render", admitted.render.to_recipe(), self.context())


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path):
    """An engine with the tiny language model among its checkpoints."""
    yield Jobs(tmp_path_factory.mktemp("home"), tiny_folder.parent)
    session.unload()


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of quiet noise at 44.1 kHz."""
    path = tmp_path_factory.mktemp("songs") / "song.wav"
    soundfile.write(path, np.random.default_rng(1).uniform(-0.3, 0.3, (3 * 44_100, 2)), 44_100)
    return path


def test_plan_keeps_what_is_given_and_adds_the_rest(jobs: Jobs) -> None:
    """Given values come back verbatim, in the thought too; codes are five a second per variant, different by seed."""
    found = jobs.run("plan", caption="warm", bpm=97.0, key="f#m", duration=10.0, seeds=[5, 6], variants=2, **SHORT)
    data = found.data
    assert (data["bpm"], data["key"], data["duration"]) == (97, "F# minor", 10)
    thought = parse_block(split_answer(data["cot_text"])[0])
    assert (thought.bpm, thought.keyscale, thought.duration) == (97, "F# minor", 10)
    assert data["time_signature"] in ("2", "3", "4", "6")
    assert [len(sequence) for sequence in data["codes"]] == [50, 50] and data["codes"][0] != data["codes"][1]
    assert found.seeds == (5, 6)
    assert any("random weights" in note for note in found.notes)
    stages = [tick[0] for tick in jobs.ticks]
    assert list(dict.fromkeys(stages)) == ["load", "thinking", "codes"]
    fractions = [tick[3] for tick in jobs.ticks]
    assert fractions == sorted(fractions) and fractions[-1] <= 1.0


def test_plan_of_a_seed_does_not_depend_on_the_number_of_variants(jobs: Jobs) -> None:
    """A variant can be asked for again alone: its seed gives the same codes (the thought comes from the first seed)."""
    wish = {"caption": "warm", "duration": 10.0, "bpm": 90.0, "key": "C major", "time_signature": "4", "language": "en"}
    both = jobs.run("plan", **wish, seeds=[1, 2], variants=2, use_caption=False, **SHORT)
    alone = jobs.run("plan", **wish, seeds=[2], use_caption=False, **SHORT)
    assert both.data["codes"][1] == alone.data["codes"][0]


def test_compose_and_format_write_whole_samples(jobs: Jobs) -> None:
    """A sentence gives every field; given ones stay; instrumental pieces get no lyrics."""
    composed = jobs.run("compose", query="a sad song", language="en", lyrics_tokens=12, seed=1, **SHORT).data
    assert composed["language"] == "en" and composed["lyrics"] and composed["caption"] and composed["duration"] >= 10
    silent = jobs.run("compose", query="a sad tune", instrumental=True, seed=1, **SHORT).data
    assert silent["lyrics"] == "[Instrumental]" and silent["instrumental"]
    formatted = jobs.run("format", caption="x", lyrics="[Instrumental]", bpm=120.0, seed=1, **SHORT).data
    assert formatted["bpm"] == 120 and formatted["lyrics"] == "[Instrumental]"


def test_audio_becomes_codes_and_codes_become_audio(jobs: Jobs, song: Path) -> None:
    """Five codes a second of the region, rounded up; and back to 48 kHz sound of exactly that length, synced to its file."""
    codes = jobs.run("codes", source=str(song)).data["audio_codes"]
    assert len(codes) == 15 and all(0 <= code < 64_000 for code in codes)
    part = jobs.run("codes", source=str(song), start=44_100, end_seconds=2.5)
    assert len(part.data["audio_codes"]) == 8
    back = jobs.run("codes", audio_codes=codes)
    file = back.files[0]
    sound, rate = soundfile.read(jobs.home / "staging" / file.name)
    assert (rate, len(sound), file.length) == (48_000, 144_000, 144_000)


def test_understanding_audio_is_understanding_its_codes(jobs: Jobs, song: Path) -> None:
    """Describing a file and describing the codes of that file give the same words from the same seed."""
    codes = jobs.run("codes", source=str(song)).data["audio_codes"]
    heard = jobs.run("understand", source=str(song), seed=3, lyrics_tokens=8, **SHORT).data
    read = jobs.run("understand", audio_codes=codes, seed=3, lyrics_tokens=8, **SHORT).data
    assert heard == read and heard["caption"]


def test_scores_are_between_zero_and_one(jobs: Jobs, song: Path) -> None:
    """Words against audio: PMI and recall per part, a total, and the alignment of lyrics where it is asked for."""
    lyrics = "[Verse]\nOh my\nlong day\n"
    found = jobs.run("score", source=str(song), caption="warm", lyrics=lyrics, bpm=90.0, model="tiny", alignment=True)
    assert set(found.data["parts"]) == {"caption", "lyrics", "bpm"}
    values = [found.data["total"], *found.data["parts"].values(), *found.data["alignment"].values()]
    assert len(values) == 6 and all(0.0 <= value <= 1.0 for value in values)


def test_lyrics_get_times_inside_the_song(jobs: Jobs, song: Path) -> None:
    """Every line once, in order, with growing times within the region; LRC says the same; random weights are owned up to."""
    lyrics = "[Verse]\nOh my\nlong dáy\n\n[Chorus]\nCarry me home"
    found = jobs.run("lyrics-timing", source=str(song), lyrics=lyrics, language="en")
    lines = found.data["lines"]
    assert [line["text"] for line in lines] == [line for line in lyrics.split("\n") if line]
    starts = [line["start"] for line in lines]
    assert starts == sorted(starts) and starts[0] >= 0 and lines[-1]["end"] <= 3.0
    assert [word["text"] for word in lines[2]["words"]] == ["long", "dáy"]
    assert found.data["lrc"].count("\n") == 5 and found.data["lrc"].startswith("[00:0")
    assert any("random weights" in note for note in found.notes)


def test_the_probe_reads_the_attention_of_the_right_heads_and_rows(jobs: Jobs) -> None:
    """Against a direct computation: queries and keys of each block taken by hooks, softmax over all condition tokens,
    then the chosen heads and the lyric rows."""
    from acestep.conditioning.condition_cache import ConditionRequest, encode_condition
    from acestep.conditioning.context import join, silence
    from acestep.conditioning.prompts import Prompt
    from acestep.planner.probe import alignment_heads, lyric_attention

    model = jobs.engine.models.open("", lambda: None)
    prompt = Prompt(caption="warm", lyrics="Oh my day", language="en", seconds=4)
    latents = torch.randn(1, 20, 64, generator=torch.Generator().manual_seed(0))
    heard = lyric_attention(model, prompt, latents, 0.25, 42)
    table, exact = alignment_heads(model)
    assert not exact, "a tiny model has none of the published heads"

    seen: dict[tuple[int, str], torch.Tensor] = {}
    handles = []
    for block in table:
        layer = model.transformer.layers[block].cross_attn
        for name, product in (("query", layer.to_q), ("key", layer.to_k)):
            handles.append(product.register_forward_hook(lambda _m, _i, out, at=(block, name): seen.update({at: out})))
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(42))
    context = join(silence(model.silence, 20), torch.ones(1, 20, 1))
    condition = model.transformer.condition(encode_condition(model, ConditionRequest(prompt)))
    model.transformer.velocity(0.25 * noise + 0.75 * latents, 0.25, context, [condition])
    for handle in handles:
        handle.remove()

    start = len("# Languages\nen\n\n# Lyric\n")
    expected = []
    for block in table:
        layer = model.transformer.layers[block].cross_attn
        heads = layer.heads
        query = layer.norm_q(seen[block, "query"].unflatten(-1, (heads, -1))).transpose(1, 2)
        key = layer.norm_k(seen[block, "key"].unflatten(-1, (layer.kv_heads, -1))).transpose(1, 2)
        key = key.repeat_interleave(heads // key.shape[1], dim=1)
        weights = torch.softmax(query.double() @ key.double().transpose(-1, -2) / query.shape[-1] ** 0.5, dim=-1)
        expected.append(weights[0, list(table[block]), :, start : start + len("Oh my day")].transpose(1, 2))
    assert "".join(heard.texts) == "Oh my day"
    assert np.abs(heard.weights - torch.cat(expected).numpy()).max() <= 1e-5


def test_generate_thinks_when_asked_and_shows_it(jobs: Jobs) -> None:
    """The thought is in the result, given values win, the recipe holds plan and codes and renders the same without thinking."""
    wish = {
        "caption": "warm",
        "bpm": 97.5,
        "duration": 10.0,
        "thinking": True,
        "planner_model": "tiny",
        "planner_caption": False,
    }
    found = jobs.render("generate", **wish, steps=1, seed=4)
    assert found.data["cot_text"].startswith("<think>") and "bpm: 98" in found.data["cot_text"]
    assert found.data["bpm"] == 97.5 and found.data["key"] and len(found.data["codes"][0]) == 50
    kept = found.recipe["request"]["conditioning"]
    assert (kept["caption"], kept["thinking"], kept["planner_model"]) == ("warm", False, "tiny")
    assert (kept["key"], kept["codes"]) == (found.data["key"], found.data["codes"])
    again = jobs.engine.run("render", found.recipe["request"], jobs.context())
    assert [file.sha256 for file in again.files] == [file.sha256 for file in found.files]


def test_a_plan_made_apart_is_rendered_as_if_it_had_been_made_here(jobs: Jobs) -> None:
    """The planner is told nothing of files and models; the plan travels as plain data, and nobody thinks again."""
    from acestep.admission.render import admit_render

    wish = {"caption": "warm", "duration": 10.0, "thinking": True, "planner_model": "tiny", "steps": 1, "seed": 4}
    render = admit_render(jobs.registry, "generate", {**wish, "planner_caption": False}, jobs.engine.host).render
    whole = jobs.engine.run("render", render.to_recipe(), jobs.context())
    asked = msgspec.to_builtins(PlanWish.of(render, CODE_FAMILY))
    answer = jobs.engine.run(THINK, asked, jobs.context())
    assert answer.files == () and [tick[3] for tick in jobs.ticks] == sorted(tick[3] for tick in jobs.ticks)
    assert max(tick[3] for tick in jobs.ticks) <= PLANNING_SHARE
    plan = msgspec.msgpack.decode(msgspec.msgpack.encode(answer.data))
    context = jobs.context()
    planned = JobContext(
        "job",
        context.staging,
        context.registry,
        context._report,
        backend=jobs.engine,
        ties=Ties(planned=msgspec.convert(plan, PlannedConditioning)),
    )
    apart = jobs.engine.run("render", render.to_recipe(), planned)
    assert "thinking" not in {tick[0] for tick in jobs.ticks} and min(tick[3] for tick in jobs.ticks) >= PLANNING_SHARE
    assert [file.sha256 for file in apart.files] == [file.sha256 for file in whole.files]
    assert apart.recipe == whole.recipe and apart.data == whole.data and apart.notes == whole.notes


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a language model."""
    monkeypatch.setattr(session, "find_planners", lambda folders: [])


@pytest.mark.usefixtures("no_model")
def test_without_a_language_model_rules_plan(jobs: Jobs) -> None:
    """Generating works as ever, and with `thinking` the plan is one of rules; the note says so and how to get a model."""
    assert jobs.render("generate", caption="x", duration=10.0, steps=1, seed=4).files
    found = jobs.render("generate", caption="techno in F minor", duration=10.0, steps=1, seed=4, thinking=True)
    data, request = found.data, found.recipe["request"]["conditioning"]
    assert (data["model"], data["key"], data["codes"]) == ("rules", "F minor", []) and 124 <= data["bpm"] <= 138
    assert request["key"] == "F minor" and request["bpm"] == data["bpm"] and not request["thinking"]
    assert any("by rules" in note and "models download lm-0.6B" in note for note in found.notes)
    assert any(note.startswith("not said, so chosen: ") for note in found.notes)


@pytest.mark.usefixtures("no_model")
def test_the_nano_planner_helps_where_its_flag_is_on(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks: the plan says who made it, and what was read. With the flag off the same sentence has no tempo."""
    sentence = "jazz, one hundred and eighteen beats every minute"
    assert jobs.run("compose", query=sentence, seed=1).stages[0].model == "rules"
    monkeypatch.setattr(jobs.registry, "features", frozenset({"nano_planner"}))
    for found in (
        jobs.run("compose", query=sentence, seed=1),
        jobs.run("plan", caption=sentence, seed=1),
        jobs.run("format", caption=sentence, seed=1),
    ):
        assert (found.data["bpm"], found.stages[0].model) == (118, "nano")
        assert any("rules and the nano planner" in note for note in found.notes)
        assert any(note.startswith("read by the nano planner: 118 bpm") for note in found.notes)


@pytest.mark.usefixtures("no_model")
def test_plan_compose_and_format_answer_by_rules(jobs: Jobs) -> None:
    """The same fields as from a language model, codes left out and told, one sample per seed."""
    planned = jobs.run("plan", caption="dark techno", bpm=130.0, seed=1, cfg_scale=3.0)
    assert (planned.data["bpm"], planned.data["codes"], planned.stages[0].model) == (130, [], "rules")
    assert "dark techno" in planned.data["caption"] and "four on the floor" in planned.data["caption"]
    assert any("rules cannot write codes" in note for note in planned.notes)
    assert any("cfg_scale has no effect" in note for note in planned.notes)
    composed = jobs.run("compose", query="waltz in D minor", seeds=[1, 2, 3], variants=3)
    assert [one["key"] for one in composed.data["samples"]] == ["D minor"] * 3
    assert len({one["bpm"] for one in composed.data["samples"]}) > 1
    assert jobs.run("compose", query="waltz in D minor", seed=1).data["bpm"] == composed.data["bpm"]
    (sample, *_) = composed.data["samples"]
    assert jobs.render("generate", **{**sample, "duration": 10.0, "steps": 1}).files, (
        "a sample is a request of generate"
    )
    formatted = jobs.run("format", caption="pop at 100 bpm", lyrics="la la", seed=1)
    assert formatted.data["lyrics"] == "[Verse]\nla la" and formatted.data["bpm"] == 100


@pytest.mark.usefixtures("no_model")
def test_a_song_of_one_sentence(jobs: Jobs) -> None:
    """It is as long as the sentence says, to the sample; plan and sentence come with the result, and its recipe makes it again."""
    sentence = "dark techno at 130 in F minor, 4 bars, no drums"
    found = jobs.render("song", query=sentence, steps=1, seed=4, instrumental=True)
    data, files = found.data, [file for file in found.files if file.role == "part"]
    assert (data["query"], data["bpm"], data["key"]) == (sentence, 130, "F minor")
    assert files[0].length == round(16 * 60 / 130 * 48_000) and len(files) == 1
    request = found.recipe["request"]
    assert request["conditioning"]["caption"] == data["caption"] and "no drums" in data["caption"]
    again = jobs.render("render", **request)
    assert [file.sha256 for file in again.files] == [file.sha256 for file in found.files]
    assert "by rules" not in "".join(again.notes)


def test_a_song_that_a_language_model_plans(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """It composes words first and writes codes for them; what is given stays."""
    usual = integration.settings_for
    monkeypatch.setattr(
        integration, "settings_for", lambda *asked: msgspec.structs.replace(usual(*asked), caption_tokens=6)
    )
    found = jobs.render(
        "song", query="a song", lyrics="la la", bpm=97.0, duration=10.0, steps=1, seed=4, planner_model="tiny"
    )
    assert (found.data["model"], found.data["bpm"], found.data["lyrics"]) == ("tiny", 97, "la la")
    assert [len(codes) for codes in found.data["codes"]] == [50] and found.data["caption"]


def test_auto_is_the_language_model_that_ace_steps_own_variable_names(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that names none is planned by it, and the report says by which."""
    monkeypatch.setenv("ACESTEP_LM_MODEL_PATH", "tiny")
    found = jobs.run("plan", caption="x", codes=False, seed=1, caption_tokens=6)
    assert found.stages[0].model == "tiny"


def test_a_foreign_codebook_gets_no_codes(jobs: Jobs, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a checkpoint with another codec only metadata is planned, and its codes are not read to the language model."""
    monkeypatch.setattr("acestep.api.planning.RANDOM", "no family ends like this")
    wish = {"caption": "x", "duration": 10.0, "thinking": True, "planner_model": "tiny", "planner_caption": False}
    found = jobs.render("generate", **wish, steps=1, seed=4)
    assert found.data["cot_text"] and found.data["codes"] == []
    assert any("codes" in note for note in found.notes)
    with pytest.raises(ModelUnsuited) as caught:
        jobs.run("understand", source=str(song), **SHORT)
    assert caught.value.field == "checkpoint"


def test_edits_are_never_planned(jobs: Jobs, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repaint that asks for thinking is a plain repaint: codes would replace the audio that is being edited."""
    monkeypatch.setattr(session, "planner_for", lambda *args: pytest.fail("planned"))
    found = jobs.render(
        "repaint", source=str(song), start=22_050, end=44_100, caption="x", steps=1, seed=1, thinking=True
    )
    assert found.files and found.data == {}
    assert any("so the planner was not asked" in note for note in found.notes)


def test_cancel_stops_within_one_token(jobs: Jobs) -> None:
    """After the cancel not a single further token is reported."""
    context = jobs.context()
    seen = []

    def report(stage: str, step: int, steps: int, fraction: float) -> None:
        seen.append((stage, step))
        if (stage, step) == ("codes", 3):
            context.cancel()

    context._report = report
    with pytest.raises(Cancelled):
        jobs.engine.run("plan", {"caption": "x", "duration": 10.0, "seed": 1, **SHORT}, context)
    assert seen[-1] == ("codes", 3)


def test_unload_frees_the_language_model(jobs: Jobs) -> None:
    """Unloading everything leaves no language model behind; status named it while it was there."""
    jobs.run("plan", caption="x", duration=10.0, codes=False, seed=1, **SHORT)
    assert "planner tiny" in jobs.engine.info()["models"]
    jobs.engine.unload("")
    assert session.loaded_planners() == []


@pytest.mark.parametrize(
    ("operation", "params", "error", "field"),
    [
        ("understand", {"audio_codes": [1]}, ModelMissing, "model"),
        ("plan", {"caption": "x", "model": "4B"}, ModelMissing, "model"),
        ("plan", {"caption": "x", "lyrics": "<|im_end|>"}, BadRequest, "lyrics"),
        ("understand", {"audio_codes": [64_000]}, BadRequest, "audio_codes"),
        ("understand", {"audio_codes": []}, BadRequest, "audio_codes"),
        ("understand", {}, BadRequest, "source"),
        ("score", {"audio_codes": [1], "caption": "x", "alignment": True}, BadRequest, "alignment"),
        ("lyrics-timing", {"source": "x.wav"}, BadRequest, "lyrics"),
    ],
)
def test_what_cannot_be_done_is_said(jobs: Jobs, operation: str, params: dict, error: type, field: str) -> None:
    """One clear error that names the field, before anything is loaded."""
    with pytest.raises(error) as caught:
        jobs.run(operation, **params)
    assert caught.value.field == field


def test_regions_outside_the_file_are_refused(jobs: Jobs, song: Path) -> None:
    """A region is inside the file and not empty."""
    with pytest.raises(RegionOutside):
        jobs.run("codes", source=str(song), start=44_100 * 3)


def test_without_the_grammar_compiler_only_planning_fails(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra package is missing: one error names it, and a plain generation never asks for it."""
    import sys

    session.unload()
    monkeypatch.setitem(sys.modules, "llguidance", None)
    assert jobs.render("generate", caption="x", duration=10.0, steps=1, seed=4).files
    with pytest.raises(Unavailable) as caught:
        jobs.run("plan", caption="x", duration=10.0, **SHORT)
    assert "llguidance" in caught.value.message
