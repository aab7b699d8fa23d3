"""acestep-bridge in Live without Max: a control surface that sends regions to the daemon and places what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from .surface import Surface


def create_instance(c_instance: Any) -> Surface:
    """What Live calls when the control surface is chosen."""
    from .surface import Surface

    return Surface(c_instance)
