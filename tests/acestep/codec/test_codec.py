"""Tiling changes nothing but memory: cores cover, ranges agree, a lack of memory makes tiles smaller."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acestep.api.errors import Cancelled, OutOfMemory
from acestep.checkpoints.tiny import CODEC_CONFIGS
from acestep.codec.codec import Codec
from acestep.codec.tiles import Tiling, tile_count, tiles
from acestep.networks.nano_codec import NanoCodec


@given(
    first=st.integers(0, 500),
    length=st.integers(1, 3_000),
    after=st.integers(0, 500),
    margin=st.integers(0, 64),
    core=st.integers(1, 600),
)
def test_cores_cover_once(first, length, after, margin, core):
    """Every frame is kept by exactly one tile, and each tile sees its margin unless the stretch ends there."""
    last, total = first + length, first + length + after
    tiling = Tiling(core + 2 * margin, margin)
    found = list(tiles(first, last, total, tiling))
    assert len(found) == tile_count(first, last, tiling)
    assert [frame for tile in found for frame in range(tile.core_first, tile.core_last)] == list(range(first, last))
    for tile in found:
        assert tile.first == max(0, tile.core_first - margin) and tile.last == min(total, tile.core_last + margin)
        assert tile.last - tile.first <= tiling.chunk


@pytest.fixture(scope="module")
def network() -> NanoCodec:
    torch.manual_seed(0)
    return NanoCodec(**CODEC_CONFIGS["NanoCodec"]).eval()


def quiet(done: int, total: int) -> None:
    """A tick that does nothing."""


def test_decoding_a_range_is_the_range_of_decoding_all(network):
    """Less is decoded, the same is heard."""
    latents = torch.randn(1, 120, 64, generator=torch.Generator().manual_seed(1))
    whole = Codec(network).decode(latents, 0, 120, quiet)
    part = Codec(network).decode(latents, 40, 71, quiet)
    assert whole.shape == (2, 120 * 1920) and part.shape == (2, 31 * 1920)
    assert torch.allclose(part, whole[:, 40 * 1920 : 71 * 1920], atol=1e-5)


def test_small_tiles_sound_like_one(network):
    """A codec of ours tiles without seams."""
    latents = torch.randn(1, 150, 64, generator=torch.Generator().manual_seed(2))
    whole = Codec(network).decode(latents, 0, 150, quiet)
    tiled = Codec(network, decode_chunk=48).decode(latents, 0, 150, quiet)
    assert torch.allclose(whole, tiled, atol=1e-5)


def test_encoding_covers_every_sample(network):
    """A partly filled last frame counts."""
    audio = torch.randn(2, 10 * 1920 + 1)
    assert Codec(network).encode(audio, quiet).shape == (1, 11, 64)


def test_ticks_count_tiles_and_may_stop(network):
    """One tick per tile; a tick that raises stops the work."""
    seen = []
    latents = torch.zeros(1, 100, 64)
    Codec(network, decode_chunk=48).decode(latents, 0, 100, lambda done, total: seen.append((done, total)))
    assert seen == [(index + 1, len(seen)) for index in range(len(seen))] and len(seen) > 2

    def stop(done: int, total: int) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        Codec(network).decode(latents, 0, 100, stop)


class Hungry(torch.nn.Module):
    """A codec that runs out of memory on tiles longer than ``room`` frames."""

    context_frames = 4

    def __init__(self, room: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.room = room

    def decode(self, latents, first_frame):
        if latents.shape[-1] > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return latents[:, :2].repeat_interleave(1920, dim=-1)


def test_lack_of_memory_makes_tiles_smaller():
    """The result is the same, and the notes say what was done."""
    latents = torch.randn(1, 300, 64)
    codec = Codec(Hungry(100))
    assert torch.equal(codec.decode(latents, 0, 300, quiet), Codec(Hungry(999)).decode(latents, 0, 300, quiet))
    assert any("memory" in note for note in codec.notes)


def test_no_memory_at_all_is_one_error():
    """When even the smallest tile does not fit, the job ends with its code."""
    with pytest.raises(OutOfMemory):
        Codec(Hungry(0)).decode(torch.zeros(1, 100, 64), 0, 100, quiet)
