"""All that is asked of Live's object model: what is selected, and clips onto tracks. Times in Live are beats."""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .kinds import Clip, ClipSlot, Facts, Route, Song, TakeLane, Track

NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
STRAIGHT = 0.001
"""Largest deviation of a warped clip's tempo from the song's at which its file still runs straight."""


MONITOR_OFF = 2

EDGE = 0.001
"""Beats by which a stretch may miss the bar line that it means."""


class Refused(Exception):
    """Something the user has to change first; the text is the code of its sentence, ``facts`` what the sentence names."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.facts = {"code": code, **facts}


def key_of(song: Song) -> str:
    """The song's key as the model knows keys, or an empty text for other scales."""
    scale = str(getattr(song, "scale_name", "")).lower()
    if scale not in ("major", "minor") or not getattr(song, "scale_mode", True):
        return ""
    return f"{NOTES[int(song.root_note) % 12]} {scale}"


def seconds(song: Song, beats: float) -> float:
    """Seconds that a number of beats lasts. Live shows scripts only the current tempo, so tempo automation is not seen."""
    return beats * 60.0 / song.tempo


def bars(song: Song, first: float, last: float) -> tuple[int, ...]:
    """The first and the last bar of a stretch of beats, as if the song had no other metre than that of the moment."""
    length = song.signature_numerator * 4.0 / song.signature_denominator
    return tuple(int(beat / length) + 1 for beat in (first + EDGE, max(first + EDGE, last - EDGE)))


def point(song: Song, beat: float) -> Facts:
    """The song's time at a beat as a job takes it (see the field tempo_map): scripts know no other than that of the moment."""
    num, den = song.signature_numerator, song.signature_denominator
    return {"bpm": song.tempo, "metre": f"{num}/{den}", "bar": 1 + beat * den / (4 * num)}


def region(song: Song) -> tuple[float, float] | None:
    """The selected stretch of the arrangement in beats: the loop brace where it is on, else the clip in the detail view."""
    if song.loop:
        return song.loop_start, song.loop_start + song.loop_length
    clip = song.view.detail_clip
    if clip is not None and getattr(clip, "is_arrangement_clip", False):
        return clip.start_time, clip.end_time
    return None


def session_clip(song: Song) -> Clip | None:
    """The clip in the detail view where it lies in a Session slot, else None; only where no loop brace is on."""
    clip = song.view.detail_clip
    return clip if clip is not None and not song.loop and not getattr(clip, "is_arrangement_clip", False) else None


def session_region(song: Song, clip: Clip) -> Facts:
    """What a Session clip plays, inside its file: ``{path, rate, start, end}`` in samples. Raises `Refused`."""
    cut = recorded_region(clip)
    if clip.warping:
        first, last = (clip.loop_start, clip.loop_end) if clip.looping else (clip.start_marker, clip.end_marker)
        _check_straight(cut["end"] - cut["start"], seconds(song, last - first) * cut["rate"])
    return cut


def slot_of(track: Track, clip: Clip) -> int | None:
    """The number of the slot that holds a clip, or None."""
    return next((index for index, slot in enumerate(track.clip_slots) if slot.has_clip and slot.clip == clip), None)


def free_slot(song: Song, track: Track, after: int) -> ClipSlot | None:
    """The first empty slot of a track below a number; a scene is added where there is none. None in a Live before 12.0.5."""
    if not hasattr(track.clip_slots[0], "create_audio_clip"):
        return None
    below = [slot for slot in list(track.clip_slots)[after + 1 :] if not slot.has_clip]
    if below:
        return below[0]
    song.create_scene(-1)
    return list(track.clip_slots)[-1]


def clip_at(track: Track, start: float, end: float) -> Clip | None:
    """The arrangement audio clip of a track that covers most of a stretch, or None."""
    best, most = None, 0.0
    for clip in track.arrangement_clips:
        shared = min(end, clip.end_time) - max(start, clip.start_time)
        if shared > most:
            best, most = clip, shared
    return best


def all_clips(track: Track) -> list[Clip]:
    """The clips of a track's arrangement and of its Session slots."""
    try:
        arrangement = list(getattr(track, "arrangement_clips", ()))
    except RuntimeError:  # a group's
        arrangement = []
    return [*arrangement, *(slot.clip for slot in getattr(track, "clip_slots", ()) if slot.has_clip)]


