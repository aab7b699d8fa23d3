"""Whole runs through our own loop, samplers, schedules and guidance equal the original's, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from acestep.api.plan import Fill, Plan
from acestep.api.times import custom_times, schedule_times, truncate
from acestep.checkpoints.load import Model
from acestep.conditioning.context import ContextInputs, build_context, join, silence
from acestep.denoising import compat
from acestep.denoising.denoising_run import Branch, Denoising, Edit, GuidanceSettings, Quirks
from acestep.denoising.flow_edit import FlowEditOptions, edit_flow
from acestep.denoising.guidance import guidance_settings
from acestep.denoising.loop import denoise
from acestep.denoising.noise import mix
from plugins.guidance import GUIDANCE
from plugins.samplers import SAMPLERS
from plugins.schedules import SCHEDULES

METHODS = {spec.name: spec for spec in GUIDANCE}
SOLVERS = {spec.name: spec.run for spec in SAMPLERS}
GRIDS = {spec.name: spec for spec in SCHEDULES}
DEFAULTS = {"turbo": {"shift": 3.0}, "base": {"shift": 1.0, "steps": 30}, "sft": {"shift": 1.0, "steps": 30}}


@dataclass
class RecordedNoise:
    """The recording's own draws instead of seeded ones."""

    first: torch.Tensor
    fresh: torch.Tensor

    def initial(self) -> torch.Tensor:
        return self.first

    def step(self, index: int) -> torch.Tensor:
        return self.fresh[index]


def encode(model: Model, inputs: dict[str, torch.Tensor], text: str, lyric: str = "lyric") -> torch.Tensor:
    """The (possibly padded) condition of a recorded text."""
    ones = [torch.ones(inputs[key].shape[:2], dtype=torch.long) for key in (text, lyric)]
    masks = [inputs.get(f"{key}_mask", one) for key, one in zip((text, lyric), ones, strict=True)]
    order = inputs.get("timbre_order", torch.zeros(inputs["timbre"].shape[0], dtype=torch.long))
    with torch.inference_mode():
        return model.condition_encoder(inputs[text], masks[0], inputs[lyric], masks[1], inputs["timbre"], order)[0]


