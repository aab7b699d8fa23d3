"""How this project starts Python processes of its own: worker, player, daemon in the background, probes.

None of them imports from the folder it happens to be started in (there may lie a ``random.py``), and none of them is handed the
token, which is nothing to them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

SAFE_PATH = ("-P",)
"""Keeps the current folder out of the module search; in a checkout of the original ACE-Step it holds another ``acestep``."""

SECRET_VARIABLES = ("ACESTEP_BRIDGE_TOKEN", "ACESTEP_API_KEY")


def python(*arguments: str) -> list[str]:
    """A command line of this interpreter: ``python("-m", "acestep.worker", ...)``."""
    return [sys.executable, *SAFE_PATH, *arguments]


def environment(base: Mapping[str, str] | None = None, **more: str) -> dict[str, str]:
    """This process's environment (or ``base``) for a child that needs no secrets, and ``more``.

    Processes that the child starts leave the current folder out as well; an empty or relative entry of PYTHONPATH, such as a
    trailing colon leaves, would bring it back.
    """
    found = dict(os.environ if base is None else base)
    for name in SECRET_VARIABLES:
        found.pop(name, None)
    searched = [entry for entry in found.pop("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(entry)]
    if searched:
        found["PYTHONPATH"] = os.pathsep.join(searched)
    return {**found, "PYTHONSAFEPATH": "1", **more}
