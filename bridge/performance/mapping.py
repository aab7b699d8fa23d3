"""The mapping file: which pad, key, pedal or knob does what. TOML in, typed triggers out, errors with line numbers.

```toml
ports = ["Launchpad", "nanoKONTROL"]

[[trigger]]
name = "new drums on the next bar"
on = "note"            # note, cc, cc14, program, chord
channel = 10           # 1 to 16; none: any
low = 36               # pitch range, controller or program numbers
high = 36
action = "launch"      # submit, preset, cancel, launch, stop, capture, tap
slot = 4
quantise = "bar"
release = "nothing"    # nothing, cancel (note off), toggle (second hit)
debounce = 30          # ms

[trigger.params]       # of the operation; values may come from the hit
caption = "tight funk drums"
seed = "$note"
```
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.schema import Request, convert, param
from bridge.performance.timeline import parse_grid

VARIABLES = ("note", "velocity", "value", "program", "channel", "chord", "key", "bpm")
"""What a parameter may take from the hit, written ``$velocity``; ``value`` is a controller's 0 to 1."""

_LINE = re.compile(r"at line (\d+)")


class TriggerSpec(Request):
    """One entry of the mapping file."""

    on: Annotated[Literal["note", "cc", "cc14", "program", "chord"], param("Kind of message.")]
    action: Annotated[Literal["submit", "preset", "cancel", "launch", "stop", "capture", "tap"], param("What it does.")]
    name: Annotated[str, param("A name for people.", max_length=80)] = ""
    channel: Annotated[int, param("MIDI channel; none: any.", ge=1, le=16)] | None = None
    bank: Annotated[int, param("Bank (MSB * 128 + LSB) that must be selected; none: any.", ge=0, le=16_383)] | None = (
        None
    )
    low: Annotated[int, param("Lowest pitch, controller or program.", ge=0, le=127)] = 0
    high: Annotated[int, param("Highest pitch, controller or program.", ge=0, le=127)] = 127
    threshold: Annotated[float, param("Controller value at which it fires, 0 to 1.", ge=0.0, le=1.0)] = 0.5
    notes: Annotated[int, param("Held notes that make a chord.", ge=2, le=10)] = 3
    operation: Annotated[str, param("Operation or preset to run.", max_length=60)] = ""
    params: Annotated[dict[str, Any], param("Parameters; '$velocity' and the like come from the hit.")] = {}
    slot: (
        Annotated[int, param("Slot to fill, launch or stop; -1: the pitch counted from `low`.", ge=-1, le=63)] | None
    ) = None
    bars: Annotated[int, param("Bars to capture.", ge=1, le=64)] = 4
    quantise: Annotated[str, param("When: now, beat, bar or 'N bars'.")] = "now"
    release: Annotated[
        Literal["nothing", "cancel", "toggle"], param("What a note off (cancel) or a second hit (toggle) does.")
    ] = "nothing"
    debounce: Annotated[float, param("Hits closer than this are one.", unit="ms", ge=0.0, le=2_000.0)] = 30.0


class Mapping(Request):
    """A whole mapping file."""

    trigger: Annotated[list[TriggerSpec], param("The entries.")] = []
    ports: Annotated[list[str], param("Beginnings of the input port names; empty: every port.")] = []
    feedback: Annotated[str, param("Beginning of the output port name for pad lights and clock.")] = ""
    default_bpm: Annotated[float, param("Tempo when nothing else is known.", unit="bpm", ge=30.0, le=300.0)] = 120.0


def parse_mapping(text: str) -> Mapping:
    """A mapping from TOML text.

    Raises `BadRequest`; its message and ``limits["line"]`` name the line at fault.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        found = _LINE.search(str(failure))
        raise _at(int(found.group(1)) if found else 1, BadRequest(f"the mapping is no valid TOML: {failure}")) from None
    entries = data.pop("trigger", [])
    if not isinstance(entries, list):
        raise _at(_key_line(text, "trigger", 0), BadRequest("write triggers as [[trigger]]", field="trigger"))
    try:
        head = convert(data, Mapping)
    except BadRequest as error:
        raise _at(_key_line(text, (error.field or "").split("[")[0], 0), error) from None
    triggers = [_parse_trigger(text, index, entry) for index, entry in enumerate(entries)]
    return msgspec.structs.replace(head, trigger=triggers)


def load_mapping(path: Path) -> Mapping:
    """The mapping in a file. Raises `BadRequest` with the line, or `OSError`."""
    return parse_mapping(path.read_text(encoding="utf-8"))


def _parse_trigger(text: str, index: int, entry: Any) -> TriggerSpec:
    try:
        trigger = convert(entry, TriggerSpec)
        _check(trigger)
    except BadRequest as error:
        raise _at(_key_line(text, (error.field or "").split(".")[0], index + 1), error) from None
    return trigger


def _check(trigger: TriggerSpec) -> None:
    """The rules that involve more than one field."""
    parse_grid(trigger.quantise)
    if trigger.low > trigger.high:
        raise BadRequest("low lies above high", field="low")
    if trigger.action in ("submit", "preset") and not trigger.operation:
        raise BadRequest(f"{trigger.action} needs the name of an operation", field="operation")
    if trigger.action == "launch" and trigger.slot is None:
        raise BadRequest("launch needs a slot", field="slot")
    if trigger.on == "cc14" and trigger.high > 31:
        raise BadRequest("14-bit controllers are 0 to 31", field="high", limits={"max": 31})
    for name, value in trigger.params.items():
        if isinstance(value, str) and value.startswith("$") and value[1:] not in VARIABLES:
            raise BadRequest(
                f"{name}: there is no {value}; a hit knows {', '.join('$' + v for v in VARIABLES)}",
                field="params",
                limits={"choices": list(VARIABLES)},
            )


def _key_line(text: str, key: str, entry: int) -> int:
    """The line (from 1) of a key inside the n-th ``[[trigger]]`` (0: before the first); the entry's own line if not found."""
    section, head = 0, 1
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.strip()
        if plain.replace(" ", "").startswith("[[trigger]]"):
            section += 1
            head = number if section == entry else head
        elif section == entry and key and re.match(rf"(\[trigger\.)?[\"']?{re.escape(key)}[\"']?\s*(=|\])", plain):
            return number
    return head


def _at(line: int, error: BadRequest) -> BadRequest:
    error.message = f"line {line}: {error.message}"
    error.args = (error.message,)
    error.limits = {**error.limits, "line": line}
    return error
