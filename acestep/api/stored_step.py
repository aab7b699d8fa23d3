"""Whether a stored step fits the run that asks to go on from it: what its header and its recipe say. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from acestep.api.errors import BadLatent, BadRequest
from acestep.api.resolve import ResolvedStage


class StoredRun(Protocol):
    """The description of a stored latent, as far as a run that goes on from it asks (`acestep.audio.latent_header.LatentFacts`)."""

    @property
    def model(self) -> str: ...
    @property
    def weights(self) -> str: ...
    @property
    def recipe(self) -> dict[str, Any]: ...
    @property
    def checkpoint(self) -> dict[str, Any] | None: ...


def check_stored_step(name: str, stored: StoredRun, stage: ResolvedStage, weights: str) -> None:
    """See that a stage can go on from a stored step; ``weights`` is the digest of the stage's model, empty where nobody knows it.

    Raises `BadLatent` when the latent is not a stored step or one of another run, and `BadRequest` for a `checkpoint_step` that
    already lies behind it.
    """
    if stored.checkpoint is None:
        raise BadLatent(f"{name} is a finished latent, no stored step; use it as source_latent", field="resume")
    if weights and stored.weights != weights:
        raise BadLatent(f"{name} was stored by other weights ({stored.model})", field="resume")
    _check_run(name, _stored_settings(name, stored.recipe, stored.checkpoint), stage)
    try:
        reached, t = int(stored.checkpoint["index"]) + 1, float(stored.checkpoint["t"])
    except (KeyError, TypeError, ValueError) as failure:
        raise BadLatent(f"the stored run lacks {failure}", field="resume") from None
    _check_time(name, reached, t, stage)
    _check_next_step(reached, stage)


def _stored_settings(name: str, recipe: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The map of the stage that stored the step, from the recipe beside it."""
    try:
        settings = recipe["request"]["stages"][checkpoint["stage"]]
    except (KeyError, IndexError, TypeError):
        settings = None
    if not isinstance(settings, dict):
        raise BadLatent(f"{name} does not say which stage it was stored in; store it again", field="resume")
    return settings


def _traits(settings: Mapping[str, Any]) -> dict[str, str]:
    """What the state of a run depends on, by name."""
    guided = (settings["guidance_scale"] or 1.0) > 1.0
    return {
        "stage type": settings["type"],
        "sampler": settings["sampler"],
        "guidance": settings["guidance"] if guided else "none",
        "velocity_average": "on" if settings["velocity_average"] else "off",
    }


def _check_run(name: str, stored: Mapping[str, Any], stage: ResolvedStage) -> None:
    asked = {**msgspec.to_builtins(stage.params), "type": stage.stage.type}
    try:
        pairs = zip(_traits(stored).items(), _traits(asked).values(), strict=True)
    except (KeyError, TypeError) as failure:
        raise BadLatent(f"the recipe of {name} lacks {failure}", field="resume") from None
    different = [f"{trait} {was}, not {now}" for (trait, was), now in pairs if was != now]
    if different:
        raise BadLatent(
            f"{name} was stored with {', '.join(different)}; it continues only in a run of the same kind",
            field="resume",
        )


def _check_time(name: str, reached: int, t: float, stage: ResolvedStage) -> None:
    if not 0 < reached < len(stage.times) or stage.times[reached] != t:
        raise BadLatent(
            f"{name} was stored at t = {t:.4f} after {reached} steps, and this schedule does not pass there; "
            "steps, schedule, shift and timesteps must be those of the stored run",
            field="resume",
        )


def _check_next_step(reached: int, stage: ResolvedStage) -> None:
    named = stage.params.checkpoint_step
    if named is not None and named <= reached:
        raise BadRequest(
            f"step {named} lies behind the stored one, after step {reached}",
            field="checkpoint_step",
            limits={"min": reached + 1, "max": len(stage.times) - 1},
        )
