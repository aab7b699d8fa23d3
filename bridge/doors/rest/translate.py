"""A request of ACE-Step's REST interface becomes one of ours: operation and parameters. Pure.

What the original would take in silence is told (`fields.Told`); what cannot be done as asked is refused: a task that there is
none of, a format that is not written, a path that is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from acestep.api import limits, music
from acestep.api.errors import BadRequest, NotAllowed, UnknownName
from acestep.api.formats import FORMATS, NOT_WRITTEN
from acestep.api.music import INSTRUMENTAL_FORMS
from bridge.doors.rest.fields import Body, Told, given, read_integer
from bridge.doors.rest.planned import LanguageModels, planned, planner_settings

TASKS = {
    "text2music": "generate",
    "cover": "cover",
    "cover-nofsq": "cover",
    "repaint": "repaint",
    "lego": "lego",
    "extract": "extract",
    "complete": "complete",
}
"""The original's task types -> our operations."""

FORMAT_NAMES = {"wav32": "wav32f"}
"""The original's names of formats that are called otherwise here."""

TAKES = 2
"""Results of a request that does not say how many."""

SWITCHED_OFF = ("use_tiled_decode", "is_format_caption", "constrained_decoding", "repaint_latent_crossfade_frames", "instruction",
                "analysis_only")  # fmt: skip
"""Fields that change nothing here: the bridge looks after memory itself, words are always constrained, blends follow the mode."""

ONLY_IN_REGIONS = ("repainting_start", "repainting_end", "chunk_mask_mode")
ONLY_FOR_REPAINT = ("repaint_mode", "repaint_strength", "repaint_wav_crossfade_sec")

WORDS = {
    "chunk_mask_mode": ("auto", "explicit"),
    "repaint_mode": ("conservative", "balanced", "aggressive"),
    "lm_backend": ("vllm", "pt", "mlx"),
}
"""Fields that hold one of a few words; with any other the original fails."""

ONLY_FOR_EDITS = ("audio_cover_strength", "cover_noise_strength", "track_name", "track_classes")

UPLOAD = "upload:"
"""Before the id of an upload, where a field takes a path."""

_CODE = re.compile(r"<\|audio_code_(\d{1,6})\|>")


@dataclass(frozen=True)
class Standing:
    """What a request meets: who sent it, what is on this machine, and what earlier calls have set."""

    local: bool = True
    """Whether its paths mean files of this machine."""
    models: frozenset[str] = frozenset()
    model: str = ""
    """The model that `/v1/init` has named; empty: the daemon's default."""
    planner: bool = False
    """Whether a language model is on this machine that is taken where none is named."""
    adapters: tuple[str, ...] = ()
    """What `/v1/lora/load` has loaded, as the parameter ``lora`` takes it."""
    planners: frozenset[str] = frozenset()
    """Names of the language models on this machine, such as ``lm-0.6B``."""

    @property
    def language(self) -> LanguageModels:
        """What the language model's part of a request meets."""
        return LanguageModels(self.planner, self.planners)


@dataclass(frozen=True)
class Translation:
    """What a request means."""

    operation: str
    params: dict[str, Any]
    told: Told
    words: tuple[str, dict[str, Any]] | None = None
    """An operation of the language model whose answer fills the parameters first, and its own parameters."""
    prompt: str = ""
    lyrics: str = ""


