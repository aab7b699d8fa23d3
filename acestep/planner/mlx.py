"""MLX as what runs the language model on a Mac's own GPU, where somebody has installed ``mlx-lm``.

The network is MLX's; everything that decides about tokens is ours and the same as with transformers: grammars, guidance, seeds,
sampling. Sequences are written one after the other, since a Mac's memory is the bound. MLX runs on Linux too (package ``mlx-cpu``),
which is how this was compared with transformers; on a Mac it has not been run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acestep.api.errors import BadCheckpoint, NumericFailure, TooLarge, Unavailable
from acestep.api.planning import CODES, CodesJob, Progress, Sampling, TextJob
from acestep.planner.decoding import CodeWriter, SampledToken, TextTask, TextWriter, TokenPrompt
from acestep.planner.grammar import Constraint, TextVocabulary
from acestep.planner.layout import read_layout
from acestep.planner.tokenizer import load_tokenizer

PREFIX = "model."
"""How the names of the network's tensors begin; the published 1.7B leaves it out."""


class MlxPlanner:
    """See `acestep.api.planning.PlannerBackend`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Raises `Unavailable`, `BadCheckpoint`."""
        self._mx = _import("mlx.core")
        self._make_cache: Callable[[Any], list[Any]] = _import("mlx_lm.models.cache").make_prompt_cache
        if folder.is_file():
            raise Unavailable(
                f"MLX opens language models in their published form only, not {folder.name}; use the transformers backend",
                field="backend",
            )
        self.tokenizer = load_tokenizer(folder)
        self._layout = read_layout(self.tokenizer)
        self._vocabulary = TextVocabulary(self.tokenizer, self._layout)
        try:
            self._model, config = _import("mlx_lm.utils").load_model(folder, get_model_classes=_classes)
        except (OSError, ValueError, KeyError) as failure:
            raise BadCheckpoint(
                f"{folder} holds no language model that MLX can read: {failure}", field="model"
            ) from failure
        self._context = int(config["max_position_embeddings"])

    def write(self, jobs: Sequence[TextJob], sampling: Sampling, progress: Progress) -> list[str]:
        """See `PlannerBackend.write`."""
        total = sum(job.limit for job in jobs)
        texts: list[str] = []
        begun = 0
        for job in jobs:
            prompt = self._prompt(job, sampling)
            constraint = Constraint(self._vocabulary, job.grammar)
            trace = None if job.trace is None else self._traced(job.trace)
            task = TextTask(prompt=prompt, constraint=constraint, seed=job.seed, limit=job.limit, trace=trace)
            writer = TextWriter(task, sampling, self._layout.end)
            tokens = self._tokens(prompt, job.limit, sampling)
            logits = next(tokens)
            for step in range(job.limit):
                token = writer.next(logits[: self._layout.first_code])
                progress(begun + step + 1, total)
                if writer.done or step + 1 == job.limit:
                    break
                logits = tokens.send(token)
            texts.append(self._vocabulary.text(writer.ids))
            begun += job.limit
        return texts

    def write_codes(self, job: CodesJob, sampling: Sampling, progress: Progress) -> list[list[int]]:
        """See `PlannerBackend.write_codes`."""
        prompt, first = self._prompt(job, sampling), self._layout.first_code
        longest = job.limit if job.count is None else job.count
        found = []
        for index, seed in enumerate(job.seeds):
            writer = CodeWriter(seed, sampling)
            tokens = self._tokens(prompt, longest, sampling)
            logits = next(tokens)
            for step in range(longest):
                row = logits[first : first + CODES]
                if job.count is None:
                    row = np.append(row, logits[self._layout.end])
                code = writer.next(row)
                progress(index * longest + step + 1, len(job.seeds) * longest)
                if writer.done or step + 1 == longest:
                    break
                logits = tokens.send(first + code)
            found.append(writer.codes)
        return found

    def offload(self) -> None:
        """A Mac's memory is one; what MLX keeps for later is given back."""
        self._mx.clear_cache()

    def _traced(self, tell: Callable[[str], None]) -> Callable[[SampledToken], None]:
        """What turns a token that was taken into a line for the job's log."""
        return lambda taken: tell(taken.line(self._vocabulary.text([taken.token])))

    def _prompt(self, job: TextJob | CodesJob, sampling: Sampling) -> TokenPrompt:
        guided = sampling.cfg_scale != 1.0 and bool(job.negative)
        return TokenPrompt(self._ids(job.prompt), self._ids(job.negative) if guided else None)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _tokens(self, prompt: TokenPrompt, room: int, sampling: Sampling) -> Any:
        """A generator of guided float32 logits [V]; it is sent the token that was taken. Raises `TooLarge`, `NumericFailure`."""
        sides = [prompt.ids] if prompt.negative is None else [prompt.ids, prompt.negative]
        for ids in sides:
            if len(ids) + room > self._context:
                raise TooLarge(
                    f"the language model reads {self._context} tokens; caption and lyrics take {len(ids)}, and {room} more are "
                    "asked for",
                    field="lyrics",
                    limits={"max_tokens": self._context - room},
                )
        caches = [self._make_cache(self._model) for _ in sides]
        rows = [self._read(ids, cache) for ids, cache in zip(sides, caches, strict=True)]
        while True:
            logits = rows[0] if len(rows) == 1 else rows[1] + sampling.cfg_scale * (rows[0] - rows[1])
            if not np.isfinite(logits).all():
                raise NumericFailure("the language model returned values that are not numbers")
            token = yield logits
            rows = [self._read([token], cache) for cache in caches]

    def _read(self, ids: list[int], cache: list[Any]) -> NDArray[np.float32]:
        """Logits [V] behind these tokens, which the cache then holds."""
        out = self._model(self._mx.array([ids]), cache=cache)[0, -1]
        return np.array(out.astype(self._mx.float32))


def _classes(config: dict[str, Any]) -> tuple[Any, Any]:
    """MLX's Qwen3, whatever the config calls it, with names taken with and without their prefix."""
    qwen = _import("mlx_lm.models.qwen3")
    plain = qwen.Model

    class PrefixedModel(plain):  # type: ignore[misc, valid-type]
        """Tensors may come under the names of a model without a head."""

        def sanitize(self, weights: dict[str, Any]) -> dict[str, Any]:
            named = (PREFIX, "lm_head.")
            whole = {name if name.startswith(named) else PREFIX + name: value for name, value in weights.items()}
            return super().sanitize(whole)

    return PrefixedModel, qwen.ModelArgs


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as failure:
        raise Unavailable(
            f"the planner backend mlx needs the package mlx-lm, which is for Macs with Apple silicon: {failure}",
            field="backend",
        ) from failure
