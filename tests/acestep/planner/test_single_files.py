"""The planner out of files of other programs: the same weights and the same ids as from its published folder."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.planner.model import TransformersPlanner, load_model
from acestep.planner.planner_models import find_planners, planner_problems
from acestep.planner.tokenizer import load_tokenizer

_files = Path(__file__).parent.parent / "checkpoints" / "foreign_files.py"
_spec = importlib.util.spec_from_file_location("foreign_files_for_planners", _files)
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)

TEXT = "<|im_start|>user\nwarm lofi house<|im_end|>\n<|audio_code_63999|>"


def same(planner: TransformersPlanner, tiny_folder: Path) -> bool:
    """Whether a planner has the tiny one's weights, its tied head included."""
    expected = load_model(tiny_folder, torch.float32).state_dict()
    found = planner._model.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def test_comfyuis_text_encoder_is_the_planner(tiny_folder: Path, tmp_path: Path) -> None:
    """Sizes come from its shapes; the tokenizer is borrowed, or asked for by the command that brings it."""
    models = tmp_path / "models" / "text_encoders"
    models.mkdir(parents=True)
    file = models / "qwen_1.7b_ace15.safetensors"
    save_file(load_file(tiny_folder / "model.safetensors"), file)
    assert find_planners([tmp_path / "models"]) == []
    assert "models download companions" in planner_problems([tmp_path / "models"])[str(file)]
    lent = tmp_path / "lent" / "acestep-5Hz-lm-tokenizer"
    lent.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tiny_folder / name, lent)
    near = [tmp_path / "models", tmp_path / "lent"]
    assert planner_problems(near) == {}
    [info] = find_planners(near)
    assert (info.name, info.path, info.tokenizer) == ("qwen_1.7b_ace15", str(file), str(lent))
    settings = {"device": "cpu", "dtype": "float32", "tokenizer": info.tokenizer}
    planner = TransformersPlanner(file, settings)
    assert same(planner, tiny_folder)
    assert planner.ids(TEXT) == load_tokenizer(tiny_folder)(TEXT, add_special_tokens=False).input_ids


def test_the_second_text_encoder_of_a_single_file_is_the_planner(tiny_folder: Path, tmp_path: Path) -> None:
    """ComfyUI's all-in-one file has both under their own prefixes."""
    from acestep.checkpoints.tiny import build_tiny

    dit = build_tiny(tmp_path / "b", codec="AutoencoderOobleck")
    language = load_file(tiny_folder / "model.safetensors")
    file = foreign.all_in_one(dit, tmp_path / "models" / "aio.safetensors", language)
    shutil.copytree(tiny_folder, tmp_path / "lent" / "acestep-5Hz-lm-0.6B")
    found = {info.name: info for info in find_planners([tmp_path / "models", tmp_path / "lent"])}
    assert set(found) == {"aio", "0.6B"} and found["aio"].path == str(file)
    assert same(
        TransformersPlanner(file, {"device": "cpu", "dtype": "float32", "tokenizer": found["aio"].tokenizer}),
        tiny_folder,
    )


@pytest.mark.parametrize("kind", ["BF16", "Q8_0"])
def test_a_gguf_file_needs_nothing_beside_it(tiny_folder: Path, tmp_path: Path, kind: str) -> None:
    """Its tokens and config are its own; every id is the published one."""
    import gguf

    words = json.loads((tiny_folder / "tokenizer.json").read_text())["model"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in words["merges"]]
    config = json.loads((tiny_folder / "config.json").read_text())
    chosen = gguf.GGMLQuantizationType[kind]
    file = foreign.write_gguf(
        tmp_path / f"acestep-5Hz-lm-0.6B-{kind}.gguf", "acestep-lm", load_file(tiny_folder / "model.safetensors"), config,
        lambda name, tensor: chosen if tensor.ndim == 2 else gguf.GGMLQuantizationType.F32,
        tokens=sorted(words["vocab"], key=words["vocab"].get), merges=merges,
    )  # fmt: skip
    [info] = find_planners([tmp_path])
    assert (info.name, info.trained, info.tokenizer) == (f"0.6B-{kind}", False, str(file))
    tokenizer, plain = load_tokenizer(file), load_tokenizer(tiny_folder)
    assert tokenizer(TEXT, add_special_tokens=False).input_ids == plain(TEXT, add_special_tokens=False).input_ids
    turns = [{"role": "user", "content": "hi"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == plain.apply_chat_template(turns, tokenize=False)
    model, expected = load_model(file, torch.float32), load_model(tiny_folder, torch.float32)
    ids = torch.tensor([[5, 6, 7]])
    assert torch.allclose(model(ids).logits, expected(ids).logits, atol=0.5)


def test_the_hubs_cache_of_planners(tiny_folder: Path, tmp_path: Path) -> None:
    """Found below the cache and in a repository's folder, named by repository; what is wrong with one is said by that name."""
    cache = tmp_path / "hub"
    foreign.hub_cache(tiny_folder, cache, "ACE-Step/acestep-5Hz-lm-0.6B")
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_folder, bundle / "acestep-5Hz-lm-1.7B")
    foreign.hub_cache(bundle, cache, "ACE-Step/Ace-Step1.5")
    assert {info.name for info in find_planners([cache])} == {"0.6B", "1.7B"}
    assert [info.name for info in find_planners([cache / "models--ACE-Step--acestep-5Hz-lm-0.6B"])] == ["0.6B"]
    bare = tmp_path / "bare"
    shutil.copytree(tiny_folder, bare)
    (bare / "chat_template.jinja").unlink()
    snapshot = foreign.hub_cache(bare, tmp_path / "other", "ACE-Step/acestep-5Hz-lm-4B")
    [sentence] = planner_problems([tmp_path / "other"]).values()
    assert sentence.startswith("acestep-5Hz-lm-4B lacks") and "models download lm-4B" in sentence
    shutil.copy(tiny_folder / "chat_template.jinja", snapshot)
    assert planner_problems([tmp_path / "other"]) == {}


def test_damaged_weights_of_a_planner_are_told_before_it_is_chosen(tiny_folder: Path, tmp_path: Path) -> None:
    """Cut short, pickled, or a link out of the cache: no model, and the reason."""
    cut = shutil.copytree(tiny_folder, tmp_path / "a" / "acestep-5Hz-lm-0.6B")
    with (cut / "model.safetensors").open("r+b") as file:
        file.truncate(5000)
    pickled = shutil.copytree(tiny_folder, tmp_path / "a" / "acestep-5Hz-lm-4B")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    snapshot = foreign.hub_cache(tiny_folder, tmp_path / "hub", "me/acestep-5Hz-lm-1.7B")
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to(tiny_folder / "model.safetensors")
    assert find_planners([tmp_path / "a", tmp_path / "hub"]) == []
    told = planner_problems([tmp_path / "a", tmp_path / "hub"])
    assert (
        "cut short" in told[str(cut)] and "pickle" in told[str(pickled)] and "out of the cache" in told[str(snapshot)]
    )
