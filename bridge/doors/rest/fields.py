"""The fields of ACE-Step's REST interface: their names, how a value is found and mended, and what was not taken as it was sent.

The original takes nearly everything: a number that cannot be read becomes the default, an unknown name is passed over. Clients
rely on it, so this door does too, but it tells what it did: `Told` travels in the answer's ``extra``, which no client reads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TEXT, BOOLEAN, INTEGER, NUMBER, ANY = "text", "boolean", "integer", "number", "any"

TRUE = frozenset({"1", "true", "yes", "y", "on"})
"""Texts that mean true, in any case; every other text means false."""

NESTED = ("metas", "meta", "metadata", "user_metadata", "userMetadata")
"""Where fields are looked for behind the body and ``param_obj``: in the first of these that is there."""


class FieldRule(tuple[str, tuple[str, ...]]):
    """Kind of a field, and the names under which it is looked for, in order."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        """One of the kinds above."""
        return self[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name first."""
        return self[1]


def _rule(kind: str, names: str) -> FieldRule:
    return FieldRule((kind, tuple(names.split())))


_RULES = [
    _rule(TEXT, "prompt caption"),
    _rule(TEXT, "lyrics"),
    _rule(TEXT, "global_caption"),
    _rule(TEXT, "sample_query sampleQuery description desc"),
    _rule(BOOLEAN, "sample_mode sampleMode"),
    _rule(BOOLEAN, "use_format useFormat format"),
    _rule(BOOLEAN, "thinking"),
    _rule(TEXT, "model model_name modelName dit_model ditModel"),
    _rule(INTEGER, "bpm"),
    _rule(TEXT, "key_scale keyscale keyScale key"),
    _rule(TEXT, "time_signature timesignature timeSignature"),
    _rule(NUMBER, "audio_duration duration audioDuration target_duration targetDuration"),
    _rule(TEXT, "vocal_language vocalLanguage language"),
    _rule(INTEGER, "inference_steps inferenceSteps"),
    _rule(NUMBER, "guidance_scale guidanceScale"),
    _rule(BOOLEAN, "use_random_seed useRandomSeed"),
    _rule(ANY, "seed"),
    _rule(INTEGER, "batch_size"),
    _rule(TEXT, "task_type taskType"),
    _rule(TEXT, "instruction"),
    _rule(TEXT, "track_name trackName"),
    _rule(ANY, "track_classes trackClasses instruments"),
    _rule(TEXT, "reference_audio_path ref_audio_path referenceAudioPath refAudioPath"),
    _rule(TEXT, "src_audio_path ctx_audio_path sourceAudioPath srcAudioPath ctxAudioPath"),
    _rule(ANY, "audio_code_string audioCodeString audio_codes"),
    _rule(NUMBER, "repainting_start"),
    _rule(NUMBER, "repainting_end"),
    _rule(TEXT, "chunk_mask_mode"),
    _rule(TEXT, "repaint_mode"),
    _rule(NUMBER, "repaint_strength"),
    _rule(INTEGER, "repaint_latent_crossfade_frames"),
    _rule(NUMBER, "repaint_wav_crossfade_sec"),
    _rule(NUMBER, "audio_cover_strength audioCoverStrength cover_strength coverStrength"),
    _rule(NUMBER, "cover_noise_strength coverNoiseStrength"),
    _rule(NUMBER, "shift"),
    _rule(TEXT, "infer_method inferMethod"),
    _rule(TEXT, "sampler_mode samplerMode"),
    _rule(NUMBER, "velocity_norm_threshold velocityNormThreshold"),
    _rule(NUMBER, "velocity_ema_factor velocityEmaFactor"),
    _rule(NUMBER, "latent_shift latentShift"),
    _rule(NUMBER, "latent_rescale latentRescale"),
    _rule(TEXT, "guidance_variant guidanceVariant"),
    _rule(BOOLEAN, "use_adg"),
    _rule(NUMBER, "cfg_interval_start"),
    _rule(NUMBER, "cfg_interval_end"),
    _rule(BOOLEAN, "use_tiled_decode useTiledDecode"),
    _rule(TEXT, "audio_format"),
    _rule(TEXT, "lm_model_path lmModelPath"),
    _rule(TEXT, "lm_backend lmBackend"),
    _rule(NUMBER, "lm_temperature"),
    _rule(NUMBER, "lm_cfg_scale"),
    _rule(INTEGER, "lm_top_k"),
    _rule(NUMBER, "lm_top_p"),
    _rule(NUMBER, "lm_repetition_penalty"),
    _rule(TEXT, "lm_negative_prompt"),
    _rule(BOOLEAN, "constrained_decoding constrainedDecoding constrained"),
    _rule(BOOLEAN, "constrained_decoding_debug constrainedDecodingDebug"),
    _rule(BOOLEAN, "use_cot_caption cot_caption cot-caption"),
    _rule(BOOLEAN, "use_cot_language cot_language cot-language"),
    _rule(BOOLEAN, "is_format_caption isFormatCaption"),
    _rule(BOOLEAN, "allow_lm_batch allowLmBatch parallel_thinking"),
    _rule(BOOLEAN, "analysis_only analysisOnly"),
    _rule(BOOLEAN, "full_analysis_only fullAnalysisOnly"),
    _rule(BOOLEAN, "extract_codes_only extractCodesOnly"),
]

