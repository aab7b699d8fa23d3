"""Fetches published models: only the files that are needed, with progress in bytes, resumed where it broke off. No torch.

Hugging Face first, ModelScope as fallback (``ACESTEP_DOWNLOAD_SOURCE`` chooses). They differ in how files are listed and addressed;
all else is the same code. Files arrive in their final folders; an interrupted one waits there under another name and is no model
until it is whole.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from filelock import FileLock, Timeout
from huggingface_hub import HfApi, get_session, hf_hub_url
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from huggingface_hub.utils import build_hf_headers

from acestep.api.errors import AceError, BadRequest, DiskFull, DownloadFailed, OutputUnwritable
from acestep.checkpoints.catalogue import Package, packages
from acestep.checkpoints.installed import AnyModel, Downloaded, read_model, sha256, write_manifest

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""Tries per file, each from where the last one broke off."""

PAUSE = 1.0
"""Seconds before the second try; doubled for each further one."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

BLOCK = 256 * 1024
"""Bytes between two looks at the progress callback (and cancel), and the most that a broken connection loses."""

LOOK = 0.5
"""Seconds between two looks whether another download has ended."""

SPARE = 256 * 2**20
"""Bytes of disk that a download leaves free."""

SOURCES = ("auto", "huggingface", "modelscope")

MODELSCOPE = "modelscope.cn"
"""ModelScope's domain, where ``MODELSCOPE_ENDPOINT`` (``MODELSCOPE_DOMAIN`` in older clients) names no other."""

MODELSCOPE_BRANCH = "master"
"""What ModelScope's listing is of; it names no commit of the whole repository."""

Progress = Callable[[str, int, int], None]
"""``progress(file, done, total)``: bytes of the whole download. May raise to stop; what has arrived is kept."""


class RemoteFile(msgspec.Struct, frozen=True):
    """One file to fetch: path in its repository and below the checkpoint folder, address, size in bytes, sha256 where published."""

    repository: str
    revision: str
    path: str
    target: str
    url: str
    size: int
    sha256: str = ""


def download(
    name: str, root: Path, progress: Progress = lambda file, done, total: None, *, source: str = "auto"
) -> AnyModel:
    """Fetch a model by short name into ``root`` and return its facts; complete files are not fetched again.

    Downloads into one folder take turns, whichever process runs them: models share files.

    Raises `UnknownName`, `DownloadFailed` (what arrived is kept), `DiskFull`, `OutputUnwritable`, and what ``progress`` raises.
    """
    wanted = packages(name)
    chosen = os.environ.get("ACESTEP_DOWNLOAD_SOURCE", "auto") if source == "auto" else source
    if chosen not in SOURCES:
        raise BadRequest(f"there is no download source {chosen!r}", field="source", limits={"choices": list(SOURCES)})
    _writable(root)
    with _turn(root, progress):
        return _fetch(wanted, root, progress, chosen)


def _fetch(wanted: list[Package], root: Path, progress: Progress, source: str) -> AnyModel:
    """From the first place that has it. Raises `DownloadFailed` with what each of them said."""
    failures = []
    for fetch in fetchers(source):
        try:
            fetch(wanted, root, progress)
            return read_model(root / wanted[0].target)
        except DownloadFailed as failure:
            log.warning("download of %s: %s", wanted[0].target, failure.message)
            failures.append(failure.message)
    raise DownloadFailed("; ".join(failures), field="model")


def fetchers(source: str) -> tuple[Callable[[Iterable[Package], Path, Progress], None], ...]:
    """The places to try, in order."""
    both = {"huggingface": fetch_huggingface, "modelscope": fetch_modelscope}
    return tuple(both.values()) if source == "auto" else (both[source],)


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


