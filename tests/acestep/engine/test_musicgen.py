"""MusicGen behind the same engine: generate, and continue to the right; the contract of every family."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from acestep.api.errors import AceError, BadCheckpoint, Cancelled
from acestep.families.musicgen.family import REMARK
from acestep.families.musicgen.layout import locate
from acestep.families.musicgen.network import open_model
from acestep.families.musicgen.tiny import build_tiny
from acestep.latents.latent_file import load_latent

TINY = "musicgen-tiny"
QUICK = {"model": TINY, "seed": 4, "caption": "soft piano"}


@pytest.fixture(scope="module", autouse=True)
def tiny(runner) -> Path:
    """Tiny checkpoints among the runner's."""
    build_tiny(runner.home / "checkpoints", stereo=True)
    return build_tiny(runner.home / "checkpoints")


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float64", always_2d=True)[0]


def latent_beside(file: Path) -> torch.Tensor:
    (path,) = file.parent.glob("*latent*")
    return load_latent(path, "musicgen-random")[0]


@pytest.fixture(scope="module")
def part(runner, tiny):
    """A new part of 2 s at the codec's own rate, its result and file."""
    result, folder = runner.run("generate", duration=2.0, rate=32_000, format="wav32f", **QUICK)
    return result, folder / result.files[0].name


def test_a_part_is_what_the_library_makes(part, tiny):
    """Sample for sample, through engine, codes as latents, and delivery."""
    from tokenizers import Tokenizer
    from transformers import MusicgenForConditionalGeneration

    result, path = part
    ids = torch.tensor([Tokenizer.from_file(str(tiny / "tokenizer.json")).encode("soft piano").ids])
    library = MusicgenForConditionalGeneration.from_pretrained(tiny)
    torch.manual_seed(4)
    expected = library.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=103, guidance_scale=3.0, top_k=250
    )[0, 0]
    made = samples(path)
    assert made.shape == (64_000, 2)
    np.testing.assert_allclose(made, np.stack([expected.numpy()] * 2, 1), atol=1e-7)
    assert any("random weights" in note for note in result.notes)


def test_a_part_has_the_asked_samples_and_its_recipe_makes_it_again(runner):
    """48 kHz, to the sample; options and guidance stand in the recipe; a stereo model's sides differ."""
    asked = {**QUICK, "model": "musicgen-stereo-tiny", "options": ["top_k=40"]}
    result, folder = runner.run("generate", duration=1.51, format="wav32f", **asked)
    first = samples(folder / result.files[0].name)
    assert first.shape == (72_480, 2) and not np.array_equal(first[:, 0], first[:, 1])
    again, folder = runner.run_recipe(result.recipe["request"])
    assert np.array_equal(samples(folder / again.files[0].name), first)
    (stage,) = result.recipe["request"]["stages"]
    assert {"top_k=40", "temperature=1", "stride=18"} <= set(stage["options"])
    assert (stage["guidance"], stage["guidance_scale"]) == ("cfg", 3.0)
    other, folder = runner.run("generate", duration=1.51, format="wav32f", **{**asked, "seed": 5})
    assert not np.array_equal(samples(folder / other.files[0].name), first)


def test_extending_continues_from_the_codes_and_leaves_the_file_as_it_was(runner, part):
    """What the source was made of is shown code by code: its stored latent, no codec between; longer by what was asked for."""
    _, path = part
    before = samples(path)
    result, folder = runner.run(
        "extend", source=str(path), start=64_000, end=96_000, returns=["whole", "latent"], crossfade=5.0, **QUICK
    )
    made = samples(folder / result.files[0].name)
    assert len(made) == 96_000 and np.array_equal(made[:63_000], before[:63_000]) and made[65_000:].any()
    old, new = latent_beside(path), latent_beside(folder / result.files[0].name)
    shared = min(new.shape[1] - 50, old.shape[1])
    assert torch.equal(new[:, :shared], old[:, -shared:])


def test_two_minutes_go_by_windows(runner, tiny, monkeypatch):
    """Windows made small for the test: calls of 0.6 s at most that are shown 0.2 s, and one piece of sound without gaps."""
    from acestep.families.musicgen import runtime

    shown: list[tuple[int, int]] = []
    plain = runtime.continued

    def continued(model, words, kept, new, *rest):
        shown.append((len(kept), new))
        return plain(model, words, kept, new, *rest)

    monkeypatch.setattr(runtime, "continued", continued)
    monkeypatch.setattr(runtime, "WINDOW_SECONDS", 1.5)
    result, folder = runner.run("generate", duration=4.0, rate=32_000, format="wav32f", options=["stride=1"], **QUICK)
    assert shown == [(0, 75), (25, 50), (25, 50), (25, 25)]
    codes = latent_beside(folder / result.files[0].name)[0].long()
    assert torch.equal(codes, library_codes(tiny, shown)), "each window goes on from the last one's own codes"
    assert samples(folder / result.files[0].name).shape == (128_000, 2)
    assert [tick[1:3] for tick in runner.ticks if tick[0] == "generate"] == [(i + 1, 212) for i in range(212)]


