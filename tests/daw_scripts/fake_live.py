"""A stand-in for Live's object model in Python, as Remote Scripts see it. It is a fake and says so: nothing here ran inside Live.

Only documented properties and functions exist (test_live_interface.py holds them against an independent list); assigning anything
else fails. What Live does between two ticks is done by `Song.tick`.
"""

from __future__ import annotations

from bisect import insort
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile


class Late:
    """A switch that Live throws a little after it was asked: read once more, it has its old value still."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, song: Any, owner: type | None = None) -> bool:
        shown, asked = getattr(song, self._name)
        setattr(song, self._name, (asked, asked))
        return bool(shown)

    def __set__(self, song: Any, value: bool) -> None:
        shown, _ = getattr(song, self._name, (value, value))
        setattr(song, self._name, (shown, value))


class WarpMarker(NamedTuple):
    """A place in the file (s) and in the clip (beats)."""

    sample_time: float
    beat_time: float


class WarpMode(int):
    """A way of warping; Live takes no plain numbers for it."""

    beats: WarpMode
    complex: WarpMode


WarpMode.beats, WarpMode.complex = WarpMode(0), WarpMode(4)


class Edge:
    """A marker in beats, or in seconds inside an unwarped clip. Live refuses one that would leave the clip no length."""

    def __init__(self, other: str) -> None:
        self._other = other

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self._is_start = "start" in name

    def __get__(self, clip: Any, owner: type | None = None) -> Any:
        return self if clip is None else clip._edges[self._name]

    def __set__(self, clip: Any, value: float) -> None:
        other = clip._edges.get(self._other)
        if other is not None and (value >= other if self._is_start else value <= other):
            raise RuntimeError("a clip needs a length")
        clip._edges[self._name] = value


class Clip:
    """An audio clip of the arrangement, times in beats (in seconds inside an unwarped one)."""

    start_marker = Edge("end_marker")
    end_marker = Edge("start_marker")
    loop_start = Edge("loop_end")
    loop_end = Edge("loop_start")

    __slots__ = (
        "_asked",
        "_edges",
        "_markers",
        "_warp_mode",
        "_warping",
        "clip_tempo",
        "end_time",
        "file_path",
        "is_arrangement_clip",
        "is_audio_clip",
        "is_gone",
        "is_recording",
        "looping",
        "name",
        "sample_length",
        "sample_rate",
        "start_time",
    )

    def __init__(self, path: Path, start: float, song_tempo: float, clip_tempo: float | None = None) -> None:
        info = soundfile.info(path)
        self.file_path = str(path)
        self.sample_rate = float(info.samplerate)
        self.sample_length = info.frames
        self.clip_tempo = clip_tempo or song_tempo
        self.start_time = start
        self.end_time = start + info.frames / info.samplerate * self.clip_tempo / 60
        length = self.end_time - start
        self._edges = {"start_marker": 0.0, "loop_start": 0.0, "loop_end": length, "end_marker": length}
        self.looping = False
        self._warping = self._asked = True
        self.warp_mode = WarpMode.complex
        self._markers = [WarpMarker(0.0, 0.0)]
        self.is_audio_clip = self.is_arrangement_clip = True
        self.is_recording = self.is_gone = False
        self.name = path.stem

    def __eq__(self, other: object) -> bool:
        """A clip that is gone equals None, as Live's objects do."""
        return self is other or (other is None and self.is_gone)

    __hash__ = object.__hash__

    @property
    def warping(self) -> bool:
        """Switched by the next tick of Live; until then it has its old value."""
        return self._warping

    @warping.setter
    def warping(self, value: bool) -> None:
        self._asked = value

    def tick(self) -> None:
        """What was asked of `warping` is done: the markers keep the numbers of the whole clip, whatever was set in between."""
        if self._asked == self._warping:
            return
        self._warping = self._asked
        length = self.sample_length / self.sample_rate
        kept = length * self.clip_tempo / 60 if not self._warping else length
        self._edges.update(end_marker=kept, loop_end=kept)

    @property
    def warp_mode(self) -> WarpMode:
        return self._warp_mode

    @warp_mode.setter
    def warp_mode(self, value: WarpMode) -> None:
        if not isinstance(value, WarpMode):
            raise TypeError("a WarpMode")
        self._warp_mode = value

    def beat_to_sample_time(self, beat: float) -> float:
        if not self.warping:
            raise RuntimeError("only for warped clips")
        first, after = [pair for pair in self._spans() if pair[0].beat_time <= max(beat, self._markers[0].beat_time)][
            -1
        ]
        pace = (after.sample_time - first.sample_time) / (after.beat_time - first.beat_time)
        return (first.sample_time + (beat - first.beat_time) * pace) * self.sample_rate

    def _spans(self) -> list[tuple[WarpMarker, WarpMarker]]:
        markers = self.warp_markers
        return list(pairwise(markers))

    @property
    def warp_markers(self) -> tuple[WarpMarker, ...]:
        """Sorted; the last is Live's own and shows the tempo behind the one before it."""
        last, pace = self._markers[-1], 60 / self.clip_tempo
        if len(self._markers) > 1:
            before = self._markers[-2]
            pace = (last.sample_time - before.sample_time) / (last.beat_time - before.beat_time)
        return (*self._markers, WarpMarker(last.sample_time + pace / 64, last.beat_time + 1 / 64))

    def add_warp_marker(self, marker: WarpMarker) -> None:
        if marker.beat_time in [known.beat_time for known in self._markers]:
            raise RuntimeError("there is one")
        insort(self._markers, marker)

    def remove_warp_marker(self, beat: float) -> None:
        found = [known for known in self._markers if known.beat_time == beat]
        if not found or len(self._markers) == 1:
            raise RuntimeError("not this one")
        self._markers.remove(found[0])