def fetch_huggingface(wanted: Iterable[Package], root: Path, progress: Progress) -> None:
    """Fetch packages from the Hugging Face hub; ``HF_ENDPOINT`` and ``HF_TOKEN`` are honoured.

    Raises `DownloadFailed`, `DiskFull`.
    """
    endpoint = os.environ.get("HF_ENDPOINT") or None
    files = [file for package in wanted for file in list_huggingface(package, endpoint)]
    fetch_files(files, root, progress, build_hf_headers())


def fetch_modelscope(wanted: Iterable[Package], root: Path, progress: Progress) -> None:
    """Fetch packages from ModelScope, which mirrors the same repositories; its variables for another address are honoured.

    Raises `DownloadFailed`, `DiskFull`.
    """
    domain = os.environ.get("MODELSCOPE_ENDPOINT") or os.environ.get("MODELSCOPE_DOMAIN") or MODELSCOPE
    endpoint = domain if "://" in domain else f"https://{domain}"
    files = [file for package in wanted for file in list_modelscope(package, endpoint)]
    fetch_files(files, root, progress, {})


def list_huggingface(package: Package, endpoint: str | None) -> list[RemoteFile]:
    """The package's files as the hub lists them, pinned to one revision. Raises `DownloadFailed`."""
    try:
        facts = _stubborn(lambda: HfApi(endpoint=endpoint).model_info(package.repository, files_metadata=True))
    except (GatedRepoError, RepositoryNotFoundError) as failure:
        raise DownloadFailed(f"{package.repository} is not public or does not exist", field="model") from failure
    except Exception as failure:  # a stranger's client: network, server and format errors share no base class
        raise DownloadFailed(f"the hub cannot be reached for {package.repository}: {_short(failure)}") from failure
    revision = facts.sha or "main"
    found = []
    for sibling in facts.siblings or []:
        url = hf_hub_url(package.repository, sibling.rfilename, revision=revision, endpoint=endpoint)
        sums = sibling.lfs.sha256 if sibling.lfs else ""
        found.append(_remote(package, revision, sibling.rfilename, url, int(sibling.size or 0), sums))
    return _needed(package, found)


def list_modelscope(package: Package, endpoint: str) -> list[RemoteFile]:
    """The package's files as ModelScope lists them. Raises `DownloadFailed`."""
    place = f"{endpoint}/api/v1/models/{package.repository}/repo"
    try:
        listed = _stubborn(lambda: _listing(f"{place}/files?Revision={MODELSCOPE_BRANCH}&Recursive=True"))
    except Exception as failure:  # network, server and format errors share no base class
        raise DownloadFailed(f"ModelScope does not list {package.repository}: {_short(failure)}") from failure
    found = []
    for path, size, sums in listed:
        url = f"{place}?Revision={MODELSCOPE_BRANCH}&FilePath={quote(path, safe='')}"
        found.append(_remote(package, MODELSCOPE_BRANCH, path, url, size, sums))
    return _needed(package, found)


def _listing(url: str) -> list[tuple[str, int, str]]:
    """Path, size and sha256 of every file of a ModelScope repository; raises what its server or its answer leads to."""
    response = get_session().get(url, follow_redirects=True, timeout=TIMEOUT)
    response.raise_for_status()
    rows = response.json()["Data"]["Files"]
    return [(row["Path"], int(row["Size"]), row.get("Sha256") or "") for row in rows if row.get("Type") != "tree"]


def _remote(package: Package, revision: str, path: str, url: str, size: int, sums: str) -> RemoteFile:
    target = f"{package.target}/{path.rpartition('/')[2]}"
    return RemoteFile(package.repository, revision, path, target, url, size, sums)


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
    if not any(file.path.endswith(".safetensors") for file in found):
        raise DownloadFailed(f"{package.repository} has no weights for {package.target}", field="model")
    return found


