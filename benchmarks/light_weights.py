"""One denoising step of full width with float32 weights, with bfloat16 weights widened layer by layer, in bfloat16 arithmetic, and
with 8-bit weights.

``python -m benchmarks.light_weights [--layers 2] [--seconds 10 30] [--threads 1]``: a few layers of the 2B model with random
weights stand for all 24. Processor time, so that other programs do not count.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from acestep.api.limits import FRAMES_PER_SECOND
from acestep.checkpoints import quantise
from acestep.checkpoints.load import Model
from acestep.networks.dit import Dit
from acestep.networks.layers import Linear

TOKENS = 611
"""Of the condition: a caption and long lyrics."""


def models(layers: int) -> dict[str, Dit]:
    """The same weights four times. Those in float32 are rounded to bfloat16 before, as published ones are."""
    torch.manual_seed(0)
    whole = Dit(num_hidden_layers=layers).eval().requires_grad_(False)
    kept = copy.deepcopy(whole)
    for part, twin in zip(whole.modules(), kept.modules(), strict=True):
        if isinstance(part, Linear) and isinstance(twin, Linear):
            twin.weight.data = twin.weight.data.bfloat16()
            part.weight.data = twin.weight.data.float()
    packed = copy.deepcopy(whole)
    quantise.SMALLEST_MODEL = 0
    quantise.quantise_int8(cast(Model, SimpleNamespace(transformer=packed, device=torch.device("cpu"))))
    light = copy.deepcopy(whole).bfloat16()
    return {"float32": whole, "bfloat16 weights": kept, "bfloat16 arithmetic": light, "int8": packed}


def step(dit: Dit, frames: int) -> tuple[Tensor, float]:
    """The velocity and the seconds of processor that it took."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    x, context, condition = draw(1, frames, 64), draw(1, frames, 128), dit.condition(draw(1, TOKENS, 2048))
    begun = time.process_time()
    return dit.velocity(x, 0.5, context, [condition])[0], time.process_time() - begun


def main(arguments: list[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.light_weights", description=__doc__)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 30.0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    options: Any = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    kinds = models(options.layers)
    for seconds in options.seconds:
        frames = int(seconds * FRAMES_PER_SECOND)
        made = {name: [step(dit, frames) for _ in range(options.runs)] for name, dit in kinds.items()}
        exact, base = made["float32"][0][0], statistics.median(took for _, took in made["float32"])
        for name, runs in made.items():
            took, error = statistics.median(took for _, took in runs), (runs[0][0] - exact).norm() / exact.norm()
            print(
                f"{seconds:g} s, {name}: {took:.3f} s, {base / took:.2f} times as fast, velocity differs by {error:.2%}"
            )


if __name__ == "__main__":
    main()
