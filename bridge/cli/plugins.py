"""The plug-ins on this machine, for commands that only list what there is: no more is imported than that takes."""

from __future__ import annotations

from acestep.api.hints import DeviceLimits, narrowest
from acestep.api.registry import Registry


def load_registry() -> Registry:
    """The plug-ins as the daemon of these settings would load them."""
    from bridge.paths import Paths
    from bridge.settings import features, resolve

    settings = resolve().settings
    return Registry.load(
        folder=Paths.of(settings).plugins, disabled=settings.plugins_disabled, features=features(settings)
    )


def known_device() -> DeviceLimits | None:
    """What this machine's device takes at once, as its worker told last; none where none has, or nothing bounds it."""
    from bridge.core.device_limits import read_limits
    from bridge.paths import Paths
    from bridge.settings import resolve

    return narrowest(read_limits(Paths.of(resolve().settings).device_limits))
