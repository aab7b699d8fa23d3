"""Clients of the daemon: `Client` and `AsyncClient` over MessagePack-RPC, `bridge.client.osc.OscClient` over OSC alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.client.aio import AsyncClient
    from bridge.client.sync import Client

__all__ = ["AsyncClient", "Client"]

_PLACES = {"Client": "bridge.client.sync", "AsyncClient": "bridge.client.aio"}


def __getattr__(name: str) -> Any:
    """Import a client when it is first asked for, so that `import bridge` stays cheap."""
    if name in _PLACES:
        import importlib

        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
