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
        "Build the scripts for a host and write them to its script folder. Earlier versions of these scripts are "
        "replaced; your own scripts are not touched."
    )
    parser.add_argument("host", choices=sorted(HOSTS))
    parser.add_argument("--target", metavar="FOLDER", help="use this folder instead of the host's own")
    parser.add_argument("--remove", action="store_true", help="remove the scripts; your own keys and scripts stay")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be written or removed")
    parser.set_defaults(run=_install)


def _install(options: argparse.Namespace) -> int:
    from bridge.hosts import install as install_host
    from bridge.hosts import remove

    target = Path(options.target).expanduser().absolute() if options.target else None
    done = (remove if options.remove else install_host)(options.host, target, options.dry_run)
    if options.json:
        files, gone = [str(path) for path in done.files], [str(path) for path in done.gone]
        facts = {"host": done.host, "files": files, "removed": gone, "next": list(done.next_steps)}
        show_json({**facts, "written": not options.dry_run})
        return Exit.OK
    for path in done.gone or done.files:
        print(path)
    tell(_outcome(options, done.host))
    for step in () if options.dry_run else done.next_steps:
        tell(f"  {step}")
    return Exit.OK


def _outcome(options: argparse.Namespace, host: str) -> str:
    if options.remove:
        return "would be removed" if options.dry_run else f"removed from {host}; next:"
    return "would be written" if options.dry_run else f"installed for {host}; next:"
