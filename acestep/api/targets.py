"""``module:attribute``: how the torch-free tables name code that only a worker, or nobody yet, has imported."""

from __future__ import annotations

import importlib
from typing import Any

from acestep.api.errors import PluginFailed


def resolve_target(target: str) -> Any:
    """The object that ``module:attribute`` names. Raises `PluginFailed` with the reason where it cannot be imported."""
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as failure:  # a stranger's module may raise anything while it is imported
        raise PluginFailed(f"{target} cannot be loaded: {failure}") from failure
