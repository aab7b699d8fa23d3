"""What the planner is for: expanding a prompt, sketching it as codes, composing, formatting, understanding.

Knows prompts, metadata and grammars; does not know how tokens are made (a `PlannerBackend` does), files or jobs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from acestep.api import limits
from acestep.api.errors import BadCheckpoint, BadRequest
from acestep.api.metadata import Metadata, parse_block, parse_lyrics, split_answer, write_block
from acestep.api.planning import (
    CODE_RATE,
    CodesJob,
    PlannerBackend,
    PlannerSettings,
    Progress,
    Sampling,
    TextJob,
    check_codes,
    refuse_control_text,
)
from acestep.planner import prompts
from acestep.planner.grammar import BLOCK_TOKENS, BlockOptions, block_grammar
from acestep.planner.plan_inputs import PlanInputs, Sample, Thought

METAS = frozenset({"bpm", "duration", "keyscale", "timesignature"})
"""What a thought says of a piece besides its words."""


class Planner:
    """The planner's uses over one loaded language model."""

    writes_codes = True
    made_by: tuple[str, ...] = ()

    def __init__(self, backend: PlannerBackend, *, max_duration: int = int(limits.MAX_DURATION)) -> None:
        self._backend = backend
        self._max_duration = max_duration

    @property
    def backend(self) -> PlannerBackend:
        """What runs the model."""
        return self._backend

    def offload(self) -> None:
        """Move the model out of the accelerator's memory; the next use brings it back."""
        self._backend.offload()

    def think(self, inputs: PlanInputs, settings: PlannerSettings, seed: int, progress: Progress) -> Thought:
        """Phase 1: the metadata of a prompt, with everything that is given kept. Raises `BadRequest`."""
        _check(inputs)
        self._check_duration(inputs.given.duration)
        given = inputs.given
        if inputs.sung == prompts.INSTRUMENTAL and not given.language:
            given = msgspec.structs.replace(given, language="unknown")
        skip = {"genres"} | ({"caption"} if not settings.use_caption else set())
        skip |= METAS if not settings.use_metas else set()
        decoding: list[str] = []
        if not settings.use_language and not given.language:
            skip.add("language")
        job = TextJob(
            prompt=prompts.thought_prompt(self._backend.tokenizer, inputs.caption, inputs.sung),
            negative=prompts.thought_negative(self._backend.tokenizer, inputs.sung, settings.negative_prompt),
            grammar=block_grammar(
                BlockOptions(
                    fixed=given,
                    skip=frozenset(skip),
                    max_duration=self._max_duration,
                    caption_tokens=settings.caption_tokens,
                )
            ),
            seed=seed,
            limit=BLOCK_TOKENS,
            trace=decoding.append if settings.debug else None,
        )
        sampling = _sampling(settings, settings.metadata_temperature, settings.cfg_scale)
        text = self._backend.write([job], sampling, progress)[0]
        return Thought(metadata=_metadata(text), text=text.strip(), decoding=tuple(decoding))

    def sketch(
        self,
        inputs: PlanInputs,
        metadata: Metadata,
        settings: PlannerSettings,
        seeds: Sequence[int],
        progress: Progress,
    ) -> list[list[int]]:
        """Phase 2: the piece as codes, one list per seed, five a second of ``metadata.duration``."""
        _check(inputs)
        if metadata.duration is None:
            raise BadRequest("codes need a duration", field="duration")
        self._check_duration(metadata.duration)
        tokenizer = self._backend.tokenizer
        job = CodesJob(
            prompt=prompts.codes_prompt(tokenizer, inputs.caption, inputs.sung, write_block(metadata)),
            negative=prompts.codes_negative(tokenizer, settings.negative_prompt),
            seeds=tuple(seeds),
            count=math.ceil(metadata.duration) * CODE_RATE,
            together=settings.together,
        )
        return self._backend.write_codes(
            job, _sampling(settings, settings.codes_temperature, settings.cfg_scale), progress
        )

    def compose(
        self, query: str, inputs: PlanInputs, settings: PlannerSettings, seed: int, progress: Progress
    ) -> Sample:
        """Simple mode: a sentence becomes caption, lyrics and metadata."""
        refuse_control_text(query, "query")
        given = inputs.given
        if inputs.instrumental:
            given = msgspec.structs.replace(given, language="unknown")
        prompt = prompts.inspire_prompt(self._backend.tokenizer, query, inputs.instrumental)
        sample = self._describe(prompt, given, settings, seed, progress, tail=not inputs.instrumental)
        return msgspec.structs.replace(sample, lyrics=prompts.INSTRUMENTAL) if inputs.instrumental else sample

    def format(self, inputs: PlanInputs, settings: PlannerSettings, seed: int, progress: Progress) -> Sample:
        """Better caption and lyrics; where the model writes no lyrics, those that were given stay."""
        _check(inputs)
        prompt = prompts.format_prompt(self._backend.tokenizer, inputs.caption, inputs.sung)
        silent = inputs.sung == prompts.INSTRUMENTAL
        sample = self._describe(prompt, inputs.given, settings, seed, progress, tail=not silent)
        return sample if sample.lyrics else msgspec.structs.replace(sample, lyrics=inputs.sung)

    def understand(self, codes: list[int], settings: PlannerSettings, seed: int, progress: Progress) -> Sample:
        """Codes become a description and lyrics."""
        prompt = prompts.understand_prompt(self._backend.tokenizer, check_codes(codes))
        return self._describe(prompt, Metadata(), settings, seed, progress, tail=True)

    def _describe(
        self, prompt: str, given: Metadata, settings: PlannerSettings, seed: int, progress: Progress, *, tail: bool
    ) -> Sample:
        """A block and, with ``tail``, lyrics after it. Guidance is off: these uses were never trained with it."""
        self._check_duration(given.duration)
        grammar = block_grammar(
            BlockOptions(
                fixed=given,
                skip=frozenset(),
                optional=frozenset({"genres"}),
                max_duration=self._max_duration,
                caption_tokens=settings.caption_tokens,
                tail_tokens=settings.lyrics_tokens if tail else 0,
            )
        )
        limit = BLOCK_TOKENS + (settings.lyrics_tokens if tail else 0)
        decoding: list[str] = []
        trace = decoding.append if settings.debug else None
        job = TextJob(prompt=prompt, grammar=grammar, seed=seed, limit=limit, trace=trace)
        text = self._backend.write([job], _sampling(settings, settings.metadata_temperature, 1.0), progress)[0]
        lyrics = parse_lyrics(split_answer(text)[1])
        return Sample(metadata=_metadata(text), lyrics=lyrics, text=text.strip(), decoding=tuple(decoding))

    def _check_duration(self, duration: float | None) -> None:
        if duration is not None and duration > self._max_duration:
            raise BadRequest(
                f"this machine's memory allows plans of up to {self._max_duration} s, not {duration:g}",
                field="duration",
                limits={"max": self._max_duration, "unit": "s"},
            )


def _check(inputs: PlanInputs) -> None:
    refuse_control_text(inputs.caption, "caption")
    refuse_control_text(inputs.lyrics, "lyrics")


def _metadata(text: str) -> Metadata:
    block, _ = split_answer(text)
    if "</think>" not in text:
        raise BadCheckpoint("the language model did not finish its metadata", field="model")
    return parse_block(block)


def _sampling(settings: PlannerSettings, temperature: float | None, cfg_scale: float) -> Sampling:
    return Sampling(
        temperature=settings.temperature if temperature is None else temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        repetition_penalty=settings.repetition_penalty,
        cfg_scale=cfg_scale,
    )
