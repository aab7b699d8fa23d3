"""After the takes are made: a score for each by measure, the best ones kept, the times of what is sung."""

from __future__ import annotations

import math
from typing import Any

from acestep.api.errors import AceError
from acestep.api.music import INSTRUMENTAL_FORMS
from acestep.api.request import Output
from acestep.engine.render_state import RenderState, WrittenTakes
from acestep.worker.backend import JobContext

OFF_BEAT = 0.12
"""Seconds off the grid that count as much as a whole problem."""

OFF_TEMPO = 0.02
"""Share of the tempo that counts as much."""

TIMED = "lyrics-timing"
"""The operation that finds out when lines are sung."""


def wants_measure(output: Output) -> bool:
    """Whether takes are measured for a choice or a score, also where nothing else listens to them."""
    return output.keep is not None or output.auto_score


def distance(check: dict[str, Any], bpm: float | None = None) -> float:
    """How far a take is from what was asked (``bpm``: the tempo): 0 is as asked, 1 is one thing wrong
    (`acestep.engine.verdict`)."""
    heard = check["heard"]
    off = min(abs(heard.get("off", 0.0)) / OFF_BEAT, 1.0)
    tempo = min(abs(heard.get("bpm", bpm) / bpm - 1) / OFF_TEMPO, 1.0) if bpm else 0.0
    unclear = 0.25 if "beat" in heard else 0.0
    return len(check["problems"]) + 0.5 * off + 0.5 * tempo + unclear


def score(away: float, scale: float) -> float:
    """A distance as a score from 1 (as asked) down to 0; a smaller ``scale`` is stricter."""
    return round(math.exp(-away / (2 * scale)), 4)


def choose(state: RenderState, written: WrittenTakes) -> dict[str, Any]:
    """Score the takes of the last stage and keep the best ones, as the request asks; what the result says of it."""
    output, last = state.render.output, len(state.stages)
    checks = {check["variant"]: check for check in state.checks if check["stage"] == last}
    if not wants_measure(output):
        return {}
    if not checks:
        state.note("these takes cannot be measured, so there are no scores and all of them are kept")
        return {}
    away = {variant: distance(check, state.render.conditioning.bpm) for variant, check in checks.items()}
    ranked = sorted(away, key=lambda variant: (away[variant], variant))
    told: dict[str, Any] = {
        "scores": [
            {"variant": variant, "score": score(away[variant], output.score_scale), **_why(checks[variant])}
            for variant in ranked
        ]
    }
    if output.keep is not None and output.keep < len(ranked):
        told["kept"] = sorted(ranked[: output.keep])
        _drop(state, written, set(ranked[output.keep :]), told["kept"])
    return told


def _why(check: dict[str, Any]) -> dict[str, Any]:
    return {"seed": check["seed"], "problems": check["problems"]}


def _drop(state: RenderState, written: WrittenTakes, dropped: set[int], kept: list[int]) -> None:
    """Delete the files of takes that are not kept."""
    gone = {name for variant in dropped for name in written.names.get(variant, ())}
    for name in gone:
        (written.folder / name).unlink(missing_ok=True)
    state.files = [file for file in state.files if file.name not in gone]
    takes = ", ".join(str(variant + 1) for variant in kept)
    state.note(
        f"{len(kept)} of {len(kept) + len(dropped)} takes were kept, by measure: {takes}; the others were discarded"
    )


def time_lyrics(state: RenderState, context: JobContext) -> list[dict[str, Any]]:
    """When each line is sung, for every take that was kept; empty where nothing is sung, or no time can be found."""
    conditioning = state.render.conditioning
    if not state.render.output.auto_timing:
        return []
    if conditioning.instrumental or conditioning.lyrics.strip().lower() in INSTRUMENTAL_FORMS:
        state.note("auto_timing has no effect: nothing is sung")
        return []
    if TIMED not in context.registry.operations:
        state.note("auto_timing has no effect: the operation lyrics-timing is not installed")
        return []
    sung = [file for file in state.files if file.role in ("part", "patch", "whole") and not file.preview]
    timed = []
    for variant in dict.fromkeys(file.variant for file in sung):
        file = next(file for file in sung if file.variant == variant)
        try:
            timed.append({"variant": variant, **_timing(state, context, str(context.staging / file.name))})
        except AceError as failure:  # the take itself is whole: it's told what is missing beside it
            state.note(f"take {variant + 1} has no times: {failure.message}")
    return timed


def _timing(state: RenderState, context: JobContext, path: str) -> dict[str, Any]:
    from acestep.planner.singing import timing

    conditioning = state.render.conditioning
    schema = context.registry.operation(TIMED).schema
    names = set(schema.__struct_fields__) & set(conditioning.__struct_fields__)
    typed = schema(
        **{name: getattr(conditioning, name) for name in names},
        source=path,
        checkpoint=state.stages[-1].params.model,
    )
    data, notes = timing(typed, context)
    state.note(*notes)
    return {"lrc": data["lrc"], "lines": data["lines"], "duration": data["duration"]}