def clips_under(track: Track, start: float, end: float) -> list[Clip]:
    """The arrangement clips of a track of which some lies in a stretch, in order."""
    clips = getattr(track, "arrangement_clips", ())  # the main track has none
    return [clip for clip in clips if min(end, clip.end_time) - max(start, clip.start_time) > EDGE]


def selected_tracks(song: Song, front: Track) -> list[Track]:
    """All selected tracks in order; at least ``front``, the one that Live shows."""
    return [track for track in song.tracks if track == front or track.is_part_of_selection] or [front]


def _check_file(clip: Clip) -> None:
    if not clip.is_audio_clip:
        raise Refused("midi_only")
    if not os.path.isfile(clip.file_path):
        raise Refused("offline_media", path=clip.file_path)


def _check_straight(samples: int, straight: float) -> None:
    """Refuse a stretch of a file that does not last as long as it would at the song's tempo."""
    if abs(samples - straight) > max(1.0, STRAIGHT * straight):
        raise Refused("warped")


def is_written(clip: Clip | None) -> bool:
    """Whether Live has finished a recorded clip and its file."""
    return clip is not None and not clip.is_recording and os.path.isfile(clip.file_path or "")


def file_region(song: Song, clip: Clip, start: float, end: float, outside: bool = False) -> Facts:
    """A stretch of the arrangement inside the clip's file: ``{path, rate, start, end}`` in samples, ``{first, last}`` in beats.

    With ``outside`` it may reach past the clip's ends. Raises `Refused` where the file does not run straight under the stretch
    (other tempo, warped, looped).
    """
    _check_file(clip)
    first, last = max(start, clip.start_time), min(end, clip.end_time)
    rate = int(clip.sample_rate)
    inside = (first - clip.start_time, last - clip.start_time)
    if clip.warping:
        marks = [clip.start_marker + beat for beat in inside]
        if clip.looping and marks[1] > clip.loop_end:
            raise Refused("warped")
        samples = [int(clip.beat_to_sample_time(beat) + 0.5) for beat in marks]
        _check_straight(samples[1] - samples[0], seconds(song, last - first) * rate)
    else:
        samples = [int((clip.start_marker + seconds(song, beat)) * rate + 0.5) for beat in inside]
    cut = {"path": clip.file_path, "rate": rate, "start": samples[0], "end": samples[1], "first": first, "last": last}
    return _reach_out(song, cut, start, end) if outside else cut


def recorded_region(clip: Clip) -> Facts:
    """What a clip plays of its file, in whatever tempo; of a loop one round: ``{path, rate, start, end}`` in samples."""
    _check_file(clip)
    rate = int(clip.sample_rate)
    marks = (clip.loop_start, clip.loop_end) if clip.looping else (clip.start_marker, clip.end_marker)
    start, end = (int((clip.beat_to_sample_time(mark) if clip.warping else mark * rate) + 0.5) for mark in marks)
    return {"path": clip.file_path, "rate": rate, "start": start, "end": end}


def _reach_out(song: Song, cut: Facts, start: float, end: float) -> Facts:
    """A cut continued to the whole stretch, before and behind its clip."""
    before, after = (
        int(seconds(song, beats) * cut["rate"] + 0.5) for beats in (cut["first"] - start, end - cut["last"])
    )
    return {**cut, "start": cut["start"] - before, "end": cut["end"] + after, "first": start, "last": end}


def file_name(song: Song) -> str:
    """The name of the set's file, which tells the sets of a folder apart; empty while the set was never saved."""
    return os.path.basename(getattr(song, "file_path", "") or "")


def media_folder(song: Song) -> str:
    """Where new audio is copied to: the project's own samples, or a folder in the user's music while it is unsaved."""
    path = getattr(song, "file_path", "") or ""
    if path:
        return os.path.join(os.path.dirname(path), "Samples", "acestep-bridge")
    return os.path.join(os.path.expanduser("~"), "Music", "acestep-bridge")


def new_track(song: Song, after: Track | None, name: str) -> Track:
    """A new audio track below another one (None: at the end)."""
    tracks = list(song.tracks)
    index = tracks.index(after) + 1 if after in tracks else len(tracks)
    track = song.create_audio_track(index)
    track.name = name
    return track


