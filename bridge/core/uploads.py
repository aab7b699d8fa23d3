"""Files that clients on other machines send in, and results they fetch: chunks, resumed by offset, checked by sha256.

Every call touches at most one chunk; callers run them in a thread. An upload is a file ``<id>.part`` until its digest is right, and
``<id>.audio`` from then on, beside a small ``<id>.json``, so a restart of the daemon loses nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, Busy, CorruptAudio, NotFound, TooLarge
from bridge.core.library import storage_error

CHUNK = 256 * 1024
"""Bytes of one chunk: four fit into the largest message of the RPC door."""

DRAFT = ".incoming"
"""Ending of a file that arrives in one go and is not whole yet."""

MAX_OPEN = 64
"""Unfinished uploads at a time."""

_ID = re.compile(r"up-[0-9a-f]{16}")
_STORED = re.compile(r"(up-[0-9a-f]{16})\.audio")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an upload. ``received`` bytes are stored; the next chunk begins there."""

    id: str
    size: int
    sha256: str
    name: str = ""
    client: str = ""
    received: int = 0
    complete: bool = False


class Uploads:
    """The folder of uploads."""

    def __init__(self, folder: Path, *, largest: int, quota: int) -> None:
        self._folder = folder
        self._largest = largest
        self._quota = quota

    def begin(self, size: int, sha256: str, *, name: str = "", client: str = "") -> Upload:
        """Announce a file of ``size`` bytes. The same file announced again is the same upload: go on at ``received``.

        Raises `BadRequest`, `TooLarge`, or `Busy` when the space of all uploads is taken.
        """
        self._check_size(size)
        if not _SHA256.fullmatch(sha256):
            raise BadRequest("sha256 is 64 lower-case hexadecimal digits", field="sha256")
        known = self._all()
        for upload in known:
            if (upload.sha256, upload.size) == (sha256, size):
                return self._renamed(upload, name[:200])
        self._check_room(size, known)
        if sum(not upload.complete for upload in known) >= MAX_OPEN:
            raise Busy(f"there already are {MAX_OPEN} unfinished uploads", limits={"open": MAX_OPEN})
        upload = Upload(id="up-" + secrets.token_hex(8), size=size, sha256=sha256, name=name[:200], client=client[:200])
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._part(upload.id).touch(mode=0o600)
            self._facts(upload.id).write_bytes(msgspec.json.encode(upload))
        except OSError as failure:
            raise storage_error(failure, self._folder) from failure
        return upload

    def receive(self, size: int, name: str = "") -> Incoming:
        """Take a file of ``size`` bytes in one go, when its sum is not known beforehand. Raises as `begin` does."""
        self._check_size(size)
        self._check_room(size, self._all())
        return Incoming(self, self._folder, size, name[:200])

    def adopt(self, draft: Path, size: int, sha256: str, name: str) -> Upload:
        """Make a whole file that `receive` has written an upload; the same file once more is the same upload."""
        for upload in self._all():
            if (upload.sha256, upload.size, upload.complete) == (sha256, size, True):
                return self._renamed(upload, name)
        upload = Upload(id=draft.stem, size=size, sha256=sha256, name=name, received=size, complete=True)
        try:
            os.replace(draft, self._whole(upload.id))
            self._facts(upload.id).write_bytes(msgspec.json.encode(upload))
        except OSError as failure:
            raise storage_error(failure, self._folder) from failure
        return upload

    def _check_size(self, size: int) -> None:
        if size < 1 or size > self._largest:
            raise TooLarge(f"an upload has 1 to {self._largest} bytes", field="size", limits={"max": self._largest})

    def _check_room(self, size: int, known: list[Upload]) -> None:
        drafts = sum(path.stat().st_size for path in self._folder.glob(f"up-*{DRAFT}"))
        if sum(upload.size for upload in known) + drafts + size > self._quota:
            raise Busy("the space for uploads is full", field="size", limits={"upload_quota": self._quota})

    def _renamed(self, upload: Upload, name: str) -> Upload:
        """The upload under the name that its file has now, so that sentences about it name that one."""
        if name in ("", upload.name):
            return upload
        renamed = msgspec.structs.replace(upload, name=name)
        with contextlib.suppress(OSError):
            self._facts(upload.id).write_bytes(msgspec.json.encode(renamed))
        return renamed

    def write(self, upload: str, offset: int, data: bytes) -> Upload:
        """Store a chunk at ``offset``. A chunk that is there already is accepted; one beyond ``received`` is not.

        With the last byte the whole file is checked; a wrong digest discards it with `CorruptAudio`.
        """
        known = self.find(upload)
        if len(data) > CHUNK:
            raise TooLarge(f"a chunk has at most {CHUNK} bytes", field="data", limits={"max": CHUNK})
        if offset < 0 or offset > known.received or offset + len(data) > known.size:
            raise BadRequest(
                f"the next chunk begins at {known.received}", field="offset", limits={"received": known.received}
            )
        if known.complete or offset + len(data) <= known.received:
            return known
        try:
            with self._part(upload).open("r+b") as file:
                file.seek(offset)
                file.write(data)
        except OSError as failure:
            raise storage_error(failure, self._folder) from failure
        received = offset + len(data)
        if received == known.size:
            self._finish(known)
        return msgspec.structs.replace(known, received=received, complete=received == known.size)

    def _finish(self, upload: Upload) -> None:
        part = self._part(upload.id)
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        if digest != upload.sha256:
            self.remove(upload.id)
            raise CorruptAudio("the upload is damaged: its SHA-256 differs", field="sha256")
        os.replace(part, self._whole(upload.id))

    def find(self, upload: str) -> Upload:
        """What is known of an upload. Raises `NotFound`."""
        try:
            if not _ID.fullmatch(upload):
                raise FileNotFoundError
            facts = msgspec.json.decode(self._facts(upload).read_bytes(), type=Upload)
            whole = self._whole(upload).exists()
            received = facts.size if whole else self._part(upload).stat().st_size
        except (OSError, msgspec.DecodeError):
            raise NotFound(f"there is no upload {upload!r}", field="upload") from None
        return msgspec.structs.replace(facts, received=received, complete=whole)

    def named(self, text: str) -> str:
        """A sentence with the names that stored uploads (``<id>.audio``) had where they came from."""

        def name(found: re.Match[str]) -> str:
            try:
                return self.find(found[1]).name or found[0]
            except NotFound:
                return found[0]

        return _STORED.sub(name, text)

    def path(self, upload: str) -> Path:
        """The file of a complete upload; using it renews its term. Raises `NotFound` or `BadRequest`."""
        known = self.find(upload)
        if not known.complete:
            raise BadRequest(
                f"the upload {upload} is not complete: {known.received} of {known.size} bytes", field="upload"
            )
        with contextlib.suppress(OSError):
            os.utime(self._facts(upload))
        return self._whole(upload)

    def remove(self, upload: str) -> None:
        """Forget an upload and its file."""
        if _ID.fullmatch(upload):
            for path in (self._part(upload), self._whole(upload), self._facts(upload)):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def expire(self, age: float, used: frozenset[str] = frozenset()) -> int:
        """Remove uploads that nobody touched for ``age`` seconds and no waiting job uses. Returns how many."""
        limit = time.time() - age
        old = [upload.id for upload in self._all() if upload.id not in used and self._touched(upload.id) < limit]
        for upload in old:
            self.remove(upload)
        for draft in self._folder.glob(f"up-*{DRAFT}"):  # left by a daemon that was killed
            with contextlib.suppress(OSError):
                if draft.stat().st_mtime < limit:
                    draft.unlink()
        return len(old)

    def _touched(self, upload: str) -> float:
        times = [path.stat().st_mtime for path in (self._facts(upload), self._part(upload)) if path.exists()]
        return max(times, default=0.0)

    def _all(self) -> list[Upload]:
        found = []
        for path in sorted(self._folder.glob("up-*.json")):
            with contextlib.suppress(NotFound):
                found.append(self.find(path.stem))
        return found

    def _part(self, upload: str) -> Path:
        return self._folder / f"{upload}.part"

    def _whole(self, upload: str) -> Path:
        return self._folder / f"{upload}.audio"

    def _facts(self, upload: str) -> Path:
        return self._folder / f"{upload}.json"


