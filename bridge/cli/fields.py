"""Options from schemas: every field of an operation becomes an option, and the options given become its request.

A field that is there in samples (``start``) and in seconds (``start_seconds``) also takes any way of writing a position
in its plain option. Fields that are not given are not sent, so all defaults are the daemon's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from acestep.api.errors import BadRequest
from acestep.api.limits import MAX_PATH
from acestep.api.positions import LENGTH_FIELDS, POSITION_FIELDS, read_field, read_length
from acestep.api.schema import FieldInfo
from acestep.api.sentences import number
from acestep.conditioning.guide_text import names_file
from bridge.core.naming import names_job

PREFIX = "field_"
"""Before a field's name among the parsed arguments, so that no field meets an option of the command line itself."""

COMMON_OPTIONS = frozenset("help json quiet home connect token start-daemon no-start-daemon".split())
"""Options that every command has."""

OWN_OPTIONS = COMMON_OPTIONS | frozenset("id priority device planner_device detach out force request".split())
"""Options that every operation's command has; a field of such a name is written ``--field-NAME``."""

PATH_GROUPS = frozenset({"source", "audio", "output"})
"""Groups whose long text fields hold nothing but paths; elsewhere (a guide may be a chord line) only an existing file is one."""

HIDDEN_GROUPS = frozenset({"internal"})

TITLES = {
    "main": "operation",
    "source": "source and region (positions: 384000 samples, 12.5s, 1:03.25, bar5)",
    "sound": "saved sound",
    "music": "music",
    "lyrics": "lyrics",
    "output": "output",
    "model": "model",
    "sampling": "sampling",
    "guidance": "guidance",
    "audio": "more audio to listen to",
    "advanced": "advanced",
}
"""Headings of the field groups, in the order in which help shows them; other groups follow under their own names."""

Choices = Callable[[str], Sequence[Any]]


def positional_field(fields: Sequence[FieldInfo]) -> FieldInfo | None:
    """The field that may be given without its option: the source of an operation that has one, else the sentence or caption, else
    the first text that it can't do without."""
    texts = [info for info in fields if info.type == "str"]
    for name in ("source", "query", "caption"):
        for info in texts:
            if info.name == name:
                return info
    return next((info for info in texts if info.required), None)


def add_fields(
    parser: argparse.ArgumentParser, fields: Sequence[FieldInfo], choices: Choices, taken: frozenset[str] = OWN_OPTIONS
) -> None:
    """Add an option for every field, under the heading of its group. ``choices`` gives the values of a named table; a name in
    ``taken`` stands for an option of the command itself."""
    shown = [info for info in fields if info.group not in HIDDEN_GROUPS]
    order = list(TITLES)
    groups = sorted({info.group for info in shown}, key=lambda name: order.index(name) if name in TITLES else 99)
    for group in groups:
        section = parser.add_argument_group(TITLES.get(group, group))
        for info in shown:
            if info.group == group:
                _add_field(section, info, choices, taken)


def takes_text(info: FieldInfo) -> bool:
    """Whether the daemon reads positions or lengths in this field as people write them (`acestep.api.positions`)."""
    return info.name in POSITION_FIELDS | LENGTH_FIELDS and info.unit in ("samples", "s")


def option_name(name: str) -> str:
    """The option of a field."""
    dashed = name.replace("_", "-")
    return f"--field-{dashed}" if dashed in OWN_OPTIONS else f"--{dashed}"


def _names(name: str, taken: frozenset[str]) -> list[str]:
    """The spellings of a field's option: where only operations have an option of its name, that name will do as well."""
    plain, safe = f"--{name.replace('_', '-')}", option_name(name)
    return [safe] if safe == plain or plain.lstrip("-") in taken else [plain, safe]


def _add_field(section: Any, info: FieldInfo, choices: Choices, taken: frozenset[str]) -> None:
    names, positions = _names(info.name, taken), takes_text(info)
    common = {"dest": PREFIX + info.name, "default": argparse.SUPPRESS, "help": help_text(info, choices)}
    if info.type == "bool":
        section.add_argument(*names, action=argparse.BooleanOptionalAction, **common)
        return
    metavar = ("LENGTH" if info.name in LENGTH_FIELDS else "POSITION") if positions else _metavar(info)
    section.add_argument(*names, type=_reader(info, positions), metavar=metavar, **common)


def _metavar(info: FieldInfo) -> str:
    if info.type.startswith("list"):
        return "A,B,..." if info.names is None else "PATH,PATH,..."
    if info.type == "map":
        return "JSON"
    if info.names is not None or (info.max_length == MAX_PATH and info.group in PATH_GROUPS):
        return "PATH"
    return {"s": "TIME"}.get(info.unit or "", (info.unit or info.type).upper())


