"""The daemon: doors, jobs, worker supervision, audio library, client and CLI. Never imports torch.

``bridge.Client`` and ``bridge.AsyncClient`` drive a daemon from Python; they are imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    """The clients, so that `import bridge` stays cheap."""
    if name in __all__:
        import bridge.client

        return getattr(bridge.client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
