"""The command line of a lane's driver, made of the settings."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import msgspec

from acestep.api.errors import Unavailable
from acestep.api.registry import Registry
from bridge.children import python
from bridge.cluster.joining import require_token
from bridge.cluster.parcel import Wishes
from bridge.core.command import chosen_backend
from bridge.devices import Device
from bridge.paths import Paths
from bridge.settings import Settings


def require_cluster(settings: Settings) -> None:
    """See that this machine can be a node of the cluster that the settings name. Raises `Unavailable`, `NotAllowed`."""
    if not sys.platform.startswith("linux"):
        raise Unavailable(
            "Ray joins machines to a cluster on Linux only; run the bridge on one of the Linux machines, and let this one use it "
            "with --connect HOST:PORT",
            field="executor",
        )
    if importlib.util.find_spec("ray") is None:
        raise Unavailable(
            "the executor ray needs the package ray: pip install 'acestep-bridge[cluster]'",
            field="executor",
            limits={"package": "ray"},
        )
    require_token(settings.ray_address)


def driver_command(settings: Settings, paths: Paths, registry: Registry, device: Device) -> list[str]:
    """How the driver of a place in the cluster is started now. Raises `UnknownName` for a backend that is not registered."""
    wishes = Wishes(
        backend=chosen_backend(settings, registry).name,
        model=settings.model,
        warm=settings.warm,
        keep_latents=settings.keep_latents,
        features=sorted(registry.features),
    )
    command = python("-m", "bridge.cluster", f"--address={settings.ray_address}", f"--place={device.option}")
    command += [f"--library={paths.library}", f"--uploads={paths.uploads}", f"--plugins={paths.plugins}"]
    command += [f"--checkpoints={folder}" for folder in (paths.checkpoints, *map(_absolute, settings.checkpoints))]
    return [*command, f"--log-level={settings.log_level}", f"--wishes={msgspec.json.encode(wishes).decode()}"]


def _absolute(folder: str) -> Path:
    return Path(folder).expanduser().absolute()
