"""Which files of a published model there are to fetch, as Hugging Face, ModelScope or the hub's cache here list them. No torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from huggingface_hub import HfApi, get_session, hf_hub_url
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from acestep.api.errors import DownloadFailed
from acestep.checkpoints.catalogue import Package
from acestep.checkpoints.published import REVISIONS, known_file

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

MODELSCOPE = "modelscope.cn"
"""ModelScope's domain, where ``MODELSCOPE_ENDPOINT`` (``MODELSCOPE_DOMAIN`` in older clients) names no other."""

MODELSCOPE_BRANCH = "master"
"""What ModelScope's listing is of, unless another revision is asked for; it names no commit of the whole repository."""

SWITCHED_ON = ("1", "on", "yes", "true")

Stubborn = Callable[[Callable[[], Any]], Any]
"""Calls something again after a broken connection."""


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file to fetch: path in its repository and below the checkpoint folder, address, size in bytes, sha256 where published."""

    repository: str
    revision: str
    path: str
    target: str
    url: str
    size: int
    sha256: str = ""


def direct_file(package: Package) -> RemoteFile | None:
    """The one file of a package that is on no hub; None for all others."""
    told = package.told
    if told is None or not told.url:
        return None
    name = told.patterns[0]
    return RemoteFile(
        repository=package.repository,
        revision=told.sha256,
        path=name,
        target=f"{package.target}/{name}",
        url=told.url,
        size=told.size_bytes,
        sha256=told.sha256,
    )


def list_huggingface(package: Package, stubborn: Stubborn) -> list[RemoteFile]:
    """The package's files as the hub lists them, all of one commit; ``HF_ENDPOINT`` and ``HF_TOKEN`` are honoured.

    Raises `DownloadFailed`, also when the hub names another sum than the one that is known of a revision.
    """
    endpoint = os.environ.get("HF_ENDPOINT") or None
    hub, wanted = HfApi(endpoint=endpoint), package.revision or None
    try:
        facts = stubborn(lambda: hub.model_info(package.repository, revision=wanted, files_metadata=True))
    except RevisionNotFoundError as failure:
        raise DownloadFailed(
            f"{package.repository} has no revision {package.revision!r}", field="revision"
        ) from failure
    except (GatedRepoError, RepositoryNotFoundError) as failure:
        raise DownloadFailed(f"{package.repository} is not public or does not exist", field="model") from failure
    except Exception as failure:  # a stranger's client: network, server and format errors share no base class
        raise DownloadFailed(f"the hub cannot be reached for {package.repository}: {short(failure)}") from failure
    revision = facts.sha or package.revision or "main"
    found = []
    for sibling in facts.siblings or []:
        url = hf_hub_url(package.repository, sibling.rfilename, revision=revision, endpoint=endpoint)
        sums = sibling.lfs.sha256 if sibling.lfs else ""
        found.append(_remote(package, revision, (sibling.rfilename, int(sibling.size or 0), sums), url))
    return [_as_known(file) for file in _needed(package, found)]


def list_modelscope(package: Package, stubborn: Stubborn) -> list[RemoteFile]:
    """The package's files as ModelScope lists them, which mirrors the same repositories. Raises `DownloadFailed`."""
    domain = os.environ.get("MODELSCOPE_ENDPOINT") or os.environ.get("MODELSCOPE_DOMAIN") or MODELSCOPE
    endpoint = domain if "://" in domain else f"https://{domain}"
    place = f"{endpoint}/api/v1/models/{package.repository}/repo"
    branch = quote(package.revision or MODELSCOPE_BRANCH, safe="")
    try:
        listed = stubborn(lambda: _listing(f"{place}/files?Revision={branch}&Recursive=True"))
    except Exception as failure:  # network, server and format errors share no base class
        raise DownloadFailed(f"ModelScope does not list {package.repository}: {short(failure)}") from failure
    found = []
    for row in listed:
        url = f"{place}?Revision={branch}&FilePath={quote(row[0], safe='')}"
        found.append(_remote(package, package.revision or MODELSCOPE_BRANCH, row, url))
    return _needed(package, found)


