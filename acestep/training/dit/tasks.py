"""One training example per task, built the way the engine builds its inputs for that task."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from acestep.api.instructions import instruction
from acestep.training.dit.records import FRAMES, Record
from acestep.training.dit.text_prompts import lyric_prompt, text_prompt
from acestep.training.songs.captions import instrument_words
from acestep.training.songs.song_tracks import TRACKS

CROP = 256
CODED_CROP = CROP // 5 * 5  # as much of it as whole 5 Hz codes cover
OTHER_NAMES = {"C#": "Db", "Eb": "D#", "F#": "Gb", "Ab": "G#", "Bb": "A#"}
OUTSIDE_WEIGHT = 0.15  # the engine puts the source back outside a repaint's region
ABSENT_SHARE = 0.1  # of extract examples that ask for an instrument which does not play


def spell_key(key: str, rng: random.Random) -> str:
    """A key by one of its two names: users write `Db major` as well as `C# major`."""
    note, mode = key.split()
    return f"{OTHER_NAMES[note]} {mode}" if note in OTHER_NAMES and rng.random() < 0.4 else key


@dataclass(frozen=True)
class TrainingExample:
    """Latents are [256, 64]; `mask` and `weight` [256]. `bottleneck`: the source goes through the tokenizer first."""

    task: str
    source: Tensor
    mask: Tensor
    target: Tensor
    weight: Tensor
    prompt: str
    lyrics: str
    bottleneck: bool = False
    reference: Tensor | None = None


@dataclass(frozen=True)
class ExampleInputs:
    """What the makers of examples work with: a record, an offset, silence [256, 64] and their own dice."""

    record: Record
    silence: Tensor
    rng: random.Random

    def crop(self, name: str, start: int) -> Tensor:
        return self.record.latents[name][start : start + CROP]

    def start(self) -> int:
        return self.rng.randrange(FRAMES - CROP + 1)

    def stems(self) -> list[str]:
        return list(self.record.song.tracks)

    def prompt(self, sentence: str, caption: str | None = None, known: float = 0.85) -> str:
        """Each meta is told with probability `known`; the caption is left out now and then."""
        song, rng = self.record.song, self.rng
        told = [rng.random() < known for _ in range(3)]
        caption = song.caption if caption is None else caption
        if rng.random() < 0.08:
            caption = ""
        return text_prompt(sentence, caption, song.bpm if told[0] else None, song.metre if told[1] else "",
                           spell_key(song.key, rng) if told[2] else "", rng.randint(8, 60))  # fmt: skip

    def example(self, task: str, source: Tensor, target: Tensor, prompt: str, **more: Any) -> TrainingExample:
        ones = torch.ones(CROP)
        values: dict[str, Any] = {"mask": ones, "weight": ones} | more
        return TrainingExample(task=task, source=source, target=target, prompt=prompt,
                       lyrics=lyric_prompt(self.record.song.lyrics), **values)  # fmt: skip


def generate(inputs: ExampleInputs) -> TrainingExample:
    """From silence: a song's beginning. A quarter of the time the recast song's sound is given as reference."""
    target = inputs.crop("mix", 0)
    reference = inputs.crop("mix", inputs.start()) if inputs.rng.random() < 0.1 else None
    return inputs.example(
        "text2music", inputs.silence, target, inputs.prompt(instruction("text2music")), reference=reference
    )


def generate_guided(inputs: ExampleInputs) -> TrainingExample:
    """A guide as hint; the engine then says the cover sentence, but the plain one must do as well."""
    start = inputs.start()
    sentence = instruction(inputs.rng.choice(("text2music", "cover")))
    guide = inputs.crop(inputs.rng.choice(("guide/beat", "guide/chords")), start)
    return inputs.example("text2music", guide, inputs.crop("mix", start), inputs.prompt(sentence))


def repaint(inputs: ExampleInputs) -> TrainingExample:
    """A region is replaced by silence or, half of the time, by the guide; the loss looks mostly inside."""
    rng, start = inputs.rng, inputs.start()
    target = inputs.crop("mix", start)
    length = rng.randrange(20, 160)
    begin = rng.randrange(0, CROP - length + 1)
    inside = torch.zeros(CROP)
    inside[begin : begin + length] = 1.0
    filling = inputs.silence if rng.random() < 0.5 else inputs.crop(rng.choice(("guide/beat", "guide/chords")), start)
    source = torch.where(inside[:, None] > 0, filling, target)
    weight = OUTSIDE_WEIGHT + (1.0 - OUTSIDE_WEIGHT) * inside
    return inputs.example("repaint", source, target, inputs.prompt(instruction("repaint")), mask=inside, weight=weight)


def extract(inputs: ExampleInputs) -> TrainingExample:
    """A stem out of the mix; an absent instrument gives silence. Mostly without caption and metas, as users ask."""
    rng, start = inputs.rng, inputs.start()
    absent = sorted(set(TRACKS) - set(inputs.stems()))
    if rng.random() < ABSENT_SHARE:
        track, target = rng.choice(absent), inputs.silence
    else:
        track = rng.choice(inputs.stems())
        target = inputs.crop(f"stem/{track}", start)
    plain = rng.random() < 0.6
    prompt = inputs.prompt(instruction("extract", track), "" if plain else None, 0.0 if plain else 0.85)
    return inputs.example("extract", inputs.crop("mix", start), target, prompt)


def lego(inputs: ExampleInputs) -> TrainingExample:
    """A new stem over the others; the caption is the whole song's or just the wanted sound."""
    rng, start = inputs.rng, inputs.start()
    track = rng.choice([name.removeprefix("without/") for name in inputs.record.latents if name.startswith("without/")])
    words = dict(
        zip((part.track for part in inputs.record.song.parts), instrument_words(inputs.record.song, rng), strict=True)
    )
    caption = words[track] if rng.random() < 0.4 else None
    prompt = inputs.prompt(instruction("lego", track), caption)
    return inputs.example("lego", inputs.crop(f"without/{track}", start), inputs.crop(f"stem/{track}", start), prompt)


