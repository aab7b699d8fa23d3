"""Where the files of a job go on this machine: what ``--out`` names, and that nothing of the person's is lost there.

Decided before a job is sent: a target that cannot be used costs nothing. A name that is there is replaced with ``--force`` only,
and never when it is a file that the job was made from.
"""

from __future__ import annotations

import mimetypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from acestep.api.errors import BadRequest, OutputUnwritable
from acestep.api.formats import FORMATS, format_of_suffix

AIFF = (".aif", ".aiff", ".aifc")
"""Endings of a whole file whose source was one of these."""

FAMILIES = {**dict.fromkeys(AIFF, AIFF), ".oga": (".oga", ".ogg"), ".ogg": (".ogg", ".oga"), ".wave": (".wave", ".wav")}
"""Endings that mean the same container."""

OTHER_SOUNDS = frozenset(
    (
        ".aac", ".ac3", ".amr", ".ape", ".au", ".bwf", ".caf", ".dff", ".dsf", ".m4a", ".m4b", ".mka", ".mp2", ".mp4", ".mpc",
        ".mpeg", ".mpga", ".ra", ".raw", ".rf64", ".snd", ".tta", ".voc", ".w64", ".webm", ".wma", ".wv",
    )
)  # fmt: skip
"""Endings of sound files that are not written; the system's own list of kinds does not know them all."""

FLOATING = frozenset(("patch", "span"))
"""Roles that are float WAVs whatever format is asked for."""

SUMMED = frozenset(("stem", "residual"))
"""Roles that become float WAVs where another format would clip them."""


class SaveTarget(NamedTuple):
    """A folder, or the name of a single file."""

    path: Path
    single: bool
    force: bool = False

    @property
    def suffix(self) -> str:
        """The file's ending in lower case."""
        return self.path.suffix.lower()

    def fits(self, name: str) -> bool:
        """Whether a result file of this name is of the kind that the target's ending says."""
        return Path(name).suffix.lower() in FAMILIES.get(self.suffix, (self.suffix,))


def read_target(out: str, *, force: bool = False) -> SaveTarget:
    """What ``--out`` means: an ending that a sound file has names a file, everything else a folder.

    Raises `BadRequest` for a kind of file that is not written, `OutputUnwritable` for a folder that is a file.
    """
    path = Path(out).expanduser()
    if out.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        return _folder(path, out)
    suffix = path.suffix.lower()
    if format_of_suffix(suffix) or suffix in FAMILIES:
        return SaveTarget(path, True, force)
    if suffix in OTHER_SOUNDS or mimetypes.guess_type(f"x{suffix}")[0]:
        raise BadRequest(
            f"--out {out}: files of the kind {suffix} are not written", field="out", limits={"choices": suffixes()}
        )
    return _folder(path, out)


def _folder(path: Path, out: str) -> SaveTarget:
    if os.path.lexists(path) and not path.is_dir():
        raise OutputUnwritable(f"--out {out} is a file, not a folder", field="out", limits={"choices": suffixes()})
    return SaveTarget(path, False)


def instead(target: SaveTarget, files: Iterable[dict[str, Any]]) -> SaveTarget | None:
    """The target under the one ending that a job's files have after all; none where there are several of them, or none.

    A stem that goes beyond full scale is a float WAV whatever format was asked for, and that is known only when it has been made.
    """
    endings = {Path(str(entry["name"])).suffix for entry in files if entry.get("role") in SUMMED}
    return target._replace(path=target.path.with_suffix(endings.pop())) if len(endings) == 1 else None


def suffixes() -> list[str]:
    """Endings of the files that are written."""
    return list(dict.fromkeys(entry.suffix for entry in FORMATS.values()))


def check_target(target: SaveTarget, inputs: Iterable[Path]) -> None:
    """Refuse to replace what a job is made from, by whatever name, and any other file without ``--force``. Raises `BadRequest`."""
    if not target.single or not os.path.lexists(target.path):
        return
    for source in inputs:
        if _same(target.path, source):
            raise BadRequest(
                f"{target.path} is a source of the job and is never replaced; use another name", field="out"
            )
    if not target.force:
        raise BadRequest(f"{target.path} exists; --force replaces it", field="out")


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return one.absolute() == other.absolute()


def inputs_of(request: Any) -> Iterator[Path]:
    """Every file of this machine that a request names, wherever it stands in it."""
    if isinstance(request, dict):
        for key, value in request.items():
            if key != "folder":
                yield from inputs_of(value)
    elif isinstance(request, (list, tuple)):
        for value in request:
            yield from inputs_of(value)
    elif isinstance(request, str) and os.path.isabs(request) and "\0" not in request:
        yield Path(request)


