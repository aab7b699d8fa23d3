"""Methods about the input: keeping the last bars, recording the next ones, and making a job of either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.doors.method import Nothing, method
from bridge.doors.method_context import MethodContext
from bridge.doors.methods.tempo import InTime, Quantise

if TYPE_CHECKING:
    from bridge.performance.capture import Then
    from bridge.performance.performance import Performance

COLUMNS = ("state", "in", "left", "path", "frames", "rate", "bpm", "bars", "error")
"""What OSC says of a recording."""

Bars = Annotated[int, param("Number of whole bars.", unit="bars", ge=1, le=64, example=4)]
Stem = Annotated[str, param("Name of the file, without its ending.", max_length=64, example="riff")]


class Onward(InTime, kw_only=True):
    """What happens with captured audio: with an operation it becomes that operation's source at once."""

    operation: Annotated[
        str, param("Operation to run with the recording as its source; empty: none.", max_length=64, example="complete")
    ] = ""
    params: Annotated[dict, param("The operation's other parameters.", example={"tracks": ["drums"]})] = {}
    slot: Annotated[int, param("Slot in which the results wait; -1: none.", unit="slot", ge=-1, le=63, example=2)] = -1

    def then(self, performance: Performance) -> Then | None:
        """What is done with the file once it is there."""
        return performance.onward(self.operation, self.params, None if self.slot < 0 else self.slot)


class TakeBars(Onward, kw_only=True):
    """How much of the input to keep: whole bars, up to the bar line just passed."""

    bars: Bars = 4
    name: Stem = ""


@method(
    "capture.take",
    osc="/ace/capture/take",
    right=Right.OWNER,
    positional=("bars", "name", "operation", "params", "slot"),
    columns=("path", "frames", "rate", "bpm", "bars", "job"),
    answer="Path, length, rate and tempo of the file, and the job that continues with it.",
    command="capture take",
)
async def take(context: MethodContext, request: TakeBars) -> dict[str, Any]:
    """Keep the last bars of the input as a file that begins and ends on bar lines; with an operation, a job continues with it."""
    performance = context.performance
    asked, then = request.timeline(performance), request.then(performance)
    return await performance.take(request.bars, request.name, asked=asked, then=then)


class RecordBars(Onward, kw_only=True):
    """What to record of the input, from which line of the grid on."""

    bars: Bars = 4
    quantise: Quantise = "bar"
    name: Stem = ""


@method(
    "capture.record",
    osc="/ace/capture/record",
    right=Right.OWNER,
    positional=("bars", "quantise", "name", "operation", "params", "slot"),
    columns=COLUMNS,
    answer="The state of the recording; `in` and `left` are the seconds to its beginning and end.",
    command="capture record",
)
async def record(context: MethodContext, request: RecordBars) -> dict[str, Any]:
    """Record from the next beat, bar or bars on, for a number of bars; with an operation, a job continues with the file."""
    performance = context.performance
    asked, then = request.timeline(performance), request.then(performance)
    return performance.capture.record(request.bars, request.quantise, request.name, asked=asked, then=then)


class WaitForRecording(Request):
    """How long to wait for a recording."""

    timeout: Annotated[float, param("Longest time to wait.", unit="s", ge=0.1, le=600.0, example=30.0)] = 30.0


@method(
    "capture.wait",
    osc="/ace/capture/wait",
    right=Right.OWNER,
    reads=True,
    positional=("timeout",),
    columns=COLUMNS,
    answer="The file, or the state of the recording after that time.",
    command="capture wait",
)
async def wait(context: MethodContext, request: WaitForRecording) -> dict[str, Any]:
    """Wait until the recording has ended."""
    return await context.performance.capture.wait(request.timeout)


@method(
    "capture.cancel",
    osc="/ace/capture/cancel",
    right=Right.OWNER,
    columns=COLUMNS,
    answer="The state of the recording.",
    command="capture cancel",
)
async def cancel(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """End an open recording without a file."""
    return context.performance.capture.cancel()
