"""MusicGen at work behind the seam of the families: opened, encoded, continued, decoded."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from acestep.api.family import FamilyRuntime, ModelOpening, StageTake, Tick
from acestep.api.variants import ModelInfo
from acestep.families.musicgen.draw import Draw, continued, delay, seeded, token_ids
from acestep.families.musicgen.family import prompt_text
from acestep.families.musicgen.layout import locate
from acestep.families.musicgen.network import Model, open_model, whole
from acestep.families.musicgen.windows import WINDOW_SECONDS, turns


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
        """New codes behind those of the source that lie before the region; these stay what they are, code by code."""
        model: Model = take.model
        first = 0 if take.source is None else take.region[0]
        shown = torch.zeros(0, model.layout.codebooks, dtype=torch.long)
        if take.source is not None:
            shown = whole(take.source[:, :first], model.layout)
        codes = _continue(take, shown)
        return codes[None].float()


def _continue(take: StageTake, codes: Tensor) -> Tensor:
    """Codes [frames, C] that begin with the given ones, window by window; one stream of random numbers runs through all."""
    model: Model = take.model
    per_second = model.layout.rate / model.layout.hop
    window, stride = round(WINDOW_SECONDS * per_second), round(take.options.stride * per_second)
    calls = list(turns(len(codes), take.frames, window, stride))
    words = token_ids(model, prompt_text(take.caption, take.conditioning))
    done, tokens = 0, sum(call.new + delay(model) for call in calls)

    def heard() -> None:
        nonlocal done
        done += 1
        take.tick(done, tokens)

    with take.on_device("denoise"), seeded(take.seed, model.network.device):
        for call in calls:
            shown = codes[len(codes) - call.kept :]
            longer = continued(model, words, shown, call.new, _how(take), heard)
            codes = torch.cat((codes, longer[call.kept :]))
    return codes


def _how(take: StageTake) -> Draw:
    guided = take.stage.guidance.needs_uncond
    return Draw(
        guidance=float(take.stage.params.guidance_scale or 1.0) if guided else 1.0,
        temperature=take.options.temperature,
        top_k=take.options.top_k,
        top_p=take.options.top_p,
    )
