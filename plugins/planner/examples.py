"""A library of captions and lyrics of our own, to start from; and the operation that picks one."""

from __future__ import annotations

import random
import re
from typing import Any

import msgspec

from acestep.api import DaemonContext


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt that can be rendered as it stands: its fields are those of the same names in ``generate``."""

    caption: str
    lyrics: str = ""
    language: str = "unknown"
    bpm: float | None = None
    key: str = ""
    time_signature: str = "4"
    duration: float | None = None


NIGHT_TRAIN = """\
[Verse]
Last car on the northern line
Windows full of neon signs
Every station drifts away
Like the words I meant to say

[Chorus]
Carry me, night train, carry me home
(carry me home)
Over the river, under the stone
(under the stone)
"""

KITCHEN = """\
[Verse]
Coffee on the window sill
Sunday morning standing still
You are humming out of tune
Dancing with a wooden spoon

[Chorus]
Oh, stay a little, stay with me
There's nowhere else we need to be
"""

STEINE = """\
[Verse]
Ich zähl die Steine bis zum Meer
Die Taschen voll, der Kopf so leer
Der Wind verweht, was gestern war
Und alles glänzt, und alles klar

[Chorus]
Wir gehen, bis der Tag zerfällt
Zwei Schatten auf der ganzen Welt
"""

VERANO = """\
[Verse]
Calle de polvo y de sol
Una guitarra y tu voz
Nadie pregunta la edad
De esta canción sin final

[Chorus]
Baila, que el verano se va
(se va, se va)
Baila, que mañana vendrá
"""

EXAMPLES: tuple[Example, ...] = (
    Example(
        caption="warm lo-fi hip hop, dusty electric piano chords, brushed drums, round sub bass, vinyl crackle, late-night calm",
        bpm=82,
        key="A minor",
        duration=60,
    ),
    Example(
        caption="dreamy synth pop with a breathy female vocal, shimmering analog pads, gated drums and a chorus that opens wide",
        lyrics=NIGHT_TRAIN,
        language="en",
        bpm=108,
        key="F# minor",
        duration=90,
    ),
    Example(
        caption="intimate acoustic folk, fingerpicked guitar, close-miked male vocal, soft double bass, a hint of room",
        lyrics=KITCHEN,
        language="en",
        bpm=96,
        key="G major",
        duration=75,
    ),
    Example(
        caption="driving melodic techno, four on the floor, hypnotic plucked arpeggio, rolling bass, long build-up, spacious",
        bpm=126,
        key="D minor",
        duration=120,
    ),
    Example(
        caption="German indie rock, clean electric guitars, steady drums, raspy male vocal, wistful and bright at once",
        lyrics=STEINE,
        language="de",
        bpm=132,
        key="E major",
        duration=80,
    ),
    Example(
        caption="latin pop with nylon guitar, congas and hand claps, playful female vocal, group answers in the chorus",
        lyrics=VERANO,
        language="es",
        bpm=104,
        key="B minor",
        duration=80,
    ),
    Example(
        caption="small jazz combo after midnight: muted trumpet, upright bass, brushes, smoky piano comping, slow swing",
        bpm=68,
        key="Eb major",
        duration=60,
    ),
    Example(
        caption="orchestral film cue, low strings and timpani, rising brass, triumphant theme, wide hall reverb",
        bpm=90,
        key="C minor",
        duration=60,
    ),
    Example(
        caption="uk garage, shuffled drums, chopped female vocal, warm organ stabs, deep sub bass, crisp hats",
        bpm=133,
        key="G minor",
        duration=45,
    ),
    Example(
        caption="slow waltz for music box and string quartet, tender and a little eerie, close microphones",
        bpm=84,
        key="D major",
        time_signature="3",
        duration=45,
    ),
    Example(
        caption="instrumental post-rock, tremolo guitars, patient drums, quiet to loud, a wall of sound at the end",
        bpm=72,
        key="B minor",
        time_signature="6",
        duration=150,
    ),
    Example(
        caption="seventies funk band, slap bass, clavinet, tight horns, syncopated guitar, dry drums, joyful",
        bpm=110,
        key="E minor",
        duration=45,
    ),
    Example(
        caption="dub reggae, deep bass line, off-beat organ, spring reverb snare, tape echo, hazy afternoon",
        bpm=74,
        key="A minor",
        duration=60,
    ),
    Example(
        caption="solo grand piano, romantic and restless, rubato, wide dynamics, natural concert hall",
        key="F minor",
        duration=60,
    ),
    Example(
        caption="drum and bass, fast breakbeats, reese bass, airy pads, distant vocal chops, rainy city at night",
        bpm=174,
        key="F minor",
        duration=60,
    ),
    Example(
        caption="bluegrass quintet, banjo rolls, fiddle and mandolin trading solos, upright bass, live room, carefree",
        bpm=140,
        key="G major",
        duration=45,
    ),
)


def pick(words: str, seed: int) -> Example:
    """The example that shares most words with ``words``; among equals, or without words, the seed decides (-1: chance)."""
    wanted = set(re.findall(r"\w+", words.lower()))
    scores = [len(wanted & set(re.findall(r"\w+", entry.caption.lower()))) for entry in EXAMPLES]
    best = [entry for entry, score in zip(EXAMPLES, scores, strict=True) if score == max(scores)]
    chance = random.SystemRandom() if seed < 0 else random.Random(seed)
    return chance.choice(best)


async def run(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """The operation ``example``: fields that can be passed to ``generate`` or ``plan`` as they are."""
    fields = request if isinstance(request, dict) else msgspec.to_builtins(request)
    return msgspec.to_builtins(pick(str(fields.get("words", "")), int(fields.get("seed", -1))))
