"""What Live gives scripts no other way: the sound after effects, or the mix without a track, recorded in one pass in real time."""

from . import live

LATE_BEATS = 0.25
"""Recorded past the end, because ticks come ten times a second."""

PATIENCE_TICKS = 50
"""Ticks to wait for Live to write the recorded file."""


class Recording:
    """One pass over a stretch of the arrangement, onto a track for the moment. Everything it changes is put back.

    ``source`` is the track whose sound after effects is wanted; None records what is heard. ``silent`` is muted meanwhile.
    ``done(cut)`` gets the stretch in the recorded file (see `live.file_region`), ``failed(code)`` why there is none.
    """

    def __init__(self, song, stretch, source, silent):
        self.song = song
        self.first, self.last = stretch
        self.source = source
        self.silent = silent
        self.done = self.failed = None
        self.track = None
        self._before = {}
        self._armed = []
        self._ticks = 0

    def start(self, done, failed):
        """Make the track, arm it and let Live run. False when that is not possible; ``failed`` has said why."""
        song = self.song
        if song.is_playing or song.record_mode:
            failed("stop_first")
            return False
        self.done, self.failed = done, failed
        self._before = {"loop": song.loop, "current_song_time": song.current_song_time}
        self._armed = [track for track in song.tracks if track.can_be_armed and track.arm]
        self.track = live.new_track(song, None, "ACE-Step records")
        if not live.listen_to(self.track, self.source):
            self._restore()
            failed("no_resampling")
            return False
        for track in self._armed:
            track.arm = False
        if self.silent is not None:
            self._before["mute"] = self.silent.mute
            self.silent.mute = True
        self.track.arm = True
        song.loop, song.current_song_time = False, self.first
        song.record_mode = True
        song.continue_playing()
        return True

    def tick(self):
        """Look where Live is; True when the pass is over."""
        if self._is_running():
            return False
        self._ticks += 1
        clip = live.clip_at(self.track, self.first, self.last)
        if not live.has_file(clip) and self._ticks < PATIENCE_TICKS:
            return False
        if not live.has_file(clip) or clip.start_time > self.first or clip.end_time < self.last:
            return self._end(self.failed, "nothing_recorded")
        return self._end(self.done, live.file_region(self.song, clip, self.first, self.last))

    def _is_running(self):
        """Whether Live still plays the stretch; stops it behind the end."""
        song = self.song
        if self._ticks > 0 or not song.record_mode:
            return False
        if song.is_playing and song.current_song_time < self.last + LATE_BEATS:
            return True
        song.stop_playing()
        song.record_mode = False
        return False

    def _end(self, tell, fact):
        self._restore()
        tell(fact)
        return True

    def _restore(self):
        song = self.song
        song.delete_track(list(song.tracks).index(self.track))
        for track in self._armed:
            track.arm = True
        if "mute" in self._before:
            self.silent.mute = self._before["mute"]
        song.loop, song.current_song_time = self._before["loop"], self._before["current_song_time"]