def _listing(url: str) -> list[tuple[str, int, str]]:
    """Path, size and sha256 of every file of a ModelScope repository; raises what its server or its answer leads to."""
    response = get_session().get(url, follow_redirects=True, timeout=TIMEOUT)
    response.raise_for_status()
    rows = response.json()["Data"]["Files"]
    return [(row["Path"], int(row["Size"]), row.get("Sha256") or "") for row in rows if row.get("Type") != "tree"]


def list_cache(package: Package) -> list[RemoteFile]:
    """The package's files in the hub's cache on this disk, for times without a network. Raises `DownloadFailed`."""
    folder = _cached_repository(package.repository)
    revision = package.revision or "main"
    named = folder / "refs" / revision
    commit = named.read_text().strip() if named.is_file() else revision
    snapshot = folder / "snapshots" / commit
    found = [
        _remote(package, commit, (path.relative_to(snapshot).as_posix(), path.stat().st_size, ""), "")
        for path in sorted(snapshot.rglob("*"))
        if path.is_file()
    ]
    if not found:
        raise DownloadFailed(
            f"HF_HUB_OFFLINE is set, and neither this folder nor the hub's cache holds {package.repository} "
            f"at {revision}; download it once with network access",
            field="model",
        )
    return _needed(package, found)


def cached_file(file: RemoteFile) -> Path | None:
    """The same file of the same commit in the hub's cache, when it is whole there (as a link or, on Windows, itself)."""
    folder = _cached_repository(file.repository)
    path = folder / "snapshots" / file.revision / file.path
    try:
        real = path.resolve(strict=True)
        inside = real.is_relative_to(folder.resolve())
        return real if inside and real.is_file() and real.stat().st_size == file.size else None
    except OSError:
        return None


def _cached_repository(repository: str) -> Path:
    home = os.environ.get("HF_HOME") or str(Path("~/.cache/huggingface").expanduser())
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or str(Path(home) / "hub")
    return Path(cache).expanduser() / f"models--{repository.replace('/', '--')}"


def offline() -> bool:
    """Whether the hub's own variable forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in SWITCHED_ON


def _remote(package: Package, revision: str, row: tuple[str, int, str], url: str) -> RemoteFile:
    path, size, sums = row
    target = f"{package.target}/{path.rpartition('/')[2]}"
    return RemoteFile(
        repository=package.repository, revision=revision, path=path, target=target, url=url, size=size, sha256=sums
    )


def _needed(package: Package, listed: Iterable[RemoteFile]) -> list[RemoteFile]:
    """Those of a repository's files that belong to the package. Raises `DownloadFailed` when there are no weights among them."""
    found = []
    for file in listed:
        inner, _, leaf = file.path.rpartition("/")
        if (
            inner == package.inner
            and any(fnmatch(leaf, pattern) for pattern in package.patterns)
            and leaf == Path(leaf).name
        ):
            found.append(file)
    if not found or (package.weights and not any(file.path.endswith(".safetensors") for file in found)):
        raise DownloadFailed(f"{package.repository} has no weights for {package.target}", field="model")
    return found


def _as_known(file: RemoteFile) -> RemoteFile:
    """The file, once the hub's sum is the known one where the revision is known. Raises `DownloadFailed`."""
    folder, _, name = file.target.rpartition("/")
    known = known_file(folder, name)
    if known is None or not known.sha256 or file.revision != REVISIONS.get(file.repository):
        return file
    if file.sha256 and file.sha256 != known.sha256:
        raise DownloadFailed(
            f"the hub's checksum for {file.path} at {file.revision[:12]} differs from the known one; nothing was "
            "downloaded. Try another source",
            field="model",
        )
    return file


def short(failure: Exception) -> str:
    """The first line of a stranger's error."""
    return (str(failure).strip().splitlines() or [type(failure).__name__])[0][:200]
