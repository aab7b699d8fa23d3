"""What training tests share: a note bank made of sine waves, so that no test needs the sound font, a small codec, one song."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acestep.networks.nano_codec import NanoCodec
from acestep.training.dit.records import Record, make_record
from acestep.training.songs import song_seed
from acestep.training.songs.bank import RATE

SMALL_CODEC = {"encoder_width": 16, "encoder_blocks": 1, "decoder_width": 16, "decoder_blocks": 1, "subframe_width": 16}


class SineBank:
    """Any note of any program: half a second of a decaying sine at its pitch."""

    def note(self, track: str, program: int, pitch: int, layer: str) -> np.ndarray:
        time = np.arange(RATE // 2) / RATE
        hertz = 440.0 * 2.0 ** ((pitch - 69) / 12.0)
        return (0.3 * np.sin(2 * np.pi * hertz * time) * np.exp(-6 * time)).astype(np.float16)


@pytest.fixture(scope="session")
def sine_bank() -> SineBank:
    return SineBank()


@pytest.fixture(scope="session")
def codec() -> NanoCodec:
    torch.manual_seed(0)
    return NanoCodec(**SMALL_CODEC).eval()


@pytest.fixture(scope="session")
def record(codec, sine_bank) -> Record:
    """A training song with parts."""
    return make_record(song_seed("train", 2), sine_bank, codec)