def translate(values: Mapping[str, Any], files: Mapping[str, str], standing: Standing) -> Translation:
    """The translation of a request. ``files`` are uploads by part: ``source``, ``reference``. Raises an `AceError`."""
    body = Body(values)
    for name in SWITCHED_OFF:
        if body.raw(name) not in (None, ""):
            body.told.ignore(name)
    _check_words(body)
    if body.flag("full_analysis_only", False) or body.flag("extract_codes_only", False):
        return _analysis(body, files, standing)
    task = body.text("task_type").strip().lower() or "text2music"
    if task not in TASKS:
        raise BadRequest(
            f"there is no task type {task[:64]!r} here; there are {', '.join(TASKS)}",
            field="task_type",
            limits={"choices": list(TASKS)},
        )
    operation = TASKS[task]
    source = _file(body, files, standing, part="source", name="src_audio_path")
    params = {**_music(body), **_sampling(body), **_model(body, standing), **_output(body, operation)}
    reference = _file(body, files, standing, part="reference", name="reference_audio_path")
    if reference:
        params["reference"] = reference.get("source") or UPLOAD + reference["upload"]
    codes = _codes(body)
    if operation == "cover" and not source and codes:
        operation = "generate"  # codes stand for the song that is covered
    if operation == "generate":
        if source:
            body.told.ignore("src_audio_path")
        body.ignore(*ONLY_IN_REGIONS, *ONLY_FOR_REPAINT, *ONLY_FOR_EDITS)
        params |= {"audio_codes": codes} if codes else {}
    else:
        if codes:
            body.told.ignore("audio_code_string")
        params = _edit(body, params, task, source)
    words = planned(body, params, operation, standing.language)
    prompt, lyrics = body.text("prompt"), body.text("lyrics")
    return Translation(operation, params, body.told, words, prompt=prompt, lyrics=lyrics)


def _file(body: Body, files: Mapping[str, str], standing: Standing, *, part: str, name: str) -> dict[str, str]:
    """Where a sound lies, as our requests say it: an uploaded part beats a path; none where neither was sent."""
    if part in files:
        return {"upload": files[part]}
    path = body.text(name).strip()
    if not path:
        return {}
    if path.startswith(UPLOAD):
        return {"upload": path.removeprefix(UPLOAD)}
    if "://" in path or not PurePath(path).is_absolute():
        raise BadRequest(
            "name a sound by its absolute path on this machine, or upload it as a part of a form", field=name
        )
    if not standing.local:
        raise NotAllowed("only programs on this machine may name a file by its path; upload the file", field=name)
    return {"source": path}


def _music(body: Body) -> dict[str, Any]:
    """Words, tempo, key, metre, length. What the model does not know counts as not sent, and is told."""
    lyrics = body.text("lyrics")[: limits.MAX_LYRICS]
    found: dict[str, Any] = {
        "caption": body.text("prompt"),
        "lyrics": lyrics,
        "instrumental": lyrics.strip().lower() in INSTRUMENTAL_FORMS or not lyrics.strip(),
        "language": _known(body, "vocal_language", lambda text: _language(text)) or "en",
    }
    if body.text("global_caption"):
        found["global_caption"] = body.text("global_caption")
    bpm = body.value("bpm")
    if bpm is not None and bpm > 0:
        found["bpm"] = float(body.number_in("bpm", *limits.BPM_RANGE))
    key = _known(body, "key_scale", music.key_name)
    metre = _known(body, "time_signature", music.metre_name)
    found |= {name: value for name, value in (("key", key), ("time_signature", metre)) if value}
    duration = body.value("audio_duration")
    if duration is not None and duration > 0:
        found["duration"] = body.number_in("audio_duration", 0.1, limits.MAX_DURATION)
    return found


def _language(text: str) -> str:
    if text.strip().lower() not in music.LANGUAGES:
        raise UnknownName(f"there is no language {text[:40]!r}")
    return text.strip().lower()


def _known(body: Body, name: str, read: Any) -> str:
    text = body.text(name)
    try:
        return str(read(text)) if text.strip() and text.strip().upper() != "N/A" else ""
    except (BadRequest, UnknownName) as unknown:
        body.told.change(name, text, None, unknown.message)
        return ""