def with_format(params: dict[str, Any], target: SaveTarget, fields: Iterable[str]) -> dict[str, Any]:
    """The request with the format that the target's ending asks for. Raises `BadRequest` where the request names another."""
    chosen = next(filter(None, map(format_of_suffix, FAMILIES.get(target.suffix, (target.suffix,)))), "")
    chosen = chosen if target.single else ""
    place = params.get("output") if isinstance(params.get("output"), dict) else params
    assert isinstance(place, dict)
    given = place.get("format") if place is not params or "format" in fields else None
    if not chosen or ("format" not in fields and "stages" not in params):
        return params
    if given is not None:
        known = FORMATS.get(str(given))
        if known is not None and not target.fits(f"x{known.suffix}"):
            raise BadRequest(f"--format {given} and --out {target.path.name} contradict each other", field="out")
        return params
    if FORMATS[chosen].suffix == ".wav":
        return params  # the default, in the depth that the daemon chooses
    if "stages" in params:
        return {**params, "output": {**(params.get("output") or {}), "format": chosen}}
    return {**params, "format": chosen}


def check_returns(target: SaveTarget, request: dict[str, Any]) -> None:
    """Refuse a file name that no file of an accepted render will fit, or several will. Raises `BadRequest`."""
    output = request.get("output")
    if not target.single or not isinstance(output, dict) or not output.get("returns"):
        return
    roles = [*output["returns"]]
    for stage in (request.get("stages") or [])[:-1]:
        roles += stage.get("returns") or []
    source = Path(str((request.get("source") or {}).get("path") or "")).suffix
    if "whole" in roles and not source:
        return  # an upload or a stored result: its kind is the daemon's to know
    names = [name for role in roles for name in _names(role, str(output.get("format")), source)]
    fitting = [name for name in names if target.fits(name)]
    if not fitting:
        have = ", ".join(f"{name.partition('.')[0]} (.{name.partition('.')[2]})" for name in names)
        raise BadRequest(f"--out {target.path.name}: this job makes {have}", field="out")
    count = len(fitting) * int(output.get("variants") or 1)
    if count > 1:
        raise BadRequest(f"there are {count} files; --out {target.path.name} names one, name a folder", field="out")


def _names(role: str, form: str, source: str) -> list[str]:
    """The file that a role becomes, as ``role.ending``, and its copy where the format is a lossy one."""
    if role == "latent":
        return ["latent.latent"]
    written = FORMATS.get(form) or FORMATS["wav"]
    lossy_source = bool(FORMATS[found].exact) if (found := format_of_suffix(source)) else False
    ending = FORMATS[written.exact or written.name].suffix
    if role in FLOATING or (role == "whole" and lossy_source):
        ending = ".wav"
    elif role == "whole":
        ending = source
    return [f"{role}{ending}", *([f"{role}{written.suffix}"] if written.exact else [])]


def place_file(target: SaveTarget, name: str, fetch: Callable[[Path], object]) -> Path:
    """Bring a result file to its place, whole or not at all; ``fetch`` writes it to a draft beside the place.

    In a folder a name that is taken gets a number. Raises `OSError`, and `BadRequest` for a name that appeared meanwhile.
    """
    folder = target.path.parent if target.single else target.path
    folder.mkdir(parents=True, exist_ok=True)
    handle, made = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    os.close(handle)
    draft = Path(made)
    try:
        draft.unlink()  # a download goes on with what is there
        fetch(draft)
        if not target.single:
            return next(place for place in _numbered(folder / name) if _claim(draft, place))
        if target.force:
            draft.replace(target.path)
        elif not _claim(draft, target.path):
            raise BadRequest(f"{target.path} exists; --force replaces it", field="out")
        return target.path
    finally:
        draft.unlink(missing_ok=True)


def _claim(draft: Path, place: Path) -> bool:
    """Give a finished draft its name unless something has it; also against another command at the same moment."""
    try:
        os.link(draft, place)
        return True
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with draft.open("rb") as reading, place.open("xb") as writing:
                shutil.copyfileobj(reading, writing)
            return True
        except FileExistsError:
            return False


def _numbered(path: Path) -> Iterator[Path]:
    """The path, then ``name-2``, ``name-3`` ..."""
    yield path
    number = 2
    while True:
        yield path.with_stem(f"{path.stem}-{number}")
        number += 1
