"""Where the bridge keeps its state, and which files of the machine it may touch.

All client paths go through `AllowedRoots.reading` or `AllowedRoots.writing`, nowhere else; both follow every symbolic link first
and judge the place that would really be opened.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from acestep.api.errors import BadRequest, NotAllowed, NotFound, OutputUnwritable
from acestep.api.limits import MAX_PATH
from bridge.settings import APP, Settings, home_folder

RUNTIME = "runtime"
"""Folder in the home where the scripts of the hosts look for a running daemon."""

RPC_SOCKET, JSON_SOCKET = "rpc.sock", "json-rpc.sock"

MAX_SOCKET_PATH = 100
"""Bytes; the kernel's own limit is 104 on macOS and 108 on Linux."""


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """The folders and files of one daemon. Nothing is created until `create`."""

    home: Path
    library: Path
    runtime: Path
    sockets: Path
    plugins: Path

    @classmethod
    def of(cls, settings: Settings | None = None) -> Paths:
        """The places that these settings (none: the defaults) mean."""
        given = settings or Settings()
        home = home_folder(given.home)
        return cls(
            home=home,
            library=Path(given.library).expanduser().absolute() if given.library else home / "library",
            runtime=home / RUNTIME,
            sockets=_socket_folder(home),
            plugins=Path(given.plugin_folder).expanduser().absolute() if given.plugin_folder else home / "plugins",
        )

    @property
    def database(self) -> Path:
        """SQLite file of jobs and events."""
        return self.home / "jobs.sqlite3"

    @property
    def device_limits(self) -> Path:
        """What the workers last told of their devices' limits, for help without a daemon."""
        return self.home / "device-limits.json"

    @property
    def staging(self) -> Path:
        """Half-written results; beside the library, so that a rename commits them."""
        return self.library.parent / f".{self.library.name}-staging"

    @property
    def uploads(self) -> Path:
        """Files that clients on other machines sent."""
        return self.home / "uploads"

    @property
    def checkpoints(self) -> Path:
        """Downloaded models."""
        return self.home / "checkpoints"

    @property
    def captures(self) -> Path:
        """What was kept of a live input."""
        return self.home / "captures"

    @property
    def spool(self) -> Path:
        """Requests and answers of hosts without sockets."""
        return self.home / "spool"

    @property
    def logs(self) -> Path:
        """Rotated log files."""
        return self.home / "logs"

    @property
    def connection(self) -> Path:
        """Connection file: where a running daemon answers, owner-readable only."""
        return self.runtime / "connection.json"

    @property
    def lock(self) -> Path:
        """Held by the running daemon; the system frees it whatever way the daemon ends."""
        return self.home / "daemon.lock"

    @property
    def socket(self) -> Path:
        """Unix socket of MessagePack-RPC, in a 0700 folder, short enough for the kernel."""
        return self.sockets / RPC_SOCKET

    @property
    def json_socket(self) -> Path:
        """Unix socket of JSON-RPC, beside it."""
        return self.sockets / JSON_SOCKET

    def create(self) -> None:
        """Make all folders. Raises `OutputUnwritable` that names the one that cannot be made."""
        for folder in (self.runtime, self.sockets):
            _check_owner(folder)
        ours = (self.home, self.runtime, self.sockets)
        for folder in (*ours, self.library, self.staging, self.uploads, self.checkpoints, self.spool, self.logs):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                if folder in ours and os.name == "posix":
                    folder.chmod(0o700)
            except OSError as failure:
                raise OutputUnwritable(f"the folder {folder} cannot be made: {failure.strerror}") from failure


def _check_owner(folder: Path) -> None:
    """Refuse a folder that another user made, or a link, where ours should be. Raises `NotAllowed`."""
    if os.name != "posix":
        return
    try:
        facts = folder.lstat()
    except OSError:
        return  # not there yet
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise NotAllowed(
            f"the runtime folder {folder} belongs to another user or is not a folder; remove it, or use another home",
            field="home",
        )


def _socket_folder(home: Path) -> Path:
    """A folder of this user for this home's sockets; the runtime folder unless a socket path there would be too long."""
    inside = home / RUNTIME
    if os.name != "posix" or len(os.fsencode(inside / JSON_SOCKET)) <= MAX_SOCKET_PATH:
        return inside
    import hashlib  # only a long home needs them, and every command imports this module
    import tempfile

    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"{APP}-{os.getuid()}-{digest}"


DEVICE_NAMES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"]
)
"""Names that Windows gives to devices in every folder, with any extension."""

_DRIVE = re.compile(r"[A-Za-z]:")


def check_spelling(text: str, field: str) -> Path:
    """A client's path as a `Path`, or a `BadRequest`/`NotAllowed` that says what is wrong with how it is written.

    Only absolute local paths pass: no NUL or control characters, no UNC or device paths, no ``..``.
    """
    if not text or len(text) > MAX_PATH:
        raise BadRequest(f"a path has 1 to {MAX_PATH} characters", field=field, limits={"max_length": MAX_PATH})
    if any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise BadRequest("the path holds control characters", field=field)
    if text.startswith(("\\\\", "//")):
        raise NotAllowed("network and device paths are not opened", field=field)
    drive = _DRIVE.match(text)
    if (os.name == "nt" and ":" in text[2:]) or (os.name != "nt" and (drive or "\\" in text)):
        raise NotAllowed("the path is not written as this system writes paths", field=field)
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    if not path.is_absolute():
        raise NotAllowed("paths are absolute", field=field)
    for part in path.parts[1:]:
        if part == "..":
            raise NotAllowed("paths must not contain '..'", field=field)
        if part.split(".")[0].rstrip(" ").lower() in DEVICE_NAMES:
            raise NotAllowed(f"{part!r} is the name of a device", field=field)
    return path


