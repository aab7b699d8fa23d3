"""Where the original's parameters stand in a job of ours: its name -> what the job says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TASKS = {"generate": "text2music"}


def _stage(job: dict[str, Any]) -> dict[str, Any]:
    return dict(job["stages"][-1])


def _seconds(job: dict[str, Any], samples: int | None) -> float | None:
    return None if samples is None else samples / (job["output"]["rate"] or 48_000)


def _end(job: dict[str, Any]) -> float | None:
    source = job["source"] or {}
    return _seconds(job, (source.get("start") or 0) + (source.get("length") or 0))


def _task(job: dict[str, Any]) -> str:
    stage = _stage(job)
    name = TASKS.get(stage["type"], stage["type"])
    return "cover-nofsq" if name == "cover" and not stage["bottleneck"] else name


PLACES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "params.task_type": _task,
    "params.caption": lambda job: job["conditioning"]["caption"],
    "params.global_caption": lambda job: job["conditioning"]["global_caption"],
    "params.lyrics": lambda job: job["conditioning"]["lyrics"],
    "params.instrumental": lambda job: job["conditioning"]["instrumental"],
    "params.vocal_language": lambda job: job["conditioning"]["language"],
    "params.bpm": lambda job: job["conditioning"]["bpm"],
    "params.keyscale": lambda job: job["conditioning"]["key"],
    "params.timesignature": lambda job: job["conditioning"]["time_signature"],
    "params.duration": lambda job: job["conditioning"]["duration"],
    "params.audio_codes": lambda job: "".join(
        f"<|audio_code_{code}|>" for code in job["conditioning"]["audio_codes"] or []
    ),
    "params.inference_steps": lambda job: _stage(job)["steps"],
    "params.guidance_scale": lambda job: _stage(job)["guidance_scale"],
    "params.shift": lambda job: _stage(job)["shift"],
    "params.use_adg": lambda job: _stage(job)["guidance"] == "adg",
    "params.cfg_interval_start": lambda job: _stage(job)["guidance_start"],
    "params.cfg_interval_end": lambda job: _stage(job)["guidance_end"],
    "params.infer_method": lambda job: "sde" if _stage(job)["sampler"] == "sde" else "ode",
    "params.sampler_mode": lambda job: _stage(job)["sampler"],
    "params.velocity_norm_threshold": lambda job: _stage(job)["velocity_limit"],
    "params.velocity_ema_factor": lambda job: _stage(job)["velocity_average"],
    "params.latent_shift": lambda job: _stage(job)["latent_shift"],
    "params.latent_rescale": lambda job: _stage(job)["latent_rescale"],
    "params.audio_cover_strength": lambda job: _stage(job).get("strength"),
    "params.cover_noise_strength": lambda job: _stage(job).get("noise_strength"),
    "params.repaint_mode": lambda job: _stage(job).get("mode"),
    "params.repaint_strength": lambda job: _stage(job).get("strength"),
    "params.repainting_start": lambda job: _seconds(job, (job["source"] or {}).get("start")),
    "params.repainting_end": _end,
    "config.batch_size": lambda job: job["output"]["variants"],
    "config.audio_format": lambda job: {"wav32f": "wav32"}.get(job["output"]["format"], job["output"]["format"]),
    "config.seeds": lambda job: _stage(job)["seeds"],
}
"""The original's parameter -> where it is found in the canonical request."""

SOUNDS = {
    "params.src_audio": lambda job: job["source"],
    "params.reference_audio": lambda job: job["conditioning"]["reference"],
}
"""Parameters that only must be there: the files have other names."""

FIELDS = {
    "params.keyscale": "key_scale", "params.timesignature": "time_signature", "params.duration": "audio_duration",
    "params.caption": "prompt", "params.use_cot_caption": "use_cot_caption", "params.lm_cfg_scale": "lm_cfg_scale",
    "params.use_constrained_decoding": "constrained_decoding", "params.audio_codes": "audio_code_string",
    "config.use_random_seed": "use_random_seed", "config.seeds": "seed", "params.src_audio": "src_audio_path",
    "params.is_format_caption": "is_format_caption",
}  # fmt: skip
"""Where a parameter's name is not that of its field: the field, as ``extra`` names it."""


def field_of(parameter: str) -> str:
    """The field that a parameter comes from."""
    return FIELDS.get(parameter, parameter.partition(".")[2])


UNSEEN = frozenset({"params.instruction", "config.use_random_seed", "params.seed"})
"""Parameters that say nothing about our jobs: the model's own sentence, and what `config.seeds` says better."""
