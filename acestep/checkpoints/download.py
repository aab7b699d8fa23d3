"""Fetches published models: only the files that are needed, with progress in bytes, resumed where it broke off. No torch.

Hugging Face first, ModelScope as fallback (``ACESTEP_DOWNLOAD_SOURCE`` chooses), the hub's own cache where ``HF_HUB_OFFLINE``
forbids the network. They differ in how files are listed and addressed (`acestep.checkpoints.listing`); all else is the same code
(`acestep.checkpoints.fetching`). Files arrive in their final folders; an interrupted one waits there under another name and is no
model until it is whole.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout
from huggingface_hub.utils import build_hf_headers

from acestep.api.errors import BadRequest, DownloadFailed, OutputUnwritable
from acestep.api.family import NO_FAMILIES, Families
from acestep.checkpoints.catalogue import Package, packages, pinned
from acestep.checkpoints.fetching import Order, Progress, fetch_files, stubborn
from acestep.checkpoints.installed import AnyModel, LentParts, read_download, read_manifest
from acestep.checkpoints.listing import RemoteFile, direct_file, list_cache, list_huggingface, list_modelscope, offline

log = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks whether another download has ended."""

SOURCES = ("auto", "huggingface", "modelscope")

STORES = ("published", "bfloat16")
"""How float32 weights are kept: as they were published, or at half the size."""


class DownloadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model should come: from where, which revision (empty: the newest; ``known``: the one known to work), kept how."""

    source: str = "auto"
    revision: str = ""
    store: str = "published"
    families: Families = NO_FAMILIES
    """The model families of other plug-ins, whose models can be fetched too."""


NEWEST = DownloadOptions()
"""What holds unless something is said."""


def download(
    name: str, root: Path, progress: Progress = lambda file, done, total: None, options: DownloadOptions = NEWEST
) -> AnyModel | LentParts:
    """Fetch a model by short name into ``root`` and return its facts; complete files are not fetched again.

    Downloads into one folder take turns, whichever process runs them: models share files.

    Raises `UnknownName`, `BadRequest`, `DownloadFailed` (what arrived is kept), `DiskFull`, `OutputUnwritable`, and what
    ``progress`` raises.
    """
    wanted = pinned(packages(name, options.families), options.revision)
    source = os.environ.get("ACESTEP_DOWNLOAD_SOURCE", "auto") if options.source == "auto" else options.source
    if source not in SOURCES:
        raise BadRequest(f"there is no download source {source!r}", field="source", limits={"choices": list(SOURCES)})
    if options.store not in STORES:
        raise BadRequest(
            f"weights are not stored as {options.store!r}", field="store", limits={"choices": list(STORES)}
        )
    _writable(root)
    with _turn(root, progress):
        if (offline() or options.revision) and all(_here(root, package) for package in wanted):
            return read_download(name, root, options.families)
        order = Order(files=[], root=root, bfloat16=options.store == "bfloat16")
        _fetch(wanted, order, progress, source)
        return read_download(name, root, options.families)


def _here(root: Path, package: Package) -> bool:
    """Whether every file that the package's manifest names is in its place, of the wanted revision."""
    manifest = read_manifest(root / package.target)
    if manifest is None or not manifest.complete or (package.revision and manifest.revision != package.revision):
        return False
    places = ((root / package.target / name, facts) for name, facts in manifest.files.items())
    return all(path.is_file() and path.stat().st_size == facts["size"] for path, facts in places)


def _fetch(wanted: list[Package], order: Order, progress: Progress, source: str) -> None:
    """From the first place that has it. Raises `DownloadFailed` with what each of them said."""
    failures = []
    for listing, headers in places(source, pinned=bool(wanted[0].revision)):
        try:
            files = [file for package in wanted if direct_file(package) is None for file in listing(package)]
            fetch_files(msgspec.structs.replace(order, files=files, headers=headers()), progress)
            if direct := [file for package in wanted if (file := direct_file(package)) is not None]:
                # from somebody else's server, which is not told what the hub's is
                fetch_files(msgspec.structs.replace(order, files=direct), progress)
            return
        except DownloadFailed as failure:
            log.warning("download of %s: %s", wanted[0].target, failure.message)
            failures.append(failure)
    field = failures[0].field if len(failures) == 1 else "model"
    raise DownloadFailed("; ".join(failure.message for failure in failures), field=field)


Place = tuple[Callable[[Package], list[RemoteFile]], Callable[[], dict[str, str]]]
"""How a place lists a package, and what is said to its server."""


def places(source: str, *, pinned: bool = False) -> tuple[Place, ...]:
    """The places to try, in order. A commit of the hub means nothing to ModelScope, so a pinned download has one place."""
    if offline():
        return ((list_cache, dict),)
    both: dict[str, Place] = {
        "huggingface": (lambda package: list_huggingface(package, stubborn), build_hf_headers),
        "modelscope": (lambda package: list_modelscope(package, stubborn), dict),
    }
    if source == "auto":
        return (both["huggingface"],) if pinned else tuple(both.values())
    return (both[source],)


@contextmanager
def _turn(root: Path, progress: Progress) -> Iterator[None]:
    """Hold the folder for one download; while another one has it, ``progress`` hears of it and may stop the waiting."""
    lock = FileLock(root / ".download.lock")
    while True:
        try:
            lock.acquire(timeout=LOOK)
            break
        except Timeout:
            progress("waiting for another download", 0, 0)
    try:
        yield
    finally:
        lock.release()


def _writable(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise OutputUnwritable(f"{root} cannot be written: {failure}") from failure
    if not os.access(root, os.W_OK):
        raise OutputUnwritable(f"{root} cannot be written")
