"""The time of a request: its tempo map, and its written positions and lengths as samples and seconds. Pure arithmetic."""

from __future__ import annotations

import msgspec

from acestep.api import limits
from acestep.api.conditioning import Conditioning
from acestep.api.errors import BadRequest, TooLarge
from acestep.api.metre import Metre, parse_metre
from acestep.api.music import model_metre_name
from acestep.api.positions import Position, Ruler, read_field
from acestep.api.request import Output
from acestep.api.rounding import samples
from acestep.api.tempo_map import TempoMap

AGREE = 0.001
"""Seconds by which an end and a duration may differ and still mean the same: positions in bars are rounded once each."""


class SongTime:
    """What a job says about time. ``notes`` tell what was assumed while positions were read.

    Positions and lengths may be numbers or text (`acestep.api.positions`); every rate is that of the timeline they lie on.
    """

    def __init__(self, conditioning: Conditioning) -> None:
        self.conditioning = conditioning
        self.notes: list[str] = []
        if conditioning.tempo_map is not None and conditioning.bar_offset is not None:
            raise BadRequest("a tempo map says where bar 1 is; leave bar_offset out", field="bar_offset")
        if conditioning.bar_offset is not None and conditioning.bpm is None:
            raise BadRequest("bar_offset needs bpm", field="bpm")

    def tempo(self, rate: int) -> TempoMap | None:
        """The tempo map on a timeline; none without a tempo. Without ``bar_offset`` bar 1 begins with the timeline."""
        conditioning = self.conditioning
        if conditioning.tempo_map is not None:
            return TempoMap.of(conditioning.tempo_map, rate)
        if conditioning.bpm is None:
            return None
        metre = (
            parse_metre(conditioning.time_signature, field="time_signature") if conditioning.time_signature else Metre()
        )
        return TempoMap.steady(conditioning.bpm, rate, self._offset(rate) or 0, metre)

    def sample(self, value: int | str | None, rate: int, field: str) -> int | None:
        """A position in samples; none stays none."""
        if not isinstance(value, str):
            return value
        return self._ruler(read_field(field, value), rate).sample(read_field(field, value), field=field)

    def length(self, value: int | str | None, rate: int, start: int, field: str) -> int | None:
        """A length in samples that begins at a sample; none stays none."""
        if not isinstance(value, str):
            return value
        return self._ruler(read_field(field, value), rate).length(read_field(field, value), start, field=field)

    def edge(self, value: int | str | None, seconds: float | None, rate: int, field: str) -> int | None:
        """One side of a region, in samples, as text or in seconds. Raises `BadRequest` when it is given twice."""
        if value is not None and seconds is not None:
            raise BadRequest(f"give {field} in samples or in seconds, not both", field=f"{field}_seconds")
        return samples(seconds, rate) if seconds is not None else self.sample(value, rate, field)

    def duration(self, rate: int, start: int = 0) -> int | None:
        """The duration in samples, from a sample on; none where nobody gave one."""
        value = self.conditioning.duration
        return samples(value, rate) if isinstance(value, float | int) else self.length(value, rate, start, "duration")

    def region(self, edges: tuple[int | None, int | None], frames: int, rate: int) -> tuple[int, int]:
        """First sample of a region and the sample after its last; the duration is its length, where one is given.

        Raises `BadRequest` for a duration that does not agree with the edges.
        """
        start, end = edges
        length = self.duration(rate, start or 0)
        if length is None:
            return start or 0, frames if end is None else end
        if end is None:
            return start or 0, (start or 0) + length
        if start is None:
            return end - length, end
        if abs(end - start - length) > max(2, AGREE * rate):
            raise BadRequest(
                f"from start to end it is {(end - start) / rate:g} s, but the duration is {length / rate:g} s; "
                "leave one of them out",
                field="duration",
            )
        return start, end

    def delivered(self, output: Output, rate: int) -> Output:
        """An output with its length and span in samples; ``rate`` is that of the source's timeline."""
        length = self.length(output.length, output.rate or rate, 0, "length")
        first, last = (self.sample(getattr(output, name), rate, name) for name in ("span_start", "span_end"))
        if isinstance(output.length, str) and not (length or 0) >= 1:
            raise BadRequest(
                f"{output.length!r} is not a length of at least one sample", field="length", limits={"min": 1}
            )
        return msgspec.structs.replace(output, length=length, span_start=first, span_end=last)

    def settled(self, rate: int, start: int = 0, length: int | None = None) -> Conditioning:
        """The settings in numbers: duration in seconds, offset in samples, and from a map the region's mean tempo and metre."""
        changes: dict[str, object] = {"bar_offset": self._offset(rate)}
        duration = self.duration(rate, start)
        if isinstance(self.conditioning.duration, str):
            changes["duration"] = _checked((duration or 0) / rate)
        tempo = self.tempo(rate)
        if self.conditioning.tempo_map is not None and tempo is not None:
            changes |= self._from_map(tempo, start, length or duration or rate)
        return msgspec.structs.replace(self.conditioning, **changes)

    def _offset(self, rate: int) -> int | None:
        value = self.conditioning.bar_offset
        if not isinstance(value, str):
            return value
        position = read_field("bar_offset", value)
        if position.musical:
            raise BadRequest("bar_offset is a time, such as 300ms or 14400 (samples)", field="bar_offset")
        return Ruler(rate).sample(position, field="bar_offset")

    def _ruler(self, position: Position, rate: int) -> Ruler:
        if position.bar is not None and self.conditioning.bar_offset is None and self.conditioning.tempo_map is None:
            self._note("bar 1 is assumed to begin with the file; to change that, set bar_offset or a tempo map")
        return Ruler(rate, self.tempo(rate) if position.musical else None)

    def _from_map(self, tempo: TempoMap, start: int, length: int) -> dict[str, object]:
        found: dict[str, object] = {}
        if self.conditioning.bpm is None:
            mean = tempo.bpm(start, start + length)
            found["bpm"] = _folded(mean)
            self._note(f"the tempo map gives {mean:.6g} bpm over the region")
        if not self.conditioning.time_signature:
            found["time_signature"] = tempo.metre(tempo.bar(start)).name
        return found

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


