"""The family at work; only a worker imports it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import torch

from acestep.api import FamilyRuntime


class SineRuntime(FamilyRuntime):
    """Latents are [1, T, 2]: how loud a frame is, and its pitch in hertz."""

    def open(self, info, opening):
        """The model's pitch and its digest."""
        opening.check()
        text = Path(info.weight_files[0]).read_bytes()
        digest = hashlib.sha256(text).hexdigest()[:32]
        return SimpleNamespace(
            info=info,
            pitch=float(json.loads(text)["pitch"]),
            digest=digest,
            codec_digest="sines",
            text_digest="",
            device=torch.device(opening.device),
            dtype=opening.dtype,
            adapters=[],
            networks=dict,
            work={"words": (), "denoise": (), "codec": ()},
            offloadable=(),
        )

    def encode(self, model, audio, tick):
        """The loudness of each frame."""
        hop = model.info.grid.hop
        frames = -(-audio.shape[1] // hop)
        padded = torch.nn.functional.pad(audio, (0, frames * hop - audio.shape[1]))
        loud = padded.reshape(2, frames, hop).square().mean((0, 2)).sqrt()
        tick(1, 1)
        return torch.stack([loud, torch.full_like(loud, model.pitch)], -1)[None]

    def decode(self, model, latents, span, tick):
        """A sine whose phase runs from the window's first frame on, so that parts meet."""
        hop, rate = model.info.grid.hop, model.info.grid.rate
        loud, pitch = (latents[0, :, place].repeat_interleave(hop).double() for place in (0, 1))
        sound = loud * torch.sin(2 * torch.pi * torch.cumsum(pitch / rate, 0))
        tick(1, 1)
        return sound.float().expand(2, -1)[:, span[0] * hop : span[1] * hop].contiguous(), []

    def silence(self, model, frames):
        """Nothing is loud."""
        return torch.zeros(1, frames, 2)

    def make(self, take):
        """Swells from a seed; a repaint puts them into its region alone."""
        generator = torch.Generator().manual_seed(take.seed)
        first, last = take.region
        made = self.silence(take.model, take.frames) if take.source is None else take.source.clone()
        steps = take.stage.params.steps
        for step in range(steps):
            made[0, first:last, 0] = torch.rand(last - first, generator=generator) * 0.5
            take.tick(step + 1, steps)
        made[0, first:last, 1] = take.model.pitch * 2**take.options.octave
        take.note(f"sung at {take.model.pitch:g} Hz")
        return made
