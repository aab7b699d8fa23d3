"""How the embedded model sounds on held-out songs: is an edit as wide in stereo as the song, and does it leave out what the words
leave out.

    python -m benchmarks.nano_sound [width] [words] [control] [--songs N]

Width: songs of the test split, their parts spread in the room, are repainted, extended and covered; a new part is added and
made from nothing. Words: captions without drums are generated, and the drums that are extracted from each are measured against
it. Control: what the same extraction finds in songs and parts that were rendered without a single drum. All run the engine in this
process; the songs need the sound font of docs/nano.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from acestep.worker.command_line import prepare_environment

RATE = 48_000
SECONDS = 24
REGION = (9.0, 15.0)
CAPTIONS = (
    "solo piano ballad",
    "gentle solo acoustic guitar, fingerpicked",
    "string quartet, slow and sad",
    "a cappella choir",
    "ambient synth pads, no drums",
    "piano and strings, cinematic, without percussion",
    "harp lullaby",
    "drumless lofi with rhodes and guitar",
    "church organ, solemn",
    "solo flute over warm strings",
    "rock guitar and bass, no drums",
    "beatless electronic drone with synth",
    "classical piano nocturne",
    "acoustic folk, guitar and flute, no percussion",
    "Klavier und Geige, ohne Schlagzeug",
    "brass fanfare, unaccompanied",
)
"""Sixteen that ask for no drums, in several ways of saying so."""

Sound = NDArray[np.float64]


class Player:
    """Jobs of the embedded model in this process."""

    def __init__(self, home: Path) -> None:
        from acestep.api import Registry
        from acestep.engine import Engine

        self.home, self.count, self.registry = home, 0, Registry.load()
        settings = {"home": home, "library": home / "library", "uploads": home, "threads": 1, "model": "nano"}
        self.engine = Engine({**settings, "checkpoints": [], "device": "cpu", "dtype": "auto"})

    def play(self, operation: str, **params: Any) -> tuple[Sound, Path]:
        """The first file of a job [C, n], and its path."""
        from acestep.admission.render import admit_render
        from acestep.worker.backend import JobContext

        self.count += 1
        folder = self.home / "library" / str(self.count)
        folder.mkdir(parents=True)
        admitted = admit_render(self.registry, operation, {"seed": 1, "check": "off", **params}, self.engine.host)
        context = JobContext("job", folder, self.registry, lambda *tick: None, backend=self.engine)
        result = self.engine.run("render", admitted.render.to_recipe(), context)
        path = folder / result.files[0].name
        return soundfile.read(path, always_2d=True)[0].T, path


def wide_songs(count: int) -> Iterator[tuple[str, Sound]]:
    """Songs of the test split whose parts stand left and right and have a room, but for bass and drums."""
    from acestep.training.evaluation.trials import held_out
    from acestep.training.songs import compose
    from acestep.training.songs.bank import open_bank
    from acestep.training.songs.stem_render import render_mix, render_stems

    bank = open_bank()
    for short in held_out("test", count):
        song = compose(short.seed, SECONDS + 1)
        parts = []
        for number, part in enumerate(song.parts):
            still = part.track in ("bass", "drums")
            pan = 0.0 if still else (0.7, -0.7, 0.4, -0.4)[number % 4]
            parts.append(replace(part, pan=pan, ambience=0.15 if still else 0.9))
        wide = replace(song, parts=tuple(parts))
        yield song.style, render_mix(render_stems(wide, bank, SECONDS * RATE)).astype(np.float64)


def widths(sound: Sound) -> tuple[NDArray[np.float64], float]:
    """Level of the side against the middle's by band from 160 Hz to 10 kHz in dB, and the correlation of the channels."""
    from acestep.codec.width import measure

    found = measure([sound.astype(np.float32)], RATE)
    share = np.square(found.pan) + np.square(found.spread)
    return 10 * np.log10(np.maximum(share[2:19], 1e-6)), float(np.corrcoef(sound)[0, 1])


def width(player: Player, count: int) -> None:
    """One row an operation: how far off the side is by band, and the correlations outside, inside and as the model plays."""
    first, last = (round(place * RATE) for place in REGION)
    songs = []
    for number, (style, sound) in enumerate(wide_songs(count)):
        path = player.home / f"{number}-{style}.wav"
        soundfile.write(path, sound.T, RATE, subtype="FLOAT")
        songs.append((path, sound))
    print(
        "| operation | side by band, off by | bands within a third | correlation outside | inside | as the model plays |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    regions = {
        "repaint": (first, last),
        "cover": (first, last),
        "refine": (first, last),
        "extend": (SECONDS * RATE - RATE, (SECONDS + 5) * RATE),
    }
    for operation, (start, end) in regions.items():
        off, rows = [], []
        for path, sound in songs:
            outside = sound[:, start:end] if operation in ("cover", "refine") else _beside(sound, start, end)
            asked, around = widths(outside)
            edit = {"source": str(path), "start": start, "end": end, "returns": ["patch"], "format": "wav32f"}
            if operation == "repaint":
                edit["bpm"] = 120.0
            made, plain = (
                player.play(operation, **edit, **wish)[0][:, 4800 : end - start - 4800]
                for wish in ({}, {"width": "model"})
            )
            levels, inside = widths(made)
            off.append(levels - asked)
            rows.append((around, inside, widths(plain)[1]))
        error = np.abs(np.concatenate(off))
        means = " | ".join(f"{value:.2f}" for value in np.mean(rows, 0))
        ratio = 10 ** (np.concatenate(off) / 20)
        within = np.mean((ratio > 2 / 3) & (ratio < 4 / 3))
        print(f"| {operation} | {error.mean():.1f} dB | {within:.0%} | {means} |", flush=True)
        print("<!--", [tuple(round(v, 2) for v in row) for row in rows], "-->", file=sys.stderr)
    for operation in ("lego", "complete", "generate"):
        sides = []
        for path, _ in songs:
            given = (
                {"source": str(path), "start": first, "end": last} if operation != "generate" else {"duration": 10.0}
            )
            track = {"track": "guitar"} if operation == "lego" else {}
            sides.append(widths(player.play(operation, **given, **track, caption="rock")[0]))
        level = np.mean([one[0] for one in sides])
        print(f"| {operation} | side {level:.0f} dB | | | {np.mean([one[1] for one in sides]):.2f} | |", flush=True)


