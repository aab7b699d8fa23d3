"""What the verbs of playing take: slots, capture, tempo, MIDI. `bridge.doors.verbs.playing` says what they do."""

from __future__ import annotations

from typing import Annotated

from acestep.api import limits
from acestep.api.schema import Request, param

SlotNumber = Annotated[int, param("Number of the slot.", unit="slot", ge=0, le=63, example=4)]
Quantise = Annotated[str, param("When: now, beat, bar or 'N bars'.", max_length=16, example="bar")]
Bars = Annotated[int, param("Whole bars.", unit="bars", ge=1, le=64, example=4)]
Stem = Annotated[str, param("Stem of the file's name.", max_length=64, example="riff")]
Tempo = Annotated[
    float,
    param("Quarter notes a minute.", unit="bpm", ge=limits.BPM_RANGE[0], le=limits.BPM_RANGE[1], example=96.5),
]
Wait = Annotated[float, param("Longest time to wait.", unit="s", ge=0.1, le=600.0, example=30.0)]
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
    bars: Annotated[
        int, param("Length of the part in bars; 0: as the parameters say.", unit="bars", ge=0, le=64, example=4)
    ] = 0


class InTime(Request):
    """Something that happens in time. What it does not say of the time is taken from whatever rules."""

    bpm: Tempo | None = None
    beat: (
        Annotated[float, param("Where the song stands at this moment, in quarter notes.", unit="beats", example=0.0)]
        | None
    ) = None
    metre: Annotated[str, param("Time signature; empty: the ruling one.", max_length=8, example="3/4")] = ""


class LaunchSlot(InTime, kw_only=True):
    """A slot to start."""

    slot: SlotNumber
    quantise: Quantise = "bar"


class StopSlot(InTime, kw_only=True):
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


class Onward(InTime, kw_only=True):
    """What happens with captured audio: with an operation it becomes that operation's source at once."""

    operation: Annotated[
        str, param("Operation that takes it as its source; empty: none.", max_length=64, example="complete")
    ] = ""
    params: Annotated[dict, param("The operation's other parameters.", example={"tracks": ["drums"]})] = {}
    slot: Annotated[int, param("Slot in which the results wait; -1: none.", unit="slot", ge=-1, le=63, example=2)] = -1


class TakeBars(Onward, kw_only=True):
    """How much of the input to keep: whole bars, up to the bar line just passed."""

    bars: Bars = 4
    name: Stem = ""


class RecordBars(Onward, kw_only=True):
    """What to record of the input, from which line of the grid on."""

    bars: Bars = 4
    quantise: Quantise = "bar"
    name: Stem = ""


class WaitForRecording(Request):
    """How long to wait for a recording."""

    timeout: Wait = 30.0


class HostTempo(Request):
    """The host's tempo and where its song stands at this moment."""

    bpm: Tempo
    beat: Annotated[float, param("Song position in quarter notes.", unit="beats", example=0.0)] = 0.0
    metre: Annotated[str, param("Time signature.", max_length=8, example="4/4")] = "4/4"
    running: Annotated[bool, param("Whether the song runs.", example=True)] = True


class SendClock(Request):
    """Whether MIDI clock is sent."""

    on: Annotated[bool, param("Send it to the feedback port of the mapping.", example=True)] = True


class Learn(Request):
    """How long to wait for a hit."""

    timeout: Annotated[float, param("Longest time to wait.", unit="s", ge=0.1, le=60.0, example=30.0)] = 30.0
