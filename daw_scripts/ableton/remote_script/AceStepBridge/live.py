"""All that is asked of Live's object model: what is selected, and clips onto tracks. Times in Live are beats."""

import os

NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
STRAIGHT = 0.001
"""Largest deviation of a warped clip's tempo from the song's at which its file still runs straight."""


class Refused(Exception):
    """Something the user has to change first; the text is the sentence."""


def key_of(song):
    """The song's key as the model knows keys, or an empty text for other scales."""
    scale = str(getattr(song, "scale_name", "")).lower()
    if scale not in ("major", "minor") or not getattr(song, "scale_mode", True):
        return ""
    return f"{NOTES[int(song.root_note) % 12]} {scale}"


def seconds(song, beats):
    """Seconds that a number of beats lasts. Live shows scripts only the current tempo, so tempo automation is not seen."""
    return beats * 60.0 / song.tempo


def region(song):
    """The selected stretch of the arrangement in beats: the loop brace where it is on, else the clip in the detail view."""
    if song.loop and song.loop_length > 0:
        return song.loop_start, song.loop_start + song.loop_length
    clip = song.view.detail_clip
    if clip is not None and getattr(clip, "is_arrangement_clip", False):
        return clip.start_time, clip.end_time
    return None


def clip_at(track, start, end):
    """The arrangement audio clip of a track that covers most of a stretch, or None."""
    best, most = None, 0.0
    for clip in track.arrangement_clips:
        shared = min(end, clip.end_time) - max(start, clip.start_time)
        if shared > most:
            best, most = clip, shared
    return best


def file_region(song, clip, start, end):
    """A stretch of the arrangement inside the clip's file: ``{path, rate, start, end}`` in samples, ``{first, last}`` in beats.

    Raises `Refused` where the file does not run straight under the stretch (other tempo, warped, looped).
    """
    first, last = max(start, clip.start_time), min(end, clip.end_time)
    if not clip.is_audio_clip:
        raise Refused("midi_only")
    if not os.path.isfile(clip.file_path):
        raise Refused("offline_media")
    rate = int(clip.sample_rate)
    inside = (first - clip.start_time, last - clip.start_time)
    if clip.warping:
        marks = [clip.start_marker + beat for beat in inside]
        if clip.looping and marks[1] > clip.loop_end:
            raise Refused("warped")
        samples = [int(clip.beat_to_sample_time(beat) + 0.5) for beat in marks]
        straight = seconds(song, last - first) * rate
        if abs(samples[1] - samples[0] - straight) > max(1.0, STRAIGHT * straight):
            raise Refused("warped")
    else:
        samples = [int((clip.start_marker + seconds(song, beat)) * rate + 0.5) for beat in inside]
    return {"path": clip.file_path, "rate": rate, "start": samples[0], "end": samples[1], "first": first, "last": last}


def media_folder(song):
    """Where new audio is copied to: the project's own samples, or a folder in the user's music while it is unsaved."""
    path = getattr(song, "file_path", "") or ""
    if path:
        return os.path.join(os.path.dirname(path), "Samples", "acestep-bridge")
    return os.path.join(os.path.expanduser("~"), "Music", "acestep-bridge")


def new_track(song, after, name):
    """A new audio track below another one (None: at the end)."""
    tracks = list(song.tracks)
    index = tracks.index(after) + 1 if after in tracks else len(tracks)
    track = song.create_audio_track(index)
    track.name = name
    return track


def place(song, track, path, beat, name, lane):
    """A file as a clip at a beat: in a take lane of the track (Live 12.2) when wished, else on the track.

    The clip, or None in a Live before 12.0.5.
    """
    target = track
    if lane and hasattr(track, "create_take_lane"):
        target = track.create_take_lane()
        target.name = name
    if not hasattr(target, "create_audio_clip"):
        return None
    clip = target.create_audio_clip(path, beat)
    clip.warping = False
    clip.name = name
    return clip
