"""Tiling changes nothing but memory: cores cover, ranges agree, a lack of memory makes tiles smaller."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderOobleck
from hypothesis import given
from hypothesis import strategies as st

from acestep.api.errors import Cancelled, OutOfMemory
from acestep.checkpoints.tiny import CODEC_CONFIGS
from acestep.codec import latent_codec
from acestep.codec.latent_codec import DECODE, ENCODE, Codec
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


def cuda_full():
    """What a CUDA device without room does."""
    raise torch.OutOfMemoryError("CUDA out of memory")


def cpu_full():
    """What a CPU without room does: a real allocation, larger than any address space."""
    torch.empty(2**50)


class Hungry(torch.nn.Module):
    """A codec that runs out of memory on tiles longer than ``room`` frames."""

    context_frames, tile_frames = 4, 176

    def __init__(self, room: int, fail=cuda_full) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.room = room
        self.fail = fail

    def decode(self, latents, first_frame):
        if latents.shape[-1] > self.room:
            self.fail()
        return latents[:, :2].repeat_interleave(1920, dim=-1)


@pytest.mark.parametrize("fail", [cuda_full, cpu_full])
def test_lack_of_memory_makes_tiles_smaller(fail):
    """The result is the same, and the notes say what was done."""
    latents = torch.randn(1, 300, 64)
    codec = Codec(Hungry(100, fail))
    assert torch.equal(codec.decode(latents, 0, 300, quiet), Codec(Hungry(999)).decode(latents, 0, 300, quiet))
    assert any("memory" in note for note in codec.notes)


def test_the_originals_variable_sets_the_tiles(monkeypatch):
    """As many ticks as the named size makes tiles; what is not a size is not heeded."""
    latents, counts = torch.zeros(1, 300, 64), []
    for text in ("64", "", "many", "3"):
        monkeypatch.setenv("ACESTEP_VAE_DECODE_CHUNK_SIZE", text)
        Codec(Hungry(999)).decode(latents, 0, 300, lambda done, total: counts.append(total))
    assert set(counts[:6]) == {6} and set(counts[6:]) == {2}


def test_the_codec_moves_to_the_cpu_when_no_tile_fits_its_device(monkeypatch):
    """The sound is that of a codec which was there from the beginning. (The meta device stands in for a GPU without memory.)"""
    latents = torch.randn(1, 300, 64)
    wanted = Codec(Hungry(999)).decode(latents, 0, 300, quiet)
    network = Hungry(0).to("meta")

    def move(place, dtype):
        network.weight, network.room = torch.nn.Parameter(torch.ones(1, device=place, dtype=dtype)), 999

    monkeypatch.setattr(network, "to", move)
    codec = Codec(network)
    assert torch.equal(codec.decode(latents, 0, 300, quiet), wanted)
    assert codec.notes[-1] == "memory was short: the codec ran on the CPU"


def test_afterwards_the_codec_has_the_number_formats_it_had(monkeypatch):
    """It is shared, and the next use brings it back to its device: no larger than before. (The CPU calls itself meta until the
    codec has moved.)"""
    network = Hungry(0).to(torch.bfloat16)
    network.register_buffer("table", torch.ones(3))
    move, formats = network.to, []

    def moved(place, dtype):
        network.room = 999
        formats.append(move(place, dtype).weight.dtype)

    monkeypatch.setattr(network, "to", moved)
    monkeypatch.setattr(Codec, "_device", lambda _: torch.device("cpu" if network.room else "meta"))
    Codec(network).decode(torch.randn(1, 300, 64), 0, 300, quiet)
    assert formats == [torch.float32]
    assert (network.weight.dtype, network.table.dtype) == (torch.bfloat16, torch.float32)


def test_other_failures_of_the_codec_are_no_lack_of_memory():
    """They are told as they are, at the first tile."""

    def broken():
        raise RuntimeError("sizes do not match")

    codec = Codec(Hungry(100, broken))
    with pytest.raises(RuntimeError, match="sizes"):
        codec.decode(torch.zeros(1, 300, 64), 0, 300, quiet)
    assert codec.notes == []


def test_no_memory_at_all_is_one_error():
    """When even the smallest tile does not fit, the job ends with its code."""
    with pytest.raises(OutOfMemory):
        Codec(Hungry(0)).decode(torch.zeros(1, 100, 64), 0, 100, quiet)


@pytest.fixture(scope="module")
def oobleck() -> AutoencoderOobleck:
    """The published class, as narrow as it can be, with weights that carry every input to every output."""
    torch.manual_seed(0)
    return AutoencoderOobleck(**CODEC_CONFIGS["AutoencoderOobleck"]).eval()


def touched(change: torch.Tensor, per: int) -> tuple[int, int]:
    """First and last frame in which something differs."""
    frames = change.abs().amax(0).unflatten(0, (-1, per)).amax(1).nonzero().flatten()
    return int(frames[0]), int(frames[-1])


@torch.inference_mode()
def test_the_margins_of_the_published_codec_are_its_reach(oobleck):
    """A change of one frame of sound reaches so many latent frames, one of a latent frame so many frames of sound, and tiles see
    that far: no less, or there are seams; not twice as much, or time is wasted."""
    sound = torch.randn(1, 2, 21 * 1920)
    other = sound.clone()
    other[..., 10 * 1920 : 11 * 1920] = 0
    latents = oobleck.encode(sound).latent_dist.mode()
    first, last = touched((latents - oobleck.encode(other).latent_dist.mode())[0], 1)
    assert max(10 - first, last - 10) < ENCODE.margin <= 2 * max(10 - first, last - 10)
    latents = torch.randn(1, 64, 25)
    other = latents.clone()
    other[..., 12] = 0
    first, last = touched((oobleck.decode(latents).sample - oobleck.decode(other).sample)[0], 1920)
    assert max(12 - first, last - 12) < DECODE.margin <= 2 * max(12 - first, last - 12)


def test_tiles_of_the_published_codec_have_no_seams(oobleck, monkeypatch):
    """Encoded and decoded in tiles is encoded and decoded whole, to rounding; with less margin it is not."""
    monkeypatch.setattr(latent_codec, "ENCODE", Tiling(2 * ENCODE.margin + 5, ENCODE.margin))
    audio = torch.rand(2, 15 * 1920) - 0.5
    tiled = Codec(oobleck).encode(audio, quiet)
    with torch.inference_mode():
        whole = oobleck.encode(audio[None]).latent_dist.mode().transpose(1, 2)
    assert torch.allclose(tiled, whole, atol=1e-4 * whole.abs().max())
    latents = torch.randn(1, 40, 64)
    whole = Codec(oobleck).decode(latents, 0, 40, quiet)
    near = 1e-5 * whole.abs().max()
    monkeypatch.setattr(latent_codec, "DECODE", Tiling(2 * DECODE.margin + 10, DECODE.margin))
    assert torch.allclose(Codec(oobleck).decode(latents, 0, 40, quiet), whole, atol=near)
    monkeypatch.setattr(latent_codec, "DECODE", Tiling(14, 2))
    assert not torch.allclose(Codec(oobleck).decode(latents, 0, 40, quiet), whole, atol=near)
