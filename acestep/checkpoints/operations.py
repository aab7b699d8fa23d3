"""The daemon's operations on models: facts, download, verify, remove; the same code as the command line's. No torch.

Reading and fetching gigabytes happens in a thread of its own, which a cancelled job leaves behind: it ends at its next block.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from acestep.api.daemon_context import DaemonContext
from acestep.api.threads import Progress, in_a_thread
from acestep.checkpoints.info import EMBEDDED, checkpoint_folders
from acestep.checkpoints.installed import find_model, fingerprint, model_facts, remarks, remove, verify


async def run_info(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``model-info``."""
    return model_facts(
        await asyncio.to_thread(find_model, request.model, _folders(daemon), daemon.core.registry.families)
    )


async def run_download(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``model-download``; progress counts bytes."""

    def fetch(progress: Progress) -> dict[str, Any]:
        from acestep.checkpoints.download import DownloadOptions, download  # the hub's client takes a second to import

        options = DownloadOptions(
            source=request.hub,
            revision=request.revision,
            store=request.store,
            families=daemon.core.registry.families,
        )
        return model_facts(download(request.model, daemon.core.paths.checkpoints, progress, options))

    try:
        return await in_a_thread(daemon, fetch)
    finally:
        await daemon.core.look()


async def run_verify(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``model-verify``; progress counts bytes."""

    def read(progress: Progress) -> dict[str, Any]:
        model = find_model(request.model, _folders(daemon), daemon.core.registry.families)
        problems = verify(model, progress)
        digest = "" if problems else fingerprint(model)
        return {"model": request.model, "problems": problems, "remarks": remarks(model), "digest": digest}

    return await in_a_thread(daemon, read)


async def run_remove(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``model-remove``; the worker lets go of the model first."""
    model = await asyncio.to_thread(find_model, request.model, _folders(daemon), daemon.core.registry.families)
    await daemon.core.unload(model.name)
    gone = await asyncio.to_thread(remove, model, daemon.core.paths.checkpoints)
    await daemon.core.look()
    return {"model": request.model, "removed": [str(folder) for folder in gone], "size_bytes": model.size_bytes}


def _folders(daemon: DaemonContext) -> list[Path]:
    """Where models are, as the daemon looks for them."""
    extra = [Path(folder).expanduser() for folder in daemon.core.settings.checkpoints]
    return checkpoint_folders(EMBEDDED, daemon.core.paths.checkpoints, *extra)