class TakeLane:
    """A take lane (Live 12.2)."""

    __slots__ = ("_song", "arrangement_clips", "name")

    def __init__(self, song: Song) -> None:
        self._song = song
        self.name = ""
        self.arrangement_clips: list[Clip] = []

    def create_audio_clip(self, path: str, start: float) -> Clip:
        if not Path(path).is_absolute() or not 0 <= start <= 1_576_800:
            raise RuntimeError("an absolute path and a time inside the song")
        clip = self._song.new_clip(path, start)
        self.arrangement_clips.append(clip)
        return clip


class Slot:
    """A Session slot."""

    __slots__ = ("_song", "clip")

    def __init__(self, song: Song) -> None:
        self._song = song
        self.clip: Clip | None = None

    @property
    def has_clip(self) -> bool:
        return self.clip is not None

    def create_audio_clip(self, path: str) -> Clip:
        if self.clip is not None or not Path(path).is_absolute():
            raise RuntimeError("an empty slot and an absolute path")
        self.clip = self._song.new_clip(path, 0.0)
        self.clip.is_arrangement_clip = False
        return self.clip

    def delete_clip(self) -> None:
        self.clip = None


class Routing:
    """A kind or channel of a track's input."""

    def __init__(self, name: str) -> None:
        self.display_name = name


class Track(TakeLane):
    """An audio track of Live 12.2."""

    __slots__ = (
        "arm",
        "can_be_armed",
        "clip_slots",
        "current_monitoring_state",
        "input_routing_channel",
        "input_routing_type",
        "is_part_of_selection",
        "mute",
        "take_lanes",
    )

    def __init__(self, song: Song, name: str) -> None:
        super().__init__(song)
        self.name = name
        self.take_lanes: list[TakeLane] = []
        self.clip_slots = [Slot(song), Slot(song)]
        self.arm = self.mute = self.is_part_of_selection = False
        self.can_be_armed = True
        self.current_monitoring_state = 1
        self.input_routing_type = self.input_routing_channel = Routing("Ext. In")

    @property
    def available_input_routing_types(self) -> list[Routing]:
        return [Routing(name) for name in ("Ext. In", "Resampling", *(track.name for track in self._song.tracks))]

    @property
    def available_input_routing_channels(self) -> list[Routing]:
        return [Routing(name) for name in ("Pre FX", "Post FX", "Post Mixer")]

    def delete_clip(self, clip: Clip) -> None:
        """Of the track or of one of its take lanes, which have no such function of their own (Live 12.3)."""
        (holder,) = [lane for lane in (self, *self.take_lanes) if clip in lane.arrangement_clips]
        holder.arrangement_clips.remove(clip)

    def create_take_lane(self) -> TakeLane:
        self.take_lanes.append(TakeLane(self._song))
        return self.take_lanes[-1]


class OldTrack:
    """An audio track of a Live before 12.0.5: clips cannot be made."""

    __slots__ = ("arrangement_clips", "can_be_armed", "is_part_of_selection", "name")

    def __init__(self, song: Song, name: str) -> None:
        self.can_be_armed = self.is_part_of_selection = False
        self.name = name
        self.arrangement_clips: list[Clip] = []


class View:
    """What the user looks at."""

    __slots__ = ("detail_clip", "selected_track")


class MasterTrack:
    """The main track: it has neither clips nor a mute button."""

    name = "Main"


