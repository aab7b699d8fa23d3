"""Every network of ACE-Step v1 gives the numbers that the original gave."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from acestep.families.ace_step_v1.compat import decode_overlapped, resample_sinc
from acestep.families.ace_step_v1.mel import LogMel
from acestep.families.ace_step_v1.units import frames_within

TEXT_MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
LYRICS = torch.tensor([[11, 7, 3, 40, 2, 9, 1], [5, 6, 7, 8, 0, 0, 0]])
LYRIC_MASK = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]])
TIMES = torch.tensor([873.25, 12.5])
RATE, NATIVE = 48_000, 44_100


def encoded(golden_v1) -> tuple[torch.Tensor, torch.Tensor]:
    text, voice = golden_v1.tensor("in.text", 2, 5, 24), golden_v1.tensor("in.spk", 2, 512)
    return golden_v1.transformer.encode(text, TEXT_MASK, LYRICS, LYRIC_MASK, speaker=voice)


def instrumental(golden_v1) -> torch.Tensor:
    silent = torch.zeros(2, 1, dtype=torch.long)
    return golden_v1.transformer.encode(golden_v1.tensor("in.text", 2, 5, 24), TEXT_MASK, silent, silent)[0]


def velocity(golden_v1) -> torch.Tensor:
    condition = golden_v1.transformer.condition(*encoded(golden_v1))
    return golden_v1.transformer.velocity(golden_v1.tensor("in.x", 2, 8, 16, 21), TIMES, condition)


def vocoder(golden_v1) -> torch.Tensor:
    with torch.inference_mode():
        return golden_v1.codec.vocoder(golden_v1.tensor("in.mel", 2, 128, 20))


def sound(golden_v1, latents: torch.Tensor) -> torch.Tensor:
    return resample_sinc(golden_v1.codec.decode(latents), NATIVE, RATE)


def encoded_sound(golden_v1) -> torch.Tensor:
    heard = golden_v1.tensor("in.wav48", 1, 2, RATE)[0] * 0.1
    return golden_v1.codec.encode(resample_sinc(heard, RATE, NATIVE))


def decoded(golden_v1) -> torch.Tensor:
    return sound(golden_v1, golden_v1.tensor("in.lat", 1, 8, 16, 12))


@cache
def overlapped(golden_v1) -> torch.Tensor:
    """The original cuts this form down to whole samples, where the other is rounded up."""
    long = golden_v1.tensor("in.latlong", 1, 8, 16, 700)
    made = resample_sinc(decode_overlapped(golden_v1.codec, long), NATIVE, RATE)
    return made[:, : 700 * 4096 * RATE // NATIVE]


@cache
def whole(golden_v1) -> torch.Tensor:
    """A minute of sound; most of this file's time."""
    return sound(golden_v1, golden_v1.tensor("in.latlong", 1, 8, 16, 700))


def shape_of(made: torch.Tensor) -> torch.Tensor:
    return torch.tensor(made.shape)


CASES = {
    "dit_enc": lambda golden: encoded(golden)[0],
    "dit_enc_mask": lambda golden: encoded(golden)[1].float(),
    "dit_enc_instrumental": instrumental,
    "dit_dec": velocity,
    "mel": lambda golden: LogMel()(golden.tensor("in.wav", 2, 20_480) * 0.1),
    "mel_fb": lambda golden: LogMel().filters[:, ::16],
    "voc": vocoder,
    "resample_48000_44100": lambda golden: resample_sinc(golden.tensor("in.rs", 1, 4000), 48_000, 44_100),
    "resample_44100_48000": lambda golden: resample_sinc(golden.tensor("in.rs", 1, 4000), 44_100, 48_000),
    "enc_latent": encoded_sound,
    "enc_len": lambda golden: torch.tensor([frames_within(1.0)]),
    "dec_wav_every97": lambda golden: decoded(golden)[:, ::97],
    "dec_shape": lambda golden: shape_of(decoded(golden)),
    "full_every997": lambda golden: whole(golden)[:, ::997],
    "full_shape": lambda golden: shape_of(whole(golden)),
    "overlap_every997": lambda golden: overlapped(golden)[:, ::997],
    "overlap_shape": lambda golden: shape_of(overlapped(golden)),
}
"""Recorded name -> how we get there."""

OF_RUNS = ("loop_", "edit_")


@pytest.mark.golden_v1("dit", "mel", "voc", "resample", "enc", "dec", "full", "overlap")
def test_golden_v1_module(golden_v1, name):
    golden_v1.compare(CASES[name](golden_v1), name, golden_v1.MODULE)


@pytest.mark.golden_v1("")
def test_golden_v1_name_is_known(name):
    """No recorded array is passed over."""
    assert name in CASES or name.startswith(OF_RUNS)
