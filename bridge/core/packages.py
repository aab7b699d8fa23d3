"""Packages that may be missing: an installation without the engine talks to other machines and computes nothing itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from acestep.api.errors import Unavailable
from acestep.api.sampling import BackendSpec

ENGINE_ADVICE = "`python3 run.py --cpu setup` in a checkout, or `pip install 'acestep-bridge[engine]'`, installs it"


def missing_packages(names: Iterable[str]) -> list[str]:
    """Those modules that are not installed; none of them is imported."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def advice(backend: BackendSpec) -> str:
    """What installs a backend's packages."""
    if f"[{backend.extra}]" in ENGINE_ADVICE:
        return ENGINE_ADVICE
    return f"`pip install 'acestep-bridge[{backend.extra}]'` adds it"


def engine_missing(backend: BackendSpec) -> str:
    """A sentence about a backend whose packages are not here, else nothing."""
    missing = missing_packages(backend.packages)
    if not missing:
        return ""
    return f"this installation comes without the engine ({', '.join(missing)} not installed), so models cannot run on this machine"


def require_engine(backend: BackendSpec) -> None:
    """Raise `Unavailable`, with what adds the engine and how another machine's is used, where a backend's packages are missing."""
    if sentence := engine_missing(backend):
        raise Unavailable(
            f"{sentence}; {advice(backend)}, and --connect HOST:PORT uses the models of another machine",
            limits={"packages": list(backend.packages)},
        )
