"""MIDI learn: from a hit to the lines a mapping file needs for it."""

from __future__ import annotations

from typing import Any

import msgspec


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """How a mapping names a hit; ``toml`` is ready to paste, its action is for the user to fill in."""

    on: str
    channel: int
    number: int
    port: str
    toml: str


def describe_hit(message: Any, port: str) -> Learned | None:
    """What a mapping would call this message; none for messages no trigger listens to (note off, clock ...)."""
    if message.type == "note_on" and message.velocity > 0:
        on, number = "note", message.note
    elif message.type == "control_change":
        on, number = "cc", message.control
    elif message.type == "program_change":
        on, number = "program", message.program
    else:
        return None
    toml = (
        f'[[trigger]]\non = "{on}"\nchannel = {message.channel + 1}\nlow = {number}\nhigh = {number}\n'
        'action = "launch"\nslot = 0\nquantise = "bar"\n'
    )
    return Learned(on=on, channel=message.channel + 1, number=number, port=port, toml=toml)
