"""Fetches published models: only the files that are needed, with progress in bytes, resumed where it broke off. No torch.

Hugging Face first, ModelScope as fallback where its package is installed (``ACESTEP_DOWNLOAD_SOURCE`` chooses). Files arrive in
their final folders; an interrupted one waits there under another name and is no model until it is whole.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout
from huggingface_hub import HfApi, get_session, hf_hub_url
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from huggingface_hub.utils import build_hf_headers

from acestep.api.errors import AceError, BadRequest, DiskFull, DownloadFailed, OutputUnwritable, Unavailable
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

Progress = Callable[[str, int, int], None]
"""``progress(file, done, total)``: bytes of the whole download. May raise to stop; what has arrived is kept."""


class RemoteFile(msgspec.Struct, frozen=True):
    """One file to fetch: path in its repository and below the checkpoint folder, size in bytes, sha256 where published."""

    repository: str
    revision: str
    path: str
    target: str
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
        except (DownloadFailed, Unavailable) as failure:
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
    files = [file for package in wanted for file in list_files(package, endpoint)]
    missing = [file for file in files if not _present(root / file.target, file)]
    need, free = sum(file.size for file in missing), shutil.disk_usage(root).free
    if need + SPARE > free:
        raise DiskFull(f"the model needs {need / 2**30:.2f} GB and {root} has {free / 2**30:.2f} GB left",
                       limits={"need": need, "free": free})  # fmt: skip
    meter = Meter(progress, sum(file.size for file in files), sum(file.size for file in files) - need)
    for file in missing:
        fetch_file(file, root, meter, endpoint)
    for folder in dict.fromkeys(Path(file.target).parent for file in files):
        inside = [file for file in files if Path(file.target).parent == folder]
        facts = {Path(file.target).name: {"size": file.size, "sha256": file.sha256} for file in inside}
        write_manifest(root / folder, Downloaded(inside[0].repository, inside[0].revision, facts))


def list_files(package: Package, endpoint: str | None) -> list[RemoteFile]:
    """The package's files as the hub lists them, pinned to one revision. Raises `DownloadFailed`."""
    try:
        facts = _stubborn(lambda: HfApi(endpoint=endpoint).model_info(package.repository, files_metadata=True))
    except (GatedRepoError, RepositoryNotFoundError) as failure:
        raise DownloadFailed(f"{package.repository} is not public or does not exist", field="model") from failure
    except Exception as failure:  # a stranger's client: network, server and format errors share no base class
        raise DownloadFailed(f"the hub cannot be reached for {package.repository}: {_short(failure)}") from failure
    found = []
    for sibling in facts.siblings or []:
        inner, _, leaf = sibling.rfilename.rpartition("/")
        if (
            inner == package.inner
            and any(fnmatch(leaf, pattern) for pattern in package.patterns)
            and leaf == Path(leaf).name
        ):
            sums = sibling.lfs.sha256 if sibling.lfs else ""
            found.append(RemoteFile(package.repository, facts.sha or "main", sibling.rfilename, f"{package.target}/{leaf}",
                                    int(sibling.size or 0), sums))  # fmt: skip
    if not any(file.path.endswith(".safetensors") for file in found):
        raise DownloadFailed(f"{package.repository} has no weights for {package.target}", field="model")
    return found


def fetch_file(file: RemoteFile, root: Path, meter: Meter, endpoint: str | None) -> None:
    """One file into its final place, whole and with the published sum, or not at all. Raises `DownloadFailed`.

    What has arrived waits in a ``.part`` file of that very content, also when the process is killed. (The hub's own client starts
    files over in every run, which is no way to fetch 9 GB over a weak line.)
    """
    target = root / file.target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{(file.sha256 or file.revision)[:12]}.part")
    meter.begin(file)
    try:
        _stubborn(lambda: _append(file, part, meter, endpoint))
    except AceError:
        raise
    except Exception as failure:  # a stranger's client, as above
        raise DownloadFailed(f"{file.path} broke off ({_short(failure)}); run the download again to go on") from failure
    if file.sha256 and sha256(part) != file.sha256:
        part.unlink()
        raise DownloadFailed(f"{file.path} arrived damaged and was discarded; run the download again")
    part.replace(target)
    meter.end(file)


def _append(file: RemoteFile, part: Path, meter: Meter, endpoint: str | None) -> None:
    """Add what is missing to the part file; raises when the connection ends before the file does."""
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:
        part.unlink()
        have = 0
    meter.now(have)
    if have == file.size:
        part.touch()
        return
    url = hf_hub_url(file.repository, file.path, revision=file.revision, endpoint=endpoint)
    headers = {**build_hf_headers(), "Accept-Encoding": "identity", "Range": f"bytes={have}-"}
    with get_session().stream("GET", url, headers=headers, follow_redirects=True, timeout=TIMEOUT) as response:
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


def fetch_modelscope(wanted: Iterable[Package], root: Path, progress: Progress) -> None:
    """Fetch packages from ModelScope, which mirrors the same repositories.

    Raises `Unavailable` without its package, `DownloadFailed`.
    """
    try:
        from modelscope.hub.snapshot_download import snapshot_download
    except ImportError as failure:
        raise Unavailable("ModelScope needs its package: pip install 'acestep-bridge[modelscope]'") from failure
    wanted = list(wanted)
    for index, package in enumerate(wanted):
        progress(package.target, index, len(wanted))
        prefix = f"{package.inner}/" if package.inner else ""
        local = root if package.inner else root / package.target
        try:
            snapshot_download(
                package.repository, local_dir=str(local), allow_patterns=[prefix + p for p in package.patterns]
            )
        except Exception as failure:  # a stranger's client: its errors share no base class
            raise DownloadFailed(f"ModelScope: {package.repository}: {_short(failure)}") from failure
    progress("", len(wanted), len(wanted))


def _present(path: Path, file: RemoteFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _short(failure: Exception) -> str:
    return (str(failure).strip().splitlines() or [type(failure).__name__])[0][:200]