class Incoming:
    """A file that arrives in one go: `write` its pieces; once it has `arrived`, `adopt` it; `close` in any case."""

    def __init__(self, uploads: Uploads, folder: Path, size: int, name: str) -> None:
        self._uploads, self._size, self._name, self._received = uploads, size, name, 0
        self._digest = hashlib.sha256()
        self._draft = folder / f"up-{secrets.token_hex(8)}{DRAFT}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except OSError as failure:
            raise storage_error(failure, folder) from failure

    def write(self, piece: bytes) -> None:
        """Store the next piece. Raises `TooLarge` beyond the announced size."""
        self._received += len(piece)
        if self._received > self._size:
            raise TooLarge(f"more than the announced {self._size} bytes arrived", field="size")
        self._digest.update(piece)
        try:
            self._file.write(piece)
        except OSError as failure:
            raise storage_error(failure, self._draft.parent) from failure

    def arrived(self) -> Path:
        """The file, now that all of it is here, to be looked at. Raises `CorruptAudio` when some is missing."""
        if self._received != self._size:
            raise CorruptAudio(f"{self._received} of {self._size} bytes arrived; send the file again", field="size")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._draft

    def adopt(self) -> Upload:
        """Make it an upload."""
        return self._uploads.adopt(self._draft, self._size, self._digest.hexdigest(), self._name)

    def close(self) -> None:
        """Let go of it; what was not finished is forgotten."""
        self._file.close()
        with contextlib.suppress(OSError):
            self._draft.unlink()


def read_chunk(path: Path, offset: int, length: int = CHUNK) -> dict[str, Any]:
    """A chunk of a file for a client: {offset, size, data}. Raises `NotFound` or `BadRequest`."""
    try:
        size = path.stat().st_size
        if not 0 <= offset <= size:
            raise BadRequest(f"the file has {size} bytes", field="offset", limits={"max": size})
        with path.open("rb") as file:
            file.seek(offset)
            return {"offset": offset, "size": size, "data": file.read(max(1, min(length, CHUNK)))}
    except OSError:
        raise NotFound(f"the file {path.name} is gone", field="name") from None
