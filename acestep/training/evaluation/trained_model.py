"""A trained nano model as an instrument: conditions in, sound out. A plain Euler loop, as the figures need no more.

Steps, shift and guidance are those of the variant in `acestep.api.variants`: figures are of what users get.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from acestep.api.times import truncate
from acestep.api.variants import VARIANTS
from acestep.training.dit.dit_model import TIMBRE_REACH, NanoModel
from acestep.training.dit.records import silence_frame
from acestep.training.dit.text_prompts import lyric_prompt
from acestep.training.dit.words import open_tokenizer
from acestep.training.times import shifted
from acestep.training.weights import averaged_weights, open_codec

NANO = VARIANTS["nano"]


@dataclass(frozen=True, slots=True)
class RenderItem:
    """One item: source latents [T, 64], mask [T] (1 = write), the text prompt."""

    source: Tensor
    prompt: str
    mask: Tensor | None = None
    seed: int = 0
    bottleneck: bool = False
    task: str = ""
    """Where the variant guides it in a way of its own."""


def shifted_times(steps: int, shift: float) -> Tensor:
    """Times from 1 to 0, `steps + 1` of them."""
    return shifted(torch.linspace(1, 0, steps + 1), shift)


class TrainedModel:
    """Codec and model of a training run (its EMA weights). Raises `RunMissing`, `CheckpointUnreadable` or `CodecUnreadable`."""

    def __init__(
        self,
        run: Path,
        codec: Path,
        steps: int | None = None,
        shift: float = NANO.shift,
        guidance_scale: float | None = None,
    ) -> None:
        self.run = run
        self.codec = open_codec(codec)
        self.model = NanoModel().eval()
        self.model.load_state_dict(averaged_weights(run))
        self.words = open_tokenizer(run / "tokenizer")
        self.silence = silence_frame(self.codec)
        self.steps, self.shift, self.guidance_scale = steps, shift, guidance_scale

    @torch.inference_mode()
    def encode(self, sound: Tensor) -> Tensor:
        """[2, N] -> [T, 64]."""
        return self.codec.encode(sound[None])[0].T

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """[T, 64] -> [2, T * 1920]."""
        return self.codec.decode(latents.T[None])[0]

    @torch.inference_mode()
    def render(self, request: RenderItem) -> Tensor:
        """Latents [T, 64] from seeded noise, in as many Euler steps and with the guidance that the variant has for the task."""
        source = request.source
        if request.bottleneck:
            whole = len(source) // 5 * 5
            source = torch.cat([self.model.through_bottleneck(source[None, :whole])[0], source[whole:]])
        mask = torch.ones(len(source)) if request.mask is None else request.mask
        context = torch.cat([source, mask[:, None].expand(-1, 64)], 1)[None]
        text = self.words(request.prompt, return_tensors="pt", return_token_type_ids=False)
        lyrics = self.words(lyric_prompt("[Instrumental]"), return_tensors="pt", return_token_type_ids=False)
        reference = self.silence.expand(1, TIMBRE_REACH, -1)
        hidden, known = self.model.condition(dict(text), dict(lyrics), reference, torch.zeros(1, dtype=torch.long))
        null = self.model.condition_encoder.null_condition_emb.expand_as(hidden)
        usual = NANO.for_task(request.task)
        scale = usual.guidance_scale if self.guidance_scale is None else self.guidance_scale
        times = shifted_times(self.steps or usual.steps, self.shift)
        times = torch.tensor(truncate(times.tolist(), 1 - usual.noise_strength))
        noise = torch.randn(source[None].shape, generator=torch.Generator().manual_seed(request.seed))
        x = torch.lerp(request.source, noise, times[0])
        for now, after in pairwise(times):
            velocity = self.model.velocity(x, now.expand(1), hidden, known, context)
            if scale > 1.0 and now >= usual.guidance_start:
                plain = self.model.velocity(x, now.expand(1), null, known, context)
                velocity = torch.lerp(plain, velocity, scale)
            x = x - (now - after) * velocity
        return x[0]
