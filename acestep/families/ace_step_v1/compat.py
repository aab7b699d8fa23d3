"""Behaviour of the original that we leave out on purpose, kept so that its recordings can be reproduced; not used by default.

Between sample rates the engine's own resampler (soxr) stands in for the original's, which is short and lets aliases through; the
vocoder works in tiles that give exactly the whole, where the original's meet in cross-fades of edges that they should not have.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from acestep.codec.tile_memory import freed_memory_kept
from acestep.families.ace_step_v1.codec import MELS, SCALE, SHIFT, MusicCodec
from acestep.families.ace_step_v1.mel import HOP, LOUDEST, SILENCE

SINC_WIDTH, ROLL_OFF = 6, 0.99


def resample_sinc(audio: Tensor, rate: int, target: int) -> Tensor:
    """[..., N] at ``rate`` -> [..., ceil(N * target / rate)]: a windowed sinc of 6 zero crossings, as the original resamples."""
    shared = math.gcd(rate, target)
    rate, target = rate // shared, target // shared
    base = min(rate, target) * ROLL_OFF
    reach = math.ceil(SINC_WIDTH * rate / base)
    places = torch.arange(-reach, reach + rate, dtype=torch.float32) / rate
    times = (places[None] - torch.arange(target, dtype=torch.float32)[:, None] / target) * base
    times = times.clamp(-SINC_WIDTH, SINC_WIDTH)
    window = (times * math.pi / SINC_WIDTH / 2).cos().square()
    kernel = torch.sinc(times) * window * base / rate
    flat = functional.pad(audio.reshape(-1, 1, audio.shape[-1]), (reach, reach + rate))
    phases = functional.conv1d(flat, kernel[:, None].to(audio), stride=rate)
    length = math.ceil(audio.shape[-1] * target / rate)
    return phases.transpose(1, 2).flatten(1)[:, :length].unflatten(0, audio.shape[:-1])


WINDOW_FRAMES, WINDOW_HOP, CONTEXT = 512, 256, 128
"""Latent frames of the original's windows of decoding."""

SOUND_WINDOW, SOUND_OVERLAP, SOUND_FADE = 512, 1024, 128
"""Mel frames of its vocoder's windows, samples that are cut off at each of their ends, and over which they fade."""


@torch.inference_mode()
@freed_memory_kept()
def decode_overlapped(codec: MusicCodec, latents: Tensor) -> Tensor:
    """Sound [2, 4096 T] at 44.1 kHz by the original's overlapped decoding, hard joints and a loud last block included."""
    total = latents.shape[-1]
    starts = [anchor - CONTEXT for anchor in range(CONTEXT, total - CONTEXT, WINDOW_HOP)]
    pieces = []
    for index, start in enumerate(starts):
        made = codec.autoencoder.decoder(latents[..., start : start + WINDOW_FRAMES] / SCALE - SHIFT)[0]
        begin = 0 if index == 0 else CONTEXT * MELS
        end = made.shape[-1] if index == len(starts) - 1 else made.shape[-1] - CONTEXT * MELS
        pieces.append(made[..., begin:end])
    mel = (torch.cat(pieces, dim=-1) + 1) / 2 * (LOUDEST - SILENCE) + SILENCE
    return _faded(codec, mel)[:, : total * FRAME_SAMPLES]


FRAME_SAMPLES = MELS * HOP


def _faded(codec: MusicCodec, mel: Tensor) -> Tensor:
    """The vocoder's windows one after the other, each faded into the next over the last samples before the joint."""
    hop = SOUND_WINDOW - 2 * SOUND_OVERLAP // HOP
    sound = torch.zeros(2, 0)
    for start in range(0, mel.shape[-1], hop):
        part = mel[..., start : start + SOUND_WINDOW]
        part = functional.pad(part, (0, SOUND_WINDOW - part.shape[-1]))
        made = torch.cat([codec.vocoder(channel[None])[0] for channel in part])
        if sound.shape[1]:
            joint = start * HOP + SOUND_OVERLAP
            fade = torch.linspace(0, 1, SOUND_FADE)
            blend = sound[:, joint - SOUND_FADE : joint] * (1 - fade)
            blend = blend + made[:, SOUND_OVERLAP - SOUND_FADE : SOUND_OVERLAP] * fade
            made = torch.cat([blend, made[:, SOUND_OVERLAP:]], dim=1)
            sound = sound[:, : joint - SOUND_FADE]
        sound = torch.cat([sound, made], dim=1)
    return sound
