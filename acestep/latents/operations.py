"""The operations on stored latents: targets of the plug-in `plugins.latents`, run by the daemon."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from acestep.api.daemon_context import DaemonContext
from acestep.audio.latent_header import read_latent_facts
from acestep.latents.latent_store import delete_latent, find_latent, list_latents, pin_latent


async def run_list(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``latents``."""
    return await asyncio.to_thread(list_latents, daemon.core.library.folder, request.search, request.limit)


async def run_inspect(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``latent``."""
    path = await asyncio.to_thread(find_latent, daemon.core.library.folder, request.latent)
    facts = await asyncio.to_thread(read_latent_facts, path)
    return {"id": request.latent, "path": str(path), **msgspec.to_builtins(facts)}


async def run_delete(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``latent-delete``."""
    return await asyncio.to_thread(delete_latent, daemon.core.library.folder, request.latent)


async def run_pin(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``latent-pin``."""
    return await asyncio.to_thread(pin_latent, daemon.core.library.folder, request.latent, request.pinned)
