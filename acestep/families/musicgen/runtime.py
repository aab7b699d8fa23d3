"""MusicGen at work behind the seam of the families: opened, encoded, continued, decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from acestep.api.family import FamilyRuntime, ModelOpening, StageTake, Tick
from acestep.api.variants import ModelInfo
from acestep.families.musicgen.chroma import chroma
from acestep.families.musicgen.draw import Draw, Told, continued, delay, seeded, token_ids
from acestep.families.musicgen.layout import locate
from acestep.families.musicgen.network import Model, open_model, whole
from acestep.families.musicgen.windows import WINDOW_SECONDS, Turn, turns
from acestep.families.words import prompt_text

COVER = "cover"
SILENT = "the source is silent in the region: there is no melody to follow"


class Runtime(FamilyRuntime):
    """One item after the other; every token ticks, so that a cancel is heard at each."""

    def open(self, info: ModelInfo, opening: ModelOpening) -> Model:
        """The checkpoint, read by transformers."""
        return open_model(info, locate(Path(info.path)), opening.landing, opening.dtype, opening.check)

    def encode(self, model: Model, audio: Tensor, tick: Tick) -> Tensor:
        """The codec listens to everything at once, so this is one unit of work."""
        codes = model.encode(audio)
        tick(1, 1)
        return codes

    def decode(self, model: Model, latents: Tensor, span: tuple[int, int], tick: Tick) -> tuple[Tensor, list[str]]:
        """All codes are decoded, of which the span is taken: the codec remembers what came before."""
        sound = model.decode(latents)
        tick(1, 1)
        return sound[:, span[0] * model.layout.hop : span[1] * model.layout.hop], []

    def silence(self, model: Model, frames: int) -> Tensor:
        """Encoded silence."""
        return model.encode(torch.zeros(2, frames * model.layout.hop))

    def make(self, take: StageTake) -> Tensor:
        """New codes: behind those of the source that lie before the region, which stay what they are; or, of a cover, in the
        region alone, by the melody of its sound."""
        if take.stage.stage.type == COVER:
            return _covered(take)
        codes = torch.zeros(0, take.model.layout.codebooks, dtype=torch.long)
        if take.source is not None:
            codes = whole(take.source[:, : take.region[0]], take.model.layout)
        return _Piece(take).continued(codes, take.frames)[None].float()


def _covered(take: StageTake) -> Tensor:
    """The source with other codes in the region. They begin at nothing: what stands before it has the sound that should go."""
    assert take.source is not None, "admission has seen to it that there is one"
    first, last = take.region
    sound = take.sound()
    if not sound.any():
        take.note(SILENT)
    nothing = torch.zeros(0, take.model.layout.codebooks, dtype=torch.long)
    codes = take.source.clone()
    codes[0, first:last] = _Piece(take, sound).continued(nothing, last - first).float()
    return codes


@dataclass
class _Piece:
    """One item at work. ``sound`` [2, N] is what it follows from its first frame on."""

    take: StageTake
    sound: Tensor | None = None

    def continued(self, codes: Tensor, frames: int) -> Tensor:
        """Codes [frames, C] that begin with the given ones, window by window; one stream of random numbers runs through all."""
        take, model = self.take, self.take.model
        calls = list(self._calls(len(codes), frames))
        words = token_ids(model, prompt_text(take.caption, take.conditioning))
        done, tokens = 0, sum(call.new + delay(model) for call in calls)

        def heard() -> None:
            nonlocal done
            done += 1
            take.tick(done, tokens)

        with take.on_device("denoise"), seeded(take.seed, model.network.device):
            for call in calls:
                first = len(codes) - call.kept
                told = Told(words, self._melody(first))
                longer = continued(model, told, codes[first:], call.new, self._how(), heard)
                codes = torch.cat((codes, longer[call.kept :]))
        return codes

    def _calls(self, known: int, frames: int) -> Iterator[Turn]:
        """The calls of the model."""
        return turns(known, frames, self._frames(WINDOW_SECONDS), self._frames(self.take.options.stride))

    def _frames(self, seconds: float) -> int:
        layout = self.take.model.layout
        return round(seconds * layout.rate / layout.hop)

    def _melody(self, first: int) -> Tensor | None:
        """The melody of the window that begins at a frame."""
        if self.sound is None:
            return None
        layout = self.take.model.layout
        heard = self.sound[:, first * layout.hop :][:, : round(WINDOW_SECONDS * layout.rate)]
        return chroma(heard, layout.rate)

    def _how(self) -> Draw:
        """How codes are drawn."""
        stage, own = self.take.stage, self.take.options
        guided = stage.guidance.needs_uncond
        return Draw(
            guidance=float(stage.params.guidance_scale or 1.0) if guided else 1.0,
            temperature=own.temperature,
            top_k=own.top_k,
            top_p=own.top_p,
        )
