"""Whether the modules named like ours are ours. Standard library only: it must work when a foreign one is in the way."""

from __future__ import annotations

import importlib.util
from pathlib import Path

OURS = ("acestep", "bridge", "plugins")
DISTRIBUTION = "acestep-bridge"
LANDMARK = Path("api", "registry.py")
"""A file that our ``acestep`` has and another one has not."""


def foreign_acestep(root: Path | None = None) -> str:
    """A sentence when ``import acestep`` would not find the one beside this package, else nothing."""
    expected = (root or Path(__file__).resolve().parent.parent) / "acestep"
    spec = importlib.util.find_spec("acestep")
    place = Path(spec.origin).resolve().parent if spec is not None and spec.origin else None
    if place == expected and (expected / LANDMARK).is_file():
        return ""
    found = "nothing" if place is None else str(place)
    return (
        f"another package named 'acestep' is in the way: {found} is imported instead of {expected}. "
        "Uninstall it (pip uninstall ace-step acestep), or give acestep-bridge an environment of its own."
    )


def foreign_distributions() -> list[tuple[str, str]]:
    """Pairs of a module name of ours and another installed distribution that brings a module of that name."""
    from importlib.metadata import packages_distributions  # slow to import, and every command imports this module

    providers = packages_distributions()
    return [(name, other) for name in OURS for other in sorted(set(providers.get(name, ())) - {DISTRIBUTION})]
