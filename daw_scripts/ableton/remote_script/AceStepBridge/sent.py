"""What was sent to Live from the studio page, placed at the play position."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import live
from .acestep_core import handover
from .asking import RATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .kinds import Facts, Song
    from .placing import Placing

HOST = "ableton"


class Sent:
    """Looks into the daemon's spool folder at every tick of Live. ``name()`` gives a name that no other job has."""

    def __init__(
        self, song: Song, home: str, placing: Placing, name: Callable[[], str], say: Callable[..., None]
    ) -> None:
        self._song = song
        self._spool = os.path.join(home, "spool")
        self._placing = placing
        self._name = name
        self._say = say
        self._blocked = False

    def tick(self) -> None:
        """Place what waits; while the set's folder takes no files it goes on waiting, and that is told once."""
        if not handover.waits(self._spool, HOST):
            return
        folder = live.media_folder(self._song)
        if not _writable(folder):
            if not self._blocked:
                self._say(code="readonly_media_folder", path=folder)
            self._blocked = True
            return
        self._blocked = False
        for sent in handover.take(self._spool, HOST, self._name()):
            try:
                self._place(sent)
            except live.Refused as refusal:
                self._say(**refusal.facts)
            except OSError as failure:
                self._say(code="readonly_media_folder", path=str(failure.filename or folder))

    def _place(self, sent: Facts) -> None:
        beat = self._song.current_song_time
        position = int(live.seconds(self._song, beat) * RATE + 0.5)
        job: dict[str, Any] = handover.pending(sent, self._name(), position, RATE)
        job.update(beat=beat, tempo=self._song.tempo)
        landings = self._placing.fetch(job, sent["job"]["result"]["files"])
        self._placing.place([(job, landings)], self._placing.done([(job, ())]))


def _writable(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
