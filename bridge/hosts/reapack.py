"""The folder that a ReaPack repository is: every script, and the index that names them. `python -m bridge.hosts.reapack --help`"""

from __future__ import annotations

import argparse
import datetime
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

from acestep import __version__
from bridge.hosts.bundle import shared_data
from bridge.hosts.reaper import build as build_scripts
from bridge.hosts.reaper import check_index, reapack_index
from bridge.package_data import data_folder

INDEX = "index.xml"
SETTINGS = "lib/settings.json"
"""Where one machine's daemon is: nothing to publish."""


def scripts_to_publish() -> dict[str, str]:
    """Path inside the package -> text, of all that ReaPack installs: everything but the settings of one machine."""
    folder = data_folder("daw_scripts")
    built = build_scripts(folder, shared_data(folder, Path(), []), __version__)
    return {name: text for name, text in built.items() if name != SETTINGS}


def write_repository(folder: Path, url: str, time: str) -> list[Path]:
    """Write scripts and index into a folder that will lie at ``url``; releases that its index knows already stay in it.

    Each release has a folder of its own, so that an older one can still be installed. Raises `ValueError` for an index that ReaPack
    would refuse, before anything is written, and `OSError`.
    """
    scripts = scripts_to_publish()
    base = f"{url.rstrip('/')}/{__version__}"
    text = reapack_index(scripts, __version__, time, base)
    if (folder / INDEX).is_file():
        text = _with_releases_of((folder / INDEX).read_text("utf-8"), text)
    if wrong := check_index(text):
        raise ValueError("; ".join(wrong))
    written = []
    for name, content in [*((f"{__version__}/{name}", content) for name, content in scripts.items()), (INDEX, text)]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8", newline="\n")
        written.append(path)
    return written


def _with_releases_of(old: str, new: str) -> str:
    """The new index with the older releases of the old one before its own; the same version again replaces that release."""
    root = ElementTree.fromstring(new)
    package = root.find("category/reapack")
    assert package is not None
    for number, release in enumerate(ElementTree.fromstring(old).iterfind("category/reapack/version")):
        if release.get("name") != __version__:
            package.insert(number, release)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Write the folder; 1 and a sentence when that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m bridge.hosts.reapack", description=__doc__.split(": ")[0] + ".")
    parser.add_argument("folder", type=Path, help="where to write the repository, for example reapack")
    parser.add_argument("url", help="https address at which that folder will be available")
    options = parser.parse_args(words)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        written = write_repository(options.folder, options.url, now)
    except (OSError, ValueError, ElementTree.ParseError) as failure:
        print(
            f"Nothing to publish: {failure}. Give a folder that can be written and an https address.", file=sys.stderr
        )
        return 1
    print(f"{len(written)} files in {options.folder}. Users import {options.url.rstrip('/')}/{INDEX} in ReaPack.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
