"""The operation that lists LoRA adapters; stages use them by their parameter ``lora``."""

from __future__ import annotations

from collections.abc import Callable

from acestep.api import Operation, Request, hookimpl


class ListLoras(Request):
    """Request of ``loras``: nothing to say."""


@hookimpl
def register_operations(register: Callable[[Operation], None]) -> None:
    """One operation of the daemon."""
    register(
        Operation(
            name="loras",
            summary="List the LoRA adapters that stages may name.",
            schema=ListLoras,
            result=dict,
            runs="daemon",
            target="acestep.checkpoints.adapters:run_list",
            group="store",
        )
    )
