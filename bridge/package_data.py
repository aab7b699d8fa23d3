"""Where the files are that come with the package but are not code: the scripts for the hosts and the example loop.

In a checkout they lie where a reader of the repository expects them; in an installed wheel they lie inside this package.
"""

from __future__ import annotations

from pathlib import Path

from acestep.api.errors import NotFound

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent

FOLDERS = {
    "daw_scripts": (CHECKOUT / "daw_scripts", PACKAGE / "shipped_files" / "daw_scripts"),
    "loop": (CHECKOUT / "examples" / "loop", PACKAGE / "shipped_files" / "loop"),
}
"""Name -> where it lies in a checkout, where it lies in an installed wheel (see ``pyproject.toml``)."""


def data_folder(name: str) -> Path:
    """The folder of that name. Raises `NotFound` when this installation lacks it."""
    for folder in FOLDERS[name]:
        if folder.is_dir():
            return folder
    raise NotFound(f"this installation has no {name}; install acestep-bridge again")
