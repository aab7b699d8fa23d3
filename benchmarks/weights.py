"""What published weights cost before they sound: reading headers, converting float32 to bfloat16, merging an adapter.

``python -m benchmarks.weights [FOLDER]`` writes 1 GB of random numbers below FOLDER (default: the system's temporary folder) and
removes it again.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from acestep.checkpoints.adapter_names import spellings
from acestep.checkpoints.convert import to_bfloat16
from acestep.checkpoints.files import tensor_table
from acestep.checkpoints.updates import difference

TENSORS, SIDE = 60, 2048
"""Of the file that is converted: 60 matrices of 2048 x 2048, 1.0 GB."""


def main() -> None:
    """Measure and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=None)
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as place:
        source = Path(place) / "float32.safetensors"
        block = np.random.default_rng(0).standard_normal((SIDE, SIDE), dtype=np.float32)
        save_file({f"decoder.layers.{index}.mlp.up_proj.weight": block for index in range(TENSORS)}, source)
        gigabytes = source.stat().st_size / 1e9
        tell("converting to bfloat16, each GB of float32", lambda: to_bfloat16(source, Path(place) / "half"), gigabytes)
        tell("reading a header, each 1000 tensors", lambda: tensor_table(source), TENSORS / 1000)
    names = [f"transformer/layers.{index}.self_attn.to_q" for index in range(500)]
    tell("the table of an adapter's spellings, 500 layers", lambda: spellings(names), 1)
    base, down, up = torch.randn(SIDE, SIDE), torch.randn(64, SIDE), torch.randn(SIDE, 64)
    tell("merging a LoRA of rank 64 into 100 layers", lambda: merge(base, down, up), 1)
    print(f"most memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def merge(base: torch.Tensor, down: torch.Tensor, up: torch.Tensor) -> None:
    """As the worker does it for every touched layer."""
    for _ in range(100):
        base + difference({"down": down, "up": up}, 2.0, base)


def tell(what: str, work: Callable[[], object], units: float) -> None:
    """Time of one run, in processor seconds and by the clock, per unit."""
    wall, busy = time.perf_counter(), time.process_time()
    work()
    print(
        f"{what}: {(time.process_time() - busy) / units:.3f} s of processor, {(time.perf_counter() - wall) / units:.3f} s"
    )


if __name__ == "__main__":
    main()