def _beside(sound: Sound, start: int, end: int) -> Sound:
    """Ten seconds a side of a region."""
    reach = 10 * RATE
    return np.concatenate([sound[:, max(0, start - reach) : start], sound[:, end : end + reach]], 1)


def words(player: Player, count: int) -> None:
    """One row a caption: how far below the result its extracted drums lie, as the model plays and with drums taken out, by
    extractions with the take's own seed and with another; the tempo that is heard; and what taking them out costs."""
    print(
        "| caption | drums below, `drums model` | `auto`, same seed | `auto`, another seed | tempo asked | heard | time |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for number, caption in enumerate(CAPTIONS[:count]):
        bpm = 72.0 + 6 * number % 48
        asked = {"caption": caption, "bpm": bpm, "key": "A minor", "duration": 10.0, "format": "wav32f"}
        clock = [time.process_time()]
        plain, path = player.play("generate", drums="model", **asked)
        clock.append(time.process_time())
        played = drums_below(player, path, plain, seed=77)
        clock.append(time.process_time())
        made, path = player.play("generate", **asked)
        clock.append(time.process_time())
        own, other = (drums_below(player, path, made, seed) for seed in (1, 77))
        times = f"{clock[1] - clock[0]:.1f}, {clock[3] - clock[2]:.1f} s"
        print(
            f"| {caption} | {played:.0f} dB | {own:.0f} dB | {other:.0f} dB | {bpm:g} | {heard(made, bpm)} | {times} |",
            flush=True,
        )


def drums_below(player: Player, path: Path, sound: Sound, seed: int) -> float:
    """dB by which the drums that are extracted from a file lie below it."""
    from acestep.analysis.level import find_level

    wish = {"source": str(path), "start": 0, "end": sound.shape[1], "track": "drums", "format": "wav32f"}
    stem, _ = player.play("extract", **wish, seed=seed, returns=["stem"])
    return find_level(sound, RATE).rms - find_level(stem, RATE).rms


def control(player: Player, count: int) -> None:
    """One row for what was rendered without drums: each song without them, and of every track the first two parts alone."""
    print("| rendered without drums | what plays | drums below, one seed | another seed |")
    print("| --- | --- | --- | --- |")
    for number, (name, tracks, sound) in enumerate(drumless(count)):
        path = player.home / f"control-{number}.wav"
        soundfile.write(path, sound.T, RATE, subtype="FLOAT")
        below = " | ".join(f"{drums_below(player, path, sound, seed):.0f} dB" for seed in (1, 77))
        print(f"| {name} | {tracks} | {below} |", flush=True)


def drumless(count: int) -> Iterator[tuple[str, str, Sound]]:
    """Ten seconds of songs of the test split without their drums, and of parts that play alone."""
    from acestep.training.evaluation.trials import held_out
    from acestep.training.songs import compose
    from acestep.training.songs.bank import open_bank
    from acestep.training.songs.stem_render import render_mix, render_stems

    bank, seen = open_bank(), Counter()
    for short in held_out("test", count):
        song = compose(short.seed, 10)
        parts = tuple(part for part in song.parts if not part.unpitched)
        alone = [(part,) for part in parts if seen[part.track] < 2]
        seen.update(part.track for (part,) in alone)
        for chosen in ([parts] if len(parts) > 1 else []) + alone:
            sound = render_mix(render_stems(replace(song, parts=chosen), bank, 10 * RATE)).astype(np.float64)
            if np.abs(sound).max() > 0.01:
                tracks = ", ".join(sorted({part.track.replace("_", " ") for part in chosen}))
                yield song.style if chosen is parts else "a part", tracks, sound


def heard(sound: Sound, bpm: float) -> str:
    """The tempo that is heard near the asked one or at another level of it, as a cell of a table."""
    from acestep.analysis.beat import BeatFinder
    from acestep.api.metre import Metre

    finder = BeatFinder(sound, RATE)
    found, asked = finder.find(None, Metre()), finder.find(bpm, Metre())
    if found is None or asked is None:
        return "none"
    if abs(found.bpm / bpm - 1) < 0.02:
        return f"{found.bpm:.1f}"
    return f"{asked.bpm:.1f}{'' if asked.clear else ', unclear'} (clearest: {found.bpm:.1f})"


def main() -> None:
    """Print the tables that are asked for, by default the first two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "tables", nargs="*", choices=["width", "words", "control", []], help="which; none: the first two"
    )
    parser.add_argument("--songs", type=int, default=16, help="songs or captions")
    options = parser.parse_args()
    prepare_environment(os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as home:
        player = Player(Path(home))
        for table in options.tables or ["width", "words"]:
            {"width": width, "words": words, "control": control}[table](player, options.songs)
            print()


if __name__ == "__main__":
    main()