def fetch_files(files: list[RemoteFile], root: Path, progress: Progress, headers: Mapping[str, str]) -> None:
    """What is missing of these files, and a manifest beside each folder's. Raises `DownloadFailed`, `DiskFull`."""
    missing = [file for file in files if not _present(root / file.target, file)]
    need, free = sum(file.size for file in missing), shutil.disk_usage(root).free
    if need + SPARE > free:
        raise DiskFull(f"the model needs {need / 2**30:.2f} GB and {root} has {free / 2**30:.2f} GB left",
                       limits={"need": need, "free": free})  # fmt: skip
    meter = Meter(progress, sum(file.size for file in files), sum(file.size for file in files) - need)
    for file in missing:
        fetch_file(file, root, meter, headers)
    for folder in dict.fromkeys(Path(file.target).parent for file in files):
        inside = [file for file in files if Path(file.target).parent == folder]
        facts = {Path(file.target).name: {"size": file.size, "sha256": file.sha256} for file in inside}
        write_manifest(root / folder, Downloaded(inside[0].repository, inside[0].revision, facts))


def fetch_file(file: RemoteFile, root: Path, meter: Meter, headers: Mapping[str, str]) -> None:
    """One file into its final place, whole and with the published sum, or not at all. Raises `DownloadFailed`.

    What has arrived waits in a ``.part`` file of that very content, also when the process is killed and when the other source goes
    on with it. (The hub's own client starts files over in every run, which is no way to fetch 9 GB over a weak line.)
    """
    target = root / file.target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{(file.sha256 or file.revision)[:12]}.part")
    meter.begin(file)
    try:
        _stubborn(lambda: _append(file, part, meter, headers))
    except AceError:
        raise
    except Exception as failure:  # a stranger's client, as above
        raise DownloadFailed(f"{file.path} broke off ({_short(failure)}); run the download again to go on") from failure
    if file.sha256 and sha256(part) != file.sha256:
        part.unlink()
        raise DownloadFailed(f"{file.path} arrived damaged and was discarded; run the download again")
    part.replace(target)
    meter.end(file)


def _append(file: RemoteFile, part: Path, meter: Meter, headers: Mapping[str, str]) -> None:
    """Add what is missing to the part file; raises when the connection ends before the file does."""
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:
        part.unlink()
        have = 0
    meter.now(have)
    if have == file.size:
        part.touch()
        return
    asked = {**headers, "Accept-Encoding": "identity", "Range": f"bytes={have}-"}
    with get_session().stream("GET", file.url, headers=asked, follow_redirects=True, timeout=TIMEOUT) as response:
        response.raise_for_status()
        resumed = response.status_code == 206
        with part.open("ab" if resumed else "wb") as out:
            have = have if resumed else 0
            for block in response.iter_bytes(BLOCK):
                out.write(block)
                have += len(block)
                meter.now(have)
    if have != file.size:
        raise OSError(f"{have} of {file.size} bytes arrived")


def _stubborn(action: Callable[[], Any]) -> Any:
    """The action's result, tried again after a broken connection; what the server refuses outright is not asked twice."""
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except AceError:
            raise  # cancelled by the progress callback
        except Exception as failure:  # a stranger's client, as below
            status = getattr(getattr(failure, "response", None), "status_code", 500)
            if attempt == ATTEMPTS - 1 or status in (400, 401, 403, 404):
                raise
            log.info("retrying after %s", _short(failure))
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError("unreachable")


class Meter:
    """One count of bytes over all files of a download; it never falls."""

    def __init__(self, progress: Progress, total: int, done: int) -> None:
        self._progress, self._total, self._base = progress, total, done
        self._name, self._highest = "", 0

    def begin(self, file: RemoteFile) -> None:
        """A file starts."""
        self._name = file.target
        self.now(0)

    def now(self, have: int) -> None:
        """So many bytes of the current file are there."""
        self._highest = max(self._highest, self._base + have)
        self._progress(self._name, min(self._highest, self._total), self._total)

    def end(self, file: RemoteFile) -> None:
        """The current file is whole."""
        self._base += file.size
        self.now(0)


def _present(path: Path, file: RemoteFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _short(failure: Exception) -> str:
    return (str(failure).strip().splitlines() or [type(failure).__name__])[0][:200]