def complete(inputs: ExampleInputs) -> TrainingExample:
    """The whole song from one of its stems or from all but one."""
    rng, start = inputs.rng, inputs.start()
    given = [name for name in inputs.record.latents if name.startswith(("stem/", "without/"))]
    name = rng.choice(given)
    kind, _, track = name.partition("/")
    missing = [track] if kind == "without" else [stem for stem in inputs.stems() if stem != track]
    named = missing if rng.random() < 0.8 else []
    return inputs.example("complete", inputs.crop(name, start), inputs.crop("mix", start),
                        inputs.prompt(instruction("complete", *named)))  # fmt: skip


def cover(inputs: ExampleInputs) -> TrainingExample:
    """The song through the 5 Hz bottleneck, played by itself or by the recast band."""
    rng, start = inputs.rng, inputs.start()
    other = "recast" in inputs.record.latents and rng.random() < 0.7
    target = inputs.crop("recast" if other else "mix", start)
    caption = inputs.record.recast_caption if other else None
    return inputs.example("cover", inputs.crop("mix", start), target, inputs.prompt(instruction("cover"), caption),
                        bottleneck=True)  # fmt: skip


MAKERS: dict[str, tuple[Callable[[ExampleInputs], TrainingExample], float]] = {
    "generate": (generate, 0.03),
    "guided": (generate_guided, 0.10),
    "repaint": (repaint, 0.05),
    "extract": (extract, 0.52),
    "lego": (lego, 0.10),
    "complete": (complete, 0.04),
    "cover": (cover, 0.16),
}
"""Name in the loss log -> (maker, share of examples)."""

TASKS = ("text2music", "repaint", "cover", "extract", "lego", "complete")


def draw_example(records: list[Record], silence: Tensor, rng: random.Random) -> tuple[str, TrainingExample]:
    """A task by its share, a record that can serve it, an example."""
    name = rng.choices(list(MAKERS), [share for _, share in MAKERS.values()])[0]
    while True:
        record = rng.choice(records)
        if record.song.parts:
            return name, MAKERS[name][0](ExampleInputs(record, silence, rng))