def _reader(info: FieldInfo, positions: bool) -> Callable[[str], Any]:
    if positions or info.unit == "s":
        return str
    return _READERS.get(info.type, str) if not info.type.startswith("list") else _list_reader(info.type)


def _list_reader(kind: str) -> Callable[[str], Any]:
    inner = _READERS.get(kind[len("list[") : -1], str)

    def items(text: str) -> list[Any]:
        if text.lstrip().startswith("["):
            return _json(text)
        return [inner(part.strip()) for part in text.split(",") if part.strip()]

    return items


def _reading(read: Callable[[str], Any], wanted: str) -> Callable[[str], Any]:
    """A reader whose refusal is a sentence of ours; argparse would name the type."""

    def reader(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None

    return reader


_json = _reading(json.loads, "valid JSON")

_READERS: dict[str, Callable[[str], Any]] = {
    "int": _reading(int, "a whole number"),
    "float": _reading(float, "a number"),
    "str": str,
    "map": _json,
}


def help_text(info: FieldInfo, choices: Choices) -> str:
    """Summary, unit, range, choices, default and hint in one line, safe for argparse's own formatting."""
    facts = []
    if info.unit:
        facts.append(info.unit)
    if info.min is not None or info.max is not None:
        facts.append(f"{_bound(info.min)} to {_bound(info.max)}")
    values = list(info.choices or (choices(info.choices_from) if info.choices_from else ()))
    if values:
        listed = ", ".join(map(str, values[:14])) + (", ..." if len(values) > 14 else "")
        facts.append(listed)
    if info.default not in (None, "", []):
        facts.append(f"default {info.default}")
    text = info.summary + (f" [{'; '.join(facts)}]" if facts else "") + (f" {info.hint}" if info.hint else "")
    return text.replace("%", "%%")


def _bound(value: float | None) -> str:
    return "..." if value is None else number(value)


def read_fields(
    given: dict[str, Any], fields: Sequence[FieldInfo], base: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The request from the parsed arguments (``vars`` of argparse's namespace), which win over those of ``base``.

    Paths become absolute. Positions are checked here and turned into samples by the daemon, which knows the file. Raises
    `ValueError` with a sentence that names the option.
    """
    known = {info.name: info for info in fields}
    values = {name[len(PREFIX) :]: value for name, value in given.items() if name.startswith(PREFIX)}
    request = {name: value for name, value in (base or {}).items() if name.removesuffix("_seconds") not in values}
    for name, value in values.items():
        try:
            request[name] = _read(known[name], value)
        except BadRequest as failure:
            raise ValueError(f"{option_name(name)}: {failure.message}") from None
    for name in values:
        if _musical(known[name], request[name]) and not {"bpm", "tempo_map"} & set(request):
            raise ValueError(f"{option_name(name)}: bars and beats need --bpm or --tempo-map")
    return request


def _read(info: FieldInfo, value: Any) -> Any:
    """A value as it is sent. Raises `BadRequest` for a time that is none."""
    if takes_text(info):
        position = read_field(info.name, value)
        if position.samples is not None:
            return position.samples
        return position.seconds if info.unit == "s" and position.seconds is not None else value
    if info.unit == "s":
        length = read_length(value, field=info.name)
        if length.seconds is None:
            raise BadRequest(f"{value!r} is not taken here; write seconds, such as 12.5s")
        return length.seconds
    if info.names is not None:
        return [_full(text) for text in value] if isinstance(value, list) else _full(value)
    return absolute(info, value) if info.type == "str" else value


def _full(text: str) -> str:
    return str(Path(text).expanduser().absolute()) if text else text


def _musical(info: FieldInfo, value: Any) -> bool:
    """Whether a value is a position or length in bars or beats."""
    return isinstance(value, str) and takes_text(info) and read_field(info.name, value).musical


def _may_name_job(text: str, path: Path) -> bool:
    """Whether a text means a finished job (``take-1``) or one of its files (``take-1/x.wav``), and no file of this folder."""
    if path.exists() or not names_job(text):
        return False
    return not path.parent.is_dir() if "/" in text else "." not in text


def absolute(info: FieldInfo, text: str) -> str:
    """A path field's value as an absolute path: the daemon has another working folder. Other values stay as they are."""
    if info.max_length != MAX_PATH or not text:
        return text
    path = Path(text).expanduser()
    if info.group != "output" and _may_name_job(text, path):
        return text
    file = info.group in PATH_GROUPS or path.is_file() or (info.name == "guide" and names_file(text))
    return str(path.absolute()) if file else text
