"""vLLM as what runs the language model, where somebody has installed it (CUDA).

Grammars go to its guidance back end, which is the same compiler; codes are drawn from the audio tokens alone. It has no
classifier-free guidance, so requests with a cfg_scale above 1 are refused rather than quietly done without.

vLLM needs a GPU: here it is tested against a stand-in, by the arguments that it is given.
"""

from __future__ import annotations

import importlib
import itertools
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from acestep.api.errors import BadRequest, TooLarge, Unavailable
from acestep.api.planning import CODES, CodesJob, Progress, Sampling, TextJob
from acestep.checkpoints.files import tensor_table, weight_files
from acestep.planner.layout import read_layout
from acestep.planner.tokenizer import load_tokenizer

log = logging.getLogger(__name__)

ARCHITECTURE = "Qwen3ForCausalLM"
"""What the language model is to vLLM, whatever its config says: the published 1.7B calls itself ``Qwen3Model``, which vLLM takes
for a model that embeds texts and writes none."""

PREFIX = "model."
"""How the names of its tensors begin, all but the head's; the published 1.7B leaves it out."""

IN_PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"

CONTEXT = 8192
"""Tokens: 600 s of codes after the longest lyrics, with room to spare; more would only hold memory back."""

MEMORY_GB = {"0.6B": 3, "1.7B": 8, "4B": 12}
"""Memory that weights and cache of each size may take together."""


class VllmPlanner:
    """See `acestep.api.planning.PlannerBackend`. vLLM keeps its memory until the planner is unloaded."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        vllm = _import("vllm")
        self._sampling_params = vllm.SamplingParams
        self._structured = _import("vllm.sampling_params").StructuredOutputsParams
        if folder.is_file():
            raise Unavailable(
                f"vLLM opens language models in their published form only, not {folder.name}; use the transformers backend",
                field="backend",
            )
        self.tokenizer = load_tokenizer(folder)
        self._layout = read_layout(self.tokenizer)
        self._words = tempfile.TemporaryDirectory(prefix="acestep-tokenizer-")
        self.tokenizer.save_pretrained(self._words.name)  # without the lists that take its library minutes
        if lacks_prefix(folder):
            _accept_bare_names()
        self._engine = vllm.LLM(
            model=str(folder),
            tokenizer=self._words.name,
            hf_overrides={"architectures": [ARCHITECTURE]},
            dtype="bfloat16",
            max_model_len=CONTEXT,
            gpu_memory_utilization=_utilization(folder.name),
            structured_outputs_config={"backend": "guidance"},
            trust_remote_code=False,
        ).llm_engine
        self._numbers = itertools.count()

    def write(self, jobs: Sequence[TextJob], sampling: Sampling, progress: Progress) -> list[str]:
        """See `PlannerBackend.write`."""
        _refuse_guidance(sampling)
        for job in jobs:
            if job.trace is not None:
                job.trace("vLLM draws the tokens itself and keeps no record of them")
        requests = [
            (
                job.prompt,
                self._params(
                    sampling,
                    seed=job.seed,
                    max_tokens=job.limit,
                    structured_outputs=self._structured(grammar=job.grammar),
                ),
            )
            for job in jobs
        ]
        end = self._layout.end
        written = self._run(requests, max(job.limit for job in jobs), progress)
        return [str(self.tokenizer.decode([token for token in ids if token != end])) for ids in written]

    def write_codes(self, job: CodesJob, sampling: Sampling, progress: Progress) -> list[list[int]]:
        """See `PlannerBackend.write_codes`."""
        _refuse_guidance(sampling)
        first, end = self._layout.first_code, self._layout.end
        allowed = list(range(first, first + CODES))
        longest = job.limit if job.count is None else job.count
        counted = {"min_tokens": longest} if job.count is not None else {"stop_token_ids": [end]}
        params = [
            self._params(
                sampling,
                seed=seed,
                max_tokens=longest,
                allowed_token_ids=allowed if job.count is not None else [*allowed, end],
                **counted,
            )
            for seed in job.seeds
        ]
        group = job.together or len(params)
        chunks = [params[start : start + group] for start in range(0, len(params), group)]
        written = []
        for index, ones in enumerate(chunks):
            chunk = [(job.prompt, one) for one in ones]

            def step(done: int, total: int, index: int = index) -> None:
                progress(index * total + done, len(chunks) * total)

            written += self._run(chunk, longest, step)
        return [[token - first for token in ids if first <= token < first + CODES] for ids in written]

    def _params(self, sampling: Sampling, **more: Any) -> Any:
        return self._sampling_params(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or -1,
            repetition_penalty=sampling.repetition_penalty,
            **more,
        )

    def _run(self, requests: list[tuple[str, Any]], longest: int, progress: Progress) -> list[list[int]]:
        """Token ids of every request, stepped by hand so that progress is told and a cancel is heard at every token."""
        names = [f"planner-{next(self._numbers)}" for _ in requests]
        for name, (text, params) in zip(names, requests, strict=True):
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(ids) + longest > CONTEXT:
                raise TooLarge(
                    f"the prompt takes {len(ids)} tokens and {longest} more are asked for; {CONTEXT} fit",
                    field="lyrics",
                    limits={"max_tokens": CONTEXT - longest},
                )
            self._engine.add_request(name, {"prompt_token_ids": list(ids)}, params)
        written: dict[str, list[int]] = {}
        try:
            while self._engine.has_unfinished_requests():
                for output in self._engine.step():
                    written[output.request_id] = list(output.outputs[0].token_ids)
                progress(max(map(len, written.values()), default=0), longest)
        except BaseException:
            self._engine.abort_request(names)
            raise
        return [written[name] for name in names]

    def offload(self) -> None:
        """vLLM cannot move its memory; unloading the planner frees it."""


def lacks_prefix(folder: Path) -> bool:
    """Whether the tensors are named as in a model without a head (``layers.0...`` instead of ``model.layers.0...``)."""
    return not any(name.startswith(PREFIX) for file in weight_files(folder) for name in tensor_table(file))


def with_prefix(weights: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Tensors under the names that vLLM's model looks for."""
    for name, tensor in weights:
        yield name if name.startswith((PREFIX, "lm_head.")) else PREFIX + name, tensor


