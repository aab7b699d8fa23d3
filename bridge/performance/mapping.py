"""The mapping file: which pad, key, pedal or knob does what. TOML in, typed triggers out, errors with line numbers.

```toml
ports = ["Launchpad", "nanoKONTROL"]

[[trigger]]
name = "new drums on the next bar"
on = "note"            # note, cc, cc14, program, chord
channel = 10           # 1 to 16; none: any
low = 36               # pitch range, controller or program numbers
high = 36
action = "submit"      # submit, preset, cancel, launch, stop, capture, record, tap
operation = "generate" # for `preset`: preset = "name of the preset"
slot = 4
release = "nothing"    # nothing, cancel (note off), toggle (second hit)
debounce = 30          # ms

[trigger.params]       # of the operation; values may come from the hit
caption = "tight funk drums under $chord"
seed = "$note"
guidance = { from = "velocity", low = 1.0, high = 7.0 }
```
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.metre import parse_metre
from acestep.api.schema import Request, convert, param
from acestep.api.text import decode_text
from bridge.performance.parameters import check_params
from bridge.performance.timeline import parse_grid
from bridge.toml_file import parse_toml


class TriggerSpec(Request):
    """One entry of the mapping file."""

    on: Annotated[Literal["note", "cc", "cc14", "program", "chord"], param("Kind of message.")]
    action: Annotated[
        Literal["submit", "preset", "cancel", "launch", "stop", "capture", "record", "tap"], param("What it does.")
    ]
    name: Annotated[str, param("A name for people.", max_length=80)] = ""
    channel: Annotated[int, param("MIDI channel; none: any.", ge=1, le=16)] | None = None
    bank: Annotated[int, param("Bank (MSB * 128 + LSB) that must be selected; none: any.", ge=0, le=16_383)] | None = (
        None
    )
    low: Annotated[int, param("Lowest note, controller or program.", ge=0, le=127)] = 0
    high: Annotated[int, param("Highest note, controller or program.", ge=0, le=127)] = 127
    threshold: Annotated[float, param("Controller value at which it fires, 0 to 1.", ge=0.0, le=1.0)] = 0.5
    notes: Annotated[int, param("How many held notes make a chord.", ge=2, le=10)] = 3
    operation: Annotated[str, param("Operation to run.", max_length=60)] = ""
    preset: Annotated[str, param("Preset to run.", max_length=60)] = ""
    params: Annotated[dict[str, Any], param("Parameters; '$velocity' and the like come from the hit.")] = {}
    slot: Annotated[int, param("Slot to fill, launch or stop; -1: counted from `low`.", ge=-1, le=63)] | None = None
    bars: (
        Annotated[int, param("Bars to capture or record (none: 4), or length of the new part.", ge=1, le=64)] | None
    ) = None
    quantise: Annotated[str, param("When: now, beat, bar or 'N bars'.")] = "now"
    release: Annotated[
        Literal["nothing", "cancel", "toggle"],
        param("What happens on release: cancel (note off), toggle (a second hit), or nothing."),
    ] = "nothing"
    debounce: Annotated[float, param("Hits closer together than this count as one.", unit="ms", ge=0.0, le=2_000.0)] = (
        30.0
    )

    @property
    def task(self) -> str:
        """The operation it runs; a preset is an operation of its own name."""
        return self.operation or self.preset


class Mapping(Request):
    """A whole mapping file."""

    trigger: Annotated[list[TriggerSpec], param("The triggers.")] = []
    ports: Annotated[list[str], param("How the names of the input ports begin; empty: every port.")] = []
    feedback: Annotated[
        str, param("How the name of the output port for pad lights and clock begins.", max_length=200)
    ] = ""
    clock: Annotated[bool, param("Send MIDI clock to the feedback port.")] = False
    default_metre: Annotated[str, param("Time signature if no source gives one.", max_length=8)] = "4/4"
    default_bpm: Annotated[float, param("Tempo if no source gives one.", unit="bpm", ge=30.0, le=300.0)] = 120.0


def parse_mapping(text: str, operations: Collection[str] | None = None) -> Mapping:
    """A mapping from TOML text. ``operations`` are the names there are, presets among them (none: names are not looked at).

    Raises `BadRequest`; its message and ``limits["line"]`` name the line at fault.
    """
    data = parse_toml(text)
    entries = data.pop("trigger", [])
    if not isinstance(entries, list):
        raise _at(_key_line(text, "trigger", 0), BadRequest("write triggers as [[trigger]]", field="trigger"))
    try:
        head = convert(data, Mapping)
        parse_metre(head.default_metre, field="default_metre")
    except BadRequest as error:
        raise _at(_key_line(text, (error.field or "").split("[")[0], 0), error) from None
    triggers = [_parse_trigger(text, index, entry, operations) for index, entry in enumerate(entries)]
    return msgspec.structs.replace(head, trigger=triggers)


def load_mapping(path: Path, operations: Collection[str] | None = None) -> Mapping:
    """The mapping in a file. Raises `BadRequest` with the line, or `OSError`."""
    raw = path.read_bytes()
    try:
        return parse_mapping(decode_text(raw), operations)
    except UnicodeDecodeError as failure:
        line = raw.count(b"\n", 0, failure.start) + 1
        raise _at(line, BadRequest("a mapping is UTF-8 text")) from None


def _parse_trigger(text: str, index: int, entry: Any, operations: Collection[str] | None) -> TriggerSpec:
    try:
        trigger = convert(entry, TriggerSpec)
        _check(trigger)
        _check_task(trigger, operations)
    except BadRequest as error:
        raise _at(_key_line(text, (error.field or "").split(".")[0], index + 1), error) from None
    return trigger


def _check(trigger: TriggerSpec) -> None:
    """The rules that involve more than one field."""
    parse_grid(trigger.quantise)
    if trigger.low > trigger.high:
        raise BadRequest("low lies above high", field="low")
    if trigger.action == "launch" and trigger.slot is None:
        raise BadRequest("launch needs a slot", field="slot")
    if trigger.on == "cc14" and trigger.high > 31:
        raise BadRequest("14-bit controllers are 0 to 31", field="high", limits={"max": 31})
    check_params(trigger.params)


def _check_task(trigger: TriggerSpec, operations: Collection[str] | None) -> None:
    """Whether what a trigger runs is named, once, and exists."""
    needed = {"submit": "operation", "preset": "preset"}.get(trigger.action)
    if needed and not getattr(trigger, needed):
        raise BadRequest(f"{trigger.action} needs the name of the {needed}", field=needed)
    if trigger.operation and trigger.preset:
        raise BadRequest("name an operation or a preset, not both", field="preset")
    if trigger.task and operations is not None and trigger.task not in operations:
        raise BadRequest(
            f"there is no operation or preset {trigger.task!r}",
            field="operation" if trigger.operation else "preset",
            limits={"choices": sorted(operations)},
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