def find_track(song: Song, name: str | None, index: int | None) -> Track | None:
    """The track of a job: the one that has its name at its place, else the first of that name, else None."""
    tracks = list(song.tracks)
    if index is not None and index < len(tracks) and tracks[index].name == name:
        return tracks[index]
    return next((track for track in tracks if track.name == name), None)


def listen_to(track: Track, source: Track | None) -> None:
    """Route a track's input: to another track after its effects, or (None) to all that is heard. Raises `Refused` without a way."""
    wanted = "Resampling" if source is None else source.name
    track.input_routing_type = _route(track.available_input_routing_types, wanted)
    if source is not None:
        track.input_routing_channel = _route(track.available_input_routing_channels, "Post FX")
    track.current_monitoring_state = MONITOR_OFF


def _route(routes: Iterable[Route], wanted: str) -> Route:
    found = [route for route in routes if route.display_name == wanted]
    if len(found) != 1:
        raise Refused("same_name" if found else "no_resampling")
    return found[0]


def take_lane(track: Track, name: str) -> TakeLane | None:
    """A new take lane of a track (Live 12.2), or None."""
    if not hasattr(track, "create_take_lane"):
        return None
    lane = track.create_take_lane()
    lane.name = name
    return lane


def is_there(clip: Clip) -> bool:
    """Whether a clip still exists: Live's objects equal None once what they stood for is gone."""
    return clip != None  # noqa: E711


def whole(clip: Clip, tempo: float | None) -> float:
    """Where a clip of a whole file ends, counted as its markers are: in beats where it is warped from a tempo, else in seconds."""
    length = clip.sample_length / clip.sample_rate
    return length * tempo / 60.0 if tempo else length


def show_whole(clip: Clip, tempo: float | None) -> None:
    """Put all markers of a clip, which is warped from ``tempo`` or (None) not at all, around its whole file."""
    end = whole(clip, tempo)
    if tempo:
        _lay(clip, end)
    clip.start_marker = clip.loop_start = 0.0  # first: no end may lie before its start
    clip.end_marker = clip.loop_end = end


def shows_whole(clip: Clip, tempo: float | None) -> bool:
    """Whether a clip plays its whole file, and straight from the first sample to the last where it is warped."""
    end = whole(clip, tempo)
    ends = (clip.start_marker, clip.loop_start, clip.end_marker - end, clip.loop_end - end)
    if max(map(abs, ends)) >= EDGE:
        return False
    if not tempo:
        return True
    laid = [clip.beat_to_sample_time(beat) - beat / end * clip.sample_length for beat in (0.0, end / 2, end)]
    return max(map(abs, laid)) <= 1


def _lay(clip: Clip, end: float) -> None:
    """Warp a clip of a steady tempo straight from its first sample to its last, whatever Live took its tempo for."""
    import Live  # only inside Live

    clip.warp_mode = Live.Clip.WarpMode.beats  # type: ignore[assignment]  # the stubs take its members for plain numbers
    for marker in list(clip.warp_markers):
        with contextlib.suppress(RuntimeError):  # the last one stays
            clip.remove_warp_marker(marker.beat_time)
    for seconds_in, beat in ((0.0, 0.0), (clip.sample_length / clip.sample_rate, end)):
        with contextlib.suppress(RuntimeError):  # there is one already
            clip.add_warp_marker(Live.Clip.WarpMarker(seconds_in, beat))


def our_clips(track: Track) -> list[tuple[Clip, Callable[[], None]]]:
    """Every clip of a track, its take lanes and its slots, each with what deletes it."""
    lanes = [track, *getattr(track, "take_lanes", ())]
    on_lanes = [(clip, functools.partial(track.delete_clip, clip)) for lane in lanes for clip in lane.arrangement_clips]
    in_slots = [(slot.clip, slot.delete_clip) for slot in getattr(track, "clip_slots", ()) if slot.has_clip]
    return [*on_lanes, *in_slots]  # take lanes delete no clips of their own


def select(song: Song, start: float, end: float) -> None:
    """Make a stretch of the arrangement the loop brace, so that it is selected."""
    if end > start:
        song.loop_start, song.loop_length, song.loop = start, end - start, True
