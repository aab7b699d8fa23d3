"""The plug-ins on this machine, for commands that only list what there is: no more is imported than that takes."""

from __future__ import annotations

from acestep.api.registry import Registry


def load_registry() -> Registry:
    """The plug-ins as the daemon of these settings would load them."""
    from bridge.paths import Paths
    from bridge.settings import features, resolve

    settings = resolve().settings
    return Registry.load(
        folder=Paths.of(settings).plugins, disabled=settings.plugins_disabled, features=features(settings)
    )
