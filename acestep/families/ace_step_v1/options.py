"""Parameters of a request that only ACE-Step v1 has. No torch."""

from __future__ import annotations

from typing import Annotated

from acestep.api.errors import BadRequest
from acestep.api.options import FIELD, read_options
from acestep.api.request import StageParams
from acestep.api.schema import Request, param
from acestep.families.ace_step_v1.schedule import picked_levels

ONE_BY_ONE = ("euler", "pingpong")
"""Samplers that take one evaluation a step: the others have nothing to choose from."""


class V1Options(Request):
    """Parameters that only this family has."""

    omega: Annotated[
        float, param("Holds the mean of each step back: 0 is off, -100 to 100.", ge=-100.0, le=100.0, group="v1")
    ] = 10.0
    guidance_interval: Annotated[
        float, param("Share of the run that is guided, around its middle.", ge=0.0, le=1.0, group="v1")
    ] = 0.5
    guidance_decay: Annotated[
        float,
        param(
            "How far the guidance falls within its interval; 1: down to the lowest value.", ge=0.0, le=1.0, group="v1"
        ),
    ] = 0.0
    guidance_lowest: Annotated[
        float, param("The lowest value that the guidance falls to.", ge=0.0, le=30.0, group="v1")
    ] = 3.0
    guidance_text: Annotated[
        float,
        param(
            "Separate guidance for the text; used together with guidance_lyric, both above 1.",
            ge=0.0,
            le=30.0,
            group="v1",
        ),
    ] = 0.0
    guidance_lyric: Annotated[float, param("Separate guidance for the lyrics.", ge=0.0, le=30.0, group="v1")] = 0.0
    erg_text: Annotated[bool, param("Steer away from a weak reading of the text.", group="v1")] = True
    erg_lyric: Annotated[bool, param("Steer away from a weak reading of the lyrics.", group="v1")] = True
    erg_diffusion: Annotated[bool, param("Steer away from weak attention to text and lyrics.", group="v1")] = True
    variance: Annotated[
        float,
        param(
            "How far a repainted region departs from the old sound; 1 starts from noise.", ge=0.05, le=1.0, group="v1"
        ),
    ] = 1.0
    oss_steps: Annotated[
        str,
        param(
            "Take only these steps, counted from 1, of a run as long as the last of them.",
            max_length=800,
            example="1,10,20,30",
            group="v1",
        ),
    ] = ""


def check_options(params: StageParams) -> list[str]:
    """See that chosen steps can be taken. Returns sentences about what they stand above. Raises `BadRequest`."""
    text = read_options(params.options, V1Options).oss_steps
    if not text:
        return []
    chosen = chosen_steps(text)
    picked_levels(chosen)
    if params.sampler not in ("auto", *ONE_BY_ONE):
        raise BadRequest(
            f"oss_steps needs the sampler {' or '.join(ONE_BY_ONE)}, not {params.sampler}",
            field="sampler",
            limits={"choices": list(ONE_BY_ONE)},
        )
    if getattr(params, "noise_strength", 0.0) != 0.0 or hasattr(params, "t_start"):
        raise BadRequest("oss_steps are steps of a whole run; this one begins near its source", field=FIELD)
    if params.steps in (None, len(chosen)):
        return []
    return [f"oss_steps name {len(chosen)} steps, which stand above steps {params.steps}"]


def chosen_steps(text: str) -> list[int]:
    """The numbers of a list with commas. Raises `BadRequest`."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise BadRequest(f"oss_steps is a list like 1,10,20,30, not {text!r}", field=FIELD) from None
