"""The token loop: seeds, batches, guidance, heads, counts, progress and cancellation, on a real (tiny) Qwen3."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acestep.api.errors import Cancelled, NumericFailure, TooLarge
from acestep.api.planning import Sampling
from acestep.planner.decoding import CodesTask, Decoder, TextTask, TokenPrompt, _Batch, _logits
from acestep.planner.grammar import BlockOptions, TextVocabulary

WARM = Sampling(temperature=1.0, top_p=0.95, cfg_scale=2.0)
SHORT = BlockOptions(skip=frozenset({"genres"}), caption_tokens=6)


def quiet(done: int, total: int) -> None:
    """Progress that nobody hears."""


def codes(
    decoder: Decoder, prompt: TokenPrompt, seeds: tuple[int, ...], count: int = 12, sampling: Sampling = WARM
) -> list[list[int]]:
    """Codes for some seeds."""
    return decoder.write_codes(CodesTask(prompt=prompt, seeds=seeds, count=count), sampling, quiet)


def test_a_seed_gives_the_same_codes_alone_and_in_a_batch(decoder: Decoder, prompt: TokenPrompt) -> None:
    """What an item draws depends on its seed alone: not on its neighbours, nor on its place among them."""
    alone = {seed: codes(decoder, prompt, (seed,))[0] for seed in (7, 8)}
    together = codes(decoder, prompt, (8, 3, 7, 4))
    assert together[2] == alone[7] and together[0] == alone[8]
    assert len({tuple(sequence) for sequence in together}) == 4


def test_texts_of_different_prompts_are_the_same_alone_and_in_a_batch(
    decoder: Decoder, vocabulary: TextVocabulary, backend
) -> None:
    """Prompts of different length share a batch by padding, and the padding changes no token."""
    prompts = [TokenPrompt(backend.ids("a" * n + "b " * n), backend.ids("c")) for n in (3, 40)]

    def task(index: int) -> TextTask:
        return TextTask(prompt=prompts[index], constraint=vocabulary.constrain(SHORT), seed=index, limit=300)

    together = decoder.write([task(0), task(1)], WARM, quiet)
    assert together == [decoder.write([task(index)], WARM, quiet)[0] for index in (0, 1)]


def test_logits_of_a_padded_row_equal_those_of_the_row_alone(decoder: Decoder, backend) -> None:
    """Within 1e-4 absolute: float32 rounding, nothing else."""
    short, long = TokenPrompt(backend.ids("hi")), TokenPrompt(backend.ids("a much longer prompt than that, by far"))
    together, alone = _Batch(decoder, [long, short], [0, 1], 8), _Batch(decoder, [short], [0], 8)
    head = decoder._model.lm_head.weight[:151_669]
    for token in (5, 900, 151_670):
        together.step([7, token])
        alone.step([token])
        difference = np.abs(_logits(together, head, 1.0)[1] - _logits(alone, head, 1.0)[0]).max()
        assert difference <= 1e-4


def test_logits_equal_a_forward_pass_without_cache(decoder: Decoder, prompt: TokenPrompt) -> None:
    """Cache, positions, head slice and guidance together give what the plain model gives on the whole sequence."""
    batch = _Batch(decoder, [prompt], [0], 8)
    drawn = [151_669 + code for code in (11, 63_999, 0)]
    for token in drawn:
        batch.step([token])
    model = decoder._model
    with torch.inference_mode():
        cond, uncond = (model(torch.tensor([ids + drawn])).logits[0, -1] for ids in (prompt.ids, prompt.negative))
    expected = uncond + 3.0 * (cond - uncond)
    found = _logits(batch, model.lm_head.weight[151_669 : 151_669 + 64_000], 3.0)[0]
    assert np.abs(found - expected[151_669 : 151_669 + 64_000].numpy()).max() <= 1e-4


def test_the_unconditional_side_matters(decoder: Decoder, prompt: TokenPrompt) -> None:
    """Guidance changes what is drawn; a scale of 1 equals no guidance at all."""
    plain = TokenPrompt(prompt.ids)
    off = Sampling(temperature=1.0, top_p=0.95, cfg_scale=1.0)
    assert codes(decoder, prompt, (1,)) != codes(decoder, plain, (1,), sampling=off)
    assert codes(decoder, prompt, (1,), sampling=off) == codes(decoder, plain, (1,), sampling=off)


def test_codes_are_counted_and_inside_the_book(decoder: Decoder, prompt: TokenPrompt) -> None:
    """A known length gives exactly that many codes, each 0 to 63999, whatever the model thinks of ending."""
    for sequence in codes(decoder, prompt, (1, 2), count=9, sampling=Sampling(temperature=2.0, top_p=1.0)):
        assert len(sequence) == 9 and all(0 <= code < 64_000 for code in sequence)


def test_without_a_count_the_model_may_end(decoder: Decoder, prompt: TokenPrompt) -> None:
    """The end of the turn ends a sequence of unknown length; the limit ends one that does not want to."""
    task = CodesTask(prompt=prompt, seeds=(1, 2), limit=5)
    end = decoder._layout.end
    weight = decoder._model.lm_head.weight
    kept = weight[end].clone()
    assert [len(sequence) for sequence in decoder.write_codes(task, WARM, quiet)] == [5, 5]
    try:
        with torch.no_grad():
            batch = _Batch(decoder, [prompt], [0], 1)
            weight[end] = 100.0 * guided_direction(batch)
        assert decoder.write_codes(task, WARM, quiet) == [[], []]
    finally:
        with torch.no_grad():
            weight[end] = kept


def guided_direction(batch: _Batch) -> torch.Tensor:
    """The direction that guidance at scale 2 points to in the hidden states of a batch of one."""
    cond, uncond = batch.hidden
    return uncond + 2.0 * (cond - uncond)


def test_progress_counts_tokens_and_cancel_acts_within_one(decoder: Decoder, prompt: TokenPrompt) -> None:
    """One report per token; a report that raises is the last thing that happens."""
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 4:
            raise Cancelled("the job was cancelled")

    with pytest.raises(Cancelled):
        decoder.write_codes(CodesTask(prompt=prompt, seeds=(1,), count=50), WARM, stop)
    assert seen == [(1, 50), (2, 50), (3, 50), (4, 50)]


def test_eight_variants_of_one_prompt_cost_two_prefills(
    decoder: Decoder, prompt: TokenPrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conditional and unconditional prompt are read once each, however many items go on from them."""
    calls = []
    original = Decoder._hidden
    monkeypatch.setattr(Decoder, "_hidden", lambda self, *args: calls.append(1) or original(self, *args))
    assert len(codes(decoder, prompt, tuple(range(8)), count=2)) == 8
    assert len(calls) == 2


