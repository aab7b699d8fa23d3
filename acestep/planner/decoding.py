"""Writing with the 5 Hz language model, one token a step, for several sequences at once.

Knows: a Qwen3, token ids, grammars, sampling. Does not know: prompts, metadata, files. Every sequence is prefilled on
its own and then decoded in one batch together with its unconditional twin, so weights are read once per token. Text is
drawn from the text rows of the head alone, codes from the 64,000 audio rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Cache, DynamicCache, Qwen3Config, Qwen3ForCausalLM
from transformers.cache_utils import CacheLayerMixin

from acestep.api.errors import BadCheckpoint, NumericFailure, TooLarge
from acestep.api.planning import CODES, Progress, Sampling
from acestep.planner.cache import allocate, filled_layers
from acestep.planner.grammar import Constraint
from acestep.planner.layout import TokenLayout
from acestep.planner.sampling import guide, penalize, pick, share_of


class TokenPrompt(msgspec.Struct, frozen=True):
    """Token ids to go on from, and those of the unconditional side (none: no guidance)."""

    ids: list[int]
    negative: list[int] | None = None


class SampledToken(msgspec.Struct, frozen=True, kw_only=True):
    """One token of a text and how it came about."""

    place: int
    token: int
    allowed: int
    """How many tokens the grammar allowed; 1 where it left no choice."""
    probability: float
    """Share of this token among the allowed ones, before temperature, top-k and top-p."""
    how: str
    """``forced``, ``likeliest`` or ``drawn``."""

    def line(self, text: str) -> str:
        """The line of a log."""
        if self.how == "forced":
            return f"{self.place} {text!r} forced"
        return f"{self.place} {text!r} {self.how} from {self.allowed} allowed, p {self.probability:.3f}"


class TextTask(msgspec.Struct, frozen=True, kw_only=True):
    """Write a text under a constraint, from a seed, at most ``limit`` tokens long."""

    prompt: TokenPrompt
    constraint: Constraint
    seed: int
    limit: int
    trace: Callable[[SampledToken], None] | None = None
    """Told of every token as it is taken."""


class CodesTask(msgspec.Struct, frozen=True, kw_only=True):
    """Write semantic codes, one sequence per seed: exactly ``count`` of them, or up to ``limit`` where none is given."""

    prompt: TokenPrompt
    seeds: tuple[int, ...]
    count: int | None = None
    limit: int = 0

    @property
    def longest(self) -> int:
        """Most codes a sequence may get."""
        return self.limit if self.count is None else self.count


def cached_heads(config: Qwen3Config) -> tuple[int, int]:
    """How many heads keep keys and values, and of how many numbers each."""
    heads = config.num_attention_heads
    return config.num_key_value_heads or heads, config.head_dim or config.hidden_size // heads


class Decoder:
    """The token loop over one loaded model."""

    def __init__(self, model: Qwen3ForCausalLM, layout: TokenLayout) -> None:
        if any(kind != "full_attention" for kind in model.config.layer_types or ()):
            raise BadCheckpoint("the language model uses sliding attention, which no published planner does")
        self._model = model
        self._layout = layout
        head = model.lm_head.weight
        if head.shape[0] < layout.first_code + CODES:
            raise BadCheckpoint(f"the language model's head has {head.shape[0]} rows, too few for the audio codes")

    @property
    def context(self) -> int:
        """Longest sequence in tokens."""
        return int(self._model.config.max_position_embeddings)

    @torch.inference_mode()
    def write(self, tasks: Sequence[TextTask], sampling: Sampling, progress: Progress) -> list[list[int]]:
        """The ids of one text per task. Raises `TooLarge` when a prompt leaves too little room."""
        longest = max(task.limit for task in tasks)
        batch = _Batch(self, [task.prompt for task in tasks], range(len(tasks)), longest)
        head = self._model.lm_head.weight[: self._layout.first_code]
        writers = [TextWriter(task, sampling, self._layout.end) for task in tasks]
        for step in range(longest):
            logits = _logits(batch, head, sampling.cfg_scale)
            tokens = [writer.next(row) for writer, row in zip(writers, logits, strict=True)]
            progress(step + 1, longest)
            if all(writer.done for writer in writers):
                break
            if step + 1 < longest:
                batch.step(tokens)
        return [writer.ids for writer in writers]

    @torch.inference_mode()
    def write_codes(self, task: CodesTask, sampling: Sampling, progress: Progress) -> list[list[int]]:
        """Codes per seed. Raises `TooLarge` when the context is too short for them."""
        batch = _Batch(self, [task.prompt], [0] * len(task.seeds), task.longest)
        first = self._layout.first_code
        head = self._model.lm_head.weight[first : first + CODES]
        end = None if task.count is not None else self._model.lm_head.weight[self._layout.end : self._layout.end + 1]
        writers = [CodeWriter(seed, sampling) for seed in task.seeds]
        for step in range(task.longest):
            logits = _logits(batch, head, sampling.cfg_scale, end)
            codes = [writer.next(row) for writer, row in zip(writers, logits, strict=True)]
            progress(step + 1, task.longest)
            if all(writer.done for writer in writers):
                break
            if step + 1 < task.longest:
                batch.step([first + code for code in codes])
        return [writer.codes for writer in writers]

    def log_probabilities(self, context: list[int], target: list[int], size: int) -> Iterator[tuple[int, Tensor]]:
        """Log-probabilities [n, V] float32 at the places of ``target`` after ``context``, ``size`` places at a time.

        Yields the first place with each slice: the whole vocabulary at every place would not fit into memory. Raises `TooLarge`.
        """
        self._require_room(len(context), len(target))
        with torch.inference_mode():
            hidden = self._hidden(context + target)[len(context) - 1 : -1]
        for start in range(0, len(target), size):
            with torch.inference_mode():
                logits = functional.linear(hidden[start : start + size], self._model.lm_head.weight)
                found = functional.log_softmax(logits.float(), dim=-1)
            yield start, found

    def _hidden(self, ids: list[int], cache: DynamicCache | None = None) -> Tensor:
        """Last hidden states [n, H] of one unpadded sequence."""
        tokens = torch.tensor([ids], device=self._model.device)
        output = self._model.model(input_ids=tokens, past_key_values=cache, use_cache=cache is not None)
        return output.last_hidden_state[0]

    def _require_room(self, prompt: int, new: int) -> None:
        if prompt + new > self.context:
            raise TooLarge(
                f"the language model reads {self.context} tokens; caption and lyrics take {prompt}, "
                f"and {new} more are asked for",
                field="lyrics",
                limits={"max_tokens": self.context - new},
            )


class _Batch:
    """Sequences in lockstep: conditional rows first, then their unconditional twins.

    ``owners`` says which prompt each conditional row goes on from, so eight variants of one request cost two prefills.
    """

    def __init__(self, decoder: Decoder, prompts: Sequence[TokenPrompt], owners: Sequence[int], room: int) -> None:
        self._model = decoder._model
        guided = all(prompt.negative is not None for prompt in prompts)
        sides = [[prompt.ids for prompt in prompts]]
        if guided:
            sides.append([prompt.negative or [] for prompt in prompts])
        self.guided = guided
        lengths = torch.tensor([len(side[owner]) for side in sides for owner in owners])
        self._lengths = lengths.to(self._model.device)
        self._begin = int(lengths.max())
        for side in sides:
            for ids in side:
                decoder._require_room(len(ids), room)
        self._room = room
        self._cache = self._allocate(len(lengths))
        self.hidden = self._prefill(decoder, sides, owners)
        self._mask = self._padding_mask()

    def _allocate(self, rows: int) -> Cache:
        config = self._model.config
        heads, size = cached_heads(config)
        shape = (rows, heads, self._begin + self._room, size)
        return allocate(config.num_hidden_layers, shape, self._model.lm_head.weight)

    def _prefill(self, decoder: Decoder, sides: list[list[list[int]]], owners: Sequence[int]) -> Tensor:
        """Run every distinct prompt alone and copy it, right-aligned, to the rows that go on from it."""
        hidden: list[Tensor | None] = [None] * (len(sides) * len(owners))
        for number, side in enumerate(sides):
            for index, ids in enumerate(side):
                filled = DynamicCache(config=self._model.config)
                last = decoder._hidden(ids, filled)[-1]
                for place, owner in enumerate(owners):
                    if owner == index:
                        row = number * len(owners) + place
                        hidden[row] = last
                        self._copy(filled, row)
        for layer in filled_layers(self._cache):
            layer.filled = self._begin
        return torch.stack([state for state in hidden if state is not None])

    def _copy(self, filled: DynamicCache, row: int) -> None:
        for target, source in zip(filled_layers(self._cache), filled.layers, strict=True):
            assert isinstance(source, CacheLayerMixin) and source.keys is not None and source.values is not None
            target.fill(row, source.keys[0], source.values[0], self._begin)

    def _padding_mask(self) -> Tensor | None:
        """True where a row may look: [rows, 1, 1, capacity], or none when no row is padded."""
        starts = self._begin - self._lengths
        if not bool(starts.any()):
            return None
        places = torch.arange(self._begin + self._room, device=starts.device)
        return (places >= starts[:, None])[:, None, None, :]

    def step(self, tokens: list[int]) -> None:
        """Append a token to every sequence (both sides take the same one) and read the next hidden states."""
        rows = tokens * 2 if self.guided else tokens
        length = filled_layers(self._cache)[0].get_seq_length() + 1
        mask = None if self._mask is None else self._mask[..., :length]
        output = self._model.model(
            input_ids=torch.tensor(rows, device=self._lengths.device)[:, None],
            attention_mask={"full_attention": mask},
            position_ids=self._lengths[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        self._lengths = self._lengths + 1
        self.hidden = output.last_hidden_state[:, -1]


def _logits(batch: _Batch, head: Tensor, scale: float, end: Tensor | None = None) -> np.ndarray:
    """Guided float32 logits [items, rows of the head] on the CPU, with the end of turn as one more column where it is given.

    Raises `NumericFailure` when the model returns no numbers.
    """
    logits = functional.linear(batch.hidden, head)
    if end is not None:
        logits = torch.cat([logits, functional.linear(batch.hidden, end)], dim=-1)
    logits = logits.float()
    if batch.guided:
        cond, uncond = logits.chunk(2)
        logits = guide(cond, uncond, scale)
    if not bool(torch.isfinite(logits).all()):
        raise NumericFailure("the language model returned values that are not numbers")
    return logits.cpu().numpy()


class _RandomDraws:
    """An item's own stream of uniform numbers; the n-th belongs to its n-th drawn token."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def __next__(self) -> float:
        return float(torch.rand((), generator=self._generator, dtype=torch.float64))

    def __iter__(self) -> Iterator[float]:
        return self