def library_codes(tiny: Path, windows: list[tuple[int, int]]) -> torch.Tensor:
    """Codes [frames, 4] of the library's own ``generate``, window by window, each shown the last codes of the one before."""
    from tokenizers import Tokenizer
    from transformers import MusicgenForConditionalGeneration

    library = MusicgenForConditionalGeneration.from_pretrained(tiny)
    ids = torch.tensor([Tokenizer.from_file(str(tiny / "tokenizer.json")).encode("soft piano").ids])
    found, decode = [], library.audio_encoder.decode
    library.audio_encoder.decode = lambda codes, *rest, **more: (
        found.append(codes[0, 0]) or decode(codes, *rest, **more)
    )
    codes = torch.zeros(4, 0, dtype=torch.long)
    torch.manual_seed(4)
    for kept, new in windows:
        shown = {"decoder_input_ids": codes[:, -kept:].contiguous()} if kept else {}
        library.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new + 3,
            guidance_scale=3.0,
            top_k=250,
            **shown,
        )
        assert torch.equal(found[-1][:, :kept], codes[:, codes.shape[1] - kept :])
        codes = torch.cat((codes, found[-1][:, kept:]), 1)
    return codes.T


def test_a_cancel_is_heard_at_a_token(runner):
    from acestep.admission.render import admit_render

    recipe = admit_render(
        runner.registry, "generate", {"duration": 1.0, **QUICK}, runner.engine.host
    ).render.to_recipe()
    context = runner.context(runner.library / "stopped-musicgen")
    seen: list[str] = []

    def report(phase, *tick):
        seen.append(phase)
        if seen.count("generate") == 7:
            context.cancel()

    context._report = report
    with pytest.raises(Cancelled):
        runner.engine.run("render", recipe, context)
    assert seen.count("generate") == 7
    result, _ = runner.run("generate", duration=1.0, **QUICK)
    assert result.files


