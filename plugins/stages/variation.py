"""What every stage type hands on unchanged: the variation mix of its seed."""

from __future__ import annotations

from typing import Any

from acestep.api import StageParams


def variation(params: StageParams) -> dict[str, Any]:
    """The Plan fields of a variation: ``cos(v pi/2) noise(seed) + sin(v pi/2) noise(variation_seed)``."""
    return {"variation": params.variation, "variation_seed": params.variation_seed}