class TextWriter:
    """One text in the making."""

    def __init__(self, task: TextTask, sampling: Sampling, end: int) -> None:
        self.ids: list[int] = []
        self._constraint = task.constraint
        self._prompt = task.prompt.ids
        self._sampling = sampling
        self._draws = _RandomDraws(task.seed)
        self._limit = task.limit
        self._trace = task.trace
        self._end = end
        self._forced = list(task.constraint.forced())
        self._ended = False

    @property
    def done(self) -> bool:
        return self._ended or len(self.ids) >= self._limit

    def next(self, logits: np.ndarray) -> int:
        """The next token from logits [text ids]; a text that is done repeats the end of turn for its neighbours' sake."""
        if self.done:
            return self._end
        token = self._force() if self._forced else self._choose(logits)
        self._constraint.accept(token)
        if token == self._end:
            self._ended = True
            return token
        self.ids.append(token)
        if not self._forced:
            self._forced = list(self._constraint.forced())
            self._ended = self._constraint.done
        return token

    def _force(self) -> int:
        token = self._forced.pop(0)
        if self._trace is not None:
            self._trace(SampledToken(place=len(self.ids), token=token, allowed=1, probability=1.0, how="forced"))
        return token

    def _choose(self, logits: np.ndarray) -> int:
        masked = np.where(self._constraint.mask(), logits, -np.inf)
        if self._sampling.repetition_penalty != 1.0:
            used = np.array(self._prompt + self.ids)
            masked = penalize(masked, used[used < len(masked)], self._sampling.repetition_penalty)
        uniform = next(self._draws)
        likeliest = self._constraint.greedy
        token = int(masked.argmax()) if likeliest else pick(masked, self._sampling, uniform)
        if self._trace is not None:
            how = "likeliest" if likeliest or self._sampling.temperature == 0 else "drawn"
            allowed, probability = int(np.isfinite(masked).sum()), share_of(masked, token)
            place = len(self.ids)
            self._trace(SampledToken(place=place, token=token, allowed=allowed, probability=probability, how=how))
        return token


class CodeWriter:
    """One sequence of codes in the making."""

    def __init__(self, seed: int, sampling: Sampling) -> None:
        self.codes: list[int] = []
        self.done = False
        self._sampling = sampling
        self._draws = _RandomDraws(seed)

    def next(self, logits: np.ndarray) -> int:
        """The next code from logits [codes (+ end)]; a sequence that has ended repeats code 0 for its neighbours' sake."""
        if self.done:
            return 0
        logits = penalize(logits, np.array(self.codes, dtype=np.int64), self._sampling.repetition_penalty)
        code = pick(logits, self._sampling, next(self._draws))
        if code >= CODES:
            self.done = True
            return 0
        self.codes.append(code)
        return code
