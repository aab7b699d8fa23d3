"""MusicGen draws what transformers' own ``generate`` draws, and continues code by code."""

from __future__ import annotations

import pytest
import torch

from acestep.api.errors import Cancelled
from acestep.families.musicgen.draw import Draw, Told, continued, seeded, token_ids
from acestep.families.musicgen.layout import locate
from acestep.families.musicgen.network import Model, open_model
from acestep.families.musicgen.tiny import FOLDER, MELODY_FOLDER, STEREO_FOLDER
from acestep.families.musicgen.windows import Turn, turns

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=[FOLDER, STEREO_FOLDER, MELODY_FOLDER])
def model(request, musicgen_folder) -> Model:
    return open_model(None, locate(musicgen_folder / request.param), CPU, torch.float32, lambda: None)


def draw(model: Model, seed: int, *, shown=None, new: int = 30, heard=lambda: None, melody=None, **how):
    shown = torch.zeros(0, model.layout.codebooks, dtype=torch.long) if shown is None else shown
    with seeded(seed, CPU):
        told = Told(token_ids(model, "slow piano"), melody)
        return continued(model, told, shown, new, Draw(**how), heard)


@pytest.mark.parametrize("how", [{}, {"guidance": 1.0, "temperature": 0.8, "top_k": 20}, {"top_k": 0, "top_p": 0.9}])
def test_the_sound_is_that_of_the_library_sample_for_sample(model, musicgen_folder, how):
    """Its own class, opened by itself, its own processor of words and its own decoding."""
    from transformers import AutoModelForTextToWaveform, PreTrainedTokenizerFast

    library = AutoModelForTextToWaveform.from_pretrained(model.layout.folder)
    words = PreTrainedTokenizerFast(tokenizer_file=str(model.layout.folder / "tokenizer.json"))("slow piano")
    torch.manual_seed(11)
    asked = {"guidance_scale": 3.0, "top_k": 250, "max_new_tokens": 33}
    asked |= {"guidance_scale" if name == "guidance" else name: value for name, value in how.items()}
    ids = torch.tensor([words["input_ids"]])
    expected = library.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **asked)[0]
    codes = draw(model, 11, **how)
    assert codes.shape == (30, model.layout.codebooks)
    sound = model.decode(codes[None].float())
    assert sound.shape == (2, 30 * 640)
    assert torch.equal(sound, expected.expand(2, -1))


def test_what_is_shown_stays_code_by_code(model):
    """Ten frames of one run are the beginning of another; what follows depends on them and on the seed."""
    shown = draw(model, 3)[:10]
    first, again, other = (draw(model, seed, shown=shown, new=20) for seed in (4, 4, 5))
    assert first.shape == (30, model.layout.codebooks)
    assert torch.equal(first[:10], shown) and torch.equal(other[:10], shown)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_every_token_is_heard_and_a_cancel_leaves_the_model_as_it_was(model):
    """A token for each frame and three for the delay of the codebooks; the process's random numbers are not touched."""
    heard: list[int] = []
    plain, before = draw(model, 3, heard=lambda: heard.append(1)), torch.get_rng_state()
    assert len(heard) == 33

    def stop() -> None:
        heard.append(1)
        if len(heard) == 40:
            raise Cancelled("the job was cancelled")

    with pytest.raises(Cancelled):
        draw(model, 3, heard=stop)
    assert len(heard) == 40 and torch.equal(torch.get_rng_state(), before)
    assert torch.equal(draw(model, 3), plain)
    assert model.decode(plain[None].float()).shape == (2, 30 * 640), "the codec has its own decoding back"


def test_sound_becomes_whole_frames_and_a_stereo_model_keeps_its_sides_apart(model):
    noise = 0.3 * torch.randn(2, 6_401, generator=torch.Generator().manual_seed(1))
    codes = model.encode(noise)
    assert codes.shape == (1, 11, model.layout.codebooks)
    if model.layout.stereo:
        same, swapped = model.encode(noise[:1].expand(2, -1)), model.encode(noise.flip(0))
        assert torch.equal(same[..., 0::2], same[..., 1::2]) and torch.equal(same[..., 0::2], codes[..., 0::2])
        assert torch.equal(swapped[..., 0::2], codes[..., 1::2])
    else:
        assert torch.equal(codes, model.encode(noise.mean(0, keepdim=True).expand(2, -1)))


@pytest.mark.parametrize(
    ("known", "frames", "expected"),
    [
        (0, 500, [Turn(0, 500)]),
        (0, 1500, [Turn(0, 1500)]),
        (0, 6000, [Turn(0, 1500), *[Turn(600, 900)] * 5]),
        (0, 1501, [Turn(0, 1500), Turn(600, 1)]),
        (400, 1000, [Turn(400, 600)]),
        (2000, 3000, [Turn(600, 900), Turn(600, 100)]),
        (7, 7, []),
    ],
)
def test_no_call_is_longer_than_the_model_was_trained_on(known, frames, expected):
    found = list(turns(known, frames, 1500, 900))
    assert found == expected and sum(one.new for one in found) == frames - known
