"""The hub's own cache, read as it lies: ``models--ORG--NAME/snapshots/<sha>/`` with links to ``blobs/``. No torch.

Where the system has no links (Windows), the snapshot holds the files themselves.
"""

from __future__ import annotations

from pathlib import Path

from acestep.api.errors import BadCheckpoint

MARK = "models--"
SNAPSHOTS = "snapshots"


def cached_repository(path: Path) -> Path | None:
    """The cache's folder of the repository that ``path`` lies in, in one of its snapshots; None outside a cache."""
    for folder in (path, *path.parents):
        if folder.parent.name == SNAPSHOTS and folder.parent.parent.name.startswith(MARK):
            return folder.parent.parent
    return None


def repository_name(path: Path) -> str:
    """``ORG/NAME`` of the repository that ``path`` is a snapshot of, or lies in; empty outside a cache."""
    folder = cached_repository(path)
    return "" if folder is None else folder.name.removeprefix(MARK).replace("--", "/", 1)


def is_snapshot(path: Path) -> bool:
    """Whether ``path`` is the root of a snapshot, whose own name is a sum that tells nobody anything."""
    return path.parent.name == SNAPSHOTS and path.parent.parent.name.startswith(MARK)


def folder_name(path: Path) -> str:
    """What a folder is called: by its repository where it is a snapshot, else by its own name."""
    return repository_name(path).rpartition("/")[2] if is_snapshot(path) else path.name


def snapshots(folder: Path) -> list[Path]:
    """The snapshots that ``folder`` stands for: of a repository, or of every one in a cache (``hub/`` or the folder above it).

    Each repository counts once, with the revision its branch ``main`` is at, or the newest that is there.
    """
    if folder.name.startswith(MARK):
        newest = _newest(folder)
        return [] if newest is None else [newest]
    inner = folder / "hub"
    root = inner if inner.is_dir() and not any(folder.glob(f"{MARK}*")) else folder
    found = [_newest(repository) for repository in sorted(root.glob(f"{MARK}*"))]
    return [snapshot for snapshot in found if snapshot is not None]


def _newest(repository: Path) -> Path | None:
    try:
        branch = (repository / "refs" / "main").read_text("utf-8").strip()
        if branch and (repository / SNAPSHOTS / branch).is_dir() and Path(branch).name == branch:
            return repository / SNAPSHOTS / branch
    except (OSError, UnicodeDecodeError):
        pass
    try:
        there = [entry for entry in (repository / SNAPSHOTS).iterdir() if entry.is_dir()]
        return max(there, key=lambda entry: entry.stat().st_mtime, default=None)
    except OSError:
        return None


def require_inside(path: Path) -> Path:
    """``path`` itself, unless it is a link that leads out of the cache it lies in. Raises `BadCheckpoint`.

    (Outside a cache, links to another disk are how people keep large files.)
    """
    repository = cached_repository(path)
    if repository is not None and not path.resolve().is_relative_to(repository.resolve()):
        raise BadCheckpoint(f"{path} is a link that leads out of the cache of {repository_name(path)}", field="model")
    return path
