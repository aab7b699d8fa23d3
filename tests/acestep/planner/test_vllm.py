"""The adapter to vLLM, against a stand-in with vLLM's own calls: what is asked of it, progress, cancel, refusals."""

from __future__ import annotations

import json
import os
import shutil
import sys
import types
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from acestep.api.errors import BadRequest, Cancelled, Unavailable
from acestep.api.planning import CodesJob, Sampling, TextJob
from acestep.planner.vllm import VllmPlanner

PLAIN = Sampling(cfg_scale=1.0, temperature=0.5, top_k=0, top_p=0.8)


class StandIn:
    """An engine that writes its requests' answers one token a step and remembers what it was asked."""

    def __init__(self, **options) -> None:
        self.options = options
        self.llm_engine = self
        self.asked: dict[str, tuple[dict, object]] = {}
        self.aborted: list[str] = []
        self.answer = [151_669, 151_670, 151_671]
        self.steps = 0

    def add_request(self, name: str, prompt: dict, params: object) -> None:
        self.asked[name] = (prompt, params)

    def has_unfinished_requests(self) -> bool:
        return self.steps < len(self.answer)

    def step(self) -> list[types.SimpleNamespace]:
        self.steps += 1
        output = types.SimpleNamespace(token_ids=self.answer[: self.steps])
        return [types.SimpleNamespace(request_id=name, outputs=[output]) for name in self.asked]

    def abort_request(self, names: list[str]) -> None:
        self.aborted += names


@pytest.fixture
def planner(monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> VllmPlanner:
    """The adapter over the stand-in."""
    keep = lambda **given: types.SimpleNamespace(**given)  # noqa: E731
    module = types.ModuleType("vllm")
    module.LLM, module.SamplingParams = StandIn, keep
    params = types.ModuleType("vllm.sampling_params")
    params.StructuredOutputsParams = keep
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", params)
    monkeypatch.setattr("acestep.planner.vllm._utilization", lambda name: 0.5)
    return VllmPlanner(tiny_folder, {})


def test_vllm_is_told_what_the_model_is(planner: VllmPlanner, tiny_folder: Path) -> None:
    """Always a model that writes, whatever its config calls it, with a tokenizer that is read in seconds and has the same ids.

    vLLM needs a GPU; what it makes of these arguments is not shown here.
    """
    options = planner._engine.options
    assert options["model"] == str(tiny_folder)
    assert options["hf_overrides"] == {"architectures": ["Qwen3ForCausalLM"]}
    from transformers import AutoTokenizer

    light = AutoTokenizer.from_pretrained(options["tokenizer"], local_files_only=True)
    assert light.convert_tokens_to_ids("<|audio_code_0|>") == 151_669 and light.chat_template
    assert not light.special_tokens_map.get("additional_special_tokens")


def test_names_without_their_prefix_are_read_as_the_others(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, tmp_path: Path
) -> None:
    """The published 1.7B names its tensors as a model without a head; vLLM's Qwen3 gets the names it looks for, in this process."""

    class Qwen3ForCausalLM:
        def load_weights(self, weights):
            return {name for name, _ in weights}

    known = {}
    for name, contents in {
        "vllm": {"LLM": StandIn, "SamplingParams": dict,
                 "ModelRegistry": types.SimpleNamespace(register_model=known.__setitem__)},
        "vllm.sampling_params": {"StructuredOutputsParams": dict},
        "vllm.model_executor": {},
        "vllm.model_executor.models": {},
        "vllm.model_executor.models.qwen3": {"Qwen3ForCausalLM": Qwen3ForCausalLM},
    }.items():  # fmt: skip
        module = types.ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("acestep.planner.vllm._utilization", lambda name: 0.5)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    VllmPlanner(tiny_folder, {})
    assert known == {}, "names with their prefix need nothing"

    bare = shutil.copytree(tiny_folder, tmp_path / "acestep-5Hz-lm-1.7B")
    tensors = load_file(bare / "model.safetensors")
    save_file({name.removeprefix("model."): tensor for name, tensor in tensors.items()}, bare / "model.safetensors")
    config = json.loads((bare / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps({**config, "architectures": ["Qwen3Model"]}))
    planner = VllmPlanner(bare, {})
    assert planner._engine.options["hf_overrides"] == {"architectures": ["Qwen3ForCausalLM"]}
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    named = known["Qwen3ForCausalLM"]().load_weights([("layers.0.mlp.up_proj.weight", 1), ("lm_head.weight", 2)])
    assert named == {"model.layers.0.mlp.up_proj.weight", "lm_head.weight"}


def test_codes_are_drawn_from_the_audio_tokens_alone(planner: VllmPlanner) -> None:
    """Exactly as many as asked for, one request per seed, no other token allowed."""
    seen = []
    found = planner.write_codes(CodesJob(prompt="a", seeds=(4, 9), count=3), PLAIN, lambda *step: seen.append(step))
    assert found == [[0, 1, 2], [0, 1, 2]] and seen == [(1, 3), (2, 3), (3, 3)]
    params = [asked[1] for asked in planner._engine.asked.values()]
    assert [one.seed for one in params] == [4, 9]
    assert all(one.min_tokens == one.max_tokens == 3 for one in params)
    assert (params[0].allowed_token_ids[0], params[0].allowed_token_ids[-1]) == (151_669, 151_669 + 63_999)
    assert (params[0].temperature, params[0].top_p, params[0].top_k) == (0.5, 0.8, -1)


def test_texts_take_the_grammar_to_its_guidance_back_end(planner: VllmPlanner) -> None:
    """The same grammar text as everywhere; special tokens of the answer are spelled out, the end of turn is not."""
    planner._engine.answer = [151_667, 151_668, 151_645]
    job = TextJob(prompt="a", grammar="start: <think>", seed=1, limit=10)
    assert planner.write([job], PLAIN, lambda *step: None) == ["<think></think>"]
    assert planner._engine.options["structured_outputs_config"] == {"backend": "guidance"}
    assert next(iter(planner._engine.asked.values()))[1].structured_outputs.grammar == "start: <think>"


def test_a_cancel_aborts_the_requests(planner: VllmPlanner) -> None:
    """Progress that raises leaves nothing running inside vLLM."""

    def stop(done: int, total: int) -> None:
        raise Cancelled("the job was cancelled")

    with pytest.raises(Cancelled):
        planner.write_codes(CodesJob(prompt="a", seeds=(1, 2), count=3), PLAIN, stop)
    assert sorted(planner._engine.aborted) == sorted(planner._engine.asked)


def test_guidance_is_refused_rather_than_left_out(planner: VllmPlanner) -> None:
    """vLLM has none; a request with it would give something else than asked for."""
    with pytest.raises(BadRequest) as caught:
        planner.write_codes(CodesJob(prompt="a", seeds=(1,), count=3), Sampling(cfg_scale=2.0), lambda *step: None)
    assert caught.value.field == "cfg_scale"


def test_without_vllm_there_is_one_clear_error(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package."""
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(Unavailable) as caught:
        VllmPlanner(tiny_folder, {})
    assert "vllm" in caught.value.message and caught.value.field == "backend"