def context_of(model: Model, args: dict[str, Any], inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The context by the fill rules, item by item; the mask as recorded."""
    frames = inputs["noise"].shape[1]
    built = []
    for item, covers in enumerate(args.get("is_cover", [0] * inputs["noise"].shape[0])):
        source = inputs["src"][item : item + 1] if inputs["src"].shape[0] > 1 else inputs["src"]
        rule = Fill.SOURCE if not covers else Fill.HINT if "hints" in inputs else Fill.BOTTLENECK
        material = ContextInputs(frames, (0, frames), source[:, :frames], inputs.get("hints"))
        built.append(build_context(model, Plan(task="", instruction="", fill=rule), material))
    context = torch.cat(built)
    return join(context[..., :64], inputs["chunk_mask"]) if "chunk_mask" in inputs else context


def times_of(variant: str, args: dict[str, Any]) -> list[float]:
    """The schedule that the parameters mean."""
    known = {**DEFAULTS[variant], **args}
    if "timesteps" in args:
        listed = compat.snap_turbo_times(args["timesteps"]) if variant == "turbo" else args["timesteps"]
        times = custom_times(listed)
    elif "steps" in known:
        times = schedule_times(GRIDS["linear"], known["steps"], known["shift"])
    else:
        times = schedule_times(GRIDS["discrete"], 8, known["shift"])
    return truncate(times, 1 - args.get("cover_noise_strength", 0.0), nearest=True)


def solver_of(variant: str, args: dict[str, Any]) -> Any:
    """Our sampler; base and sft have two habits that we leave out."""
    if args.get("method") == "sde":
        return SOLVERS["sde"] if variant == "turbo" else compat.sde_unshifted
    if args.get("sampler") == "heun":
        return SOLVERS["heun"] if variant == "turbo" else compat.heun_to_zero
    return SOLVERS["euler"]


def guidance_of(variant: str, args: dict[str, Any]) -> GuidanceSettings:
    if variant == "turbo":
        return GuidanceSettings()
    low, high = args.get("cfg_interval", (0.0, 1.0))
    return guidance_settings(
        METHODS["adg" if args.get("use_adg") else "apg"], args.get("guidance", 7.0), low=low, high=high
    )


def edit_of(args: dict[str, Any], inputs: dict[str, torch.Tensor]) -> Edit | None:
    if "repaint_mask" not in inputs:
        return None
    inside = inputs["repaint_mask"][0].nonzero().flatten()
    region = (int(inside[0]), int(inside[-1]) + 1)
    return Edit(source=inputs["clean_src"], region=region, injection=args["repaint_injection_ratio"],
                blend=args["repaint_crossfade_frames"])  # fmt: skip


def corrections_of(args: dict[str, Any]) -> dict[str, float]:
    dcw = args.get("dcw")
    if dcw is None:
        return {}
    if dcw["mode"] == "double":
        return {"low": dcw["scaler"], "high": dcw["high_scaler"]}
    return {dcw["mode"]: dcw["scaler"]}


def request_of(golden: Any, name: str) -> tuple[Denoising, Model]:
    """A loop case as a run of ours."""
    case, inputs, model = golden.case(name)
    variant, args = case["variant"], case["args"]
    noise = inputs["noise"]
    if "retake_noise" in inputs:
        noise = mix(noise, inputs["retake_noise"], args["retake_variance"])
    context = context_of(model, args, inputs)
    plain = join(silence(model.silence, noise.shape[1]).expand_as(noise), context[:1, :, 64:65])
    plain = torch.cat([plain[..., :64], context[..., 64:]], dim=-1)
    counts_requested = variant == "base" and case["model"] == "std" and "timesteps" in args
    return Denoising(
        main=Branch(encode(model, inputs, "text"), context),
        after=Branch(encode(model, inputs, "nc_text"), plain) if "nc_text" in inputs else None,
        strength=args.get("cover_strength", 1.0),
        times=times_of(variant, args),
        sampler=solver_of(variant, args),
        noise=RecordedNoise(noise, golden.array("in/eps")),
        guidance=guidance_of(variant, args),
        start=inputs["src"] if args.get("cover_noise_strength") else None,
        edit=edit_of(args, inputs),
        velocity_limit=args.get("velocity_norm_threshold", 0.0),
        velocity_average=args.get("velocity_ema_factor", 0.0),
        corrections=corrections_of(args),
        quirks=Quirks(
            no_last_injection=variant == "turbo", switch_steps=args.get("steps") if counts_requested else None
        ),
    ), model


@pytest.mark.golden_cases("loop")
def test_loop(golden, tolerance, name):
    """A run's times are the recorded ones to a float32 ulp, its latents (each step's, where recorded) within tolerance."""
    request, model = request_of(golden, name)
    expected = golden.outputs(name)
    case, _, _ = golden.case(name)
    assert list(request.times[:-1]) == pytest.approx(case["t"], abs=1.2e-7)
    if "context" in expected:
        torch.testing.assert_close(request.main.context, expected["context"], **tolerance["module"])
        torch.testing.assert_close(request.main.states, expected["encoder"], **tolerance["module"])
    steps = [request.noise.initial()]
    latents = denoise(model.transformer, model.null_condition, with_steps(request, steps))
    torch.testing.assert_close(latents, expected["latents"], **tolerance["loop"])
    if "x_steps" in expected:
        torch.testing.assert_close(torch.stack(steps[:-1]), expected["x_steps"], **tolerance["loop"])


def with_steps(request: Denoising, steps: list[torch.Tensor]) -> Denoising:
    """The same run that also writes down x after every step."""
    return Denoising(**{**vars(request), "on_step": lambda snapshot: steps.append(snapshot.x)})


@pytest.mark.golden_cases("flow_edit")
def test_flow_edit(golden, tolerance, name):
    """Flow edit equals the recording, and evaluates the model at the recorded times."""
    case, inputs, model = golden.case(name)
    args = case["args"]
    mask = torch.ones(1, inputs["src"].shape[1], 1)
    context = join(silence(model.silence, inputs["src"].shape[1]), mask)
    ticks = []
    request = Denoising(
        main=Branch(encode(model, inputs, "target_text", "target_lyric"), context),
        times=schedule_times(GRIDS["linear"], args["steps"], args["shift"]),
        sampler=SOLVERS["euler"],
        noise=RecordedNoise(inputs["noise"], golden.array("in/eps")),
        guidance=guidance_of(case["variant"], args),
        start=inputs["src"],
        tick=lambda done, expected: ticks.append((done, expected)),
    )
    source = Branch(encode(model, inputs, "text"), context)
    options = FlowEditOptions(args["n_min"], args["n_max"], args["n_avg"])
    latents = edit_flow(model.transformer, model.null_condition, request, source, options)
    torch.testing.assert_close(latents, golden.outputs(name)["latents"], **tolerance["loop"])
    assert ticks == [(k + 1, len(case["model_t"])) for k in range(len(case["model_t"]))]