@pytest.mark.parametrize(
    ("operation", "asked", "field", "words"),
    [
        ("repaint", {"start": 0, "end": 48_000}, "model", "musicgen-tiny (MusicGen) cannot do repaint"),
        (
            "extend",
            {"start": -48_000, "end": 10},
            "start",
            "can continue a part past its end, but not before its start",
        ),
        ("generate", {"duration": 121.0}, "duration", "makes 1 to 120 s at once"),
        ("generate", {"steps": 20}, "steps", "steps is 1 with musicgen-tiny"),
        ("generate", {"sampler": "heun"}, "sampler", "does not know sampler 'heun'"),
        ("generate", {"lora": ["nobody"]}, "lora", "lora"),
        ("generate", {"latent_rescale": 0.9}, "latent_rescale", "does not follow latent_rescale"),
        ("generate", {"options": ["stride=31"]}, "options", "stride"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name_before_any_work(runner, song, operation, asked, field, words):
    given = {**QUICK, **asked}
    if operation != "generate":
        given["source"] = str(song(rate=48_000))
    with pytest.raises(AceError) as failure:
        runner.run(operation, **given)
    assert failure.value.field == field and words in failure.value.message


def test_half_a_download_is_told_and_not_offered(runner, tmp_path):
    """A shard that is cut short, one that is missing, no tokenizer, pickles alone, and the form of the authors' program."""
    from acestep.checkpoints.families import find_models, model_problems

    families, root = runner.registry.families, build_tiny(tmp_path)
    weights = (root / "model.safetensors").read_bytes()
    named = {}
    for words, change in {
        "is cut short": lambda: (root / "model.safetensors").write_bytes(weights[:-100]),
        "holds no weights": (root / "model.safetensors").unlink,
        "pickle": lambda: (root / "pytorch_model.bin").write_bytes(b"\x80\x02"),
        "authors' program": lambda: (
            (root / "config.json").unlink(),
            (root / "state_dict.bin").write_bytes(b"\x80\x02"),
        ),
    }.items():
        change()
        assert find_models([tmp_path], families) == []
        named[words] = model_problems([tmp_path], families)
    for words, problems in named.items():
        assert words in problems[str(root)]


@pytest.mark.parametrize(
    ("part", "key", "value", "words"),
    [
        ("decoder", "hidden_size", 48, "do not fit together"),
        ("decoder", "num_hidden_layers", 3, "lacks 16 of its tensors"),
        ("decoder", "dropout", "much", "do not fit together"),
        ("decoder", "num_codebooks", "four", "no usable decoder.num_codebooks"),
        ("audio_encoder", "codebook_size", 0, "no usable audio_encoder.codebook_size"),
        ("audio_encoder", "upsampling_ratios", [], "no usable audio_encoder.upsampling_ratios"),
    ],
)
def test_a_config_that_does_not_fit_is_one_sentence(tmp_path, part, key, value, words):
    root = build_tiny(tmp_path)
    config = json.loads((root / "config.json").read_text())
    config[part][key] = value
    (root / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadCheckpoint, match=words):
        open_model(None, locate(root), torch.device("cpu"), torch.float32, lambda: None)


@pytest.mark.parametrize(
    ("file", "state", "words"),
    [
        ("config.json", "missing", "config.json is missing"),
        ("config.json", "half", "config.json is cut short"),
        ("tokenizer.json", "missing", "tokenizer.json is missing"),
        ("tokenizer.json", "half", "tokenizer.json is cut short"),
        ("generation_config.json", "half", "generation_config.json is cut short"),
        ("model-00001-of-00002.safetensors", "missing", "model-00001-of-00002.safetensors is missing"),
        ("model-00002-of-00002.safetensors", "half", "model-00002-of-00002.safetensors is cut short"),
    ],
)
def test_whatever_did_not_arrive_is_named(runner, tmp_path, file, state, words):
    """Of a sharded checkpoint, as the large ones are published: one sentence, and it is never called another family's."""
    from acestep.checkpoints.families import find_models, model_problems

    families, root = runner.registry.families, sharded(build_tiny(tmp_path, name="musicgen-large"))
    assert [info.name for info in find_models([tmp_path], families)] == ["musicgen-large"]
    data = (root / file).read_bytes()
    (root / file).unlink()
    if state == "half":
        (root / file).write_bytes(data[: len(data) // 2])
    assert find_models([tmp_path], families) == []
    (sentence,) = model_problems([tmp_path], families).values()
    assert sentence.startswith(f"musicgen-large is not complete: {words}")
    assert sentence.endswith("; download the model again")


def sharded(root: Path) -> Path:
    """The same checkpoint in two files and a list of them."""
    tensors = load_file(root / "model.safetensors")
    (root / "model.safetensors").unlink()
    names, half = sorted(tensors), len(tensors) // 2
    files = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for file, part in zip(files, (names[:half], names[half:]), strict=True):
        save_file({name: tensors[name] for name in part}, root / file, metadata={"format": "pt"})
    listed = {name: files[index >= half] for index, name in enumerate(names)}
    (root / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    return root


def test_its_licence_is_told_before_a_download_and_with_every_result(runner, tiny, tmp_path, capsys):
    """Random weights have none; what is published says so in facts, costs and notes."""
    from acestep.checkpoints.catalogue import packages
    from acestep.checkpoints.families import find_named

    families = runner.registry.families
    (package,) = packages("musicgen-small", families)
    assert (package.repository, package.license, package.remark) == ("facebook/musicgen-small", "CC-BY-NC-4.0", REMARK)
    assert locate(tiny).trained is False
    from bridge.cli import main
    from bridge.cli.commands.models import _announcement

    assert REMARK in _announcement("musicgen-melody", tmp_path, "published", families), "before the first byte"

    def told(name: str) -> dict:
        capsys.readouterr()
        assert main(["models", "info", name, "--json", "--home", str(tmp_path)]) == 0
        return json.loads(capsys.readouterr().out)

    row = told("musicgen-stereo-melody")  # not here
    assert (row["present"], row["license"], row["remark"]) == (False, "CC-BY-NC-4.0", REMARK)
    folder = tmp_path / "checkpoints"
    root = build_tiny(folder, name="musicgen-small")
    config = json.loads((root / "config.json").read_text())
    (root / "config.json").write_text(json.dumps({**config, "trained": True}))
    info = find_named("musicgen-small", [folder], families)
    assert (info.license, info.remark) == ("CC-BY-NC-4.0", REMARK) and "commercial" in REMARK
    row = told("musicgen-small")
    assert (row["license"], row["remark"], row["operations"]) == ("CC-BY-NC-4.0", REMARK, ["generate", "extend"])
    engine = runner.fresh_engine(checkpoints=[folder])
    result, _ = runner.run("generate", engine, duration=1.0, model="musicgen-small", seed=1)
    assert REMARK in result.notes and result.recipe["licenses"] == {"musicgen-small": "CC-BY-NC-4.0"}