def _sampling(body: Body) -> dict[str, Any]:
    """Steps, guidance, solver, seeds. What is not sent is the model variant's own."""
    found: dict[str, Any] = {
        "steps": body.number_in("inference_steps", 1, limits.MAX_STEPS),
        "guidance_scale": body.number_in("guidance_scale", 1.0, 30.0),
        "shift": body.number_in("shift", 0.1, 20.0),
        "guidance_start": body.number_in("cfg_interval_start", 0.0, 1.0),
        "guidance_end": body.number_in("cfg_interval_end", 0.0, 1.0),
        "velocity_limit": body.number_in("velocity_norm_threshold", 0.0, 10.0),
        "velocity_average": body.number_in("velocity_ema_factor", 0.0, 0.95),
        "latent_shift": body.number_in("latent_shift", -2.0, 2.0),
        "latent_rescale": body.number_in("latent_rescale", 0.0, 4.0),
    }
    if body.choice("infer_method", frozenset({"ode", "sde"})) == "sde":
        found["sampler"] = "sde"
    else:
        found["sampler"] = body.choice("sampler_mode", frozenset({"euler", "heun"})) or None
    if body.flag("use_adg", False):
        found["guidance"] = "adg"
    elif body.choice("guidance_variant", frozenset({"apg_classic", "apg", "cfg"})):
        found["guidance"] = {"cfg": "cfg"}.get(body.text("guidance_variant").strip().lower(), "apg")
    takes = body.number_in("batch_size", 1, limits.MAX_VARIANTS)
    found["variants"] = TAKES if takes is None else takes
    seeds = [] if body.flag("use_random_seed", True) else _seeds(body)
    if len(seeds) > found["variants"]:
        body.told.change("seed", body.raw("seed"), seeds[: found["variants"]], "there are more seeds than results")
    found["seeds"] = seeds[: found["variants"]] or None
    return {name: value for name, value in found.items() if value is not None}


def _seeds(body: Body) -> list[int]:
    """The seeds of a number or a text such as ``5, 6,7``; negative ones and what is not a number leave none."""
    sent = body.raw("seed")
    parts = sent.split(",") if isinstance(sent, str) else [sent]
    found = [read_integer(part.strip() if isinstance(part, str) else part) for part in parts[: limits.MAX_VARIANTS * 8]]
    good = [seed for seed in found if seed is not None and seed >= 0]
    if sent not in (None, "", -1, "-1") and len(good) < len(parts):
        body.told.change("seed", sent, good or None, "a seed must be a whole number from 0")
    held = [seed % (limits.MAX_SEED + 1) for seed in good]
    if held != good:
        body.told.change("seed", sent, held, f"seeds are 0 to {limits.MAX_SEED}; what is larger is folded back")
    return held


def _model(body: Body, standing: Standing) -> dict[str, Any]:
    """The model that a request names if it is here, else the one that `/v1/init` chose, else the default."""
    found: dict[str, Any] = {"lora": list(standing.adapters)} if standing.adapters else {}
    name = body.text("model").strip().removeprefix("acestep/").removeprefix("acemusic/")
    if name in standing.models:
        return {**found, "model": name}
    if name:
        body.told.change(
            "model", name, standing.model or None, "this model is not on this machine; the default one is used"
        )
    return {**found, "model": standing.model} if standing.model else found


def _output(body: Body, operation: str) -> dict[str, Any]:
    """How the files are written. Raises `BadRequest` for a format that is not written."""
    name = body.text("audio_format").strip().lower() or "mp3"
    format_name = FORMAT_NAMES.get(name, name)
    if format_name not in FORMATS:
        known = [*FORMATS, *FORMAT_NAMES]
        why = NOT_WRITTEN.get(name, f"there is no format {name[:40]!r}; there are {', '.join(known)}")
        raise BadRequest(why, field="audio_format", limits={"choices": known})
    levelled = {"level": "peak", "level_target": -1.0} if operation in ("generate", "cover", "complete") else {}
    return {"format": format_name, **levelled}


def _codes(body: Body) -> list[int]:
    """Semantic codes of a text ``<|audio_code_5|>...``, of numbers with commas, or of a list."""
    sent = body.raw("audio_code_string")
    if isinstance(sent, list):
        parts = [read_integer(part) if not isinstance(part, str) else None for part in sent]
        return (
            _codes_of_text("".join(map(str, sent))) if None in parts else [part for part in parts if part is not None]
        )
    return _codes_of_text(sent) if isinstance(sent, str) else []


def _codes_of_text(text: str) -> list[int]:
    marked = [int(code) for code in _CODE.findall(text)]
    if marked or not text.strip():
        return marked
    numbers = [read_integer(part.strip()) for part in text.split(",")]
    if None in numbers:
        raise BadRequest("write codes as <|audio_code_5|><|audio_code_6|> or 5, 6", field="audio_code_string")
    return [number for number in numbers if number is not None]


