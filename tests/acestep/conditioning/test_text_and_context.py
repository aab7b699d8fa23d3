"""Conditions are encoded item by item and once per content; contexts follow from the plan's fields."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acestep.api.errors import BadRequest
from acestep.api.plan import Fill, Mask, Plan
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.checkpoints.tiny import build_tiny
from acestep.conditioning.condition_cache import (
    ConditionCache,
    ConditionRequest,
    embed_lyrics,
    encode_condition,
    encode_text,
)
from acestep.conditioning.context import (
    ContextInputs,
    audio_codes,
    build_context,
    hint_from_codes,
    plain_context,
    silence,
)
from acestep.conditioning.prompts import Prompt


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return open_checkpoint(build_tiny(tmp_path_factory.mktemp("model")))


PROMPT = Prompt(caption="warm lofi", lyrics="[Verse]\nla la", bpm=92)
FRAMES = 23


def inputs(**changes) -> ContextInputs:
    source = torch.randn(1, FRAMES, 64, generator=torch.Generator().manual_seed(1))
    return ContextInputs(**{"frames": FRAMES, "region": (5, 12), "source": source, **changes})


def plan(**changes) -> Plan:
    return Plan(**{"task": "t", "instruction": "i:", **changes})


def test_order_of_tokens(model):
    """Lyrics first, one timbre token, then the caption; nothing is padded."""
    lyrics, text = embed_lyrics(model, PROMPT).shape[1], encode_text(model, PROMPT).shape[1]
    assert encode_condition(model, ConditionRequest(PROMPT)).shape == (1, lyrics + 1 + text, 64)


def test_long_texts_are_cut_at_the_trained_lengths(model):
    """256 caption tokens and 2048 lyric tokens, however long the texts are."""
    long = Prompt(caption="x" * 4000, lyrics="y " * 8000)
    assert encode_text(model, long).shape[1] == 256 and embed_lyrics(model, long).shape[1] == 2048


def test_same_content_is_encoded_once(model):
    """An equal request gives the kept tensor; any other word, language, tempo or reference a new one."""
    cache = ConditionCache()
    first = cache.encode(model, ConditionRequest(PROMPT))
    assert cache.encode(model, ConditionRequest(Prompt(caption="warm lofi", lyrics="[Verse]\nla la", bpm=92))) is first
    others = [Prompt(caption="cold lofi", lyrics=PROMPT.lyrics, bpm=92), Prompt(caption="warm lofi", lyrics="la", bpm=92),
              Prompt(caption="warm lofi", lyrics=PROMPT.lyrics, bpm=93)]  # fmt: skip
    requests = [*map(ConditionRequest, others), ConditionRequest(PROMPT, torch.randn(1, 750, 64))]
    assert not any(torch.equal(cache.encode(model, request), first) for request in requests)
    assert (cache.hits, cache.misses) == (1, 5)


def test_cache_is_bounded(model):
    """The condition that was not used for longest goes first."""
    cache = ConditionCache(entries=2)
    for caption in ("a", "b", "a", "c", "a", "b"):
        cache.encode(model, ConditionRequest(Prompt(caption=caption)))
    assert (cache.hits, cache.misses) == (2, 4)


def test_another_model_has_other_conditions(model):
    """The cache tells models apart by their weights."""
    cache = ConditionCache()
    cache.encode(model, ConditionRequest(PROMPT))
    cache.encode(replace(model, digest="other"), ConditionRequest(PROMPT))
    assert cache.misses == 2


def test_nothing_given_is_silence_not_zeros(model):
    """Without a source the context holds the silence latent, under a mask of ones."""
    context = build_context(model, plan(), inputs(source=None))
    assert torch.equal(context[..., :64], model.silence[:, :FRAMES])
    assert torch.equal(context[..., 64:], torch.ones(1, FRAMES, 64))


def test_repaint_context(model):
    """The source outside the region, silence of the same frames inside, and the mask over the region only."""
    given = inputs()
    context = build_context(model, plan(fill=Fill.SOURCE, mask=Mask.REGION, silence_region=True), given)
    assert torch.equal(context[:, :5, :64], given.source[:, :5]) and torch.equal(
        context[:, 12:, :64], given.source[:, 12:]
    )
    assert torch.equal(context[:, 5:12, :64], model.silence[:, 5:12])
    assert context[0, :, 64].tolist() == [0.0] * 5 + [1.0] * 7 + [0.0] * 11


def test_plain_context_keeps_the_mask(model):
    """After a condition switch the context is silence under the same mask."""
    context = plain_context(model, plan(fill=Fill.SOURCE, mask=Mask.REGION), inputs())
    assert torch.equal(context[..., :64], model.silence[:, :FRAMES])
    assert context[0, :, 64].sum() == 7


def test_bottleneck_is_what_its_codes_say(model):
    """Through the bottleneck only the semantic codes survive: the hint made from the source's codes is the same context."""
    given = inputs()
    through = build_context(model, plan(fill=Fill.BOTTLENECK), given)
    codes = audio_codes(model, given.source)
    hinted = build_context(model, plan(fill=Fill.HINT), inputs(source=None, hint=hint_from_codes(model, codes)))
    assert len(codes) == 5
    torch.testing.assert_close(through, hinted, atol=1e-4, rtol=1e-4)


def test_short_material_goes_on_as_silence(model):
    """A hint or source shorter than the window continues with silence of the same frame indices."""
    context = build_context(model, plan(fill=Fill.HINT), inputs(hint=torch.ones(1, 15, 64)))
    assert torch.equal(context[:, 15:, :64], silence(model.silence, FRAMES - 15, 15))


@pytest.mark.parametrize("codes", [[], [-1], [64000]])
def test_codes_outside_the_book(model, codes):
    """Codes are 0 to 63999."""
    with pytest.raises(BadRequest):
        hint_from_codes(model, codes)


@pytest.mark.parametrize("rule", [Fill.SOURCE, Fill.BOTTLENECK, Fill.HINT])
def test_missing_material_is_said(model, rule):
    """A plan that needs audio or a hint says which is missing."""
    with pytest.raises(BadRequest):
        build_context(model, plan(fill=rule), inputs(source=None))
