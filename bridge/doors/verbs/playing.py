"""Verbs of playing: slots, capture, tempo, MIDI."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from acestep.api.errors import Unavailable
from acestep.api.rights import Right
from bridge.core.limited import in_thread
from bridge.doors import playing, requests
from bridge.doors.desk import Caller, Desk
from bridge.doors.verb import ALL, RPC, Verb

if TYPE_CHECKING:
    from bridge.performance.performance import Performance
    from bridge.performance.timeline import Timeline


def stage(desk: Desk) -> Performance:
    """The daemon's performance part. Raises `Unavailable` when it is off."""
    found: Performance | None = getattr(desk.core, "performance", None)
    if found is None:
        raise Unavailable("playing is off; start the daemon with --performance or set performance = true")
    return found


def _do(work: Callable[[Performance, Any], Any]) -> Callable[..., Awaitable[Any]]:
    """A verb's call: what the performance part does with the request, at once or later."""

    async def call(desk: Desk, caller: Caller, request: msgspec.Struct) -> Any:
        answer = work(stage(desk), request)
        return await answer if inspect.isawaitable(answer) else answer

    return call


def _loop(request: playing.Looping) -> dict[str, Any]:
    """How a slot plays, in the words of the player."""
    return {
        "gain": request.gain,
        "loop": request.loop,
        "length": request.loop_length,
        "crossfade": request.crossfade,
        "choke": request.choke,
    }


def _asked(here: Performance, request: playing.InTime) -> Timeline | None:
    return here.tempo.asked(request.bpm, request.beat, request.metre)


def _number(slot: int) -> int | None:
    return None if slot < 0 else slot


async def _load(desk: Desk, caller: Caller, request: playing.LoadSlot) -> dict[str, Any]:
    """The file must be one that the caller may have read."""
    path = await in_thread(desk.core.readable, request.path, caller.access)
    return await stage(desk).slots.load(request.slot, str(path), **_loop(request))


async def _fill(desk: Desk, caller: Caller, request: playing.FillSlot) -> dict[str, Any]:
    """Whoever asks for a part hears of its job, as with any other submit."""
    accepted = await stage(desk).slots.fill(
        request.slot, request.operation, request.params, request.id, request.bars, **_loop(request)
    )
    if caller.door == "osc":  # over the others a client asks for events by itself
        caller.follow(accepted.id, accepted.seq)
    return msgspec.to_builtins(accepted)


def _take(here: Performance, request: playing.TakeBars) -> Awaitable[dict[str, Any]]:
    then = here.onward(request.operation, request.params, _number(request.slot))
    return here.take(request.bars, request.name, asked=_asked(here, request), then=then)


def _record(here: Performance, request: playing.RecordBars) -> dict[str, Any]:
    then = here.onward(request.operation, request.params, _number(request.slot))
    return here.capture.record(request.bars, request.quantise, request.name, asked=_asked(here, request), then=then)


_RECORDING = ("state", "in", "left", "path", "frames", "rate", "bpm", "bars", "error")
_TEMPO = ("bpm", "beat", "metre", "source")
_TIME = ("bpm", "beat", "metre")

