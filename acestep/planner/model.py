"""The language model in memory: loaded, moved off the accelerator, freed; and transformers as the default backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from acestep.api.errors import BadCheckpoint, OutOfMemory
from acestep.api.planning import CodesJob, Progress, Sampling, TextJob
from acestep.api.shortage import is_out_of_memory
from acestep.checkpoints.architecture import materialise_buffers, weightless
from acestep.checkpoints.inferred import read_config
from acestep.checkpoints.load import Placement, Target
from acestep.checkpoints.tensors import read_tensors
from acestep.checkpoints.weights import LANGUAGE, tensor_index
from acestep.planner.decoding import CodesTask, Decoder, SampledToken, TextTask, TokenPrompt, cached_heads
from acestep.planner.device import choose_device, choose_dtype, device_memory
from acestep.planner.grammar import Constraint, TextVocabulary
from acestep.planner.layout import read_layout
from acestep.planner.tokenizer import load_tokenizer


class TransformersPlanner:
    """A language model run by transformers, with the decoder of this package. See `acestep.api.planning.PlannerBackend`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._device = choose_device(str(settings.get("device") or "auto"))
        self._dtype = choose_dtype(self._device, str(settings.get("dtype") or "auto"))
        self.tokenizer = load_tokenizer(Path(settings.get("tokenizer") or folder))
        self._layout = read_layout(self.tokenizer)
        self._model = load_model(folder, self._dtype)
        self._vocabulary = TextVocabulary(self.tokenizer, self._layout)
        self._decoder = Decoder(self._model, self._layout)

    @property
    def decoder(self) -> Decoder:
        """The decoder over the loaded model, which is on its device when this returns. Raises `OutOfMemory`."""
        try:
            cast(nn.Module, self._model).to(self._device)
        except (RuntimeError, MemoryError) as failure:
            if not is_out_of_memory(failure):
                raise
            self.offload()
            raise OutOfMemory(f"the language model does not fit into {self._device}", field="model") from failure
        return self._decoder

    def ids(self, text: str) -> list[int]:
        """Token ids of a rendered prompt, its special tokens taken as such."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _prompt(self, text: str, negative: str) -> TokenPrompt:
        return TokenPrompt(self.ids(text), self.ids(negative) if negative else None)

    def write(self, jobs: Sequence[TextJob], sampling: Sampling, progress: Progress) -> list[str]:
        """See `PlannerBackend.write`."""
        guided = sampling.cfg_scale != 1.0
        tasks = [
            TextTask(
                prompt=self._prompt(job.prompt, job.negative if guided else ""),
                constraint=Constraint(self._vocabulary, job.grammar),
                seed=job.seed,
                limit=job.limit,
                trace=self._trace(job),
            )
            for job in jobs
        ]
        return [self._vocabulary.text(ids) for ids in self._run(lambda: self.decoder.write(tasks, sampling, progress))]

    def _trace(self, job: TextJob) -> Callable[[SampledToken], None] | None:
        """What turns a token that was taken into a line for the job's log."""
        if job.trace is None:
            return None
        tell = job.trace
        return lambda taken: tell(taken.line(self._vocabulary.text([taken.token])))

    def write_codes(self, job: CodesJob, sampling: Sampling, progress: Progress) -> list[list[int]]:
        """See `PlannerBackend.write_codes`. As many sequences at once as the memory for their keys and values allows."""
        prompt = self._prompt(job.prompt, job.negative if sampling.cfg_scale != 1.0 else "")
        group = self._rows(len(prompt.ids) + (job.limit if job.count is None else job.count), prompt)
        group = min(group, job.together or group)
        groups = [job.seeds[start : start + group] for start in range(0, len(job.seeds), group)]
        codes: list[list[int]] = []
        for index, seeds in enumerate(groups):
            task = CodesTask(prompt=prompt, seeds=seeds, count=job.count, limit=job.limit)
            count = len(groups)

            def step(done: int, total: int, index: int = index, count: int = count) -> None:
                progress(index * total + done, count * total)

            codes += self._run(lambda task=task, step=step: self.decoder.write_codes(task, sampling, step))
        return codes

    def _rows(self, tokens: int, prompt: TokenPrompt) -> int:
        """How many sequences of this length fit into half of the memory that is free."""
        config = self._model.config
        heads, size = cached_heads(config)
        numbers = 2 * config.num_hidden_layers * heads * size * tokens
        each = numbers * self._dtype.itemsize * (1 if prompt.negative is None else 2)
        free = torch.cuda.mem_get_info(self._device)[0] if self._device.type == "cuda" else device_memory(self._device)
        return max(1, free // 2 // each)

    def _run(self, work: Any) -> Any:
        try:
            return work()
        except (RuntimeError, MemoryError) as failure:
            if not is_out_of_memory(failure):
                raise
            raise OutOfMemory("the language model ran out of memory; ask for fewer variants or less time") from failure

    def offload(self) -> None:
        """Move the weights to the CPU; the next call brings them back."""
        if self._model.device.type != "cpu":
            cast(nn.Module, self._model).to("cpu")
            if self._device.type == "cuda":
                torch.cuda.empty_cache()


def load_model(folder: Path, dtype: torch.dtype) -> Qwen3ForCausalLM:
    """The model of a folder (or a single weight file) on the CPU, strictly, never from a pickle. Raises `BadCheckpoint`."""
    if folder.is_file():
        return _from_file(folder, dtype)
    try:
        loaded: Any = Qwen3ForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
        )
        model, report = loaded
    except (OSError, ValueError, RuntimeError) as failure:
        raise BadCheckpoint(f"{folder} holds no readable language model: {failure}", field="model") from failure
    wrong = {
        kind: sorted(map(str, report.get(kind, ()))) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
    }
    wrong = {kind: names for kind, names in wrong.items() if names}
    if wrong:
        raise BadCheckpoint(f"the weights in {folder} do not fit the model: {wrong}", field="model")
    return model.eval().requires_grad_(False)


HEAD = "lm_head.weight"


def _from_file(file: Path, dtype: torch.dtype) -> Qwen3ForCausalLM:
    """The language model of a file of ComfyUI's or acestep.cpp's, its head tied to its embeddings where the file has none."""
    try:
        with weightless():
            model = Qwen3ForCausalLM(Qwen3Config.from_dict(read_config(file, LANGUAGE)))
    except (TypeError, ValueError, RuntimeError) as failure:
        raise BadCheckpoint(f"the config of {file} makes no network: {failure}", field="model") from failure
    index, target = tensor_index(file, LANGUAGE), Target(torch.device("cpu"), dtype, lambda: None)
    tied = HEAD not in index
    fit = Placement({name: (model, name) for name in model.state_dict() if not (tied and name == HEAD)})
    for name, tensor in read_tensors(index):
        fit.put(name, tensor, target)
    fit.finish(file.name)
    if tied:
        model.lm_head.weight = model.model.embed_tokens.weight
    materialise_buffers(model, target.device)
    return model.eval().requires_grad_(False)
