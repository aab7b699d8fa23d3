"""The list of values that ACE-Step's page sends for a generation, as the fields of the REST interface. Pure.

The list has no names, and its places have moved: front ends such as ace-step-ui send the 50 of February 2026, which is what this
door publishes; the 78 of June 2026 are told by their number and read, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from acestep.api import limits
from acestep.api.errors import BadRequest
from bridge.doors.gradio.components import AUDIO, FLAG, JSON, NUMBER, TEXT, Parameter


class PageValue(NamedTuple):
    """What stands at a place of the list: the page's name, the REST interface's (empty: nothing of it is used), kind, default."""

    name: str
    field: str
    kind: str
    default: Any = None

    @property
    def parameter(self) -> Parameter:
        """As it is published."""
        return Parameter(self.name, self.name.replace("_", " ").capitalize(), self.kind, self.default)


FEBRUARY = (
    PageValue("captions", "prompt", TEXT, ""),
    PageValue("lyrics", "lyrics", TEXT, ""),
    PageValue("bpm", "bpm", NUMBER, 0),
    PageValue("key_scale", "key_scale", TEXT, ""),
    PageValue("time_signature", "time_signature", TEXT, ""),
    PageValue("vocal_language", "vocal_language", TEXT, "unknown"),
    PageValue("inference_steps", "inference_steps", NUMBER, 8),
    PageValue("guidance_scale", "guidance_scale", NUMBER, 7.0),
    PageValue("random_seed", "use_random_seed", FLAG, True),
    PageValue("seed", "seed", TEXT, "-1"),
    PageValue("reference_audio", "reference_audio_path", AUDIO),
    PageValue("audio_duration", "audio_duration", NUMBER, -1),
    PageValue("batch_size", "batch_size", NUMBER, 2),
    PageValue("src_audio", "src_audio_path", AUDIO),
    PageValue("text2music_audio_code_string", "audio_code_string", TEXT, ""),
    PageValue("repainting_start", "repainting_start", NUMBER, 0.0),
    PageValue("repainting_end", "repainting_end", NUMBER, -1),
    PageValue("instruction_display_gen", "instruction", TEXT, ""),
    PageValue("audio_cover_strength", "audio_cover_strength", NUMBER, 1.0),
    PageValue("task_type", "task_type", TEXT, "text2music"),
    PageValue("use_adg", "use_adg", FLAG, False),
    PageValue("cfg_interval_start", "cfg_interval_start", NUMBER, 0.0),
    PageValue("cfg_interval_end", "cfg_interval_end", NUMBER, 1.0),
    PageValue("shift", "shift", NUMBER, 3.0),
    PageValue("infer_method", "infer_method", TEXT, "ode"),
    PageValue("custom_timesteps", "custom_timesteps", TEXT, ""),
    PageValue("audio_format", "audio_format", TEXT, "mp3"),
    PageValue("lm_temperature", "lm_temperature", NUMBER, 0.85),
    PageValue("think_checkbox", "thinking", FLAG, False),
    PageValue("lm_cfg_scale", "lm_cfg_scale", NUMBER, 2.0),
    PageValue("lm_top_k", "lm_top_k", NUMBER, 0),
    PageValue("lm_top_p", "lm_top_p", NUMBER, 0.9),
    PageValue("lm_negative_prompt", "lm_negative_prompt", TEXT, ""),
    PageValue("use_cot_metas", "use_cot_metas", FLAG, True),
    PageValue("use_cot_caption", "use_cot_caption", FLAG, True),
    PageValue("use_cot_language", "use_cot_language", FLAG, True),
    PageValue("is_format_caption", "is_format_caption", FLAG, False),
    PageValue("constrained_decoding_debug", "constrained_decoding_debug", FLAG, False),
    PageValue("allow_lm_batch", "allow_lm_batch", FLAG, True),
    PageValue("auto_score", "", FLAG, False),
    PageValue("auto_lrc", "", FLAG, False),
    PageValue("score_scale", "", NUMBER, 0.5),
    PageValue("lm_batch_chunk_size", "lm_batch_chunk_size", NUMBER, 8),
    PageValue("track_name", "track_name", TEXT),
    PageValue("complete_track_classes", "track_classes", JSON, []),
    PageValue("autogen_checkbox", "", FLAG, False),
    PageValue("current_batch_index", "", NUMBER, 0),
    PageValue("total_batches", "", NUMBER, 1),
    PageValue("batch_queue", "", JSON, []),
    PageValue("generation_params_state", "", JSON, {}),
)
"""The places as published."""

JUNE = (
    *(place.field for place in FEBRUARY[:19]),
    *"cover_noise_strength task_type no_fsq use_adg cfg_interval_start cfg_interval_end shift infer_method sampler_mode".split(),
    *("velocity_norm_threshold", "velocity_ema_factor", *[""] * 5, "custom_timesteps", "audio_format", "", ""),
    *"lm_temperature thinking lm_cfg_scale lm_top_k lm_top_p lm_negative_prompt use_cot_metas use_cot_caption".split(),
    *("use_cot_language", "is_format_caption", "constrained_decoding_debug", "allow_lm_batch", "", "", ""),
    *(
        "lm_batch_chunk_size",
        "track_name",
        "track_classes",
        *[""] * 4,
        "latent_shift",
        "latent_rescale",
        "repaint_mode",
    ),
    *("repaint_strength", *[""] * 13),
)
"""The REST interface's fields at the places of June 2026."""

