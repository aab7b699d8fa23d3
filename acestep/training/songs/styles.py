"""How it is played: one row per style. A style word must have an audible meaning, so each row fixes a groove.

Patterns are one bar of sixteenths (12 for 3/4 and 6/8): `X` accent, `x` normal, `o` soft, `.` rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

VELOCITY = {"X": 116, "x": 96, "o": 66}


@dataclass(frozen=True, slots=True)
class Style:
    """Tempo range in quarters a minute; `comping` tracks carry the chords, `leads` the melody."""

    name: str
    words: tuple[str, ...]
    tempo: tuple[int, int]
    minor: float  # probability of a minor key
    groove: dict[str, str]
    bass: tuple[str, ...]
    chords: tuple[str, ...]
    comping: tuple[str, ...]
    leads: tuple[str, ...]
    metre: str = "4"
    swing: float = 0.0  # 0 straight .. 1 triplet feel
    kit: int = 0
    programs: dict[str, tuple[int, ...]] = field(default_factory=dict)  # preferred sounds


_ALL = (
    Style("rock", ("rock", "driving rock", "guitar rock"), (112, 146), 0.35,
          {"kick": "X.......x.x.....", "snare": "....X.......X...", "hat": "x.o.x.o.x.o.x.o."},
          ("x.x.x.x.x.x.x.x.", "x...x.x.x...x.x."), ("X...x.x.x...x.x.", "X.......x......."), ("guitar",),
          ("synth", "brass", "guitar", "vocals"), programs={"guitar": (29, 27), "bass": (33, 34)}),
    Style("house", ("house", "dance", "club music"), (118, 130), 0.6,
          {"kick": "X...X...X...X...", "clap": "....x.......x...", "open_hat": "..x...x...x...x.",
           "hat": "o.oooooooooooooo"},
          ("..x...x...x...x.", "x..x..x...x..x.."), ("..x...x...x...x.", "x..x..x...x....."), ("keyboard", "synth"),
          ("synth", "brass", "vocals"), kit=25, programs={"bass": (38,), "keyboard": (0, 4), "synth": (81, 80)}),
    Style("ballad", ("ballad", "slow ballad", "tender song"), (60, 84), 0.4,
          {"kick": "x.........x.....", "snare": "........X.......", "hat": "o...o...o...o..."},
          ("x.......x.......", "x.............x."), ("x...............", "x...x...x...x..."), ("keyboard", "strings"),
          ("woodwinds", "strings", "vocals"), programs={"keyboard": (0,), "strings": (48,)}),
    Style("funk", ("funk", "groovy funk", "funky jam"), (94, 116), 0.6,
          {"kick": "X..x......x..x..", "snare": "....X..o.o..X..o", "hat": "xoxoxoxoxoxoxoxo"},
          ("X..x..x...x.x...", "x.....x.xx....x."), ("..x...x...x..x..", "x..x....x..x...."), ("guitar", "keyboard"),
          ("brass", "woodwinds", "synth"), programs={"guitar": (27,), "keyboard": (4, 16), "brass": (61,)}),
    Style("lofi", ("lo-fi hip hop", "lofi", "chill beat"), (70, 92), 0.7,
          {"kick": "X......x..x.....", "snare": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
          ("x.......x.x.....", "x.....x...x....."), ("x.......x.......", "x..x....x..x...."), ("keyboard", "guitar"),
          ("woodwinds", "keyboard", "vocals"), swing=0.6, programs={"keyboard": (4, 11), "guitar": (24,)}),
    Style("folk", ("folk", "acoustic folk", "singer-songwriter"), (88, 124), 0.25,
          {"kick": "x.......x.......", "rim": "....x.......x...", "hat": "o.o.o.o.o.o.o.o."},
          ("x.......x.......", "x...x...x...x..."), ("X.x.x.x.x.x.x.x.", "x...x.x.x...x.x."), ("guitar",),
          ("woodwinds", "strings", "vocals"), kit=40, programs={"guitar": (25, 24), "bass": (32,)}),
    Style("jazz", ("jazz", "swing jazz", "jazz combo"), (104, 172), 0.4,
          {"ride": "x...x.x.x...x.x.", "kick": "o...o...o...o...", "hat": "....x.......x..."},
          ("x...x...x...x...",), ("x.....x.........", "..x.........x..."), ("keyboard", "guitar"),
          ("woodwinds", "brass", "keyboard"), swing=1.0, kit=40, programs={"bass": (32,), "guitar": (27,)}),
    Style("waltz", ("waltz", "slow waltz", "three-four waltz"), (84, 150), 0.4,
          {"kick": "x...........", "rim": "....o...o...", "hat": "o...o...o..."},
          ("x...........", "x.......x..."), ("....x...x...", "x...x...x..."), ("keyboard", "guitar", "strings"),
          ("woodwinds", "strings", "vocals"), metre="3", kit=40, programs={"bass": (32,)}),
    Style("shuffle", ("six-eight ballad", "six-eight soul", "slow blues in six"), (84, 150), 0.4,
          {"kick": "X.........x.", "snare": "......X.....", "hat": "x.o.o.x.o.o."},
          ("x.....x.....", "x...x.x...x."), ("x.x.x.x.x.x.", "x.....x....."), ("keyboard", "guitar"),
          ("brass", "woodwinds", "vocals", "guitar"), metre="6", programs={"keyboard": (16, 0), "guitar": (27,)}),
    Style("synthwave", ("synthwave", "retro electronic", "eighties synth pop"), (92, 126), 0.75,
          {"kick": "X...X...X...X...", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
          ("xxxxxxxxxxxxxxxx", "x.xxx.xxx.xxx.xx"), ("x...............", "x.....x....x...."), ("synth",),
          ("synth", "vocals", "brass"), kit=25, programs={"bass": (38,), "synth": (89, 81)}),
    Style("cinematic", ("cinematic", "film score", "epic orchestral"), (66, 112), 0.8,
          {"kick": "X.......x.......", "low_tom": "x.....x.....x...", "crash": "................"},
          ("x...............", "x.......x......."), ("x...............", "x.x.x.x.x.x.x.x."), ("strings",),
          ("brass", "woodwinds", "vocals", "strings"), programs={"strings": (48,), "brass": (61,), "bass": (32,)}),
    Style("punk", ("punk", "fast punk", "uptempo rock"), (150, 180), 0.3,
          {"kick": "X.....x.X.....x.", "snare": "....X.......X...", "hat": "x...x...x...x..."},
          ("x.x.x.x.x.x.x.x.",), ("X.x.x.x.X.x.x.x.", "X...x...x...x..."), ("guitar",),
          ("synth", "guitar", "vocals"), programs={"guitar": (29,), "bass": (34,)}),
    Style("breaks", ("drum and bass", "breakbeat", "jungle"), (156, 180), 0.75,
          {"kick": "X.........x.....", "snare": "....X..o.o..X...", "hat": "x.x.x.x.x.x.x.x."},
          ("x.........x.....", "x.....x...x....."), ("x...............", "x.....x........."), ("keyboard", "synth"),
          ("synth", "woodwinds", "vocals"), programs={"bass": (38,), "synth": (89, 81), "keyboard": (4,)}),
)  # fmt: skip

STYLES: dict[str, Style] = {style.name: style for style in _ALL}

PERCUSSION_GROOVES: tuple[dict[str, str], ...] = (
    {"shaker": "xoxoxoxoxoxoxoxo"},
    {"tambourine": "..x...x...x...x.", "shaker": "x.o.x.o.x.o.x.o."},
    {"conga": "..x...x...x...xx", "low_conga": "x.......x.......", "mute_conga": "....x.......x..."},
    {"high_bongo": "x.xx..x.x.xx..x.", "low_bongo": "...x..x....x...."},
    {"cowbell": "x...x...x...x...", "claves": "x..x..x...x.x..."},
)

FILLS: tuple[dict[str, str], ...] = (
    {"snare": "............xxxX"},
    {"high_tom": "........xx......", "mid_tom": "..........xx....", "low_tom": "............xXxX"},
    {"snare": "..........x.xxxx", "kick": "x.......x......."},
)
