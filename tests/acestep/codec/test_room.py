"""The codec takes the memory that is there: smaller tiles where it is short, freed memory kept only where there is room."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from diffusers import AutoencoderOobleck

from acestep.api.errors import OutOfMemory
from acestep.checkpoints.tiny import CODEC_CONFIGS
from acestep.codec import latent_codec
from acestep.codec.latent_codec import DECODE, DECODE_FRAME, ENCODE, ENCODE_FRAME, Codec
from acestep.codec.tiles import Tiling, fitted

MB = 1_000_000


@pytest.mark.parametrize(
    ("free", "encode", "decode"),
    [(None, 133, 176), (20_000, 133, 176), (5_000, 66, 176), (2_500, 33, 88), (1_000, 33, 44), (1, 33, 44)],
)
def test_tiles_fit_into_half_of_the_free_memory(free, encode, decode):
    """Half as long until they do; the margins, which make tiles exact, are whole in each of them."""
    free = None if free is None else free * MB
    tilings = fitted(ENCODE, ENCODE_FRAME, free), fitted(DECODE, DECODE_FRAME, free)
    assert tilings == (Tiling(encode, 8), Tiling(decode, 10))


@pytest.fixture(scope="module")
def oobleck() -> AutoencoderOobleck:
    """The published class; each frame of it is made to count as one of full width."""
    torch.manual_seed(1)
    return AutoencoderOobleck(**CODEC_CONFIGS["AutoencoderOobleck"]).eval()


@pytest.fixture
def room(monkeypatch):
    """Say how many megabytes are free; gives what was asked about freed memory."""
    kept: list[bool] = []

    @contextmanager
    def record(roomy: bool):
        kept.append(roomy)
        yield lambda: None

    def give(megabytes: int | None) -> list[bool]:
        monkeypatch.setattr(latent_codec, "free_ram", lambda: None if megabytes is None else megabytes * MB)
        return kept

    monkeypatch.delenv("ACESTEP_SKIP_VRAM_PREFLIGHT", raising=False)
    monkeypatch.setattr(latent_codec, "_frame_bytes", lambda network: (DECODE_FRAME, ENCODE_FRAME))
    monkeypatch.setattr(latent_codec, "freed_memory_kept", record)
    return give


def work(codec: Codec) -> tuple[torch.Tensor, torch.Tensor]:
    """Two and a half seconds to latents and two seconds back: several of the small tiles, one of the large ones."""
    dice = torch.Generator().manual_seed(3)
    latents = codec.encode(torch.randn(2, 60 * 1920, generator=dice), lambda done, of: None)
    return latents, codec.decode(latents, 5, 55, lambda done, of: None)


def test_small_tiles_give_the_same_and_are_told(oobleck, room):
    """The size that was taken, once for each direction; the numbers are those of large tiles."""
    kept = room(20_000)
    ample = Codec(oobleck)
    whole = work(ample)
    assert ample.notes == [] and kept == [True, True]
    room(1_500)
    short = Codec(oobleck)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(work(short), whole, strict=True))
    sizes = [
        "memory was short: the codec ran in tiles of 33 frames",
        "memory was short: the codec ran in tiles of 44 frames",
    ]
    assert short.notes == sizes and kept[2:] == [False, True]


def test_what_does_not_fit_is_refused_before_the_work(oobleck, room, monkeypatch):
    """With both figures; who turns the check off may try."""
    room(300)
    codec = Codec(oobleck)
    with pytest.raises(OutOfMemory, match=r"needs about 0\.7 GB and 0\.3 GB are free") as caught:
        codec.encode(torch.zeros(2, 150 * 1920), lambda done, of: pytest.fail("worked"))
    assert caught.value.limits == {"need_bytes": 660 * MB, "free_bytes": 300 * MB}
    codec.encode(torch.zeros(2, 12 * 1920), lambda done, of: None)  # a tenth of that
    monkeypatch.setenv("ACESTEP_SKIP_VRAM_PREFLIGHT", "1")
    assert codec.encode(torch.zeros(2, 40 * 1920), lambda done, of: None).shape == (1, 40, 64)
    assert codec.notes == []


def test_a_codec_that_needs_little_asks_nobody(monkeypatch):
    """Ours, and stand-ins of tests."""
    monkeypatch.setattr(latent_codec, "free_ram", lambda: pytest.fail("asked"))

    class Little(torch.nn.Linear):
        def encode(self, sound):
            return torch.zeros(1, 64, sound.shape[-1] // 1920)

    assert Codec(Little(1, 1)).encode(torch.zeros(2, 20 * 1920), lambda done, of: None).shape == (1, 20, 64)
