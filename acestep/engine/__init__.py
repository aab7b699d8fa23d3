"""The engine: carries out the Plans of a render. `Engine` is the torch backend; torch is imported when it is asked for."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`Engine`, imported at first use, so that torch-free parts of this package stay so."""
    if name == "Engine":
        from acestep.engine.engine import Engine

        return Engine
    raise AttributeError(name)
