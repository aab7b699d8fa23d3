"""Stages that may begin near their source instead of at pure noise: how near, and the Plan fields of it."""

from typing import Annotated, Any

from acestep.api import ModelInfo, param

NoiseStrength = (
    Annotated[
        float,
        param(
            "Start from the source itself instead of noise: 0 is off, 1 changes nothing; none: the model's default.",
            ge=0.0,
            le=0.99,
        ),
    ]
    | None
)


def near_source(noise_strength: float | None, model: ModelInfo, *, task: str) -> tuple[float, dict[str, Any]]:
    """The share of the source that a run begins with, the variant's own where none is named, and the Plan fields for it."""
    if noise_strength is None:
        noise_strength = model.defaults.for_task(task).noise_strength
    return noise_strength, {"start_from_source": noise_strength > 0, "t_start": 1.0 - noise_strength}
