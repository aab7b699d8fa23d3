"""What a model is asked to do with a held-out song, and how the answer is measured: one function per task.

A trial returns rows of measurements (name -> value); `report` averages them. A measurement named `real ...` is the same
measure on the song itself: no figure of the model means more than that one allows.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from acestep.api.instructions import instruction
from acestep.api.metre import parse_metre
from acestep.api.tempo_map import TempoMap
from acestep.codec.mask import masked, takes_agree
from acestep.conditioning.guide_audio import render_guide
from acestep.networks.spectra import FRAME, RATE
from acestep.training.dit.records import recast, song_guide
from acestep.training.dit.tasks import CROP
from acestep.training.dit.text_prompts import text_prompt
from acestep.training.evaluation import measures
from acestep.training.evaluation.presence import Presence
from acestep.training.evaluation.trained_model import NANO, RenderItem, TrainedModel
from acestep.training.songs import Song, compose, song_seed
from acestep.training.songs.bank import NoteBank
from acestep.training.songs.song_harmony import scale
from acestep.training.songs.song_tracks import TRACKS
from acestep.training.songs.stem_render import render_mix, render_stems

TAKES = NANO.for_task("extract").takes
SAMPLES = CROP * FRAME  # 10.24 s
FEATURELESS = ("drums", "percussion")
KINDS = {
    "drums": "drums and bass",
    "bass": "drums and bass",
    "percussion": "percussion and fx",
    "fx": "percussion and fx",
}
Row = dict[str, float]


@dataclass
class HeldOut:
    """A song of the test split with its sounds (float32 [2, 491520])."""

    song: Song
    stems: dict[str, Tensor]

    @classmethod
    def of(cls, song: Song, bank: NoteBank) -> HeldOut:
        return cls(song, {track: torch.from_numpy(stem) for track, stem in render_stems(song, bank, SAMPLES).items()})

    @cached_property
    def mix(self) -> Tensor:
        return sum(self.stems.values(), torch.zeros(2, SAMPLES))

    @property
    def scale(self) -> tuple[int, ...]:
        return scale(self.song.tonic, self.song.minor)

    def prompt(self, sentence: str, caption: str | None = None) -> str:
        song = self.song
        caption = song.caption if caption is None else caption
        return text_prompt(sentence, caption, song.bpm, song.metre, song.key, round(SAMPLES / RATE))

    def guide(self, chords: bool) -> Tensor:
        guide = song_guide(self.song, random.Random(self.song.seed), chords)
        tempo = TempoMap.steady(self.song.bpm, metre=parse_metre(self.song.metre))
        return torch.from_numpy(render_guide(guide, tempo, SAMPLES))

    @property
    def bar(self) -> float:
        """Seconds."""
        return self.song.quarters_per_bar * 60.0 / self.song.bpm

    def keeps_tempo(self, sound: Tensor) -> float:
        return float(measures.same_tempo(measures.detect_tempo(sound), self.song.bpm, self.song.metre))


def held_out(split: str, count: int) -> list[Song]:
    """The first `count` songs of the split that have at least two parts."""
    songs = (compose(song_seed(split, index), SAMPLES / RATE + 1) for index in itertools.count())
    return list(itertools.islice((song for song in songs if len(song.tracks) > 1), count))


def try_codec(trained: TrainedModel, item: HeldOut) -> Iterator[Row]:
    made = trained.decode(trained.encode(item.mix))
    yield {"mel error dB": measures.mel_error(made, item.mix),
           "chroma correlation": measures.chroma_correlation(made, item.mix),
           "chroma correlation of peaks": measures.chroma_correlation(made, item.mix, peaks_only=True)}  # fmt: skip


def extracted(trained: TrainedModel, item: HeldOut) -> Iterator[tuple[str, Tensor]]:
    """Each stem out of the mix, under the mask that the engine lays on it."""
    source = trained.encode(item.mix)
    heard = trained.decode(source).numpy()
    for track in item.stems:
        request = RenderItem(source, text_prompt(instruction("extract", track), "", None, "", "", 10), task="extract")
        latents: list[Tensor] = []
        while len(latents) < TAKES and not takes_agree(latents):
            latents.append(trained.render(replace(request, seed=len(latents))))
        takes = [trained.decode(one).numpy() for one in latents]
        yield track, torch.from_numpy(masked(takes, item.mix.numpy(), heard, RATE))


def try_extract(trained: TrainedModel, item: HeldOut) -> Iterator[Row]:
    """The stems against the true ones, and what is left of the mix without each."""
    for track, made in extracted(trained, item):
        stem = item.stems[track]
        kind = KINDS.get(track, "harmonic")
        error, mixed = measures.mel_error(made, stem), measures.mel_error(item.mix, stem)
        floor = measures.mel_error(trained.decode(trained.encode(stem)), stem)
        rest = measures.mel_error(item.mix - made, item.mix - stem)
        yield {f"{kind}: mel error dB": error, f"{kind}: mix instead dB": mixed, f"{kind}: codec alone dB": floor,
               f"{kind}: mel error of the residual dB": rest,
               "closer than the mix": float(error < mixed)}  # fmt: skip


def try_generate(trained: TrainedModel, item: HeldOut, guided: bool = True, chords: bool = False) -> Iterator[Row]:
    silence = trained.silence.expand(CROP, -1)
    source = trained.encode(item.guide(chords)) if guided else silence
    sentence = instruction("cover" if guided else "text2music")
    latents = trained.render(RenderItem(source, item.prompt(sentence), seed=item.song.seed % 1000))
    made = trained.decode(latents)
    yield {"tempo kept": item.keeps_tempo(made), "real tempo kept": item.keeps_tempo(item.mix),
           "in key": measures.in_key(made, item.scale), "real in key": measures.in_key(item.mix, item.scale),
           "loudness dB": measures.loudness(made), "real loudness dB": measures.loudness(item.mix)}  # fmt: skip


def try_instruments(trained: TrainedModel, item: HeldOut, judge: Presence) -> Iterator[Row]:
    """Ask for the song's instruments by name; the judge says, of each of the twelve classes, whether it is there."""
    words = [track.replace("_", " ") for track in item.song.tracks]
    caption = f"{item.song.style}, {', '.join(words)}"
    guide = trained.encode(item.guide(chords=True))
    made = trained.render(RenderItem(guide, item.prompt(instruction("cover"), caption), seed=7))
    heard, heard_really = judge.heard(made), judge.heard(trained.encode(item.mix))
    for track in TRACKS:
        asked = track in item.song.tracks
        yield {"instruments right": float((track in heard) == asked),
               "real instruments right": float((track in heard_really) == asked)}  # fmt: skip