FILES = ("reference_audio_path", "src_audio_path")
"""Fields whose value is a file."""


def named_values(data: Sequence[Any]) -> dict[str, Any]:
    """The values by the REST interface's names, without those that mean nothing said. Raises `BadRequest`."""
    if len(data) == len(JUNE):
        names: Sequence[str] = JUNE
    elif len(data) <= len(FEBRUARY):
        names = [place.field for place in FEBRUARY]
    else:
        raise BadRequest(
            f"a generation has {len(FEBRUARY)} values (February 2026) or {len(JUNE)} (June 2026), not {len(data)}",
            field="data",
            limits={"choices": [len(FEBRUARY), len(JUNE)]},
        )
    found = {name: value for name, value in zip(names, data, strict=False) if name and not _unsaid(value)}
    if found.pop("no_fsq", False) is True and found.get("task_type"):
        found["task_type"] = f"{found['task_type']}-nofsq"
    return found


def as_the_page_has_it(field: str, value: Any) -> bool:
    """Whether a value is the page's own, which nobody has chosen: front ends send all of them."""
    return _DEFAULTS.get(field) == value


_DEFAULTS = {place.field: place.default for place in FEBRUARY if place.field}


def _unsaid(value: Any) -> bool:
    return value is None or value in ("", [], {})


def params_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in no field of the REST interface, as parameters of ours. Raises `BadRequest`."""
    found: dict[str, Any] = {}
    if times := values.get("custom_timesteps"):
        found["timesteps"] = _times(times)
    if values.get("thinking") is True:
        if isinstance(values.get("use_cot_metas"), bool):
            found["planner_metas"] = values["use_cot_metas"]
        chunk = values.get("lm_batch_chunk_size")
        if isinstance(chunk, (int, float)) and not isinstance(chunk, bool) and 1 <= chunk <= limits.MAX_VARIANTS:
            found["planner_batch_chunk"] = int(chunk)
    return found


OUR_OWN = ("custom_timesteps", "use_cot_metas", "lm_batch_chunk_size")
"""Fields that `params_of` reads and the REST interface has not."""


def _times(text: Any) -> list[float]:
    try:
        return [float(part) for part in str(text)[:2000].replace(";", ",").split(",") if part.strip()]
    except ValueError:
        raise BadRequest(
            "custom timesteps must be numbers falling from 1 towards 0, separated by commas", field="custom_timesteps"
        ) from None
