"""The built-in presets: chains of stages that are known to be worth it, as data files beside this module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from acestep.api import Operation, hookimpl
from acestep.api.operation import preset_operation
from acestep.api.preset import SUFFIX, read_preset


@hookimpl
def register_operations(register: Callable[[Operation], None]) -> None:
    """One operation per file."""
    for path in sorted(Path(__file__).parent.glob(f"*{SUFFIX}")):
        register(preset_operation(read_preset(path)))