RULES: dict[str, FieldRule] = {rule.names[0]: rule for rule in _RULES}
"""Every field by its own name."""

ENVELOPE = frozenset({"ai_token", "param_obj", *NESTED})
"""Names of the body that are not fields of the music."""

KNOWN = frozenset(name for rule in _RULES for name in rule.names) | ENVELOPE


@dataclass
class Told:
    """What was not taken as it was sent: fields that have no effect here, and values that became others."""

    ignored: list[str] = field(default_factory=list)
    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Sentences of the daemon about the job."""

    def ignore(self, name: str) -> None:
        """Remember a field that changes nothing."""
        if name not in self.ignored:
            self.ignored.append(name)

    def change(self, name: str, sent: Any, used: Any, why: str) -> None:
        """Remember a value that became another one; ``used`` None: as if it had not been sent."""
        shown = sent if isinstance(sent, (int, float)) or sent is None else str(sent)[:200]
        self.changed[name] = {"sent": shown, "used": used, "why": why}

    def to_extra(self) -> dict[str, Any] | None:
        """The answer's ``extra``; none where there is nothing to tell."""
        found = {"ignored": self.ignored, "changed": self.changed, "notes": self.notes}
        return {name: value for name, value in found.items() if value} or None


class Body:
    """The values of a request, looked up by field."""

    def __init__(self, values: Mapping[str, Any], told: Told | None = None) -> None:
        self.told = Told() if told is None else told
        nested = next((values[name] for name in NESTED if values.get(name) not in (None, "")), None)
        self._places = [values, as_object(values.get("param_obj")), as_object(nested)]
        for name in values:
            if name not in KNOWN:
                self.told.ignore(str(name)[:100])

    def raw(self, name: str) -> Any:
        """The value as it was sent; None where no name of the field is there."""
        for place in self._places:
            for alias in RULES[name].names:
                if place.get(alias) is not None:
                    return place[alias]
        return None

    def value(self, name: str) -> Any:
        """The value in its kind; None where it was not sent, or where it cannot be read, which is told."""
        sent, kind = self.raw(name), RULES[name].kind
        if sent is None or kind == ANY:
            return sent
        read = _READERS[kind](sent)
        if read is None and sent != "":
            self.told.change(name, sent, None, f"this cannot be read as {kind}")
        return read

    def text(self, name: str) -> str:
        """A text, empty where none was sent."""
        return self.value(name) or ""

    def flag(self, name: str, default: bool) -> bool:
        """A switch."""
        found = self.value(name)
        return default if found is None else bool(found)

    def number_in(self, name: str, least: float, most: float) -> Any:
        """A number inside its bounds: one beyond becomes the nearest, which is told. None where none was sent."""
        found = self.value(name)
        if found is None:
            return None
        held = min(max(found, type(found)(least)), type(found)(most))
        if held != found:
            self.told.change(name, found, held, f"this is {least:g} to {most:g}")
        return held

    def choice(self, name: str, choices: Mapping[str, Any] | frozenset[str]) -> str:
        """One of some words, in small letters; another word counts as not sent, which is told."""
        sent = self.text(name)
        found = sent.strip().lower()
        if found and found not in choices:
            self.told.change(name, sent, None, f"this is one of {', '.join(sorted(choices))}")
            return ""
        return found

    def ignore(self, *names: str) -> None:
        """Tell that fields change nothing here, where they were sent."""
        for name in names:
            if self.raw(name) not in (None, ""):
                self.told.ignore(name)


def given(**values: Any) -> dict[str, Any]:
    """What is there of some parameters."""
    return {name: value for name, value in values.items() if value is not None}


def as_object(value: Any) -> Mapping[str, Any]:
    """An object, or the JSON text of one; anything else holds nothing."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}


def read_text(value: Any) -> str | None:
    """A text; a number as it is written."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def read_boolean(value: Any) -> bool | None:
    """True and false, 1 and 0, and the texts in `TRUE`; every other text is false."""
    if isinstance(value, str):
        return value.strip().lower() in TRUE
    return bool(value) if isinstance(value, (bool, int, float)) else None


def read_integer(value: Any) -> int | None:
    """A whole number: fractions are cut, a text must be written as one."""
    try:
        if isinstance(value, float):
            return int(value)
        return int(value) if isinstance(value, int) or (isinstance(value, str) and len(value) < 40) else None
    except (ValueError, OverflowError):
        return None


def read_number(value: Any) -> float | None:
    """A finite number."""
    try:
        found = float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


_READERS = {TEXT: read_text, BOOLEAN: read_boolean, INTEGER: read_integer, NUMBER: read_number}
