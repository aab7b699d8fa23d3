"""The command line of the worker, made of the settings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from acestep.api.registry import Registry
from acestep.api.sampling import BackendSpec
from bridge.children import python
from bridge.devices import Device
from bridge.paths import Paths
from bridge.settings import Settings


def chosen_backend(settings: Settings, registry: Registry) -> BackendSpec:
    """What the worker runs jobs with. Raises `UnknownName` for a backend that is not registered."""
    return registry.backend(settings.backend or next(iter(registry.backends), ""))


def worker_command(settings: Settings, paths: Paths, registry: Registry, device: Device, workers: int = 1) -> list[str]:
    """How the worker of a device, one of so many ``workers``, is started now. Raises `UnknownName` for a backend that is not
    registered."""
    spec = chosen_backend(settings, registry)
    options = worker_options(settings, paths, spec.name, device, features=registry.features)
    return python("-m", "acestep.worker", *options, f"--workers={workers}")


def worker_options(
    settings: Settings, paths: Paths, backend: str, device: Device, *, features: Iterable[str]
) -> list[str]:
    """The worker's command line (`acestep.worker.command_line`), as the settings want it."""
    options = [f"--backend={backend}", f"--home={paths.home}"]
    options += [f"--library={paths.library}", f"--uploads={paths.uploads}", f"--plugins={paths.plugins}"]
    options += [f"--device={device.option}", *(["--insist"] if device.insist else [])]
    for name in ("dtype", "int8", "offload", "attention", "compile", "threads", "model", "warm", "log_level"):
        options.append(f"--{name.replace('_', '-')}={getattr(settings, name)}")
    options += [f"--checkpoints={Path(folder).expanduser().absolute()}" for folder in settings.checkpoints]
    options += [] if settings.keep_latents else ["--no-latents"]
    options += [f"--disable={name}" for name in settings.plugins_disabled]
    return options + [f"--feature={name}" for name in sorted(features)]
