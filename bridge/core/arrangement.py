"""A finished job as an arrangement: which sounds lie where on which track, and the song's tempo. What an export writes.

The arrangement plays as the mix: where the result holds the whole song, that is heard; where it holds edits of a song, the song
is there with a gap under each edit; where it holds stems, they are heard in the song's place. Further variants and whatever would
be heard twice are there too, muted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from acestep.admission.song_time import SongTime
from acestep.api.errors import AceError, BadRequest
from acestep.api.request import Conditioning
from acestep.api.rounding import samples
from acestep.api.schema import convert
from acestep.api.tempo_map import TempoMap
from acestep.audio.sniff import sniff
from bridge.core.interface import JobState, JobView

IN_PLACE = frozenset({"patch", "span"})
"""Roles that take the place of a piece of the song."""

SPLIT = frozenset({"stem", "residual"})
"""Roles that the song consists of."""

PLACED = frozenset({"whole", "part"}) | IN_PLACE | SPLIT

DEFAULT_BPM = 120.0
"""Tempo of a project whose job had none, as in most DAWs."""

UPLOADED = ".audio"
"""Ending of an uploaded file in the daemon's own store."""

BAR = 1e-6
"""Bars by which a position may miss a bar line and still lie on it."""


SUFFIXES = {"FLAC": ".flac", "AIFF": ".aiff", "AIFC": ".aif"}
"""Endings of a song by its container; all others are WAVs."""


class ProjectSound(NamedTuple):
    """An audio file; ``frames`` and positions on it are samples at ``rate``. ``name`` is what a project calls it."""

    path: Path
    name: str
    rate: int
    channels: int
    frames: int


class ProjectClip(NamedTuple):
    """A piece of a sound on the timeline: from sample ``start`` of the song (at the sound's rate), ``length`` samples of the
    sound from its sample ``offset`` on."""

    name: str
    sound: ProjectSound
    start: int
    length: int
    offset: int = 0

    @property
    def end(self) -> int:
        """The sample after its last one."""
        return self.start + self.length

    @property
    def seconds(self) -> tuple[float, float]:
        """Where it begins and ends on the song's timeline."""
        return self.start / self.sound.rate, self.end / self.sound.rate


class ProjectTrack(msgspec.Struct):
    """A track with its clips, which do not overlap."""

    name: str
    clips: list[ProjectClip]
    muted: bool = False


class Marked(NamedTuple):
    """A region of the song that a stage worked on, in seconds."""

    name: str
    start: float
    end: float


