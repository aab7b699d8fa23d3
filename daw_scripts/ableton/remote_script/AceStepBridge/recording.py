"""What Live gives scripts no other way: the sound after effects, or the mix without a track, recorded in one pass in real time.

The Max device does the same in the same steps: `device/recording.js`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import live

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from .kinds import Clip, Facts, Song, Track

TRACK = "ACE-Step records"
"""Name of the track for the moment."""

LATE_BEATS = 0.25
"""Recorded past the end, because ticks come ten times a second."""

PATIENCE_TICKS = 50
"""Ticks to wait for Live to do what it was asked: to arm, to start, to write the recorded file."""


class Recording:
    """One pass over a stretch of the arrangement, onto a track for the moment. Everything it changes is put back.

    ``source`` is the track whose sound after effects is wanted; None records what is heard. ``silent`` is muted meanwhile.
    ``done(cut)`` gets the stretch in the recorded file (see `live.file_region`), ``failed(code)`` why there is none.
    """

    def __init__(self, song: Song, stretch: tuple[float, float], source: Track | None, silent: Track | None) -> None:
        self.song = song
        self.first, self.last = stretch
        self.source = source
        self.silent = silent
        self.track: Track | None = None
        self._before: Facts = {}
        self._muted = False
        self._armed: list[Track] = []
        self._selected: Track | None = None

    def start(self, done: Callable[[Facts], None], failed: Callable[[str], None]) -> bool:
        """Make the track and arm it. False when that is not possible; ``failed`` has said why."""
        if self.song.is_playing or self.song.record_mode:
            failed("stop_first")
            return False
        self.done, self.failed = done, failed
        self._remember()
        try:
            self._prepare()
        except live.Refused as refusal:
            self._end(failed, str(refusal))
            return False
        self._steps = self._run()
        return True

    def tick(self) -> None:
        """Do what is next, once per tick of Live; ``done`` or ``failed`` is told at the end."""
        try:
            next(self._steps)
        except StopIteration as over:
            self._end(self.done, over.value)
        except live.Refused as refusal:
            self._end(self.failed, str(refusal))
        except Exception:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Break the pass off."""
        self._end(self.failed, "nothing_recorded")

    def _remember(self) -> None:
        song = self.song
        if self.silent == song.master_track:
            self.silent = None  # it cannot be muted: all the tracks are heard
        self._before = {"loop": song.loop, "current_song_time": song.current_song_time}
        self._armed = [track for track in song.tracks if track.can_be_armed and track.arm]
        self._muted = self.silent is not None and self.silent.mute
        self._selected = song.view.selected_track

    def _prepare(self) -> None:
        song = self.song
        try:
            self.track = live.new_track(song, None, TRACK)
        except Exception as failure:  # Live's own error for a full set has a name only inside Live
            raise live.Refused("no_track") from failure
        live.listen_to(self.track, self.source)
        for track in self._armed:
            track.arm = False
        if self.silent is not None:
            self.silent.mute = True
        self.track.arm = True
        song.loop, song.current_song_time = False, self.first

    def _run(self) -> Generator[None, None, Facts]:
        """The pass, a step per tick; its value is the stretch in the recorded file. Live does what it is asked a little later."""
        song = self.song
        song.record_mode = True
        yield from self._until(lambda: song.record_mode)
        song.continue_playing()
        yield from self._until(lambda: song.is_playing)
        while self._is_running():
            yield
        self._stop()
        yield from self._until(lambda: live.is_written(self._clip()))
        clip = self._clip()
        if clip is None or clip.start_time > self.first or clip.end_time < self.last:
            raise live.Refused("nothing_recorded")
        return live.file_region(song, clip, self.first, self.last)

    def _until(self, condition: Callable[[], object]) -> Generator[None, None, None]:
        for _ in range(PATIENCE_TICKS):
            if condition():
                return
            yield
        raise live.Refused("nothing_recorded")

    def _is_running(self) -> bool:
        song = self.song
        records = song.is_playing and song.record_mode and self.track in list(song.tracks)
        return records and song.current_song_time < self.last + LATE_BEATS

    def _clip(self) -> Clip | None:
        if self.track is None or self.track not in list(self.song.tracks):
            return None
        return live.clip_at(self.track, self.first, self.last)

    def _stop(self) -> None:
        if self.song.is_playing:
            self.song.stop_playing()
        self.song.record_mode = False

    def _end(self, tell: Callable[[Any], None], fact: Any) -> None:
        self._restore()
        tell(fact)

    def _restore(self) -> None:
        song = self.song
        self._stop()
        tracks = list(song.tracks)
        if self.track in tracks:
            song.delete_track(tracks.index(self.track))
        for track in self._armed:
            track.arm = True
        if self.silent is not None:
            self.silent.mute = self._muted
        song.loop, song.current_song_time = self._before["loop"], self._before["current_song_time"]
        if self._selected is not None:
            song.view.selected_track = self._selected
