"""Names that fields have in the original's front ends: two are read wherever a render is asked for, the rest are understood in
errors, which then say how the field is called here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from acestep.api.errors import BadRequest

NAMES = {"velocity_norm_threshold": "velocity_limit", "velocity_ema_factor": "velocity_average"}
"""The original's name of a stage parameter -> ours."""

_MEANT: dict[tuple[str, ...], str] = {
    ("caption", "query"): "prompt tags description desc",
    ("query",): "sample_query",
    ("lyrics",): "lyric lyrics_text lyric_text",
    ("language",): "vocal_language lyrics_language",
    ("key",): "key_scale keyscale",
    ("time_signature",): "timesignature meter metre",
    ("bpm",): "tempo",
    ("duration",): "audio_duration target_duration audio_length seconds music_duration",
    ("steps",): "inference_steps infer_steps infer_step num_inference_steps num_steps",
    ("guidance_scale", "cfg_scale"): "cfg cfg_weight scale",
    ("sampler",): "infer_method sampler_mode scheduler scheduler_type sampler_type",
    ("guidance",): "use_adg cfg_type",
    ("guidance_start",): "cfg_interval_start guidance_interval",
    ("guidance_end",): "cfg_interval_end",
    ("seeds",): "manual_seeds manual_seed actual_seeds retake_seeds",
    ("seed",): "use_random_seed",
    ("variation",): "retake_variance",
    ("variants",): "batch_size num_samples",
    ("model", "checkpoint"): "config_path dit_model checkpoint_path",
    ("lora",): "lora_path lora_name_or_path lora_name lora_scale lora_weight",
    ("reference",): "reference_audio_path reference_audio ref_audio ref_audio_input",
    ("source",): "src_audio_path src_audio ctx_audio_path ctx_audio audio_path input_audio",
    ("source_caption",): "source_prompt original_prompt",
    ("source_lyrics",): "original_lyrics",
    ("audio_codes",): "audio_code_string audio_code audio_code_hints",
    ("codes_strength",): "lm_codes_strength",
    ("strength",): "audio_cover_strength repaint_strength ref_audio_strength",
    ("noise_strength",): "cover_noise_strength",
    ("start_seconds",): "repainting_start repaint_start",
    ("end_seconds",): "repainting_end repaint_end",
    ("mode",): "repaint_mode",
    ("crossfade",): "repaint_wav_crossfade_sec",
    ("track",): "track_name",
    ("tracks",): "track_classes complete_track_classes",
    ("format",): "audio_format",
    ("level",): "enable_normalization normalize",
    ("level_target",): "normalization_db",
    ("planner_model", "model"): "lm_model_path lm_model",
    ("planner_backend", "backend"): "lm_backend",
    ("planner_temperature", "temperature"): "lm_temperature",
    ("planner_cfg_scale", "cfg_scale"): "lm_cfg_scale",
    ("planner_top_k", "top_k"): "lm_top_k",
    ("planner_top_p", "top_p"): "lm_top_p",
    ("planner_repetition_penalty", "repetition_penalty"): "lm_repetition_penalty",
    ("planner_negative_prompt", "negative_prompt"): "lm_negative_prompt",
    ("planner_metas", "use_metas"): "use_cot_metas",
    ("planner_caption", "use_caption"): "use_cot_caption",
    ("planner_language", "use_language"): "use_cot_language",
    ("planner_parallel", "parallel"): "allow_lm_batch",
    ("planner_batch_chunk", "batch_chunk"): "lm_batch_chunk_size",
    ("planner_debug", "debug"): "constrained_decoding_debug",
}
"""Our names of a field, the first that a request has counts -> how the original's page, library and REST interface call it, in the
present version or the first one."""

MEANT: dict[str, tuple[str, ...]] = {name: ours for ours, theirs in _MEANT.items() for name in theirs.split()}
"""The original's name, in snake case -> ours."""


def our_name(name: str, known: Collection[str]) -> str | None:
    """What of the ``known`` fields the original calls by this name, in snake or camel case; none where there is no such."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|-", "_", name).lower()
    return next((ours for ours in (snake, *MEANT.get(snake, ())) if ours in known), None)


def in_our_words(request: Mapping[str, Any]) -> dict[str, Any]:
    """A client's map with our names, in the stages of a chain too. Raises `BadRequest` where one thing is said in both."""
    found = _renamed(request, "")
    if isinstance(found.get("stages"), list):
        found["stages"] = [
            _renamed(stage, f"stages[{index}].") if isinstance(stage, Mapping) else stage
            for index, stage in enumerate(found["stages"])
        ]
    return found


def _renamed(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    for theirs, ours in NAMES.items():
        if theirs in part and ours in part:
            raise BadRequest(f"{theirs} and {ours} are the same; give one of them", field=f"{place}{theirs}")
    return {NAMES.get(name, name): value for name, value in part.items()}
