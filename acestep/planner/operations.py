"""The planner's operations as jobs: a checked request in, a result with data out. The worker runs these."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from acestep.api import limits
from acestep.api.errors import Unavailable
from acestep.api.metadata import Metadata
from acestep.api.planning import CODE_RATE, PlannerSettings, Progress
from acestep.api.result import Result, StageReport
from acestep.api.schema import convert
from acestep.planner.plan_inputs import AnyPlanner, PlanInputs, Sample, given_metadata, read_thought
from acestep.planner.planner_models import settings_of
from acestep.planner.rules.rules_planner import NO_CODES
from acestep.planner.session import LoadedPlanner, planner_for
from acestep.worker.backend import JobContext


def plan(request: Mapping[str, Any], context: JobContext) -> Result:
    """Metadata and, unless switched off, codes for a prompt."""
    job = _Job("plan", request, context)
    seeds = job.seeds()
    settings = job.settings()
    given = read_thought(job.typed.cot_text, job.inputs()) if job.typed.cot_text else None
    thought = given or job.planner.think(
        job.inputs(), settings, seeds[0], job.progress("thinking", 0.05, 0.3 if settings.codes else 1)
    )
    codes: list[list[int]] = []
    notes = thought.notes
    if settings.codes and not job.planner.writes_codes:
        notes = (NO_CODES, *notes)
    elif settings.codes:
        codes = job.planner.sketch(job.inputs(), thought.metadata, settings, seeds, job.progress("codes", 0.3, 1))
    data = {
        **_described(thought.metadata, job.inputs().sung),
        "caption": thought.metadata.caption or job.typed.caption,
        "cot_text": thought.text,
        "codes": codes,
        "variants": len(seeds),
    }
    return job.result(data, seeds, notes, thought.decoding)


def compose(request: Mapping[str, Any], context: JobContext) -> Result:
    """A sentence becomes caption, lyrics and metadata."""
    job = _Job("compose", request, context)
    return job.samples(
        lambda seed, progress: job.planner.compose(job.typed.query, job.inputs(), job.settings(), seed, progress)
    )


def format_text(request: Mapping[str, Any], context: JobContext) -> Result:
    """Better caption and lyrics."""
    job = _Job("format", request, context)
    return job.samples(lambda seed, progress: job.planner.format(job.inputs(), job.settings(), seed, progress))


def understand(request: Mapping[str, Any], context: JobContext) -> Result:
    """Audio or codes become a description."""
    job = _Job("understand", request, context)
    codes = job.piece_codes()
    return job.samples(lambda seed, progress: job.planner.understand(codes, job.settings(), seed, progress))


def codes(request: Mapping[str, Any], context: JobContext) -> Result:
    """Audio becomes codes, or codes become audio."""
    from acestep.audio import copies
    from acestep.planner import listening

    job = _Job("codes", request, context)
    if job.typed.audio_codes is None:
        found = listening.audio_codes(job.typed, context)
        return job.result({"audio_codes": found, "duration": codes_seconds(found)})
    files, model = listening.render_codes(job.typed, context)
    sketch = "the sound of codes alone is a sketch of melody and rhythm, not a mix"
    notes = (sketch, *untrained(model), *copies.copy_notes(files))
    result = job.result({"duration": codes_seconds(job.typed.audio_codes)}, notes=notes)
    return msgspec.structs.replace(result, files=tuple(files))


def score(request: Mapping[str, Any], context: JobContext) -> Result:
    """How well words fit a piece."""
    from acestep.planner import scoring

    job = _Job("score", request, context)
    piece = job.piece_codes()
    backend = getattr(job.planner, "backend", None)
    if not hasattr(backend, "decoder"):
        raise Unavailable("scores need the transformers backend", field="backend")
    lyrics = job.inputs().lyrics
    progress = job.progress("scoring", 0.2, 0.8)
    found = scoring.score(backend, piece, metadata_of(job.typed), lyrics, progress)
    data: dict[str, Any] = {"total": found.total, "parts": found.parts, "pmi": found.pmi}
    notes: tuple[str, ...] = ()
    if job.typed.alignment:
        from acestep.planner import singing

        data["alignment"], notes = singing.alignment(job.typed, context)
    return job.result(data, notes=notes)


def lyrics_timing(request: Mapping[str, Any], context: JobContext) -> Result:
    """When each line and word is sung."""
    from acestep.planner import singing

    job = _Job("lyrics-timing", request, context)
    data, notes = singing.timing(job.typed, context)
    return job.result(data, notes=notes)


class _Job:
    """One job of the planner: its typed request, its planner (loaded at first use), its progress."""

    def __init__(self, operation: str, request: Mapping[str, Any], context: JobContext) -> None:
        self.operation = operation
        self.context = context
        self.typed: Any = convert(dict(request), context.registry.operation(operation).schema)
        self._began = time.monotonic()
        self._loaded: LoadedPlanner | None = None

    @property
    def loaded(self) -> LoadedPlanner:
        """The language model of the request. Raises `ModelMissing`, `OutOfMemory` and their like."""
        if self._loaded is None:
            self.context.tick("load", 0, 1, 0.0)
            self._loaded = planner_for(self.context.registry, self.settings(), settings_of(self.context.backend))
            self.context.tick("load", 1, 1, 0.05)
        return self._loaded

    @property
    def planner(self) -> AnyPlanner:
        """The planner of the request."""
        return self.loaded.planner

    def settings(self) -> PlannerSettings:
        """The request's planner settings; those that its operation does not have are the defaults."""
        names = PlannerSettings.__struct_fields__
        return PlannerSettings(**{name: getattr(self.typed, name) for name in names if hasattr(self.typed, name)})

    def inputs(self) -> PlanInputs:
        """What the request asks the planner to plan."""
        typed = self.typed
        return PlanInputs(
            caption=getattr(typed, "caption", ""),
            lyrics=getattr(typed, "lyrics", ""),
            instrumental=typed.instrumental,
            given=given_metadata(
                bpm=typed.bpm,
                duration=typed.duration,
                key=typed.key,
                time_signature=typed.time_signature,
                language=typed.language,
                genres=getattr(typed, "genres", ""),
            ),
        )

    def seeds(self) -> tuple[int, ...]:
        """A seed per result; missing ones are drawn now and told with the result."""
        typed = self.typed
        given = list(typed.seeds or []) or ([typed.seed] if typed.seed >= 0 else [])
        filled = [*given, *[-1] * typed.variants][: typed.variants]
        return tuple(seed if seed >= 0 else secrets.randbelow(limits.MAX_SEED + 1) for seed in filled)

    def progress(self, stage: str, start: float, end: float) -> Progress:
        """Progress of one phase that covers ``start`` to ``end`` of the job, counted in tokens."""

        def report(done: int, total: int) -> None:
            self.context.tick(stage, done, total, start + (end - start) * done / max(total, 1))

        return report

    def piece_codes(self) -> list[int]:
        """The piece as codes: the request's own, or those of its audio."""
        if self.typed.audio_codes is not None:
            return list(self.typed.audio_codes)
        from acestep.planner.listening import readable_codes

        return readable_codes(self.typed, self.context)

    def samples(self, write: Any) -> Result:
        """One written sample per seed: the first one's fields at the top, several all under ``samples`` too."""
        seeds = self.seeds()
        self.loaded  # noqa: B018 - load before the first phase begins
        samples: list[Sample] = []
        for index, seed in enumerate(seeds):
            share = 0.95 / len(seeds)
            samples.append(write(seed, self.progress("writing", 0.05 + index * share, 0.05 + (index + 1) * share)))
        data = [{**_described(sample.metadata, sample.lyrics), "cot_text": sample.text} for sample in samples]
        decoding = tuple(line for sample in samples for line in sample.decoding)
        notes = tuple(dict.fromkeys(note for sample in samples for note in sample.notes))
        return self.result({**data[0], **({"samples": data} if len(data) > 1 else {})}, seeds, notes, decoding)

    def result(
        self,
        data: dict[str, Any],
        seeds: tuple[int, ...] = (),
        notes: tuple[str, ...] = (),
        decoding: tuple[str, ...] = (),
    ) -> Result:
        """The finished job; ``decoding`` is the log of its tokens, where it was asked for."""
        used = self._loaded
        seconds = time.monotonic() - self._began
        model = "" if used is None else used.info.name
        settings = {"decoding": list(decoding)} if decoding else {}
        return Result(
            data=data,
            seeds=seeds,
            notes=(*(() if used is None else used.notes), *notes),
            stages=(StageReport(type=self.operation, model=model, settings=settings, seconds={"total": seconds}),),
            seconds=seconds,
        )


def _described(metadata: Metadata, lyrics: str) -> dict[str, Any]:
    """A description under the names that ``generate`` takes."""
    return {
        "caption": metadata.caption,
        "lyrics": lyrics,
        "language": metadata.language or "unknown",
        "instrumental": lyrics.strip().lower() in ("", "[instrumental]", "[inst]"),
        "bpm": metadata.bpm,
        "key": metadata.keyscale,
        "time_signature": metadata.timesignature,
        "duration": metadata.duration,
        "genres": metadata.genres,
    }


def codes_seconds(codes: list[int]) -> float:
    """How long a piece of so many codes is."""
    return len(codes) / CODE_RATE


def untrained(model: Any) -> tuple[str, ...]:
    """The sentence that must stand in every result of a checkpoint with random weights."""
    return () if model.info.trained else (f"the model {model.info.name} has random weights, so its results are noise",)


def metadata_of(typed: Any) -> Metadata:
    """A request's words as metadata to be scored."""
    given = given_metadata(
        bpm=typed.bpm,
        duration=typed.duration,
        key=typed.key,
        time_signature=typed.time_signature,
        language=typed.language,
    )
    return msgspec.structs.replace(given, caption=typed.caption, genres=typed.genres)
