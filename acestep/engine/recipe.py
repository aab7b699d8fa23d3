"""The recipe of a result: the request with everything resolved, and what it ran on."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from acestep.api.request import Render
from acestep.api.result import RECIPE_FORMAT, RECIPE_VERSION
from acestep.checkpoints.load import Model

PACKAGES = ("acestep-bridge", "torch", "diffusers", "transformers", "soxr", "numpy")


def make_recipe(render: Render, weights: dict[str, str], model: Model) -> dict[str, Any]:
    """``request`` run again on the same ``weights``, device and dtype gives the same samples."""
    return {
        "format": RECIPE_FORMAT,
        "version": RECIPE_VERSION,
        "operation": "render",
        "request": render.to_recipe(),
        "weights": weights,
        "codec": model.codec_digest,
        "text_encoder": model.text_digest,
        "device": model.device.type,
        "dtype": str(model.dtype).removeprefix("torch."),
        "versions": {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
