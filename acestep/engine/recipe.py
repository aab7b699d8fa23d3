"""What a result says of its making: the request with everything resolved, what it ran on, what each stage did. No torch."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

from acestep.api.precision import INT8, Precision, read_precision
from acestep.api.request import Render
from acestep.api.resolve import ResolvedStage
from acestep.api.result import RECIPE_FORMAT, RECIPE_VERSION

if TYPE_CHECKING:
    from acestep.api.family import OpenModel

PACKAGES = ("acestep-bridge", "torch", "diffusers", "transformers", "soxr", "numpy")

REPORTED = ("steps", "sampler", "schedule", "shift", "guidance", "guidance_scale", "seeds", "lora")
"""Settings of a stage that its report shows."""


def made_on(model: OpenModel) -> str:
    """Device and number type of a run, which decide the last bits of its samples."""
    return f"{model.device.type} {str(model.dtype).removeprefix('torch.')}"


def pinned_precision(render: Render, name: str, device: str) -> Precision | None:
    """What a recipe's model computed in, where that was on a device of this kind; None: whatever this machine has."""
    place = render.made_on.partition(" ")[0]
    text = render.precision.get(name, "")
    return read_precision(text, name) if text and place in ("", device) else None


def place_notes(render: Render, model: OpenModel, precision: Precision) -> list[str]:
    """That a recipe was made elsewhere or in another precision, where it was."""
    there, here = render.made_on, f"{model.device.type} {precision}"
    if text := render.precision.get(model.info.name):
        there = f"{there.partition(' ')[0] or model.device.type} {text}"
    if not there or there == here:
        return []
    told = f"the recipe was made on {there} and ran on {here}: "
    if (INT8 in there) != precision.int8:
        return [told + "8-bit and full weights give similar takes, not the same one"]
    return [told + "the samples are the same only up to rounding"]


def make_recipe(render: Render, model: OpenModel) -> dict[str, Any]:
    """``request`` run again on the same weights, device and dtype gives the same samples."""
    return {
        "format": RECIPE_FORMAT,
        "version": RECIPE_VERSION,
        "operation": "render",
        "request": render.to_recipe(),
        "weights": dict(render.weights),
        "codec": model.codec_digest,
        "text_encoder": model.text_digest,
        "device": model.device.type,
        "dtype": str(model.dtype).removeprefix("torch."),
        "versions": {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
    }


def stage_settings(stage: ResolvedStage) -> dict[str, Any]:
    """The settings of a stage as its report shows them."""
    return {**{name: getattr(stage.params, name) for name in REPORTED}, "t_start": stage.times[0]}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
