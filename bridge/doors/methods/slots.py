"""Methods about slots: what is loaded, launched and stopped in time."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from acestep.api import limits
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.limited import in_thread
from bridge.doors.method import Nothing, method
from bridge.doors.method_context import MethodContext
from bridge.doors.methods.tempo import TIME, InTime, Quantise

SlotNumber = Annotated[int, param("Number of the slot.", unit="slot", ge=0, le=63, example=4)]
Gain = Annotated[float, param("Linear gain.", unit="ratio", ge=0.0, le=4.0, example=1.0)]


class Looping(Request):
    """How a slot plays."""

    gain: Gain = 1.0
    loop: Annotated[bool, param("Repeat until stopped; off: play once.", example=True)] = True
    loop_length: (
        Annotated[int, param("Length of the loop; none: the whole file.", unit="samples", ge=1, example=96000)] | None
    ) = None
    crossfade: Annotated[
        int,
        param(
            "How long the audio after the loop's end fades out under its beginning.", unit="samples", ge=0, example=480
        ),
    ] = 0
    choke: Annotated[
        int, param("Slots in the same group (not 0) cut each other off.", unit="group", ge=0, le=64, example=1)
    ] = 0

    @property
    def for_player(self) -> dict[str, Any]:
        """The same in the words of the player."""
        return {
            "gain": self.gain,
            "loop": self.loop,
            "length": self.loop_length,
            "crossfade": self.crossfade,
            "choke": self.choke,
        }


class LoadSlot(Looping, kw_only=True):
    """A file into a slot."""

    slot: SlotNumber
    path: Annotated[str, param("Audio file.", max_length=limits.MAX_PATH, example="/home/me/loop.wav")]


@method(
    "slot.load",
    osc="/ace/slot/load",
    right=Right.OWNER,
    positional=("slot", "path", "loop_length", "crossfade", "choke", "gain"),
    answer="The slot.",
    command="slot load",
)
async def load(context: MethodContext, request: LoadSlot) -> dict[str, Any]:
    """Put an audio file into a slot.

    The file must be one that the caller may have read.
    """
    path = await in_thread(context.core.readable, request.path, context.access)
    return await context.performance.slots.load(request.slot, str(path), **request.for_player)


class FillSlot(Looping, kw_only=True):
    """A job whose results wait in a slot."""

    slot: SlotNumber
    operation: Annotated[str, param("Operation to run.", max_length=64, example="generate")]
    params: Annotated[dict, param("Its parameters.", example={"caption": "dub techno", "duration": 8.0})] = {}
    id: Annotated[str, param("Id of the job; empty: the daemon makes one.", max_length=64, example="fill-1")] = ""
    bars: Annotated[
        int, param("Length of the part in bars; 0: from the parameters.", unit="bars", ge=0, le=64, example=4)
    ] = 0


@method(
    "slot.fill",
    osc="/ace/slot/fill",
    right=Right.OWNER,
    positional=("slot", "operation", "params", "bars", "id"),
    columns=("id", "seq", "position"),
    fast=False,
    answer="Id, seq and place in the queue.",
    command="slot fill",
)
async def fill(context: MethodContext, request: FillSlot) -> dict[str, Any]:
    """Ask for a part ahead of time; its variants wait in the slot."""
    accepted = await context.performance.slots.fill(
        request.slot, request.operation, request.params, request.id, request.bars, **request.for_player
    )
    if context.caller.door == "osc":  # at the other doors a client subscribes to events itself
        context.caller.follow(accepted.id, accepted.seq)
    return dict(msgspec.to_builtins(accepted))


class LaunchSlot(InTime, kw_only=True):
    """A slot to start."""

    slot: SlotNumber
    quantise: Quantise = "bar"


@method(
    "slot.launch",
    osc="/ace/slot/launch",
    right=Right.OWNER,
    positional=("slot", "quantise", *TIME),
    columns=("slot", "in", "late", "beat", "path"),
    answer="When it will be heard (seconds from now, and beat), and its file.",
    command="slot launch",
)
async def launch(context: MethodContext, request: LaunchSlot) -> dict[str, Any]:
    """Start a slot on the next beat, bar or bars."""
    performance = context.performance
    return await performance.slots.launch(request.slot, request.quantise, request.timeline(performance))


class StopSlot(InTime, kw_only=True):
    """A slot to stop."""

    slot: Annotated[int, param("Number of the slot; -1: all.", unit="slot", ge=-1, le=63, example=4)] = -1
    quantise: Quantise = "now"


@method(
    "slot.stop",
    osc="/ace/slot/stop",
    right=Right.OWNER,
    positional=("slot", "quantise", *TIME),
    columns=("slot", "in", "beat"),
    answer="When it will end (seconds from now, and beat).",
    command="slot stop",
)
async def stop(context: MethodContext, request: StopSlot) -> dict[str, Any]:
    """Stop a slot, or all."""
    performance = context.performance
    slot = None if request.slot < 0 else request.slot
    return await performance.slots.stop(slot, request.quantise, request.timeline(performance))


class SlotGain(Request):
    """A slot's gain."""

    slot: SlotNumber
    gain: Gain


@method(
    "slot.gain",
    osc="/ace/slot/gain",
    right=Right.OWNER,
    positional=("slot", "gain"),
    columns=("slot", "gain"),
    answer="Slot and gain.",
    command="slot gain",
)
async def set_gain(context: MethodContext, request: SlotGain) -> dict[str, Any]:
    """Change a slot's gain at once."""
    return await context.performance.slots.gain(request.slot, request.gain)


class SlotVariant(Request):
    """Which of a slot's variants the next launch plays."""

    slot: SlotNumber
    variant: Annotated[int, param("Index of the variant.", unit="variant", ge=0, le=63, example=1)]


@method(
    "slot.variant",
    osc="/ace/slot/variant",
    right=Right.OWNER,
    positional=("slot", "variant"),
    columns=("slot", "chosen", "state"),
    answer="The slot.",
    command="slot variant",
)
async def choose_variant(context: MethodContext, request: SlotVariant) -> dict[str, Any]:
    """Choose the variant that the next launch plays."""
    return await context.performance.slots.choose_variant(request.slot, request.variant)


@method(
    "slot.list",
    osc="/ace/slot/list",
    right=Right.OWNER,
    reads=True,
    columns=("slot", "state", "chosen", "playing"),
    answer="One row per slot.",
    command="slot list",
)
async def list_slots(context: MethodContext, request: Nothing) -> list[dict[str, Any]]:
    """The slots that hold or await something."""
    return context.performance.slots.state()
