"""What is planned for a request of the REST interface, by a language model or rules, and the settings under our names. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from acestep.api import limits
from acestep.api.music import INSTRUMENTAL_FORMS
from bridge.doors.rest.fields import Body, given

ONLY_WITH_PLANNER = ("lm_model_path", "lm_backend", "lm_temperature", "lm_cfg_scale", "lm_top_k", "lm_top_p",
                     "lm_repetition_penalty", "lm_negative_prompt", "constrained_decoding_debug", "use_cot_caption",
                     "use_cot_language", "allow_lm_batch")  # fmt: skip


BY_RULES = "there is no language model on this machine, so rules plan what the request leaves open"
"""What the answer says where `acestep.planner.rules` take the language model's place."""


class LanguageModels(NamedTuple):
    """The language models of this machine."""

    usable: bool = False
    """Whether there is one that is taken where none is named."""
    names: frozenset[str] = frozenset()
    """Every name, as ``models list`` shows it: ``lm-0.6B``."""


def named_model(body: Body, here: LanguageModels) -> str | None:
    """The language model that a request names, if it is on this machine: by its folder, its own name, or its size."""
    sent = body.text("lm_model_path").strip().replace("\\", "/").rpartition("/")[2]
    known = {name.removeprefix("lm-") for name in here.names}
    return next((name for name in sorted(known) if sent in (name, f"lm-{name}", f"acestep-5Hz-lm-{name}")), None)


def planned(
    body: Body, params: dict[str, Any], operation: str, here: LanguageModels
) -> tuple[str, dict[str, Any]] | None:
    """What is planned: nothing, what is missing (``thinking``), or the words first, by an operation that is returned with its
    parameters. Where no language model can be used, rules take its place, which is told.
    """
    usable = here.usable or named_model(body, here) is not None
    query = body.text("sample_query").strip()
    composes = bool(query) or body.flag("sample_mode", False)
    if operation != "generate":
        body.ignore("thinking", "sample_query", "sample_mode", "use_format", *ONLY_WITH_PLANNER)
        return None
    formats, thinks = body.flag("use_format", False), body.flag("thinking", False)
    if (composes or formats or thinks) and not usable:
        body.told.notes.append(BY_RULES)
    if thinks and (usable or not (composes or formats)):
        params |= {"thinking": True, **planner_settings(body, here, "planner_")}
    elif not composes and not formats:
        body.ignore(*ONLY_WITH_PLANNER)
    settings = planner_settings(body, here, "", ("model", "temperature", "top_k", "top_p", "repetition_penalty"))
    known: dict[str, Any] = {
        name: params[name] for name in ("bpm", "key", "time_signature", "duration") if name in params
    }
    if composes:
        return "compose", {"query": query[: limits.MAX_CAPTION], **known, **settings}
    if formats:
        words = {"caption": params["caption"], "lyrics": params["lyrics"]}
        return "format", {**words, **known, **settings}
    return None


def planner_settings(body: Body, here: LanguageModels, prefix: str, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """Settings of the language model under our names."""
    name = named_model(body, here)
    if name is None and (sent := body.text("lm_model_path")):
        body.told.change("lm_model_path", sent, "auto", "this language model is not on this machine")
    if body.raw("lm_backend"):
        body.told.ignore("lm_backend")
    found = given(
        model=name,
        temperature=body.number_in("lm_temperature", 0.0, 2.0),
        cfg_scale=body.number_in("lm_cfg_scale", 1.0, 10.0),
        top_k=body.number_in("lm_top_k", 0, 1000),
        top_p=body.number_in("lm_top_p", 0.01, 1.0),
        repetition_penalty=body.number_in("lm_repetition_penalty", 1.0, 2.0),
        negative_prompt=body.text("lm_negative_prompt") or None,
        debug=body.value("constrained_decoding_debug"),
        caption=body.value("use_cot_caption"),
        language=body.value("use_cot_language"),
        parallel=body.value("allow_lm_batch"),
    )
    return {prefix + name: value for name, value in found.items() if not wanted or name in wanted}


def with_words(params: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with what was planned; what the request says itself stays, but for the words. Its lyrics give way only to
    lyrics: rules write none.
    """
    found = dict(params)
    if said.get("caption"):
        found["caption"] = said["caption"]
    if _sung(said.get("lyrics")) or not _sung(found.get("lyrics")):
        found["lyrics"] = said.get("lyrics") or found.get("lyrics", "")
    found["instrumental"] = not _sung(found["lyrics"])
    for name in ("bpm", "key", "time_signature", "duration"):
        if said.get(name) and name not in params:
            found[name] = said[name]
    if said.get("language") and (said["language"] != "unknown" or found["instrumental"]):
        found["language"] = said["language"]
    return found


def _sung(lyrics: Any) -> bool:
    return str(lyrics or "").strip().lower() not in ("", *INSTRUMENTAL_FORMS)