def _accept_bare_names() -> None:
    """Let vLLM's Qwen3 read names without their prefix. The change holds in this process only, so the engine has to run in it."""
    os.environ[IN_PROCESS] = "0"
    try:
        registry = importlib.import_module("vllm").ModelRegistry
        plain = getattr(importlib.import_module("vllm.model_executor.models.qwen3"), ARCHITECTURE)
    except (ImportError, AttributeError) as failure:
        log.warning("this vLLM keeps its models elsewhere (%s); names without %r may not load", failure, PREFIX)
        return

    class PrefixedQwen3(plain):  # type: ignore[misc, valid-type]
        """Qwen3 whose tensors may come without the prefix."""

        def load_weights(self, weights: Iterable[tuple[str, Any]]) -> set[str]:
            found: set[str] = super().load_weights(with_prefix(weights))
            return found

    registry.register_model(ARCHITECTURE, PrefixedQwen3)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as failure:
        raise Unavailable(f"the planner backend vllm needs the package vllm: {failure}", field="backend") from failure


def _refuse_guidance(sampling: Sampling) -> None:
    if sampling.cfg_scale != 1.0:
        raise BadRequest(
            "vLLM runs the language model without guidance; set cfg_scale to 1 or take the transformers backend",
            field="cfg_scale",
            limits={"max": 1.0},
        )


def _utilization(name: str) -> float:
    """The share of the device's memory that vLLM may take, within its own bounds."""
    from acestep.planner.device import choose_device, device_memory
    from acestep.planner.planner_models import size_of

    wanted = MEMORY_GB.get(size_of(name), 4) * 2**30
    return min(max(wanted / device_memory(choose_device("cuda")), 0.1), 0.9)