VERBS = (
    Verb(
        name="performance",
        summary="Sound card, capture, MIDI, mapping and tempo: what there is and what is missing.",
        request=requests.Nothing,
        right=Right.OWNER,
        call=_do(lambda here, request: here.state()),
        doors=ALL,
        osc="/ace/performance",
        answer="State of sound, capture, MIDI, mapping and tempo.",
    ),
    Verb(
        name="slot.load",
        summary="Put an audio file into a slot.",
        request=playing.LoadSlot,
        right=Right.OWNER,
        call=_load,
        doors=ALL,
        osc="/ace/slot/load",
        positional=("slot", "path", "loop_length", "crossfade", "choke", "gain"),
        answer="The slot.",
        command="slot load",
    ),
    Verb(
        name="slot.fill",
        summary="Ask for a part ahead of time; its variants wait in the slot.",
        request=playing.FillSlot,
        right=Right.OWNER,
        call=_fill,
        doors=ALL,
        osc="/ace/slot/fill",
        positional=("slot", "operation", "params", "bars", "id"),
        columns=("id", "seq", "position"),
        speed="job",
        answer="Id, seq and place in the queue.",
        command="slot fill",
    ),
    Verb(
        name="slot.launch",
        summary="Start a slot on the next beat, bar or bars.",
        request=playing.LaunchSlot,
        right=Right.OWNER,
        call=_do(lambda here, request: here.slots.launch(request.slot, request.quantise, _asked(here, request))),
        doors=ALL,
        osc="/ace/slot/launch",
        positional=("slot", "quantise", *_TIME),
        columns=("slot", "in", "late", "beat", "path"),
        answer="In how many seconds and on which beat it is heard, and its file.",
        command="slot launch",
    ),
    Verb(
        name="slot.stop",
        summary="Stop a slot, or all.",
        request=playing.StopSlot,
        right=Right.OWNER,
        call=_do(lambda here, request: here.slots.stop(_number(request.slot), request.quantise, _asked(here, request))),
        doors=ALL,
        osc="/ace/slot/stop",
        positional=("slot", "quantise", *_TIME),
        columns=("slot", "in", "beat"),
        answer="In how many seconds and on which beat it ends.",
        command="slot stop",
    ),
    Verb(
        name="slot.gain",
        summary="Change a slot's gain at once.",
        request=playing.SlotGain,
        right=Right.OWNER,
        call=_do(lambda here, request: here.slots.gain(request.slot, request.gain)),
        doors=ALL,
        osc="/ace/slot/gain",
        positional=("slot", "gain"),
        columns=("slot", "gain"),
        answer="Slot and gain.",
        command="slot gain",
    ),
    Verb(
        name="slot.variant",
        summary="Choose the variant that the next launch plays.",
        request=playing.SlotVariant,
        right=Right.OWNER,
        call=_do(lambda here, request: here.slots.choose_variant(request.slot, request.variant)),
        doors=ALL,
        osc="/ace/slot/variant",
        positional=("slot", "variant"),
        columns=("slot", "chosen", "state"),
        answer="The slot.",
        command="slot variant",
    ),
    Verb(
        name="slot.list",
        summary="The slots that hold or await something.",
        request=requests.Nothing,
        right=Right.OWNER,
        call=_do(lambda here, request: here.slots.state()),
        doors=ALL,
        osc="/ace/slot/list",
        columns=("slot", "state", "chosen", "playing"),
        answer="A row for each such slot.",
        command="slot list",
    ),
    Verb(
        name="capture.take",
        summary="Keep the last bars of the input as a file that begins and ends on bar lines; with an operation, go on with it.",
        request=playing.TakeBars,
        right=Right.OWNER,
        call=_do(_take),
        doors=ALL,
        osc="/ace/capture/take",
        positional=("bars", "name", "operation", "params", "slot"),
        columns=("path", "frames", "rate", "bpm", "bars", "job"),
        answer="Path, length, rate and tempo of the file, and the job that goes on with it.",
        command="capture take",
    ),
    Verb(
        name="capture.record",
        summary="Record from the next beat, bar or bars on, for so many bars; with an operation, go on with the file.",
        request=playing.RecordBars,
        right=Right.OWNER,
        call=_do(_record),
        doors=ALL,
        osc="/ace/capture/record",
        positional=("bars", "quantise", "name", "operation", "params", "slot"),
        columns=_RECORDING,
        answer="Where the recording stands; `in` and `left` are seconds to its beginning and end.",
        command="capture record",
    ),
    Verb(
        name="capture.wait",
        summary="Wait until the recording has ended.",
        request=playing.WaitForRecording,
        right=Right.OWNER,
        call=_do(lambda here, request: here.capture.wait(request.timeout)),
        doors=ALL,
        osc="/ace/capture/wait",
        positional=("timeout",),
        columns=_RECORDING,
        answer="The file, or where the recording stands after that time.",
        command="capture wait",
    ),
    Verb(
        name="capture.cancel",
        summary="End an open recording without a file.",
        request=requests.Nothing,
        right=Right.OWNER,
        call=_do(lambda here, request: here.capture.cancel()),
        doors=ALL,
        osc="/ace/capture/cancel",
        columns=_RECORDING,
        answer="Where the recording stands.",
        command="capture cancel",
    ),
    Verb(
        name="tempo.get",
        summary="The ruling tempo and song position.",
        request=requests.Nothing,
        right=Right.OWNER,
        call=_do(lambda here, request: here.tempo.state()),
        doors=ALL,
        osc="/ace/tempo",
        columns=_TEMPO,
        answer="Tempo, position, metre, where it comes from.",
        command="tempo get",
    ),
    Verb(
        name="tempo.host",
        summary="Follow the host: its tempo, and where its song stands now.",
        request=playing.HostTempo,
        right=Right.OWNER,
        call=_do(
            lambda here, request: here.set_host(request.bpm, request.beat, request.metre, request.running),
        ),
        doors=ALL,
        osc="/ace/tempo/host",
        positional=(*_TIME, "running"),
        columns=_TEMPO,
        answer="The ruling tempo.",
        command="tempo host",
    ),
    Verb(
        name="tempo.free",
        summary="Follow the host no longer.",
        request=requests.Nothing,
        right=Right.OWNER,
        call=_do(lambda here, request: here.forget_host()),
        doors=ALL,
        osc="/ace/tempo/free",
        columns=_TEMPO,
        answer="The ruling tempo.",
        command="tempo free",
    ),
    Verb(
        name="tempo.tap",
        summary="A tap on the beat.",
        request=requests.Nothing,
        right=Right.OWNER,
        call=_do(lambda here, request: here.tap()),
        doors=ALL,
        osc="/ace/tempo/tap",
        columns=_TEMPO,
        answer="The ruling tempo.",
        command="tempo tap",
    ),
    Verb(
        name="midi.clock",
        summary="Send MIDI clock to the feedback port of the mapping, or stop doing so.",
        request=playing.SendClock,
        right=Right.OWNER,
        call=_do(lambda here, request: here.feedback.send_clock(request.on)),
        doors=ALL,
        osc="/ace/midi/clock",
        positional=("on",),
        columns=("output", "open", "problem"),
        answer="The feedback port, and what is missing.",
        command="midi clock",
    ),
    Verb(
        name="midi.learn",
        summary="Wait for the next hit and say how a mapping names it.",
        request=playing.Learn,
        right=Right.OWNER,
        call=_do(lambda here, request: here.learn(request.timeout)),
        doors=RPC,
        answer="Kind, channel, number, port, and lines for the mapping file.",
        command="midi learn",
    ),
)