def make_report_folder(folder: Path, report: str) -> None:
    """Make a folder for files of fixed names: a new or an empty one, or one of an earlier run, known by its report.

    Raises `OutputUnwritable` for any other, whose files might have those names.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / report).is_file():
            raise OutputUnwritable(f"{folder} holds other files; name a new or an empty folder", field="out")
        (folder / report).write_text("{}", "utf-8")  # what an earlier run says no longer holds
    except OSError as failure:
        raise OutputUnwritable(f"{folder} cannot be written: {failure.strerror}", field="out") from failure


class AllowedRoots:
    """The folders of this machine that clients may name files in."""

    def __init__(self, read: Iterable[Path], write: Iterable[Path]) -> None:
        self.read = tuple(_real(root) for root in read)
        self.write = tuple(_real(root) for root in write)

    @classmethod
    def of(cls, settings: Settings, paths: Paths) -> AllowedRoots:
        """The roots that the settings name; reading defaults to the user's home and the mounted volumes."""
        declared = [Path(root).expanduser() for root in settings.read_roots] or default_read_roots()
        copies = [Path(root).expanduser() for root in settings.write_roots]
        own = [paths.library, paths.uploads, paths.captures]
        return cls([*declared, *own, *copies], [paths.library, *copies])

    def reading(self, text: str, field: str = "source") -> Path:
        """The real path of an existing regular file below a read root.

        Raises `BadRequest`, `NotAllowed` or `NotFound`; a path outside gives the same answer whether it exists or not.
        """
        return _file(self._inside(text, self.read, "read_roots", field), text, field)

    def reading_folder(self, text: str, field: str = "folder") -> Path:
        """The real path of an existing folder below a read root. Raises as `reading` does."""
        return _folder(self._inside(text, self.read, "read_roots", field), text, field)

    def writing(self, text: str, field: str = "folder") -> Path:
        """The real path of a folder (which need not exist yet) below a write root.

        Raises `BadRequest` or `NotAllowed`, and `OutputUnwritable` when something else stands at that place.
        """
        return _new_folder(self._inside(text, self.write, "write_roots", field), text, field)

    def _inside(self, text: str, roots: tuple[Path, ...], setting: str, field: str) -> Path:
        real = _followed(text, field)
        if not any(real.is_relative_to(root) for root in roots):
            names = [str(root) for root in roots]
            option = f"--{setting.replace('_', '-')}"
            raise NotAllowed(
                f"{text} is outside the allowed folders; `serve {option} FOLDER` (setting {setting}) allows another",
                field=field,
                limits={"roots": names},
            )
        return real


class UserRoots(AllowedRoots):
    """For the user of this machine, who could copy any file to or from the allowed folders: whatever the user can read or write."""

    def reading(self, text: str, field: str = "source") -> Path:
        """The real path of an existing regular file. Raises `BadRequest`, `NotAllowed` or `NotFound`."""
        return _file(_followed(text, field), text, field)

    def reading_folder(self, text: str, field: str = "folder") -> Path:
        """The real path of an existing folder. Raises as `reading` does."""
        return _folder(_followed(text, field), text, field)

    def writing(self, text: str, field: str = "folder") -> Path:
        """The real path of a folder, which need not exist yet. Raises `BadRequest`, `NotAllowed` or `OutputUnwritable`."""
        return _new_folder(_followed(text, field), text, field)


def accepted_folder(text: str) -> Path:
    """The folder that was allowed when its job was accepted, still the same. Raises `NotAllowed` where a link took its place."""
    real = _followed(text, "folder")
    if real != Path(text):
        raise NotAllowed(f"{text} leads to another folder than when the job was accepted", field="folder")
    return _new_folder(real, text, "folder")


def _followed(text: str, field: str) -> Path:
    """The place that would really be opened."""
    path = check_spelling(text, field)
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        raise NotAllowed("the path cannot be followed", field=field) from None


def _file(real: Path, text: str, field: str) -> Path:
    try:
        found = real.is_file()
    except OSError as failure:  # a name that is too long, a folder that may not be entered
        raise NotFound(f"{text} cannot be opened: {failure.strerror}", field=field) from None
    if not found:
        raise NotFound(f"there is no file {text}", field=field)
    return real


def _folder(real: Path, text: str, field: str) -> Path:
    if not real.is_dir():
        raise NotFound(f"there is no folder {text}", field=field)
    return real


def _new_folder(real: Path, text: str, field: str) -> Path:
    if real.exists() and not real.is_dir():
        raise OutputUnwritable(f"{text} is not a folder", field=field)
    return real


def _real(root: Path) -> Path:
    return Path(os.path.realpath(root))


def default_read_roots() -> list[Path]:
    """The user's home and where this platform mounts other volumes."""
    home = Path.home()
    if sys.platform == "win32":
        return [home, *(Path(f"{letter}:\\") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ" if Path(f"{letter}:\\").exists())]
    if sys.platform == "darwin":
        return [home, Path("/Volumes")]
    return [home, Path("/media"), Path("/mnt"), Path("/run/media")]
