"""The language between the daemon and the player process; framed like the worker's (`acestep.api.frames`).

Times are seconds of the machine's monotonic clock, which both processes share; the player turns them into frames of
its sound card. Positions in files and loops are frames at the stream's rate.
"""

from __future__ import annotations

import msgspec

CARD_LOST = 75
"""Exit code of a player whose sound card went away: sound systems often cannot be opened again in the same process."""


class Open(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Open the sound card. ``output`` and ``input`` are device names (or beginnings); ``null`` is a card without sound
    that runs in real time; an empty input means no capture."""

    output: str = ""
    input: str = ""
    rate: int = 48_000
    channels: int = 2
    block: int = 0
    capture_seconds: float = 0.0


class Load(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Put an audio file into a slot; ``request`` comes back with the report."""

    slot: int
    path: str
    gain: float = 1.0
    loop: bool = True
    length: int | None = None
    crossfade: int = 0
    choke: int = 0
    request: str = ""


class Launch(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Start a slot so that it is heard at ``at``; ``request`` comes back with the report."""

    slot: int
    at: float
    request: str = ""


class Stop(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Stop a slot (none: all) at a time."""

    slot: int | None = None
    at: float = 0.0


class Gain(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Change a slot's gain at once."""

    slot: int
    gain: float


class Take(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Write ``frames`` of the input, from what was played at time ``start`` on, to a 32-bit float WAV."""

    start: float
    frames: int
    path: str
    request: str = ""


class FeedbackOutput(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Which MIDI output pad lights and clock go to: the beginning of its name (`bridge.performance.ports.find_output`);
    empty: none. ``backend`` is a mido backend; empty takes mido's default."""

    output: str = ""
    backend: str = ""


class Lights(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Pads to light: (channel from 0, note, velocity), velocity 0 for off."""

    pads: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def of(cls, lights: dict[tuple[int, int], int]) -> Lights:
        """The message for (channel, note) -> velocity."""
        return cls(pads=tuple((channel, note, velocity) for (channel, note), velocity in lights.items()))


class ClockBeat(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The time that rules: at monotonic time ``anchor`` the song stood at ``beat``. MIDI clock is made from it while ``clock``
    is set; a transport that must join does so on a multiple of ``join`` beats."""

    bpm: float
    anchor: float
    beat: float
    running: bool
    clock: bool
    join: float
    bar: float = 4.0


Command = Open | Load | Launch | Stop | Gain | Take | FeedbackOutput | Lights | ClockBeat


class Opened(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The sound card runs."""

    output: str
    input: str
    rate: int
    latency: float
    """Output latency in seconds as the system reports it; launches are early by it."""


class Loaded(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A slot holds its file: ``frames`` at the stream's rate."""

    slot: int
    frames: int
    request: str = ""


class Launched(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A launch is scheduled: ``frame`` of the output stream; ``late`` seconds if the time had already passed."""

    slot: int
    frame: int
    late: float
    request: str = ""


class Taken(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A capture is written and synced."""

    path: str
    frames: int
    rate: int
    request: str = ""


class Levels(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The player's state, a few times a second: ``state`` is closed, running or lost."""

    state: str
    playing: tuple[int, ...] = ()
    input_peak: float = 0.0
    output_peak: float = 0.0
    xruns: int = 0
    load: float = 0.0
    """Share of a core that the audio callback takes."""
    feedback: str = ""
    """The MIDI output that is open for feedback; empty: none."""
    clock: str = ""
    """State of the MIDI clock that is sent: empty (none is), stopped or running."""
    clock_late: float = 0.0
    """Largest delay (s) of a tick of that clock in the last seconds."""


class Refused(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A command could not be done; the error as every door sends it."""

    error: dict[str, object]
    request: str = ""


Report = Opened | Loaded | Launched | Taken | Levels | Refused
