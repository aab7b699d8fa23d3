"""Which songs are only listened to: the validation split, by song, so that no part of one is learned and judged at once."""

from __future__ import annotations

import re

from acestep.api.music import TRACK_ALIASES, TRACKS
from acestep.dataset.prompt import chance
from acestep.dataset.sample import Dataset, TrainingSample

_TRACKS = "|".join(sorted(map(re.escape, {*TRACKS, *TRACK_ALIASES, "mix", "full"}), key=len, reverse=True))
_PART = re.compile(
    rf"[\s_.()\[\]-]+(?:(?:part|pt|section|segment|chunk|crop|clip|loop|region|stem|take)[\s_.-]*\d*|(?:{_TRACKS}))[\s)\]]*$",
    re.IGNORECASE,
)


def song_of(sample: TrainingSample) -> str:
    """The song a sample belongs to: as it was named, else by its file without ``part 2``, ``drums`` and the like."""
    if sample.own.song:
        return sample.own.song
    stem = sample.path.stem
    while (shorter := _PART.sub("", stem)) != stem and shorter.strip():
        stem = shorter
    return str(sample.path.parent / stem).lower()


def validation_ids(dataset: Dataset, seed: int = 42) -> frozenset[str]:
    """Ids of the samples that validate. Which songs they are follows from their names, so more songs move none of them.

    At least one song validates where a share was asked for, and at least one is left to learn from. A side chosen by hand holds
    for the whole song.
    """
    songs: dict[str, list[TrainingSample]] = {}
    for sample in dataset.samples:
        songs.setdefault(song_of(sample), []).append(sample)
    fixed = {
        name: side for name, parts in songs.items() if (side := next((p.own.split for p in parts if p.own.split), ""))
    }
    free = sorted(
        (name for name in songs if name not in fixed), key=lambda name: chance(f"{seed}/{name.rpartition('/')[2]}")
    )
    chosen = {name for name, side in fixed.items() if side == "validation"}
    if dataset.validation > 0 and len(songs) > 1:
        wanted = max(1, int(len(songs) * dataset.validation + 0.5))
        chosen |= set(free[: max(0, min(wanted, len(songs) - 1) - len(chosen))])
    return frozenset(sample.id for name in chosen for sample in songs[name])
