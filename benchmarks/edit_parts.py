"""A repaint inside a long song at full size, part by part, for machines that would take hours for the whole.

    python -m benchmarks.edit_parts [--layers 2] [--dtype bfloat16] [--piece 4] [--song 240] [--region 8]

Each part runs for real at the 2B model's sizes on random weights, but less of it: a few layers for one step, a few seconds
of sound through the codec. What a job takes is then summed up from how much of each part it needs: all layers, 8 steps, every
second of sound that is encoded or decoded with the margins of its tiles. Times are processor time. `benchmarks.edits` measures
whole jobs; on a GPU use that.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from acestep.api import limits
from acestep.api.plan import SourceFacts
from acestep.audio.splice import Handles
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.codec.codec import DECODE, ENCODE
from acestep.codec.memory import freed_memory_kept
from acestep.codec.tiles import Tiling, tiles
from acestep.conditioning.prompts import TEXT_TO_MUSIC, Prompt
from acestep.conditioning.text import ConditionCache, ConditionRequest
from acestep.engine.geometry import cut, source_window
from benchmarks.checkpoint import SIZES, build, pipeline_over

FRAMES = limits.CODEC_RATE // limits.HOP
LAYERS = SIZES["full"]["dit"]["num_hidden_layers"]
STEPS = 8
THEIR_ENCODE, THEIR_DECODE = Tiling(30 * FRAMES, FRAMES), Tiling(512, 64)
"""Tiles of diffusers' codec: 30 s that overlap by 2 s, and 512 frames that overlap by 64 a side."""


@dataclass
class Amounts:
    """Latent frames that a job puts through each part."""

    encoded: int
    denoised: int
    decoded: int


def passed(first: int, last: int, total: int, tiling: Tiling) -> int:
    """Frames that go through the codec for [first, last), margins included."""
    return sum(tile.last - tile.first for tile in tiles(first, last, total, tiling))


def amounts(options: argparse.Namespace) -> dict[str, Amounts]:
    """What each side processes for the same edit."""
    rate = limits.CODEC_RATE
    song, start, length = (int(seconds * rate) for seconds in (options.song, options.song / 2, options.region))
    window = source_window(
        SourceFacts(rate=rate, channels=2, frames=song, start=start, length=length), limits.CONTEXT_SECONDS
    )
    fade = int(limits.CROSSFADE_MS * rate / 1000)
    piece = cut(window, Handles(fade, fade))
    whole = song // limits.HOP
    return {
        "ours": Amounts(
            encoded=passed(0, window.audio_frames, window.audio_frames, ENCODE),
            denoised=window.frames,
            decoded=passed(piece.first, piece.last, window.frames, DECODE),
        ),
        "diffusers": Amounts(passed(0, whole, whole, THEIR_ENCODE), whole, passed(0, whole, whole, THEIR_DECODE)),
    }


def timed(work: Callable[[], Any]) -> float:
    """Processor seconds of the second of two calls; the first one warms up."""
    work()
    begun = time.process_time()
    work()
    return time.process_time() - begun


@torch.inference_mode()
def step_of(model: Model, frames: int, tokens: int, side: str) -> tuple[float, float]:
    """Seconds of a step of the measured layers over so many frames, and what ours takes once for keys and values."""
    width = model.null_condition.shape[-1]
    x, context = (torch.randn(1, frames, channels, dtype=model.dtype) for channels in (64, 128))
    states = torch.randn(1, tokens, width, dtype=model.dtype)
    if side == "ours":
        condition = model.transformer.condition(states)
        once = timed(lambda: model.transformer.condition(states))
        return timed(lambda: model.transformer.velocity(x, 0.7, context, [condition])), once
    transformer, t = pipeline_over(model).transformer, torch.full((1,), 0.7, dtype=model.dtype)
    return timed(lambda: transformer(x, t, t, states, context)), 0.0


def words(model: Model) -> tuple[float, int]:
    """Seconds for text and condition encoder, which both sides run once, and the number of condition tokens."""
    prompt = Prompt(instruction=TEXT_TO_MUSIC, caption="warm lofi house", lyrics="la la la\n" * 40, seconds=30.0)
    request = ConditionRequest(prompt, None)
    seconds = timed(lambda: ConditionCache().encode(model, request))
    return seconds, ConditionCache().encode(model, request).shape[1]


@torch.inference_mode()
def codec_of(model: Model, seconds: float) -> tuple[float, float]:
    """Seconds to encode and to decode one latent frame."""
    frames = int(seconds * FRAMES)
    sound = torch.rand(1, 2, frames * limits.HOP).to(model.dtype) - 0.5
    latents = torch.randn(1, 64, frames).to(model.dtype)
    with freed_memory_kept():  # as our engine has it; here for both sides
        return timed(lambda: model.codec.encode(sound)) / frames, timed(lambda: model.codec.decode(latents)) / frames


def main() -> None:
    """Measure, sum up, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--piece", type=float, default=4.0, help="seconds of sound through the codec")
    parser.add_argument("--song", type=float, default=240.0)
    parser.add_argument("--region", type=float, default=8.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        dtype = getattr(torch, options.dtype)
        model = open_checkpoint(build(Path(folder), "full", dtype, options.layers), dtype=dtype)
    text, tokens = words(model)
    encode, decode = codec_of(model, options.piece)
    print(
        f"2B, {options.dtype}, {tokens} condition tokens; {options.layers} of {LAYERS} layers, one of {STEPS} steps measured"
    )
    print("| part | diffusers | ours |\n| --- | --- | --- |")
    rows: dict[str, dict[str, float]] = {}
    for side, amount in amounts(options).items():
        step, once = step_of(model, amount.denoised, tokens, side)
        share = LAYERS / options.layers
        rows[side] = {
            "words": text,
            f"encoding ({amount.encoded / FRAMES:.1f} s of sound)": amount.encoded * encode,
            f"denoising ({amount.denoised} frames)": share * (STEPS * step + once),
            f"decoding ({amount.decoded / FRAMES:.1f} s of sound)": amount.decoded * decode,
        }
    for (there, theirs), (here, ours) in zip(rows["diffusers"].items(), rows["ours"].items(), strict=True):
        print(
            f"| {there} / {here} | {theirs:.0f} s | {ours:.0f} s |"
            if there != here
            else f"| {here} | {theirs:.0f} s | {ours:.0f} s |"
        )
    total = {side: sum(parts.values()) for side, parts in rows.items()}
    print(
        f"| sum | {total['diffusers']:.0f} s | {total['ours']:.0f} s: {total['diffusers'] / total['ours']:.1f} times less |"
    )


if __name__ == "__main__":
    main()