def test_too_long_prompts_are_refused_with_the_numbers(decoder: Decoder) -> None:
    """A options that leaves no room for the codes is an error before anything is computed."""
    with pytest.raises(TooLarge) as caught:
        codes(decoder, TokenPrompt([5] * 40_900), (1,), count=3000)
    assert caught.value.field == "lyrics" and caught.value.limits == {"max_tokens": 37_960}


def test_six_hundred_seconds_fit(decoder: Decoder) -> None:
    """The context holds 3000 codes after the longest lyrics the model reads."""
    assert decoder.context >= 3000 + 2048 + 512 + 1024


def test_broken_weights_are_an_error_not_noise(decoder: Decoder, prompt: TokenPrompt) -> None:
    """NaN logits end the job; they are never sampled from."""
    norm = decoder._model.model.norm.weight
    kept = norm.clone()
    try:
        with torch.no_grad():
            norm[0] = float("nan")
        with pytest.raises(NumericFailure):
            codes(decoder, prompt, (1,), count=2)
    finally:
        with torch.no_grad():
            norm.copy_(kept)


def test_repetition_penalty_acts_on_codes(decoder: Decoder, prompt: TokenPrompt) -> None:
    """Greedy codes of a tiny model repeat themselves; a strong penalty makes them differ."""
    greedy = Sampling(temperature=0.0, cfg_scale=1.0)
    penalized = Sampling(temperature=0.0, cfg_scale=1.0, repetition_penalty=2.0)
    repeats = len(set(codes(decoder, TokenPrompt(prompt.ids), (0,), count=16, sampling=greedy)[0]))
    varied = len(set(codes(decoder, TokenPrompt(prompt.ids), (0,), count=16, sampling=penalized)[0]))
    assert varied > repeats