def try_repaint(trained: TrainedModel, item: HeldOut) -> Iterator[Row]:
    """Two bars (or as many as give 3 s) in the middle are replaced, the guide in the region; the outside is spliced back.

    The seams lie on bar lines, where songs change most, so the change there is compared with the song's other bar lines.
    """
    bar = item.bar * RATE
    length = int(max(2, np.ceil(3 * RATE / bar)) * bar)
    begin = int(round((SAMPLES - length) / 2 / bar) * bar)
    first, last = begin // FRAME, min(CROP, -(-(begin + length) // FRAME))
    mask = torch.zeros(CROP)
    mask[first:last] = 1.0
    whole, guide = trained.encode(item.mix), trained.encode(item.guide(chords=False))
    source = torch.where(mask[:, None] > 0, guide, whole)
    made = trained.decode(trained.render(RenderItem(source, item.prompt(instruction("repaint")), mask)))
    region, real = made[:, begin : begin + length], item.mix[:, begin : begin + length]
    spliced = item.mix.clone()
    spliced[:, begin : begin + length] = region
    seams = [begin, begin + length]
    bar_lines = [round(place * bar) for place in range(1, int(SAMPLES / bar)) if round(place * bar) not in seams]
    usual = measures.frame_change(item.mix, bar_lines or seams)
    yield {"beat kept": item.keeps_tempo(region), "real beat kept": item.keeps_tempo(real),
           "in key": measures.in_key(region, item.scale), "real in key": measures.in_key(real, item.scale),
           "change at the seams": measures.frame_change(spliced, seams) / usual,
           "real change at the seams": measures.frame_change(item.mix, seams) / usual}  # fmt: skip


def try_lego(trained: TrainedModel, item: HeldOut) -> Iterator[Row]:
    """Each stem is made anew over the others; what has pitch is held against the song's key and chords."""
    chords = [chord.tones for chord in item.song.chords]
    for track, stem in item.stems.items():
        if track == "fx":
            continue
        rest = item.mix - stem
        made = trained.decode(
            trained.render(RenderItem(trained.encode(rest), item.prompt(instruction("lego", track)), task="lego"))
        )
        row = {"tempo kept": item.keeps_tempo(made + rest), "real tempo kept": item.keeps_tempo(item.mix)}
        if track not in FEATURELESS:
            row |= {"in key": measures.in_key(made, item.scale), "real in key": measures.in_key(stem, item.scale),
                    "follows the chords": measures.follows_chords(made, chords, item.bar),
                    "real follows the chords": measures.follows_chords(stem, chords, item.bar)}  # fmt: skip
        yield row


def try_complete(trained: TrainedModel, item: HeldOut) -> Iterator[Row]:
    track = next(iter(item.stems))
    others = [name for name in item.stems if name != track]
    made = trained.decode(trained.render(RenderItem(trained.encode(item.stems[track]),
                                            item.prompt(instruction("complete", *others)))))  # fmt: skip
    yield {"tempo kept": item.keeps_tempo(made), "real tempo kept": item.keeps_tempo(item.mix),
           "in key": measures.in_key(made, item.scale), "real in key": measures.in_key(item.mix, item.scale)}  # fmt: skip


def try_cover(trained: TrainedModel, item: HeldOut, bank: NoteBank) -> Iterator[Row]:
    """The same music asked for with another band; `real` is that band's true rendering of the notes."""
    other = recast(item.song, random.Random(item.song.seed))
    true = torch.from_numpy(render_mix(render_stems(other, bank, SAMPLES)))
    request = RenderItem(trained.encode(item.mix), item.prompt(instruction("cover"), other.caption), bottleneck=True,
                task="cover")  # fmt: skip
    made = trained.decode(trained.render(request))
    yield {"chroma with the source": measures.chroma_correlation(made, item.mix, smooth=25),
           "real chroma with the source": measures.chroma_correlation(true, item.mix, smooth=25),
           "chroma of peaks with the source": measures.chroma_correlation(made, item.mix, smooth=25, peaks_only=True),
           "real chroma of peaks with the source": measures.chroma_correlation(true, item.mix, smooth=25, peaks_only=True),
           "mel change dB": measures.mel_error(made, item.mix),
           "real mel change dB": measures.mel_error(true, item.mix)}  # fmt: skip