class Arrangement(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an export needs. Times are seconds of the song's timeline, or quarter notes from the project's beginning."""

    title: str
    comment: str
    tracks: tuple[ProjectTrack, ...]
    regions: tuple[Marked, ...]
    tempo: TempoMap
    origin: float
    """Quarter note of the tempo map at which the project begins: the line of the bar that the first sound lies in."""
    notes: tuple[str, ...] = ()

    def beat(self, seconds: float) -> float:
        """Quarter notes from the project's beginning to a place of the song."""
        return self.tempo.quarter(seconds * self.tempo.rate) - self.origin


def arrange(view: JobView, song_file: Path | None) -> Arrangement:
    """The arrangement of a finished job; ``song_file`` is the song it was made from, if there is one at hand.

    Raises `BadRequest` for a job without sounds.
    """
    files = [entry for entry in (view.result or {}).get("files", []) if _belongs(entry)]
    if view.state is not JobState.DONE or not files:
        why = "has no sound" if view.state is JobState.DONE else f"is {view.state}, not done"
        raise BadRequest(f"the job {view.id} {why}; only results with sound can be exported", field="id")
    notes: list[str] = []
    song = _song(song_file, notes)
    tracks = _mixed(_tracks(files, view.request.get("stages") or []), files, song)
    rate = song.rate if song else int(files[0]["rate"])
    tempo = _tempo(view.request.get("conditioning") or {}, rate, notes)
    first = min(0.0, *(clip.seconds[0] for track in tracks for clip in track.clips))
    return Arrangement(
        title=view.id,
        comment=view.caption,
        tracks=tuple(tracks),
        regions=tuple(_regions(view.request, song, rate)),
        tempo=tempo,
        origin=_bar_line(tempo, first * rate),
        notes=tuple(notes),
    )


def _belongs(entry: dict[str, Any]) -> bool:
    return entry.get("role") in PLACED and not entry.get("preview")


def song_path(request: dict[str, Any]) -> Path | None:
    """The song that a request names by its path; none for uploads, latents and new parts."""
    path = Path(str((request.get("source") or {}).get("path") or ""))
    return path if path.is_absolute() else None


def _song(path: Path | None, notes: list[str]) -> ProjectSound | None:
    """The song, if it is there in a form that every DAW reads alike."""
    if path is None:
        return None
    without = "so the project contains only the results"
    try:
        layout = sniff(path)
    except AceError:
        notes.append(f"{path.name} can no longer be read, {without}")
        return None
    reason = "has an unfinished header" if layout.open_ended else ""
    if layout.lossy:
        reason = "is in a lossy format, and programs begin such files at different samples"
    if reason:
        notes.append(f"{path.name} {reason}, {without}; save it as WAV and use that")
        return None
    name = "song" if path.suffix == UPLOADED else path.stem
    name += SUFFIXES.get(layout.container, ".wav")
    return ProjectSound(path, name, layout.rate, layout.channels, layout.frames)


def _tracks(files: list[dict[str, Any]], stages: list[dict[str, Any]]) -> list[ProjectTrack]:
    """A track for each kind of sound and variant, in the order of the result; what overlaps gets a further one."""
    found: dict[tuple[str, int], list[ProjectTrack]] = {}
    for entry in files:
        stage = int(entry.get("stage", 1))
        kind = str(stages[stage - 1].get("type", "")) if stage <= len(stages) else ""
        variant = int(entry.get("variant", 0))
        name = _name(entry, kind)
        clip = ProjectClip(name, _sound(entry), int(entry["start"]), int(entry["length"]))
        row = found.setdefault((name, variant), [])
        track = next((one for one in row if all(_apart(clip, other) for other in one.clips)), None)
        if track is None:
            track = ProjectTrack(name + (f" (take {variant + 1})" if variant else ""), [])
            row.append(track)
        track.clips.append(clip)
    return [track for row in found.values() for track in row]


def _sound(entry: dict[str, Any]) -> ProjectSound:
    path = Path(entry["path"])
    return ProjectSound(path, path.name, int(entry["rate"]), int(entry["channels"]), int(entry["length"]))


def _name(entry: dict[str, Any], kind: str) -> str:
    if entry["role"] == "whole":
        return "Mix"
    if entry["role"] == "residual":
        return "Rest of the mix"
    return _words(entry.get("track") or kind or entry["role"])


def _words(name: object) -> str:
    """The name of a track or a stage as people write it."""
    words = str(name or "").replace("_", " ").replace("-", " ")
    return words[:1].upper() + words[1:]


def _apart(one: ProjectClip, other: ProjectClip) -> bool:
    return one.seconds[1] <= other.seconds[0] or other.seconds[1] <= one.seconds[0]


def _mixed(tracks: list[ProjectTrack], files: list[dict[str, Any]], song: ProjectSound | None) -> list[ProjectTrack]:
    """The tracks with the song among them, muted so that nothing is heard twice."""
    last = {int(entry.get("stage", 1)) for entry in files if entry["role"] == "whole"}
    heard = {
        Path(entry["path"])
        for entry in files
        if not entry.get("variant") and (not last or (entry["role"] == "whole" and entry.get("stage", 1) == max(last)))
    }
    for track in tracks:
        track.muted = not any(clip.sound.path in heard for clip in track.clips)
    if last or song is None:
        return tracks
    roles = {Path(entry["path"]): entry["role"] for entry in files}
    gaps = [
        tuple(samples(seconds, song.rate) for seconds in clip.seconds)
        for track in tracks
        for clip in track.clips
        if not track.muted and roles[clip.sound.path] in IN_PLACE
    ]
    split = any(entry["role"] in SPLIT for entry in files)
    pieces = list(_around(song, gaps))
    return [ProjectTrack("Song", pieces, muted=split), *tracks] if pieces else tracks


def _around(song: ProjectSound, gaps: list[tuple[int, ...]]) -> Iterator[ProjectClip]:
    """The song without the pieces, from sample to sample, that clips take the place of."""
    place = 0
    for first, last in sorted(gaps):
        if min(first, song.frames) > place:
            yield ProjectClip("Song", song, place, min(first, song.frames) - place, place)
        place = max(place, last)
    if place < song.frames:
        yield ProjectClip("Song", song, place, song.frames - place, place)


def _tempo(conditioning: dict[str, Any], rate: int, notes: list[str]) -> TempoMap:
    known = {
        name: conditioning[name]
        for name in ("bpm", "time_signature", "bar_offset", "tempo_map")
        if conditioning.get(name)
    }
    tempo = SongTime(convert(known, Conditioning)).tempo(rate) if known else None
    if tempo is None:
        notes.append(f"the job had no tempo; the project has {DEFAULT_BPM:g} bpm, and the sounds lie at their times")
        return TempoMap.steady(DEFAULT_BPM, rate)
    return tempo


def _bar_line(tempo: TempoMap, sample: float) -> float:
    return tempo.quarter(tempo.bar_sample((tempo.bar(sample) + BAR) // 1))


def _regions(request: dict[str, Any], song: ProjectSound | None, rate: int) -> Iterator[Marked]:
    """The regions that stages worked on; not the whole song."""
    seen: set[Marked] = set()
    for stage in request.get("stages") or []:
        source = stage.get("source") or request.get("source") or {}
        start, length = source.get("start") or 0, source.get("length")
        if length is None or (song is not None and start <= 0 and start + length >= song.frames):
            continue
        name = _words(stage.get("track") or stage.get("type"))
        region = Marked(name, start / rate, (start + length) / rate)
        if region not in seen:
            seen.add(region)
            yield region