class LimitationError(Exception):
    """What Live raises when its edition allows no more of something."""


class Song:
    """A Live set at 120 bpm."""

    __slots__ = (
        "_is_playing",
        "_record_mode",
        "auto_warp_start",
        "current_song_time",
        "file_path",
        "loop",
        "loop_length",
        "loop_start",
        "master_track",
        "most_tracks",
        "recorded",
        "root_note",
        "scale_mode",
        "scale_name",
        "signature_denominator",
        "signature_numerator",
        "taken_for",
        "tempo",
        "track_kind",
        "tracks",
        "undo_steps",
        "view",
    )

    is_playing = Late()
    record_mode = Late()

    def __init__(self, file_path: Path) -> None:
        self.file_path = str(file_path)
        self.tempo = 120.0
        self.taken_for: float | None = None
        """The tempo that Live takes new files for; by default the right one."""
        self.auto_warp_start = 0.0
        """Seconds into the file at which Auto-Warp lets a new clip start."""
        self.signature_numerator = self.signature_denominator = 4
        self.root_note, self.scale_name, self.scale_mode = 9, "Minor", True
        self.loop, self.loop_start, self.loop_length = False, 0.0, 0.0
        self.current_song_time = 0.0
        self.is_playing = self.record_mode = False
        self.recorded: list[tuple[str, list[str]]] = []
        """What a recording track heard: its input, and the names of the muted tracks."""
        self.tracks: list[Any] = []
        self.master_track = MasterTrack()
        self.most_tracks = 100
        self.undo_steps: list[str] = []
        self.track_kind = Track
        self.view = View()
        self.view.detail_clip = None
        self.create_audio_track(0)

    def new_clip(self, path: str, start: float) -> Clip:
        """A clip as Live makes it of a file."""
        clip = Clip(Path(path), start, self.tempo, self.taken_for)
        clip.start_marker = clip.loop_start = self.auto_warp_start * clip.clip_tempo / 60
        return clip

    def tick(self) -> None:
        """What Live does before it lets scripts run again."""
        for track in self.tracks:
            lanes = [track, *getattr(track, "take_lanes", ())]
            slots = [slot.clip for slot in getattr(track, "clip_slots", ()) if slot.has_clip]
            for clip in [*(clip for lane in lanes for clip in lane.arrangement_clips), *slots]:
                clip.tick()

    def create_audio_track(self, index: int) -> Any:
        """A new track, which is selected, as in Live."""
        if len(self.tracks) == self.most_tracks:
            raise LimitationError
        self.tracks.insert(index, self.track_kind(self, ""))
        self.view.selected_track = self.tracks[index]
        return self.tracks[index]

    def delete_track(self, index: int) -> None:
        if self.view.selected_track == self.tracks.pop(index):
            self.view.selected_track = self.tracks[0]

    def create_scene(self, index: int) -> None:
        for track in self.tracks:
            track.clip_slots.append(Slot(self))

    def continue_playing(self) -> None:
        self.is_playing = True

    def stop_playing(self) -> None:
        self.is_playing = False
        for clip in (clip for track in self.tracks for clip in track.arrangement_clips):
            clip.is_recording = False

    def run(self, beats: float, folder: Path) -> None:
        """Live plays for some beats; an armed track records a file of quiet noise."""
        start = self.current_song_time
        self.current_song_time += beats
        for track in [track for track in self.tracks if self.record_mode and track.arm]:
            heard = track.input_routing_type.display_name
            if heard != "Resampling":
                heard += " " + track.input_routing_channel.display_name
            self.recorded.append((heard, [other.name for other in self.tracks if other.mute]))
            path = folder / f"recorded {len(self.recorded)}.wav"
            noise = np.random.default_rng(len(self.recorded)).uniform(
                -0.1, 0.1, (round(beats * 60 / self.tempo * 48_000), 2)
            )
            soundfile.write(path, noise, 48_000, subtype="PCM_24")
            clip = Clip(path, start, self.tempo)
            clip.is_recording = True
            track.arrangement_clips.append(clip)

    def begin_undo_step(self) -> None:
        self.undo_steps.append("open")

    def end_undo_step(self) -> None:
        self.undo_steps[-1] = "closed"


class Instance:
    """What Live hands to a control surface."""

    is_a_fake = True

    def __init__(self, song: Song) -> None:
        self._song = song
        self.messages: list[str] = []
        self.log: list[str] = []

    def song(self) -> Song:
        return self._song

    def show_message(self, text: str) -> None:
        self.messages.append(text)

    def log_message(self, text: str) -> None:
        self.log.append(text)

    def instance_identifier(self) -> int:
        return 1