def _edit(body: Body, params: dict[str, Any], task: str, source: dict[str, str]) -> dict[str, Any]:
    """The parameters of a task that works on a sound."""
    operation = TASKS[task]
    if not source:
        raise BadRequest(f"{task} needs a sound: the part src_audio, or src_audio_path", field="src_audio_path")
    if params.pop("duration", None) is not None:
        body.told.ignore("audio_duration")
    params |= source
    noise = body.number_in("cover_noise_strength", 0.0, 0.99)
    if operation == "cover":
        params |= given(strength=body.number_in("audio_cover_strength", 0.0, 1.0), noise_strength=noise)
        params |= {"bottleneck": False} if task == "cover-nofsq" else {}
    elif operation in ("lego", "extract"):
        params |= given(noise_strength=noise) | {"track": _track(body)}
    elif operation == "complete":
        params |= {"tracks": _tracks(body)}
    if operation in ("repaint", "lego"):
        params |= _region(body)
    else:
        body.ignore(*ONLY_IN_REGIONS)
    if operation == "repaint":
        params |= {**_repaint(body), "returns": ["whole"]}
    else:
        body.ignore(*ONLY_FOR_REPAINT)
    if operation == "extract":
        params["returns"] = ["stem"]
    return params


def _region(body: Body) -> dict[str, Any]:
    """Where the task works: from the start to the end of the sound where it is not said otherwise."""
    if body.text("chunk_mask_mode").strip().lower() == "explicit":
        body.told.ignore("chunk_mask_mode")
    start, end = body.value("repainting_start") or 0.0, body.value("repainting_end")
    if start < 0:
        body.told.change("repainting_start", start, 0.0, "a region must begin inside the sound")
        start = 0.0
    if end is not None and end <= 0:
        end = None
    if end is not None and end <= start:
        raise BadRequest("repainting_end lies behind repainting_start", field="repainting_end", limits={"min": start})
    return given(start_seconds=start, end_seconds=end)


def _repaint(body: Body) -> dict[str, Any]:
    fade = body.number_in("repaint_wav_crossfade_sec", 0.0, limits.MAX_CROSSFADE_MS / 1000)
    mode, strength = body.text("repaint_mode").strip().lower() or None, body.value("repaint_strength")
    return given(mode=mode, strength=strength, crossfade=fade * 1000 if fade else None)


def _check_words(body: Body) -> None:
    """Refuse what the original fails on, whatever the task is. Raises `BadRequest`."""
    for name, choices in WORDS.items():
        if body.text(name).strip().lower() not in ("", *choices):
            raise BadRequest(f"{name} is {', '.join(choices)}", field=name, limits={"choices": list(choices)})
    strength = body.value("repaint_strength")
    if strength is not None and not 0 <= strength <= 1:
        raise BadRequest("repaint_strength is 0 to 1", field="repaint_strength", limits={"min": 0, "max": 1})


def _track(body: Body) -> str:
    """The track as the model calls it. Raises `BadRequest` where none was sent, `UnknownName` for one that there is none of."""
    name = body.text("track_name").strip()
    if not name:
        raise BadRequest("this task needs track_name", field="track_name", limits={"choices": list(music.TRACKS)})
    return music.track_name(name, field="track_name")


def _tracks(body: Body) -> list[str]:
    sent = body.raw("track_classes")
    names = sent if isinstance(sent, list) else re.split(r"[,|]", sent.strip("[]")) if isinstance(sent, str) else []
    plain = [str(name).strip().strip("'\"") for name in names if str(name).strip()]
    return [music.track_name(name, field="track_classes") for name in plain[: len(music.TRACKS)]]


def _analysis(body: Body, files: Mapping[str, str], standing: Standing) -> Translation:
    """Listening instead of making: everything that can be said of a sound, or its codes alone."""
    source = _file(body, files, standing, part="source", name="src_audio_path")
    codes = _codes(body)
    given: dict[str, Any] = dict(source) if source else {"audio_codes": codes} if codes else {}
    if not given:
        raise BadRequest(
            "there is nothing to listen to: send the part src_audio, or src_audio_path", field="src_audio_path"
        )
    if body.flag("extract_codes_only", False):
        return Translation("codes", given, body.told)
    settings = planner_settings(body, standing.language, "", ("model", "temperature", "top_k", "top_p"))
    return Translation("understand", {**given, **settings}, body.told)
