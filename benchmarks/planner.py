"""How fast the planner writes: against plain `generate`, with and without its grammar, llguidance against xgrammar.

    python -m benchmarks.planner                     tiny model, all parts
    python -m benchmarks.planner --size 0.6B         random weights of the 0.6B model's sizes (2.6 GB in float32)
    python -m benchmarks.planner --part grammar      only one part: codes, constraint or grammar

Both sides of every ratio are measured in one run, in turns. Weights are random: speed does not depend on what they say.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList, Qwen3Config, Qwen3ForCausalLM

from acestep.api.metadata import FIELDS
from acestep.api.planning import Sampling
from acestep.planner.decoding import CodesTask, Decoder, TextTask, TokenPrompt
from acestep.planner.grammar import BlockOptions, Constraint, TextVocabulary, allowed_values, block_grammar
from acestep.planner.layout import read_layout
from acestep.planner.prompts import codes_negative, codes_prompt
from acestep.planner.tiny import tiny_model, tiny_tokenizer

GUIDED = Sampling(temperature=0.85, top_p=0.9, cfg_scale=2.0)
PLAIN = Sampling(temperature=0.85, top_p=0.9, cfg_scale=1.0)


def quiet(done: int, total: int) -> None:
    """Progress that nobody hears."""


def random_model(size: str) -> Qwen3ForCausalLM:
    """Random weights: the tiny model, or one of the sizes of Qwen3-0.6B with the planner's vocabulary."""
    if size == "tiny":
        return tiny_model()
    config = Qwen3Config(
        vocab_size=217_204,
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=40_960,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    return Qwen3ForCausalLM(config).eval().requires_grad_(False)


class OnlyCodes(LogitsProcessor):
    """What plain generate needs to write codes: everything else masked, at every token."""

    def __init__(self, first: int, size: int) -> None:
        self._mask = torch.full((size,), -torch.inf)
        self._mask[first : first + 64_000] = 0.0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores + self._mask


def plain_generate(model: Qwen3ForCausalLM, prompt: TokenPrompt, first: int, count: int, sampling: Sampling) -> None:
    """``count`` codes by transformers' own generate."""
    extra = {}
    if sampling.cfg_scale != 1.0:
        extra = {"guidance_scale": sampling.cfg_scale, "negative_prompt_ids": torch.tensor([prompt.negative])}
    ids = torch.tensor([prompt.ids])
    model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=0,
        max_new_tokens=count,
        min_new_tokens=count,
        pad_token_id=151_643,
        logits_processor=LogitsProcessorList([OnlyCodes(first, model.config.vocab_size)]),
        **extra,
    )


def in_turns(runs: int, *sides: Callable[[], Any]) -> list[list[float]]:
    """Seconds of each side, run alternately after one unmeasured run."""
    seconds: list[list[float]] = [[] for _ in sides]
    for turn in range(runs + 1):
        for side, run in enumerate(sides):
            begun = time.perf_counter()
            run()
            if turn:
                seconds[side].append(time.perf_counter() - begun)
    return seconds


def measure_codes(model: Qwen3ForCausalLM, tokenizer: Any, count: int, runs: int) -> None:
    """Codes phase against plain generate, guided and not."""
    layout = read_layout(tokenizer)
    decoder = Decoder(model, layout)
    cond = codes_prompt(tokenizer, "warm lofi house, rhodes, brushed drums", "[Instrumental]", "bpm: 120\nduration: 30")
    ids, negative = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in (cond, codes_negative(tokenizer))
    )
    for name, sampling, prompt in (
        ("guided", GUIDED, TokenPrompt(ids, negative)),
        ("unguided", PLAIN, TokenPrompt(ids)),
    ):
        task = CodesTask(prompt=prompt, seeds=(1,), count=count)
        ours, theirs = in_turns(
            runs,
            lambda task=task, sampling=sampling: decoder.write_codes(task, sampling, quiet),
            lambda prompt=prompt, sampling=sampling: plain_generate(model, prompt, layout.first_code, count, sampling),
        )
        mine, plain = count / statistics.median(ours), count / statistics.median(theirs)
        print(f"codes, {name}: {mine:8.2f} tokens/s, plain generate {plain:8.2f}, ratio {mine / plain:.2f}")


class Unconstrained(Constraint):
    """A constraint that allows every text and ends never: the loop without its grammar."""

    def __init__(self, size: int) -> None:
        self._all = np.ones(size, dtype=bool)

    done = False
    greedy = False

    def forced(self) -> list[int]:
        return []

    def mask(self) -> np.ndarray:
        return self._all

    def accept(self, token: int) -> None:
        pass


def measure_constraint(model: Qwen3ForCausalLM, tokenizer: Any, count: int, runs: int) -> None:
    """Seconds per token of text with the grammar and without, inside a caption (where there is a real choice)."""
    layout = read_layout(tokenizer)
    decoder, vocabulary = Decoder(model, layout), TextVocabulary(tokenizer, layout)
    prompt = TokenPrompt(tokenizer("a prompt of some words", add_special_tokens=False)["input_ids"])

    def write(constraint: Constraint) -> None:
        decoder.write([TextTask(prompt=prompt, constraint=constraint, seed=1, limit=count)], PLAIN, quiet)

    bound, free = in_turns(
        runs, lambda: write(vocabulary.constrain(BlockOptions())), lambda: write(Unconstrained(vocabulary.size))
    )
    slow, fast = statistics.median(bound), statistics.median(free)
    print(f"text: {count / slow:.2f} tokens/s with the grammar, {count / fast:.2f} without, ratio {slow / fast:.3f}")
    spent = [constraint_seconds(vocabulary, seed) for seed in range(5)]
    share = statistics.median(spent) / (fast / count)
    print(f"grammar work alone: {statistics.median(spent) * 1e3:.3f} ms a token, {share:.1%} of a token without it")


