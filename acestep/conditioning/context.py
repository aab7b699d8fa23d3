"""The context tensor: what the model is shown of the source, and where it may write.

128 channels per frame: 64 of source latents, then the mask repeated 64 times. "Nothing given" is the silence latent,
never zeros, which would sound like a drone. Everything follows from the fields of a `Plan`; no operation is known here by name.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.api.errors import BadRequest, ModelUnsuited
from acestep.api.limits import LATENT_CHANNELS
from acestep.api.plan import Fill, Mask, Plan, missing_parts
from acestep.api.planning import check_codes
from acestep.checkpoints.load import Model
from acestep.networks.tokenizer import AudioDetokenizer, AudioTokenizer


@dataclass(frozen=True)
class ContextInputs:
    """What a stage has to build its context from; latents are float32 [1, T, 64] of the whole window.

    ``region`` is (first, last + 1) in frames of the window; ``hint`` [1, n, 64] is a detokenised hint of any length.
    """

    frames: int
    region: tuple[int, int]
    source: Tensor | None = None
    hint: Tensor | None = None


def build_context(model: Model, plan: Plan, inputs: ContextInputs) -> Tensor:
    """The context [1, T, 128] of a plan. Raises `BadRequest` when the plan needs audio or a hint that is not there."""
    filled = fill(model, plan.fill, inputs)
    if plan.silence_region:
        filled = silence_region(filled, model.silence, inputs.region)
    return join(filled, region_mask(plan.mask, inputs))


def plain_context(model: Model, plan: Plan, inputs: ContextInputs) -> Tensor:
    """The context after a condition switch: silence, under the same mask."""
    return join(silence(model.silence, inputs.frames), region_mask(plan.mask, inputs))


def join(latents: Tensor, mask: Tensor) -> Tensor:
    """Latents [B, T, 64] and mask [1, T, 1] -> context [B, T, 128]."""
    return torch.cat([latents, mask.to(latents).expand(*latents.shape[:2], LATENT_CHANNELS)], dim=-1)


def fill(model: Model, rule: Fill, inputs: ContextInputs) -> Tensor:
    """The first 64 channels [1, T, 64] by one of the four rules."""
    if rule is Fill.SILENCE:
        return silence(model.silence, inputs.frames)
    if rule is Fill.HINT:
        if inputs.hint is None:
            raise BadRequest("this stage needs audio codes or a guide", field="audio_codes")
        return fit(inputs.hint, model.silence, inputs.frames)
    if inputs.source is None:
        raise BadRequest("this stage needs a source", field="source")
    source = fit(inputs.source, model.silence, inputs.frames)
    return source if rule is Fill.SOURCE else bottleneck(model, source)


def silence(latent: Tensor, frames: int, start: int = 0) -> Tensor:
    """Frames ``start`` to ``start + frames`` of the silence latent [1, N, 64], which repeats beyond its end (600 s)."""
    end = start + frames
    if end > latent.shape[1]:
        latent = latent.repeat(1, -(-end // latent.shape[1]), 1)
    return latent[:, start:end]


def fit(latents: Tensor, silence_latent: Tensor, frames: int) -> Tensor:
    """Latents cropped, or continued with silence of the same frame indices, to ``frames``."""
    given = latents.shape[1]
    if given >= frames:
        return latents[:, :frames]
    rest = silence(silence_latent, frames - given, given).to(latents)
    return torch.cat([latents, rest.expand(latents.shape[0], -1, -1)], dim=1)


def silence_region(latents: Tensor, silence_latent: Tensor, region: tuple[int, int]) -> Tensor:
    """A copy in which the region holds silence frames of the same indices."""
    start, end = region
    changed = latents.clone()
    changed[:, start:end] = silence(silence_latent, end - start, start).to(latents)
    return changed


def region_mask(mask: Mask, inputs: ContextInputs) -> Tensor:
    """[1, T, 1]: 1 where the model may write."""
    if mask is Mask.ALL:
        return torch.ones(1, inputs.frames, 1)
    values = torch.zeros(1, inputs.frames, 1)
    values[:, inputs.region[0] : inputs.region[1]] = 1
    return values


def code_networks(model: Model) -> tuple[AudioTokenizer, AudioDetokenizer]:
    """The networks for semantic codes. Raises `ModelUnsuited` for a checkpoint without them."""
    if model.audio_tokenizer is None or model.audio_detokenizer is None:
        raise ModelUnsuited(missing_parts(model.info, "working with semantic codes"), field="model")
    return model.audio_tokenizer, model.audio_detokenizer


def bottleneck(model: Model, latents: Tensor) -> Tensor:
    """Latents [B, T, 64] through tokenizer, quantiser and detokenizer: melody and rhythm stay, sound does not."""
    tokenizer, detokenizer = code_networks(model)
    quantised, _ = tokenizer.quantise(latents, model.silence)
    return detokenizer.expand(quantised)[:, : latents.shape[1]].to(latents.device)


def audio_codes(model: Model, latents: Tensor) -> list[int]:
    """The semantic codes of latents [1, T, 64], five frames each."""
    tokenizer, _ = code_networks(model)
    return tokenizer.quantise(latents, model.silence)[1].flatten().tolist()


def hint_from_codes(model: Model, codes: list[int]) -> Tensor:
    """Audio codes -> hint latents [1, 5 n, 64]. Raises what `check_codes` does."""
    tokenizer, detokenizer = code_networks(model)
    return detokenizer.expand(tokenizer.from_codes(torch.tensor([check_codes(codes)])))
