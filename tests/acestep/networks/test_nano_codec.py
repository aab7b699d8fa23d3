"""The nano codec: exact tiles, exact lengths, the same sound after saving, oscillators that keep their phase."""

from __future__ import annotations

import pytest
import torch

from acestep.networks import nano_codec
from acestep.networks.nano_codec import NanoCodec
from acestep.networks.spectra import FRAME, RATE, OscillatorBank, magnitudes, mel_bands, overlap_add
from acestep.training.weights import open_codec, save_codec

SMALL = {"encoder_width": 32, "encoder_blocks": 2, "decoder_width": 32, "decoder_blocks": 2, "subframe_width": 32}


@pytest.fixture(scope="module")
def codec() -> NanoCodec:
    torch.manual_seed(0)
    codec = NanoCodec(**SMALL).eval()
    codec.latent_mean.normal_()
    codec.latent_scale.uniform_(0.5, 2.0)
    return codec


@torch.inference_mode()
def test_a_tile_with_context_decodes_to_the_same_samples(codec):
    """Frames 30..50 decoded with the declared context and their place equal the same part of the whole."""
    latents = torch.randn(1, 64, 80)
    whole, reach = codec.decode(latents), codec.context_frames
    tile = codec.decode(latents[..., 30 - reach : 50 + reach], first_frame=30 - reach)
    inside = tile[..., reach * FRAME : -reach * FRAME]
    assert torch.allclose(inside, whole[..., 30 * FRAME : 50 * FRAME], atol=2e-6)


@torch.inference_mode()
def test_a_tile_at_the_wrong_place_is_another_sound(codec):
    """The place matters: without it oscillators and noise start afresh."""
    latents = torch.randn(1, 64, 20)
    assert not torch.allclose(codec.decode(latents), codec.decode(latents, first_frame=7), atol=1e-3)


@torch.inference_mode()
def test_sound_does_not_depend_on_how_much_is_made_at_once(codec, monkeypatch):
    """Blocks of the synthesis follow one another without a trace, a short last one included."""
    latents = torch.randn(1, 64, 20)
    whole = codec.decode(latents, first_frame=3)
    monkeypatch.setattr(nano_codec, "SYNTHESIS_BLOCK", 33)
    assert torch.allclose(codec.decode(latents, first_frame=3), whole, atol=2e-6)


@torch.inference_mode()
def test_a_tile_with_context_encodes_to_the_same_latents(codec):
    """Latents of the inner frames do not depend on where the tile was cut, given the declared context."""
    sound, reach = torch.randn(1, 2, 60 * FRAME) * 0.1, codec.context_frames
    whole = codec.encode(sound)
    tile = codec.encode(sound[..., (20 - reach) * FRAME : (40 + reach) * FRAME])
    assert torch.allclose(tile[..., reach:-reach], whole[..., 20:40], atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize(("samples", "frames"), [(1920, 1), (1921, 2), (48000, 25), (1, 1)])
def test_lengths(codec, samples, frames):
    """ceil(N / 1920) frames; decoding gives exactly 1920 samples a frame, in stereo float32."""
    latents = codec.encode(torch.zeros(2, 2, samples))
    assert latents.shape == (2, 64, frames)
    sound = codec.decode(latents)
    assert sound.shape == (2, 2, frames * FRAME) and sound.dtype == torch.float32


@torch.inference_mode()
def test_save_and_load_gives_the_same_codec(codec, tmp_path):
    """config.json names the class, safetensors hold the rest, fixed tables are not stored."""
    save_codec(codec, tmp_path)
    again = open_codec(tmp_path)
    latents = torch.randn(1, 64, 5)
    assert torch.equal(again.decode(latents), codec.decode(latents))
    assert '"_class_name": "NanoCodec"' in (tmp_path / "config.json").read_text()
    assert not any("waves" in name or "noise" in name or "mel" in name for name in codec.state_dict())


@torch.inference_mode()
def test_half_precision_weights_are_accepted(codec):
    """The shipped file holds float16; loaded as float32 it encodes and decodes."""
    half = NanoCodec(**SMALL).eval()
    half.load_state_dict({name: value.half().float() for name, value in codec.state_dict().items()})
    latents = torch.randn(1, 64, 5)
    assert torch.allclose(half.decode(latents), codec.decode(latents), atol=0.05)


def test_an_oscillator_at_constant_amplitude_is_one_steady_sine():
    """Hann windows at half overlap add up to one, so A = 440 Hz comes out as a pure tone of the asked amplitude."""
    bank = OscillatorBank()
    index = int((bank.frequencies - 440.0).abs().argmin())
    amplitudes = torch.zeros(1, 2, 200, len(bank))
    amplitudes[..., index] = 0.25
    tone = overlap_add(bank(amplitudes))[0, 0, 4800:-4800]
    time = torch.arange(len(tone), dtype=torch.float64) / RATE
    basis = torch.stack([(2 * torch.pi * 440.0 * time).cos(), (2 * torch.pi * 440.0 * time).sin()], 1)
    fit = torch.linalg.lstsq(basis, tone.double()[:, None]).solution
    assert fit.norm().item() == pytest.approx(0.25, rel=1e-3)
    assert (basis @ fit - tone.double()[:, None]).abs().max() < 1e-3


def test_frames_are_centred_on_their_hop():
    """A click in the middle of hop 5 is loudest in frame 5 at every window length."""
    sound = torch.zeros(1, 10 * FRAME)
    sound[0, 5 * FRAME + FRAME // 2] = 1.0
    for window in (1920, 4096, 8192):
        frames = magnitudes(sound, window, FRAME)
        assert frames.shape[1] == 10 and int(frames[0].sum(1).argmax()) == 5


def test_mel_bands_are_means():
    """A flat spectrum gives the same value in every band, also where a band is narrower than a bin."""
    assert torch.allclose(mel_bands(513, 80, 30, 20000).sum(1), torch.ones(80), atol=1e-5)