def constraint_seconds(vocabulary: TextVocabulary, seed: int) -> float:
    """Seconds per token of mask, mask applied, and token accepted, over one whole block."""
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal(vocabulary.size).astype(np.float32)
    constraint = vocabulary.constrain(BlockOptions(caption_tokens=64))
    spent, tokens = 0.0, 0
    while not constraint.done:
        begun = time.perf_counter()
        forced = constraint.forced()
        mask = None if forced else constraint.mask()
        masked = logits if mask is None else np.where(mask, logits, -np.inf)
        spent += time.perf_counter() - begun
        chosen = forced or [int((masked + generator.gumbel(size=masked.shape)).argmax())]
        begun = time.perf_counter()
        for token in chosen:
            constraint.accept(token)
        spent += time.perf_counter() - begun
        tokens += len(chosen)
    return spent / tokens


def ebnf() -> str:
    """The block in xgrammar's dialect, from the same table as `block_grammar`."""
    line = r"[^ \t\r\n`<] [^\r\n`<]*"
    rules, body = [], []
    for field in FIELDS:
        if field == "genres":
            continue
        choices = allowed_values(field)
        value = " | ".join(f'"{choice}"' for choice in choices) if choices else rf'{line} ("\n  " {line})*'
        rules.append(f"{field} ::= {value}")
        body.append(f'"{field}: " {field} "\\n"')
    return "\n".join([f"root ::= {' '.join(body)}", *rules])


def measure_grammars(tokenizer: Any) -> None:
    """llguidance against xgrammar on the same sentences: preparation, compilation, and the mask of every token."""
    import llguidance
    import xgrammar

    layout = read_layout(tokenizer)
    begun = time.perf_counter()
    vocabulary = TextVocabulary(tokenizer, layout)
    prepared = time.perf_counter() - begun
    words = [tokenizer.convert_ids_to_tokens(index) for index in range(layout.first_code)]
    begun = time.perf_counter()
    info = xgrammar.TokenizerInfo(
        words, xgrammar.VocabType.BYTE_LEVEL, vocab_size=layout.first_code, stop_token_ids=[layout.end]
    )
    compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
    their_preparation = time.perf_counter() - begun
    grammar = block_grammar(BlockOptions()).replace('start: <think> "\\n"', "start:", 1).replace(" </think>", "", 1)
    ours, theirs, compiled = [], [], ([], [])
    for seed in range(6):
        sentence = sentence_of(vocabulary, seed)
        begun = time.perf_counter()
        matcher = llguidance.LLMatcher(vocabulary._tokens, grammar)
        compiled[0].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        other = xgrammar.GrammarMatcher(compiler.compile_grammar(xgrammar.Grammar.from_ebnf(ebnf())))
        compiled[1].append(time.perf_counter() - begun)
        bitmask = xgrammar.allocate_token_bitmask(1, layout.first_code)
        for token in sentence:
            begun = time.perf_counter()
            matcher.compute_bitmask()
            ours.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            other.fill_next_token_bitmask(bitmask)
            theirs.append(time.perf_counter() - begun)
            if not (matcher.consume_token(token) and other.accept_token(token)):
                raise SystemExit(f"the grammars disagree at {vocabulary.text([token])!r}")
    for name, preparation, compilation, masks in (
        ("llguidance", prepared, compiled[0], ours),
        ("xgrammar", their_preparation, compiled[1], theirs),
    ):
        print(
            f"{name}: vocabulary {preparation:.2f} s, grammar {statistics.median(compilation) * 1e3:.1f} ms, "
            f"mask median {statistics.median(masks) * 1e6:.0f} us, mean {statistics.mean(masks) * 1e6:.0f} us, "
            f"worst {max(masks) * 1e6:.0f} us"
        )


def sentence_of(vocabulary: TextVocabulary, seed: int) -> list[int]:
    """The ids of a random valid block without its tags."""
    generator = np.random.default_rng(seed)
    constraint = vocabulary.constrain(BlockOptions(caption_tokens=48))
    ids: list[int] = []
    while not constraint.done:
        noise = generator.standard_normal(vocabulary.size)
        for token in constraint.forced() or [int(np.where(constraint.mask(), noise, -np.inf).argmax())]:
            constraint.accept(token)
            ids.append(token)
    text = vocabulary.text(ids).removeprefix("<think>\n").partition("</think>")[0]
    text = re.sub(r"\n\s*\n", "\n", text)  # a caption that was cut off at a fold
    return vocabulary._tokens.tokenize_str(text)


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("tiny", "0.6B"), default="tiny")
    parser.add_argument("--part", choices=("all", "codes", "constraint", "grammar"), default="all")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokenizer = tiny_tokenizer()
    if arguments.part in ("all", "grammar"):
        measure_grammars(tokenizer)
    if arguments.part != "grammar":
        model = random_model(arguments.size)
        if arguments.part in ("all", "codes"):
            measure_codes(model, tokenizer, arguments.tokens, arguments.runs)
        if arguments.part in ("all", "constraint"):
            measure_constraint(model, tokenizer, arguments.tokens, arguments.runs)


if __name__ == "__main__":
    main()
