"""What the planner is for: expanding a prompt, sketching it as codes, composing, formatting, understanding.

Knows prompts, metadata and grammars; does not know how tokens are made (a `PlannerBackend` does), files or jobs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from acestep.api import limits, music
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
from acestep.api.rounding import half_up
from acestep.api.thought import read_thought_text
from acestep.planner import prompts
from acestep.planner.grammar import BLOCK_TOKENS, BlockOptions, block_grammar


class PlanInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks the planner to plan. Fields of ``given`` that are set are kept verbatim."""

    caption: str = ""
    lyrics: str = ""
    instrumental: bool = False
    given: Metadata = Metadata()

    @property
    def sung(self) -> str:
        """The lyrics as the model reads them."""
        lyrics = self.lyrics.strip()
        silent = self.instrumental or lyrics.lower() in ("", "[inst]", "[instrumental]")
        return prompts.INSTRUMENTAL if silent else lyrics


class Thought(msgspec.Struct, frozen=True, kw_only=True):
    """A finished chain of thought."""

    metadata: Metadata
    text: str
    """What the model wrote, from ``<think>`` to ``</think>``."""
    decoding: tuple[str, ...] = ()
    """A line per token, where the settings ask for them."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A described piece: metadata (its caption among them), lyrics, and what the model wrote."""

    metadata: Metadata
    lyrics: str
    text: str
    decoding: tuple[str, ...] = ()


def given_metadata(
    *,
    bpm: float | None = None,
    duration: float | None = None,
    key: str = "",
    time_signature: str = "",
    language: str = "",
    genres: str = "",
) -> Metadata:
    """A user's values as the model's vocabulary has them: whole beats, whole seconds of 10 to 600.

    ``unknown`` is not a language that somebody gave. Seconds are rounded up, so that codes always cover the piece.
    """
    seconds = None
    if duration is not None:
        seconds = min(max(math.ceil(duration), int(limits.MIN_DURATION)), int(limits.MAX_DURATION))
    return Metadata(
        bpm=None if bpm is None else half_up(bpm),
        duration=seconds,
        keyscale=key,
        timesignature=music.model_metre_name(time_signature),
        language="" if language == "unknown" else language,
        genres=genres,
    )


METAS = frozenset({"bpm", "duration", "keyscale", "timesignature"})
"""What a thought says of a piece besides its words."""


def read_thought(text: str, inputs: PlanInputs) -> Thought:
    """A thought that somebody brings along, with what the inputs give set above it. Raises `BadRequest` for one that is none."""
    metadata = read_thought_text(text)
    given = {name: value for name, value in msgspec.structs.asdict(inputs.given).items() if value not in ("", None)}
    metadata = msgspec.structs.replace(metadata, **given)
    return Thought(metadata=metadata, text=f"<think>\n{write_block(metadata)}\n</think>")


class Planner:
    """The planner's uses over one loaded language model."""

    def __init__(self, backend: PlannerBackend, *, max_duration: int = int(limits.MAX_DURATION)) -> None:
        self._backend = backend
        self._max_duration = max_duration

    @property
    def backend(self) -> PlannerBackend:
        """What runs the model."""
        return self._backend

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
            count=metadata.duration * CODE_RATE,
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

    def _check_duration(self, duration: int | None) -> None:
        if duration is not None and duration > self._max_duration:
            raise BadRequest(
                f"this machine's memory allows plans of up to {self._max_duration} s, not {duration}",
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
