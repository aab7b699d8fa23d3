"""One denoising step through our loop against diffusers' AceStepPipeline, with the same weights, prompt, noise and schedule.

On a CPU the time is processor time of one thread, so that other programs on the machine do not count; on a GPU it is the clock's.

Run: ``python -m benchmarks.denoising [--size tiny|full] [--guided] [--device cuda] [--seconds 10] [--tokens 600]``. Both
sides take turns in one process; the figure is the ratio of the medians. The weights are random; the results of both sides
are compared as well.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from diffusers import AceStepPipeline, AceStepTransformer1DModel, FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.ace_step.modeling_ace_step import AceStepConditionEncoder
from torch import nn

from acestep.api.times import schedule_times
from acestep.checkpoints.architecture import weightless
from acestep.checkpoints.load import open_checkpoint
from acestep.checkpoints.tiny import build_tiny
from acestep.conditioning.context import join
from acestep.denoising.denoising_run import Branch, Denoising
from acestep.denoising.guidance import guidance_settings
from acestep.denoising.loop import denoise
from acestep.networks.dit import Dit
from benchmarks.checkpoint import words_over
from plugins.guidance import GUIDANCE
from plugins.samplers import SAMPLERS
from plugins.schedules import SCHEDULES

FULL = {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 24, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 128, "sliding_window": 128}  # fmt: skip
TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 16, "sliding_window": 128}  # fmt: skip
"""DiT sizes of the 2B models and of the tiny checkpoint."""

RUN = 8
"""Steps that the keys and values of one run serve (turbo's own number), however few are measured."""

SHIFT = 3.0
SCALE = 7.0


@dataclass
class Bench:
    """The two sides: diffusers' pipeline and our DiT share every weight."""

    pipeline: AceStepPipeline
    dit: Dit
    null: torch.Tensor
    options: argparse.Namespace

    def prompt(self) -> dict[str, Any]:
        """A prompt whose condition has about the asked number of tokens (the tiny tokenizer spells bytes)."""
        return {
            "prompt": "warm lofi",
            "lyrics": "la " * max(1, (self.options.tokens - 190) // 3),
            "vocal_language": "en",
        }


def build(options: argparse.Namespace) -> Bench:
    """Both sides in the asked size, device and dtype."""
    sizes = dict(FULL if options.size == "full" else TINY)
    sizes["num_hidden_layers"] = options.layers or sizes["num_hidden_layers"]
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    torch.manual_seed(0)
    with weightless():
        dit = Dit(**sizes)
        reference = AceStepTransformer1DModel(**sizes, is_turbo=not options.guided)
        encoder = AceStepConditionEncoder(
            **{key: sizes[key] for key in ("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim")},
            intermediate_size=256, text_hidden_dim=32, num_lyric_encoder_hidden_layers=1, num_timbre_encoder_hidden_layers=1,
        )  # fmt: skip
    fill(dit, device, dtype)
    reference.load_state_dict(dit.state_dict(), assign=True)
    fill(encoder, device, dtype)
    encoder.silence_latent = torch.randn(1, 15000, 64, device=device, dtype=dtype)
    with tempfile.TemporaryDirectory() as folder:
        model = open_checkpoint(build_tiny(Path(folder), codec="AutoencoderOobleck"), device=device, dtype=dtype)
        pipeline = AceStepPipeline(
            vae=model.codec, **words_over(model), transformer=reference.eval(),
            condition_encoder=encoder.eval(), scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
        )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return Bench(pipeline, dit.eval(), encoder.null_condition_emb, options)


def fill(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Random weights of sensible size, cheaply: one block of noise, repeated."""
    block = torch.randn(2**20, device=device)
    for inner in module.modules():
        for name, old in list(inner._parameters.items()):
            if old is None:
                continue
            count = old.numel()
            noise = block.repeat(-(-count // block.numel()))[:count].view(old.shape)
            gain = old.ndim == 1 and name == "weight"
            value = 1 + 0.1 * noise if gain else noise / max(1, old[0].numel()) ** 0.5
            inner._parameters[name] = nn.Parameter(value.to(dtype), requires_grad=False)


def theirs(bench: Bench, noise: torch.Tensor) -> tuple[list[float], torch.Tensor, dict[str, torch.Tensor]]:
    """Seconds of each step of the pipeline after the first, its latents, and the inputs that it gave to the transformer."""
    marks, seen = [], {}

    def mark(pipe: Any, step: int, t: float, tensors: dict[str, Any]) -> dict[str, Any]:
        marks.append(now(bench))
        return {}

    handle = bench.pipeline.transformer.register_forward_pre_hook(lambda m, a, k: seen.update(k), with_kwargs=True)
    latents = bench.pipeline(
        **bench.prompt(), audio_duration=bench.options.seconds, num_inference_steps=bench.options.steps, shift=SHIFT,
        guidance_scale=SCALE if bench.options.guided else 1.0, latents=noise.to(bench.dit.dtype), output_type="latent",
        callback_on_step_end=mark, return_dict=False,
    )[0]  # fmt: skip
    handle.remove()
    return [b - a for a, b in pairwise(marks)], latents.float().cpu(), seen


class Fixed:
    """The same noise for both sides."""

    def __init__(self, noise: torch.Tensor) -> None:
        self._noise = noise

    def initial(self) -> torch.Tensor:
        return self._noise

    def step(self, index: int) -> torch.Tensor:
        raise IndexError(f"euler draws no noise, at step {index} either")


def ours(bench: Bench, noise: torch.Tensor, seen: dict[str, torch.Tensor]) -> tuple[list[float], float, torch.Tensor]:
    """Seconds of each step of our loop after the first, seconds for the condition's keys and values, and the latents."""
    marks: list[float] = []

    def mark(snapshot: Any) -> None:
        marks.append(now(bench))

    states, context = seen["encoder_hidden_states"][:1], seen["context_latents"][:1]
    begin = now(bench)
    bench.dit.condition(states)
    prepared = now(bench) - begin
    method = next(spec for spec in GUIDANCE if spec.name == "apg")
    request = Denoising(
        main=Branch(states, join(context[..., :64], context[..., 64:65])),
        times=schedule_times(SCHEDULES[0], bench.options.steps, SHIFT),
        sampler=SAMPLERS[0].run,
        noise=Fixed(noise),
        guidance=guidance_settings(method, SCALE if bench.options.guided else 1.0),
        on_step=mark,
    )
    latents = denoise(bench.dit, bench.null, request)
    return [b - a for a, b in pairwise(marks)], prepared, latents


def now(bench: Bench) -> float:
    """Seconds: processor time on a CPU, the clock once the GPU is done."""
    if bench.dit.device.type == "cpu":
        return time.process_time()
    if bench.dit.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Take turns, print the medians, the ratio and how far the results lie apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--layers", type=int, default=0, help="fewer layers than the size has, for slow machines")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--tokens", type=int, default=600)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--guided", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = build(options)
    noise = torch.randn(1, -(-int(options.seconds * 48000) // 1920), 64, generator=torch.Generator().manual_seed(1))
    reference, own, prepared = [], [], []
    for _ in range(options.rounds):
        steps, expected, seen = theirs(bench, noise)
        reference += steps
        steps, seconds, found = ours(bench, noise, seen)
        own += steps
        prepared.append(seconds)
    step, once = statistics.median(own), statistics.median(prepared)
    total = step + once / RUN
    tokens = seen["encoder_hidden_states"].shape[1]
    layers = len(bench.dit.layers)
    print(f"{options.size} ({layers} layers) {options.dtype} on {options.device}, {options.seconds:g} s, {tokens} condition "
          f"tokens, {options.steps} steps{', APG' if options.guided else ''}")  # fmt: skip
    print(f"diffusers pipeline {statistics.median(reference) * 1000:9.1f} ms a step")
    print(f"ours               {step * 1000:9.1f} ms a step, and {once * 1000:.1f} ms once for keys and values")
    print(f"ratio              {statistics.median(reference) / total:9.2f} (keys and values spread over {RUN} steps)")
    print(f"results differ by  {((found - expected).norm() / expected.norm()).item():9.2e} (relative)")


if __name__ == "__main__":
    main()
