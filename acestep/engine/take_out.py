"""Takes a track out of what a stage made: what the model itself extracts as that track is cut out of the sound, and the rest is
encoded again, so that what is decoded, what is stored and what later stages work on agree.

An extraction hears something else with every seed, and in music without drums it takes attacks for hits. So it is made again on
what is left, with further seeds, until it finds hardly anything. One of its takes always has the seed of what was made: begun from
the same noise, it still hears drums there when others no longer do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.admission.chain import StageInput
from acestep.api.family import TakeGroup
from acestep.api.instructions import instruction
from acestep.api.plan import Fill, Plan
from acestep.api.request import Output, Render, Stage, StageParams
from acestep.api.resolve import resolve_stage
from acestep.codec.latent_codec import Tick
from acestep.codec.mask import masked
from acestep.engine.render_state import RenderRun, RenderState, StageState, part_of

ROUNDS = 4
"""Extractions at most, one after the other."""

FRESH = 4
"""Takes of each extraction with seeds of its own, beside the one with the take's."""

ENOUGH = 27.0
"""dB below the rest at which what is found is left in: seven below what an extraction with other seeds may find."""

COST = 1.0
"""dB that every round has to bring, for it costs attacks, and with them the beat: where no round is enough, the best one by that
counts, not the last."""

MARGIN = 16
"""Latent frames decoded and encoded beside the region: more than the codec sees a side."""

PHASE = "taking drums out"
"""As progress shows it."""

TAKEN_OUT = "no {0} were asked for: those that {1} played were taken out (drums model leaves them)"


def take_out(stage: StageState, variant: int, track: str, latents: Tensor, tick: Tick) -> Tensor:
    """The latents [n, T, C] of a variant without a track, within its region. Raises `Cancelled`."""
    taken = [_Extraction.of(stage, variant, track).empty(one, tick) for one in latents.split(1)]
    return torch.cat(taken)


@dataclass(frozen=True)
class _Extraction:
    """The extractions of a track from a variant of a stage: a stage of its own on the same window."""

    outer: StageState
    inner: StageState
    track: str

    @classmethod
    def of(cls, stage: StageState, variant: int, track: str) -> _Extraction:
        info, run = stage.model.info, stage.run
        near = info.defaults.for_task("extract").noise_strength
        plan = Plan(
            task="extract",
            instruction=instruction("extract", track),
            fill=Fill.SOURCE,
            context=True,
            soft_mask=True,
            start_from_source=near > 0,
            t_start=1.0 - near,
        )
        params = StageParams(model=info.name, seed=stage.seed(variant), seeds=[stage.seed(variant)])
        resolved = resolve_stage(run.context.registry, Stage(stage.type, params), plan, info)
        state = RenderState(
            render=Render(stages=(resolved.stage,), output=Output(variants=1)),
            stages=[resolved],
            inputs=(StageInput(),),
            windows=[stage.window],
        )
        inner = StageState(RenderRun(run.resources, state, run.context, run.progress, run.written), 0)
        inner.model = stage.model
        return cls(stage, inner, track)

    def empty(self, latents: Tensor, tick: Tick) -> Tensor:
        """Latents [1, T, C] with as little of the track in the region as was found after any round."""
        first, last = self.outer.window.region
        low, high = max(0, first - MARGIN), min(latents.shape[1], last + MARGIN)
        made, best, least = latents, latents, -math.inf
        for number in range(ROUNDS):
            rest, below = self._without(made, (low, high), number, part_of(tick, number, ROUNDS))
            if below >= ENOUGH or below - COST * number > least:
                best, least = made, below - COST * number
            if below >= ENOUGH or number == ROUNDS - 1:
                break
            made = made.clone()
            made[:, first:last] = self._encode(rest)[:, first - low : last - low]
        if best is not latents:
            self.outer.note(TAKEN_OUT.format(self.track, self.outer.model.info.name))
        tick(1, 1)
        return best

    def _without(self, latents: Tensor, span: tuple[int, int], number: int, tick: Tick) -> tuple[Tensor, float]:
        """The sound [2, N] of a span of frames without what one extraction finds, and how many dB that lies below it in the
        region."""
        passes = (0, *range(number * FRESH + 1, (number + 1) * FRESH + 1))
        takes = [self._take(latents, one, part_of(tick, count, FRESH + 1)) for count, one in enumerate(passes)]
        heard, *stems = (self._decode(one, span) for one in (latents, *takes))
        grid = self.outer.model.info.grid
        stem = masked([one.numpy() for one in stems], heard.numpy(), heard.numpy(), grid.rate, self.outer.check)
        rest = heard - torch.from_numpy(stem)
        first, last = ((frame - span[0]) * grid.hop for frame in self.outer.window.region)
        found, left = (float(sound[:, first:last].square().mean()) for sound in (torch.from_numpy(stem), rest))
        return rest, math.inf if found == 0 else 10 * math.log10(max(left, 1e-12) / found)

    def _take(self, latents: Tensor, number: int, tick: Tick) -> Tensor:
        (made,) = self.inner.family.denoise(self.inner, TakeGroup((0,), (latents,), number), tick)
        return made

    def _decode(self, latents: Tensor, span: tuple[int, int]) -> Tensor:
        with self.outer.on_device("codec"):
            sound, _ = self.outer.family.decode(self.outer.model, latents, span, self.outer.silent_tick)
        return torch.as_tensor(sound)

    def _encode(self, sound: Tensor) -> Tensor:
        with self.outer.on_device("codec"):
            return self.outer.family.encode(self.outer.model, sound.clamp(-1.0, 1.0), self.outer.silent_tick)
