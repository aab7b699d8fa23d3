"""The command line: ``acestep-bridge serve``, one command per operation, and what looks after jobs, models and the daemon."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name; none: this process's) and return its exit code."""
    from bridge.name_conflicts import foreign_acestep

    if sentence := foreign_acestep():
        print(f"acestep-bridge: {sentence}", file=sys.stderr)
        return 1
    from bridge.cli.app import run

    return run(arguments)
