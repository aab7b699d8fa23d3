"""A dataset out of folders of songs, with the labels that lie beside them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError, BadRequest, NotFound, TooLarge, UnsupportedChannels
from acestep.api.limits import MAX_CHANNELS, MAX_DURATION
from acestep.audio.layout import Layout
from acestep.audio.sniff import sniff
from acestep.conditioning.prompts import INSTRUMENTAL_FORMS
from acestep.dataset.sample import WHOLE, Dataset, Own, SampleWindow, TrainingSample, duration_text
from acestep.dataset.sidecars import Tables, read_sidecars

SUFFIXES = (".wav", ".flac", ".aiff", ".aif", ".ogg", ".opus", ".mp3")
"""Endings of songs; of two files with one name beside each other the first in this order is taken."""

MIN_SECONDS = 1.0
"""A shorter sound is not music to learn from."""

MAX_SAMPLES = 10_000


class LeftOut(msgspec.Struct, frozen=True):
    """A file that cannot be learned from, and why."""

    path: str
    reason: str


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset, the files that are not in it, and sentences on labels that were not taken."""

    dataset: Dataset
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


def scan(
    folders: Iterable[Path],
    *,
    name: str = "",
    known: Dataset | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Scan:
    """Every song below the folders. Samples that ``known`` has keep the labels they have there; ``advance(done, total)`` may raise
    to stop.

    Raises `NotFound` for a folder that is not there, `BadRequest` when no song can be used, `TooLarge` beyond `MAX_SAMPLES`.
    """
    roots = [folder.expanduser() for folder in folders]
    songs, tables = _find(roots)
    left_out: list[LeftOut] = []
    notes: list[str] = []
    chosen = _one_of_each(songs, left_out)
    table = Tables()
    for path in tables:
        table.read(path, _by_name(chosen, path.parent), notes)
    samples: list[TrainingSample] = []
    for done, song in enumerate(chosen):
        advance(done, len(chosen))
        before = [sample for sample in known.samples if sample.audio_path == str(song)] if known else []
        try:
            samples += [_measured_again(sample) for sample in before] or [_sample(song, table, notes)]
        except (AceError, OSError) as failure:
            left_out.append(LeftOut(str(song), _reason(song, failure)))
    if not samples:
        raise BadRequest(
            _nothing(roots, left_out), field="folder", limits={"left_out": [one.reason for one in left_out]}
        )
    base = known or Dataset(
        name=name or roots[0].name or "untitled_dataset",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        all_instrumental=all(sample.is_instrumental for sample in samples),
    )
    return Scan(
        dataset=msgspec.structs.replace(base, samples=tuple(samples)), left_out=tuple(left_out), notes=tuple(notes)
    )


def _find(roots: list[Path]) -> tuple[list[Path], list[Path]]:
    """Songs and tables below the folders, each once, in order."""
    songs: dict[Path, None] = {}
    tables: dict[Path, None] = {}
    for root in roots:
        if not root.is_dir():
            raise NotFound(f"there is no folder {root}", field="folder")
        for folder, inner, files in os.walk(root):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            for file in sorted(files):
                path = Path(os.path.abspath(os.path.join(folder, file)))
                if file.startswith("."):
                    continue
                if path.suffix.lower() in SUFFIXES:
                    songs.setdefault(path)
                elif path.suffix.lower() == ".csv":
                    tables.setdefault(path)
            if len(songs) > MAX_SAMPLES:
                raise TooLarge(f"there are more than {MAX_SAMPLES:,} songs below {root}", field="folder",
                               limits={"max": MAX_SAMPLES})  # fmt: skip
    return list(songs), list(tables)


def _one_of_each(songs: list[Path], left_out: list[LeftOut]) -> list[Path]:
    """Of files that differ in their ending only, one: sidecars could belong to any of them, and the song would count twice."""
    best: dict[Path, Path] = {}
    for song in sorted(songs, key=lambda path: SUFFIXES.index(path.suffix.lower())):
        kept = best.setdefault(song.with_suffix(""), song)
        if kept is not song:
            left_out.append(LeftOut(str(song), f"{song.name} has the name of {kept.name} beside it, which is taken"))
    return [song for song in songs if best[song.with_suffix("")] == song]


def _by_name(songs: list[Path], folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for song in songs:
        if song.is_relative_to(folder):
            found.setdefault(song.name.lower(), []).append(song)
    return found


def measured_layout(path: Path, window: SampleWindow = WHOLE) -> tuple[Layout, float]:
    """A sound file that can be learned from: its layout, and the seconds of its window.

    Raises as `sniff` does, `UnsupportedChannels`, `TooLarge` for a file too long for a song, `BadRequest` for one too short.
    """
    layout = sniff(path)
    if layout.channels > MAX_CHANNELS:
        raise UnsupportedChannels(f"{path.name} has {layout.channels} channels; mono and stereo can be learned from")
    rest = max(0, layout.frames - window.start)
    seconds = min(window.length or rest, rest) / layout.rate
    if seconds < MIN_SECONDS:
        raise BadRequest(f"{path.name} holds {seconds:.2f} s of sound; at least {MIN_SECONDS:g} s are needed",
                         field="audio_path", limits={"min": MIN_SECONDS})  # fmt: skip
    if seconds > MAX_DURATION:
        raise TooLarge(
            f"{path.name} is {duration_text(seconds)} long and a song at most {duration_text(MAX_DURATION)}: cut it into songs",
            field="audio_path",
            limits={"max": MAX_DURATION},
        )
    return layout, seconds


def make_sample(song: Path, *, window: SampleWindow = WHOLE, title: str = "", song_name: str = "") -> TrainingSample:
    """A sample without labels: a file, or a window of it. The id follows from both, so that it is the same at the next scan.

    Raises as `measured_layout` does.
    """
    _, seconds = measured_layout(song, window)
    named = f"{song}\0{window.start}\0{window.length}" if window != WHOLE else str(song)
    return TrainingSample(
        id=hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:8],
        audio_path=str(song),
        filename=title or song.name,
        duration=int(seconds + 0.5),
        own=Own(seconds=round(seconds, 3), window=window, song=song_name),
    )


def _measured_again(sample: TrainingSample) -> TrainingSample:
    """A known sample, whose file may have become another one."""
    _, seconds = measured_layout(sample.path, sample.own.window)
    own = msgspec.structs.replace(sample.own, seconds=round(seconds, 3))
    return msgspec.structs.replace(sample, duration=int(seconds + 0.5), own=own)


def _sample(song: Path, table: Tables, notes: list[str]) -> TrainingSample:
    bare = make_sample(song)
    labels: dict[str, Any] = {**read_sidecars(song, notes), **table.labels(song)}
    if labels.get("lyrics", "").strip().lower() not in INSTRUMENTAL_FORMS:
        labels.setdefault("is_instrumental", False)
        labels.setdefault("raw_lyrics", labels["lyrics"])
    elif not labels.get("lyrics"):
        labels.pop("lyrics", None)
    labels.setdefault("labeled", bool(labels.get("caption")))
    return msgspec.structs.replace(bare, **labels)


def _reason(song: Path, failure: Exception) -> str:
    if isinstance(failure, AceError):
        return failure.message
    return f"{song.name} cannot be read: {getattr(failure, 'strerror', None) or 'the disk reports an error'}"


def _nothing(roots: list[Path], left_out: list[LeftOut]) -> str:
    place = ", ".join(map(str, roots))
    if not left_out:
        return f"there are no songs below {place}; WAV, FLAC, AIFF, OGG, Opus and MP3 are looked for"
    more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
    return f"none of the {len(left_out)} songs below {place} can be used: {left_out[0].reason}{more}"


class SampleRegion(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a project: a sound file, a window of it in samples, a title, and the song it belongs to."""

    path: str
    start: int = 0
    length: int = 0
    title: str = ""
    song: str = ""


def from_regions(regions: Iterable[SampleRegion], *, name: str = "") -> Scan:
    """A dataset of a project's stems or regions; ids, errors and what is left out are as with `scan`."""
    left_out: list[LeftOut] = []
    samples: dict[str, TrainingSample] = {}
    for region in regions:
        song, window = Path(region.path).expanduser(), SampleWindow(start=region.start, length=region.length)
        try:
            sample = make_sample(song, window=window, title=region.title, song_name=region.song)
            samples.setdefault(sample.id, sample)
        except (AceError, OSError) as failure:
            left_out.append(LeftOut(str(song), _reason(song, failure)))
    if not samples:
        raise BadRequest(left_out[0].reason if left_out else "no regions were given", field="regions")
    made = Dataset(name=name or "project", created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                   samples=tuple(samples.values()))  # fmt: skip
    return Scan(dataset=made, left_out=tuple(left_out))
