"""Methods about musical time and MIDI, and the state of everything that plays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from acestep.api import limits
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.doors.method import Ability, Nothing, method
from bridge.doors.method_context import MethodContext

if TYPE_CHECKING:
    from bridge.performance.performance import Performance
    from bridge.performance.timeline import Timeline

TIME = ("bpm", "beat", "metre")
"""Fields of `InTime`, as OSC arguments give them."""

COLUMNS = (*TIME, "source")
"""What OSC says of the current tempo."""

Quantise = Annotated[str, param("When: now, beat, bar or 'N bars'.", max_length=16, example="bar")]
Tempo = Annotated[
    float,
    param("Quarter notes per minute.", unit="bpm", ge=limits.BPM_RANGE[0], le=limits.BPM_RANGE[1], example=96.5),
]


class InTime(Request):
    """Something that happens in time. What it does not say of the time is taken from whatever rules."""

    bpm: Tempo | None = None
    beat: (
        Annotated[float, param("Current position in the song, in quarter notes.", unit="beats", example=0.0)] | None
    ) = None
    metre: Annotated[str, param("Time signature; empty: the current one.", max_length=8, example="3/4")] = ""

    def timeline(self, performance: Performance) -> Timeline | None:
        """The time that is asked for; none: the current one."""
        return performance.tempo.asked(self.bpm, self.beat, self.metre)


@method(
    "performance",
    osc="/ace/performance",
    right=Right.OWNER,
    reads=True,
    answer="State of sound, capture, MIDI, mapping and tempo.",
)
async def performance_state(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """Sound card, capture, MIDI, mapping and tempo: what there is and what is missing."""
    return context.performance.state()


@method(
    "tempo.get",
    osc="/ace/tempo",
    right=Right.OWNER,
    reads=True,
    columns=COLUMNS,
    answer="Tempo, position, metre, where it comes from.",
    command="tempo get",
)
async def tempo(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """The current tempo and song position."""
    return context.performance.tempo.state()


class HostTempo(Request):
    """The host's tempo and where its song stands at this moment."""

    bpm: Tempo
    beat: Annotated[float, param("Song position in quarter notes.", unit="beats", example=0.0)] = 0.0
    metre: Annotated[str, param("Time signature.", max_length=8, example="4/4")] = "4/4"
    running: Annotated[bool, param("Whether the song is playing.", example=True)] = True


@method(
    "tempo.host",
    osc="/ace/tempo/host",
    right=Right.OWNER,
    positional=(*TIME, "running"),
    columns=COLUMNS,
    answer="The current tempo.",
    command="tempo host",
)
async def follow_host(context: MethodContext, request: HostTempo) -> dict[str, Any]:
    """Follow the host: its tempo, and where its song stands now."""
    return context.performance.set_host(request.bpm, request.beat, request.metre, request.running)


@method(
    "tempo.free",
    osc="/ace/tempo/free",
    right=Right.OWNER,
    columns=COLUMNS,
    answer="The current tempo.",
    command="tempo free",
)
async def forget_host(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """Follow the host no longer."""
    return context.performance.forget_host()


@method(
    "tempo.tap",
    osc="/ace/tempo/tap",
    right=Right.OWNER,
    columns=COLUMNS,
    answer="The current tempo.",
    command="tempo tap",
)
async def tap(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """A tap on the beat."""
    return context.performance.tap()


class SendClock(Request):
    """Whether MIDI clock is sent."""

    on: Annotated[bool, param("Send MIDI clock to the feedback port of the mapping.", example=True)] = True


@method(
    "midi.clock",
    osc="/ace/midi/clock",
    right=Right.OWNER,
    positional=("on",),
    columns=("output", "open", "problem"),
    answer="The feedback port, or what is missing.",
    command="midi clock",
)
async def send_clock(context: MethodContext, request: SendClock) -> dict[str, Any]:
    """Send MIDI clock to the feedback port of the mapping, or stop doing so."""
    return context.performance.feedback.send_clock(request.on)


class Learn(Request):
    """How long to wait for a hit."""

    timeout: Annotated[float, param("Longest time to wait.", unit="s", ge=0.1, le=60.0, example=30.0)] = 30.0


@method(
    "midi.learn",
    right=Right.OWNER,
    reads=True,
    needs=Ability.TIME,
    answer="Kind, channel, number, port, and the lines for the mapping file.",
    command="midi learn",
)
async def learn(context: MethodContext, request: Learn) -> dict[str, Any]:
    """Wait for the next hit and say how a mapping names it."""
    return await context.performance.learn(request.timeout)
