"""From an action of the user to what the daemon is asked for. Knows Live only through `live`, and nothing of the network."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from . import live
from .acestep_core import requests
from .acestep_core.tempo import plan

if TYPE_CHECKING:
    from .kinds import Clip, Facts, Song, Track

RATE = 48_000
"""Sample rate of new parts: Live does not tell scripts its own."""


class Situation:
    """What is selected when an action starts, and what is sent for it."""

    def __init__(self, song: Song) -> None:
        self.song = song
        self.track = song.view.selected_track
        self.clip = live.session_clip(song)
        self.stretch = live.region(song)
        """The selected stretch of the arrangement in beats, or None."""
        self.facts: Facts = {"saved": True, "rate": RATE, "key": live.key_of(song), "track": self.track.name}
        self.facts["track_name"] = self.track.name
        self.slot: int | None = None
        self.beat: float | None = None

    def choose(self, wanted: Facts) -> None:
        """Fix the stretch for an action; a Session clip of the track counts where no stretch of the arrangement is selected."""
        if self.stretch is None and self.clip is not None and wanted["audio"] == "target":
            self.slot = live.slot_of(self.track, self.clip)
            if self.slot is not None:
                return self._take_session_clip(self.clip)
        if self.stretch is None and wanted["needs"] == "position":
            self.stretch = self.song.current_song_time, self.song.current_song_time
        if self.stretch is not None:
            self._set_stretch(*self.stretch, RATE)

    def _take_session_clip(self, clip: Clip) -> None:
        cut = live.session_region(self.song, clip)
        self.facts.update(rate=cut["rate"], start=cut["start"], end=cut["end"])
        self.facts["source"] = {**cut, "span_start": cut["start"], "span_end": cut["end"], "origin": 0}

    def _set_stretch(self, first: float, last: float, rate: int) -> None:
        self.beat = first
        self.facts.update(rate=rate, start=_samples(self.song, first, rate), end=_samples(self.song, last, rate))
        self.facts["first_bar"], self.facts["last_bar"] = live.bars(self.song, first, last)

    @property
    def span(self) -> tuple[float, float]:
        """The stretch in beats. Raises `live.Refused` where there is none."""
        if self.stretch is None:
            raise live.Refused("no_selection")
        return self.stretch

    def parts(self, outside: bool) -> list[Situation]:
        """This situation for each clip under the stretch, on every selected track; clips of notes beside audio are left out.

        With ``outside`` the stretch may reach past its clip: that is one clip a track then, the one that covers most. Raises
        `live.Refused`.
        """
        first, last = self.span
        found: list[tuple[Track, Clip]] = []
        for track in live.selected_tracks(self.song, self.track):
            clips = live.clips_under(track, first, last)
            most = live.clip_at(track, first, last) if clips and outside else None
            found += [(track, clip) for clip in ([most] if most is not None else clips)]
        if not found:
            raise live.Refused("nothing_there")
        audio = [(track, clip) for track, clip in found if clip.is_audio_clip] or found
        cuts = [(track, live.file_region(self.song, clip, first, last, outside)) for track, clip in audio]
        return [self._part(track, cut) for track, cut in cuts]

    def _part(self, track: Track, cut: Facts) -> Situation:
        part = copy.copy(self)
        part.track, part.facts = track, {**self.facts, "track": track.name, "track_name": track.name}
        part.use(cut)
        return part

    def use(self, cut: Facts) -> None:
        """Send a stretch of a file (see `live.file_region`)."""
        self._set_stretch(cut["first"], cut["last"], cut["rate"])
        self.facts["source"] = {**cut, "origin": self.facts["start"] - cut["start"]}

    def jobs(self, wanted: Facts, values: Facts) -> list[Facts]:
        """The jobs of an action. Live tells scripts one tempo only, so there is one passage."""
        song, rate = self.song, self.facts["rate"]
        segment = {"start": 0.0, "bpm": song.tempo, "num": song.signature_numerator, "den": song.signature_denominator}
        first, last = self.facts["start"] / rate, max(self.facts["end"], self.facts["start"] + 1) / rate
        if wanted["name"] != "operation":  # an operation of a plug-in may know no such fields
            self.facts.update(self._time())
        passages, _ = plan([segment], first, last, "refuse")
        jobs: list[Facts] = requests.jobs(wanted, self.facts, passages, values)
        return jobs

    def _time(self) -> Facts:
        """Where the bars are: those of the song; a warped Session clip begins with bar 1, of another one that is not known."""
        if self.beat is not None:
            return {"point": live.point(self.song, self.beat)}
        if self.clip is not None and self.clip.warping:
            return {"point": live.point(self.song, 0.0)}
        return {"guide_from": "region"}

    def pending(self, name: str, wanted: Facts, job: Facts, values: Facts) -> Facts:
        """What is kept of a job until its result comes: plain data."""
        index = list(self.song.tracks).index(self.track) if self.track in list(self.song.tracks) else None
        place = {"track_index": index, "slot": self.slot, "beat": self.beat, "tempo": self.song.tempo}
        kept = requests.pending(name, wanted, self.facts, job)
        return {**kept, **{key: value for key, value in place.items() if value is not None}, "values": values}


def _samples(song: Song, beats: float, rate: int) -> int:
    return int(live.seconds(song, beats) * rate + 0.5)


def summary(wanted: Facts, parts: list[Situation], recorded: bool) -> str:
    """What is sent for an action, and what is read for it: tracks, bars, seconds, tempo."""
    facts = [part.facts for part in parts]
    names = [known["track_name"] for known in facts if "source" in known]
    bars = [known for known in facts if "first_bar" in known]
    read = {"none": "Sends no audio.", "others": "Sends the mix without the selected track."}.get(wanted["audio"])
    own = "Sends the track after its effects." if recorded else "Sends the clip's file, with some seconds around it."
    told: str = requests.summary(
        {
            "tracks": list(dict.fromkeys(names)) if wanted["audio"] != "none" else [],
            "stretches": len(parts),
            "first_bar": min((known["first_bar"] for known in bars), default=None),
            "last_bar": max((known["last_bar"] for known in bars), default=None),
            "seconds": sum((known["end"] - known["start"]) / known["rate"] for known in facts),
            "bpm": parts[0].song.tempo,
            "read": read or own,
        }
    )
    return told
