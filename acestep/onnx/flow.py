"""The denoising loop and the decoder over exported graphs. No torch; samplers and schedules are those of every backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acestep.api import limits
from acestep.api.errors import NumericFailure
from acestep.api.sampling import Sampler
from acestep.codec.tiles import tiles
from acestep.onnx.noise import draw, stream_seed
from acestep.onnx.sessions import OnnxModel
from acestep.onnx.words import tiling_of

Latents = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FlowRun:
    """One part: noise of ``seed``, the sampler over ``times``, and the conditions. From step ``int(steps * strength)`` on ``after``
    (condition and context) takes the place of ``main``. Guidance is classifier-free, for times from ``low`` to ``high``."""

    seed: int
    frames: int
    times: Sequence[float]
    sampler: Sampler
    main: tuple[Latents, Latents]
    after: tuple[Latents, Latents] | None = None
    strength: float = 1.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 1.0
    tick: Callable[[], None] = lambda: None
    """After every evaluation of the network; raises to stop."""


def solve(model: OnnxModel, run: FlowRun) -> Latents:
    """The clean latents [1, T, 64]. Raises `NumericFailure` and what ``run.tick`` does."""
    steps, index = len(run.times) - 1, 0  # the step that runs; ``velocity`` looks at it

    def velocity(x: Latents, t: float, corrector: bool = False) -> Latents:
        branch = run.after if run.after is not None and index >= int(steps * run.strength) else run.main
        v = _evaluate(model, x, t, branch)
        if run.scale > 1 and run.low <= t <= run.high:
            away = _evaluate(model, x, t, (model.null, branch[1]))
            v = away + np.float32(run.scale) * (v - away)
        run.tick()
        return v

    def noise(i: int) -> Latents:
        return draw(stream_seed(run.seed, "step", i), run.frames)

    x = draw(run.seed, run.frames)
    with model.opened("transformer"):
        solver = run.sampler(velocity, x, list(run.times), noise)
        step = next(solver, None)
        while step is not None:
            x, index = step.x, index + 1
            try:
                step = solver.send(x)
            except StopIteration:
                step = None
    x = np.asarray(x, np.float32)
    if not np.isfinite(x).all() or not x.any():
        raise NumericFailure(
            "the model produced values that are not numbers, or nothing but zeros; a float32 export may help"
        )
    return x


def _evaluate(model: OnnxModel, x: Latents, t: float, branch: tuple[Latents, Latents]) -> Latents:
    condition, context = branch
    at = np.array([t], np.float32)
    return model.run(
        "transformer",
        latents=np.asarray(x, np.float32),
        timestep=at,
        timestep_r=at,
        context=context,
        condition=condition,
    )


def decode(model: OnnxModel, latents: Latents, last: int, tick: Callable[[], None]) -> NDArray[np.float32]:
    """Sound [2, 1920 last] at 48 kHz of the first ``last`` frames, tile by tile."""
    hop, total = limits.HOP, latents.shape[1]
    sound = np.empty((2, last * hop), np.float32)
    placed = any(port.name == "first_frame" for port in model.export.parts["codec_decoder"].inputs)
    for tile in tiles(0, last, total, tiling_of(model, "codec_decoder")):
        more = {"first_frame": np.array([tile.first], np.int64)} if placed else {}
        made = model.run("codec_decoder", latents=latents[:, tile.first : tile.last], **more)
        core = slice((tile.core_first - tile.first) * hop, (tile.core_last - tile.first) * hop)
        sound[:, tile.core_first * hop : tile.core_last * hop] = made[0][:, core]
        tick()
    return sound
