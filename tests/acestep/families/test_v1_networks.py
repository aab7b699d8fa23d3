"""The weak branches of entropy-rectifying guidance: queries of certain layers at a hundredth, and nothing else."""

from __future__ import annotations

import copy

import pytest
import torch
from tokenizers import Tokenizer
from transformers import UMT5Config, UMT5EncoderModel

from acestep.families.ace_step_v1.conditions import WEAK
from acestep.families.ace_step_v1.lyric_encoder import LyricEncoder, LyricEncoderSizes, by_distance
from acestep.families.ace_step_v1.text import PromptEncoder
from acestep.families.ace_step_v1.transformer import Sizes, Transformer

TINY_LYRICS = LyricEncoderSizes(width=16, heads=2, feed_forward=16, layers=6)


def filled(module):
    """Weights of a size at which signals neither grow nor fade."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.1
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale
    return module.eval().requires_grad_(False)


def weakened(module, *layers):
    """A copy whose named layers give a hundredth."""
    weak = copy.deepcopy(module)
    for name in layers:
        layer = weak.get_submodule(name)
        for parameter in layer.parameters():
            parameter.mul_(WEAK)
    return weak


@pytest.fixture(scope="module")
def transformer():
    return filled(
        Transformer(
            Sizes(heads=2, head_width=8, layers=17, mlp_ratio=2.0, text_width=8, speaker_width=4, lyric_tokens=20,
                  lyric_encoder=TINY_LYRICS)
        )
    )  # fmt: skip


def words(transformer, weaken=1.0):
    text = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(2))
    ones = torch.ones(1, 3, dtype=torch.long)
    return transformer.encode(text, ones, torch.tensor([[4, 9, 1]]), ones, weaken=weaken)


def test_weak_velocities_are_those_of_weak_queries(transformer):
    """Blocks 15 to 19, both attentions in the original: linear attention does not change with the size of its queries."""
    blocks = [f"transformer_blocks.{index}.{kind}.to_q" for index in (15, 16) for kind in ("attn", "cross_attn")]
    x = torch.randn(1, 8, 16, 7, generator=torch.Generator().manual_seed(3))
    condition = transformer.condition(*words(transformer))
    expected = weakened(transformer, *blocks).velocity(x, 500.0, condition)
    found = transformer.velocity(x, 500.0, condition, WEAK)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, transformer.velocity(x, 500.0, condition), atol=1e-4)


def test_weak_lyrics_are_those_of_weak_queries(transformer):
    """Layers 4 and 5 of the lyric encoder."""
    layers = [f"lyric_encoder.encoders.{index}.self_attn.linear_q" for index in (4, 5)]
    expected, _ = words(weakened(transformer, *layers))
    found, _ = words(transformer, WEAK)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, words(transformer)[0], atol=1e-4)


def test_weak_text_is_that_of_weak_queries(tiny_v1):
    """Blocks 8 and 9 of UMT5; afterwards the encoder is as it was."""
    config = UMT5Config(vocab_size=300, d_model=32, d_kv=8, d_ff=32, num_heads=2, num_layers=10, num_decoder_layers=1)
    encoder = filled(UMT5EncoderModel(config))
    tokenizer = Tokenizer.from_file(str(tiny_v1 / "umt5-base" / "tokenizer.json"))
    weak = weakened(encoder, *(f"encoder.block.{index}.layer.0.SelfAttention.q" for index in (8, 9)))
    prompts, plain = PromptEncoder(encoder, tokenizer), PromptEncoder(encoder, tokenizer).encode("soft piano")[0]
    found = prompts.encode_weakly("soft piano")
    torch.testing.assert_close(found, PromptEncoder(weak, tokenizer).encode("soft piano")[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, plain, atol=1e-4)
    assert torch.equal(prompts.encode("soft piano")[0], plain)


def test_scores_are_moved_to_their_distances():
    """Entry (i, j) is the score of the distance i - j, whose places run from length - 1 down."""
    length = 4
    scores = torch.arange(length - 1, -length, -1.0).expand(1, 1, length, -1)
    places = torch.arange(length, dtype=torch.float32)
    assert torch.equal(by_distance(scores)[0, 0], places[:, None] - places[None])


def test_padding_changes_no_other_token():
    """Lyrics in one batch: a token's state is the same however much padding stands behind it."""
    encoder = filled(LyricEncoder(TINY_LYRICS))
    x = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(4))
    alone = encoder(x[:, :3], torch.ones(1, 3, dtype=torch.bool))
    padded = encoder(x, torch.tensor([[True, True, True, False, False]]))
    torch.testing.assert_close(padded[:, :3], alone, atol=1e-5, rtol=1e-5)
    assert torch.isfinite(encoder(x, torch.zeros(1, 5, dtype=torch.bool))).all()
