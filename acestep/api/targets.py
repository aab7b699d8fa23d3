"""Code of plug-ins: named as ``module:attribute`` where only a worker, or nobody yet, has imported it, and called with care."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from acestep.api.errors import AceError, PluginFailed


def resolve_target(target: str) -> Any:
    """The object that ``module:attribute`` names. Raises `PluginFailed` with the reason where it cannot be imported."""
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as failure:  # a stranger's module may raise anything while it is imported
        raise PluginFailed(f"{target} cannot be loaded: {failure}") from failure


@contextmanager
def plugin_code(failing: str, field: str | None = None) -> Iterator[None]:
    """Around a call of a plug-in's own code, which may raise anything: that becomes a `PluginFailed` whose sentence begins with
    ``failing``. An `AceError` is what the plug-in wants to say, and stays."""
    try:
        yield
    except AceError:
        raise
    except Exception as failure:
        raise PluginFailed(f"{failing}: {failure}", field=field) from failure