TIMED = ("bpm", "time_signature", "bar_offset", "tempo_map")
"""Fields of a request by which positions and lengths in bars become samples."""


def timed(request: msgspec.Struct, *more: str) -> Conditioning:
    """What a request that is not a render says about time, and the fields of it that are named besides."""
    return Conditioning(**{name: getattr(request, name) for name in (*TIMED, *more) if hasattr(request, name)})


def written_duration(request: msgspec.Struct) -> float | int | str | None:
    """The duration of a request that is not a render, in seconds. Raises `BadRequest` for bars without a tempo."""
    return SongTime(timed(request, "duration")).settled(limits.CODEC_RATE).duration


def metre_notes(time_signature: str) -> list[str]:
    """That the model reads another metre, where it does."""
    seen = model_metre_name(time_signature)
    if not seen or seen == time_signature:
        return []
    return [
        f"the model does not know {time_signature} and reads {parse_metre(seen)}; bars and beats are those of {time_signature}"
    ]


def _checked(seconds: float) -> float:
    if not 0 <= seconds <= limits.MAX_DURATION:
        raise TooLarge(
            f"a duration of {seconds:g} s is outside 0 to {limits.MAX_DURATION:.0f} s",
            field="duration",
            limits={"min": 0, "max": limits.MAX_DURATION, "unit": "s"},
        )
    return seconds


def _folded(bpm: float) -> float:
    """A tempo within the model's range, by octaves."""
    while bpm < limits.BPM_RANGE[0]:
        bpm *= 2
    while bpm > limits.BPM_RANGE[1]:
        bpm /= 2
    return bpm
