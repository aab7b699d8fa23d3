"""What the verbs of playing take and do: slots, capture, tempo, MIDI. The table in `bridge.doors.table` names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from acestep.api import limits
from acestep.api.errors import Unavailable
from acestep.api.schema import Request, param

if TYPE_CHECKING:
    from bridge.doors.dispatch import Caller, Dispatcher
    from bridge.performance.performance import Performance

SlotNumber = Annotated[int, param("Number of the slot.", unit="slot", ge=0, le=63, example=4)]
Quantise = Annotated[str, param("When: now, beat, bar or 'N bars'.", max_length=16, example="bar")]
Gain = Annotated[float, param("Linear gain.", unit="ratio", ge=0.0, le=4.0, example=1.0)]


class Looping(Request):
    """How a slot plays."""

    gain: Gain = 1.0
    loop: Annotated[bool, param("Repeat until stopped; off plays once.", example=True)] = True
    loop_length: (
        Annotated[int, param("Period of the loop; none: all of the file.", unit="samples", ge=1, example=96000)] | None
    ) = None
    crossfade: Annotated[
        int, param("What lies behind the loop fades out under its beginning.", unit="samples", ge=0, example=480)
    ] = 0
    choke: Annotated[
        int, param("Slots of one group (not 0) cut each other off.", unit="group", ge=0, le=64, example=1)
    ] = 0


class LoadSlot(Looping, kw_only=True):
    """A file into a slot."""

    slot: SlotNumber
    path: Annotated[str, param("Audio file.", max_length=limits.MAX_PATH, example="/home/me/loop.wav")]


class FillSlot(Looping, kw_only=True):
    """A job whose results wait in a slot."""

    slot: SlotNumber
    operation: Annotated[str, param("Operation to run.", max_length=64, example="generate")]
    params: Annotated[dict, param("Its parameters.", example={"caption": "dub techno", "duration": 8.0})] = {}
    id: Annotated[str, param("Id of the job; empty: the daemon makes one.", max_length=64, example="fill-1")] = ""


class LaunchSlot(Request):
    """A slot to start."""

    slot: SlotNumber
    quantise: Quantise = "bar"


class StopSlot(Request):
    """A slot to stop."""

    slot: Annotated[int, param("Number of the slot; -1: all.", unit="slot", ge=-1, le=63, example=4)] = -1
    quantise: Quantise = "now"


class SlotGain(Request):
    """A slot's gain."""

    slot: SlotNumber
    gain: Gain


class SlotVariant(Request):
    """Which of a slot's variants the next launch plays."""

    slot: SlotNumber
    variant: Annotated[int, param("Index of the variant.", unit="variant", ge=0, le=63, example=1)]


class TakeBars(Request):
    """How much of the input to keep."""

    bars: Annotated[int, param("Whole bars, up to the bar line just passed.", unit="bars", ge=1, le=64, example=4)] = 4
    name: Annotated[str, param("Stem of the file's name.", max_length=64, example="riff")] = ""


class HostTempo(Request):
    """The host's tempo and where its song stands at this moment."""

    bpm: Annotated[
        float,
        param("Quarter notes a minute.", unit="bpm", ge=limits.BPM_RANGE[0], le=limits.BPM_RANGE[1], example=96.5),
    ]
    beat: Annotated[float, param("Song position in quarter notes.", unit="beats", example=0.0)] = 0.0
    metre: Annotated[str, param("Time signature.", max_length=8, example="4/4")] = "4/4"
    running: Annotated[bool, param("Whether the song runs.", example=True)] = True


class Learn(Request):
    """How long to wait for a hit."""

    timeout: Annotated[float, param("Longest time to wait.", unit="s", ge=0.1, le=60.0, example=30.0)] = 30.0


def performance(desk: Dispatcher) -> Performance:
    """The daemon's performance part. Raises `Unavailable` when it is off."""
    found: Performance | None = getattr(desk.core, "performance", None)
    if found is None:
        raise Unavailable("playing is off; start the daemon with --performance or set performance = true")
    return found


def _loop(request: Looping) -> dict[str, Any]:
    return {
        "gain": request.gain,
        "loop": request.loop,
        "length": request.loop_length,
        "crossfade": request.crossfade,
        "choke": request.choke,
    }


async def load_slot(desk: Dispatcher, caller: Caller, request: LoadSlot) -> dict[str, Any]:
    """Put a file into a slot; it must lie inside the readable roots."""
    path = desk.core.readable(request.path)
    return await performance(desk).slots.load(request.slot, str(path), **_loop(request))


async def fill_slot(desk: Dispatcher, caller: Caller, request: FillSlot) -> dict[str, Any]:
    """Ask for a part ahead of time."""
    accepted = await performance(desk).slots.fill(
        request.slot, request.operation, request.params, request.id, **_loop(request)
    )
    return msgspec.to_builtins(accepted)


async def launch_slot(desk: Dispatcher, caller: Caller, request: LaunchSlot) -> dict[str, Any]:
    """Start a slot on the grid."""
    return await performance(desk).slots.launch(request.slot, request.quantise)


async def stop_slot(desk: Dispatcher, caller: Caller, request: StopSlot) -> dict[str, Any]:
    """Stop a slot, or all."""
    return await performance(desk).slots.stop(None if request.slot < 0 else request.slot, request.quantise)


async def gain_slot(desk: Dispatcher, caller: Caller, request: SlotGain) -> dict[str, Any]:
    """Change a slot's gain."""
    return await performance(desk).slots.gain(request.slot, request.gain)


async def choose_variant(desk: Dispatcher, caller: Caller, request: SlotVariant) -> dict[str, Any]:
    """Choose what the next launch plays."""
    return await performance(desk).slots.choose_variant(request.slot, request.variant)


async def list_slots(desk: Dispatcher, caller: Caller, request: Request) -> list[dict[str, Any]]:
    """The slots that hold or await something."""
    return performance(desk).slots.state()


async def take_bars(desk: Dispatcher, caller: Caller, request: TakeBars) -> dict[str, Any]:
    """Keep the last bars of the input."""
    return await performance(desk).take(request.bars, request.name)


async def performance_status(desk: Dispatcher, caller: Caller, request: Request) -> dict[str, Any]:
    """Sound, capture, MIDI, mapping and tempo."""
    return performance(desk).state()


async def set_tempo(desk: Dispatcher, caller: Caller, request: HostTempo) -> dict[str, Any]:
    """Follow the host."""
    return performance(desk).tempo.set_host(request.bpm, request.beat, request.metre, request.running)


async def forget_tempo(desk: Dispatcher, caller: Caller, request: Request) -> dict[str, Any]:
    """Follow the host no longer."""
    return performance(desk).tempo.forget_host()


async def tap_tempo(desk: Dispatcher, caller: Caller, request: Request) -> dict[str, Any]:
    """A tap on the beat."""
    return performance(desk).tempo.tap()


async def get_tempo(desk: Dispatcher, caller: Caller, request: Request) -> dict[str, Any]:
    """The ruling tempo."""
    return performance(desk).tempo.state()


async def learn_hit(desk: Dispatcher, caller: Caller, request: Learn) -> dict[str, Any]:
    """Wait for a hit and say how a mapping names it."""
    return await performance(desk).learn(request.timeout)
