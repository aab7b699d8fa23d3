"""One sentence to a song on the embedded model: what came out, measured.

    python -m benchmarks.song [--sentences N] [--seconds S]

Twenty sentences are planned by rules and rendered in this process. Tempo and key are heard in the sound, instruments by what an
extraction of their track finds, the length is counted; beside each stands what the plan says.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from acestep.worker.command_line import prepare_environment
from benchmarks.nano_sound import RATE, Player, Sound

SENTENCES = (
    ("dark techno at 130 in F minor", True, "synth"),
    ("a slow piano ballad in C major, solo piano", False, "keyboard"),
    ("happy folk with acoustic guitar and flute at 100 bpm", False, "guitar"),
    ("fast punk rock in E minor", True, "guitar"),
    ("a waltz in G major with strings", False, "strings"),
    ("lofi hip hop to study to, 80 bpm, rhodes", True, "keyboard"),
    ("funk at 104 in A minor with brass", True, "brass"),
    ("house at 124 in D minor with piano chords", True, "keyboard"),
    ("string quartet, sad, D minor, 72 bpm", False, "strings"),
    ("rock at 126 bpm in A major, no drums", False, "guitar"),
    ("synthwave, 110 bpm, B minor", True, "synth"),
    ("swing jazz at 140 in B flat major with trumpet", True, "brass"),
    ("ambient synth pads in E major, 90 bpm", False, "synth"),
    ("drum and bass at 170 in G minor", True, "bass"),
    ("epic cinematic orchestra in C minor at 90", False, "strings"),
    ("blues in six-eight at 96 in E major with organ", True, "keyboard"),
    ("fröhlicher Walzer in D-Dur mit Klavier, ohne Schlagzeug", False, "keyboard"),
    ("guitarra acústica sola en la menor a 96", False, "guitar"),
    ("reggae at 76 in A minor with guitar and bass", True, "bass"),
    ("trumpet fanfare in C major at 120, unaccompanied", False, "brass"),
)
"""A sentence, whether it asks for drums, and one track that should be heard."""

HEARD = 20.0
"""dB below the song above which a track counts as heard."""


def play(player: Player, sentence: str, seconds: float) -> tuple[Sound, Path, dict[str, Any]]:
    """The song [C, n] of a sentence, its file, and the plan that it was made from, with the notes."""
    from acestep.admission.render import admit_render
    from acestep.worker.backend import JobContext

    player.count += 1
    folder = player.home / "library" / str(player.count)
    folder.mkdir(parents=True)
    wish = {"query": sentence, "duration": seconds, "seed": 1, "format": "wav32f", "planner_backend": "rules"}
    admitted = admit_render(player.registry, "song", wish, player.engine.host)
    context = JobContext("job", folder, player.registry, lambda *tick: None, backend=player.engine)
    result = player.engine.run("render", admitted.render.to_recipe(), context)
    import soundfile

    path = folder / result.files[0].name
    return soundfile.read(path, always_2d=True)[0].T, path, dict(result.recipe["request"]["conditioning"])


def heard_tempo(sound: Sound, plan: dict[str, Any]) -> tuple[str, bool]:
    """The tempo that is heard, as a cell, and whether it is the planned one at some metrical level."""
    from acestep.analysis.beat import BeatFinder
    from acestep.api.metre import parse_metre
    from acestep.engine.verdict import LEVELS

    finder, metre = BeatFinder(sound, RATE), parse_metre(plan["time_signature"] or "4")
    found = finder.find(None, metre)
    if found is None:
        return "none", False
    asked = float(plan["bpm"])
    level = min(LEVELS, key=lambda one: abs(found.bpm / (asked * one) - 1))
    right = abs(found.bpm / (asked * level) - 1) < 0.02
    told = f"{found.bpm:.1f}" if level == 1.0 or not right else f"{found.bpm:.1f} ({level:.3g} times)"
    return told if found.clear else f"{told}, unclear", right


def heard_key(sound: Sound, asked: str) -> tuple[str, bool]:
    """The likeliest key, as a cell, and whether the planned one is among those that fit."""
    from acestep.analysis.beat import BeatFinder
    from acestep.analysis.harmony import find_keys

    keys = find_keys(BeatFinder(sound, RATE).pitches)
    return ("none", False) if keys is None else (keys.name, bool(asked) and keys.allow(asked))


def below(player: Player, path: Path, sound: Sound, track: str) -> float:
    """dB by which an extracted track lies below the song."""
    from acestep.analysis.level import find_level

    wish = {"source": str(path), "start": 0, "end": sound.shape[1], "track": track, "format": "wav32f"}
    stem, _ = player.play("extract", **wish, seed=77, returns=["stem"])
    return find_level(sound, RATE).rms - find_level(stem, RATE).rms


def row(player: Player, sentence: tuple[str, bool, str], seconds: float) -> list[bool]:
    """Print the row of a sentence; whether tempo, key, drums, instrument and length are right."""
    text, drums, track = sentence
    sound, path, plan = play(player, text, seconds)
    tempo, in_time = heard_tempo(sound, plan)
    key, in_key = heard_key(sound, plan["key"])
    kit, other = below(player, path, sound, "drums"), below(player, path, sound, track)
    right = [in_time, in_key, (kit < HEARD) == drums, other < HEARD, sound.shape[1] == round(seconds * RATE)]
    cells = (
        text,
        f"{plan['bpm']:g}, {plan['key']}, {plan['time_signature'] or '4/4'}",
        tempo,
        key,
        f"{'asked' if drums else 'none'}: {kit:.0f} dB",
        f"{track}: {other:.0f} dB",
        f"{sound.shape[1] / RATE:.3f} s",
        ", ".join(name for name, ok in zip(("tempo", "key", "drums", track, "length"), right, strict=True) if not ok),
    )
    print("| " + " | ".join(cells) + " |", flush=True)
    return right


def main() -> None:
    """Print the table and what was right of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=len(SENTENCES), help="how many of them")
    parser.add_argument("--seconds", type=float, default=12.0, help="length of each song")
    options = parser.parse_args()
    prepare_environment(os.cpu_count() or 1)
    print("| sentence | plan | tempo heard | key heard | drums below | instrument below | length | not as asked |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as home:
        player = Player(Path(home))
        found = np.array([row(player, one, options.seconds) for one in SENTENCES[: options.sentences]])
    counts = ", ".join(
        f"{name} {count}"
        for name, count in zip(("tempo", "key", "drums", "instrument", "length"), found.sum(0), strict=True)
    )
    print(f"\nright of {len(found)}: {counts}")


if __name__ == "__main__":
    main()
