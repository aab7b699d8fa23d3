"""`install-scripts`: put the scripts of a host where it looks for them."""

from __future__ import annotations

import argparse
from pathlib import Path

from bridge.cli.exits import Exit
from bridge.cli.show import show_json, tell


def install(parser: argparse.ArgumentParser) -> None:
    """Which host, and where."""
    from bridge.hosts import HOSTS

    parser.description = (
        "Build the scripts for a host and write them where it looks. Existing own scripts are replaced."
    )
    parser.add_argument("host", choices=sorted(HOSTS))
    parser.add_argument("--target", metavar="FOLDER", help="another folder than the host's own")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be written")
    parser.set_defaults(run=_install)


def _install(options: argparse.Namespace) -> int:
    from bridge.hosts import install as install_host

    target = Path(options.target).expanduser().absolute() if options.target else None
    done = install_host(options.host, target, options.dry_run)
    if options.json:
        files = [str(path) for path in done.files]
        show_json({"host": done.host, "files": files, "next": list(done.next_steps), "written": not options.dry_run})
        return Exit.OK
    for path in done.files:
        print(path)
    tell("would be written" if options.dry_run else f"installed for {done.host}; next:")
    for step in () if options.dry_run else done.next_steps:
        tell(f"  {step}")
    return Exit.OK
