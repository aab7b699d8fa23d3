"""The forms of REAPER and Ardour: every field of every operation within reach, by groups, and nothing sent that nobody chose."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from acestep.api import Registry
from acestep.api.schema import describe

from . import lua_host

OPERATIONS = ("repaint", "extract", "generate", "cover", "lego", "complete", "extend", "flow-edit")

WALK = """
function(import, fields_text, ask, answers, last_text)
  local json, forms = import("json"), import("forms")
  local fields, last, log = json.decode(fields_text), json.decode(last_text), {}
  local rows = forms.rows(fields, json.decode(ask), last)
  local pages = forms.pages(fields, rows, last)
  local step, result = 0, nil
  local function show(title, shown, done)
    step = step + 1
    log[#log + 1] = { title = title, rows = shown }
    local texts = {}
    for index, row in ipairs(shown) do texts[index] = answers(step, row.name) or forms.show(row) end
    done(forms.values(shown, texts))
  end
  forms.dialogue(show, "Form", rows, pages, last, function(values) result = values end)
  return json.encode({ log = log, values = result or json.null, pages = pages })
end
"""


REMADE = """
function(import, fields_text, other_text, answers, last_text)
  local json, forms = import("json"), import("forms")
  local last, asked = json.decode(last_text), json.list()
  local function form_of(fields, values)
    local rows = forms.rows(fields, { "caption", "strength" }, values)
    return rows, forms.pages(fields, rows, values)
  end
  local step, result = 0, nil
  local function show(title, shown, done)
    step = step + 1
    local texts = {}
    for index, row in ipairs(shown) do texts[index] = answers(step, row.name) or forms.show(row) end
    done(forms.values(shown, texts))
  end
  local function remake(values, next)
    asked[#asked + 1] = forms.model_of(values)
    next(form_of(json.decode(other_text), values))
  end
  local rows, pages = form_of(json.decode(fields_text), last)
  forms.dialogue(show, "Form", rows, pages, last, function(values) result = values end, remake)
  return json.encode({ asked = asked, values = result, first = forms.model_of(last) })
end
"""
"""A form in which another model may be chosen."""


def fields_of(operation: str) -> list[dict[str, Any]]:
    """What the daemon describes."""
    registry = Registry.load()
    found = []
    for info in describe(registry.operation(operation).schema):
        field = msgspec.to_builtins(info)
        if info.choices_from and not info.choices:
            field["choices"] = registry.choices(info.choices_from)
        found.append(field)
    return found


def walk(operation: str, ask: list[str], answers: Any, last: dict[str, Any]) -> dict[str, Any]:
    lua, load = lua_host.core("54")
    return json.loads(
        lua.eval(WALK)(load, json.dumps(fields_of(operation)), json.dumps(ask), answers, json.dumps(last))
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_field_of_an_operation_is_within_reach(operation: str) -> None:
    """The short form and its pages hold each field once, but those that the host fills in and those that are for programs."""
    found = walk(operation, ["caption", "variants", "seed"], lambda step, name: None, {})
    names = [row["name"] for row in found["log"][0]["rows"]] + [
        row["name"] for page in found["pages"] for row in page["rows"]
    ]
    assert len(set(names)) == len(names)
    for field in fields_of(operation):
        simple = "map" not in field["type"] and "list[list" not in field["type"]
        placed = field.get("group") in ("source", "internal") or field["name"] in {
            *("returns", "length", "rate", "folder", "name", "span_start", "span_end"),
            *("tempo_map", "bar_offset", "stages", "regions"),
        }
        unnamed = field["name"] == "sound" and not any(field["choices"])  # nothing to choose yet
        assert (field["name"] in names) == (simple and not placed and not unnamed), field["name"]
    assert all(len(page["rows"]) <= 14 for page in found["pages"])


def test_what_nobody_chose_is_not_sent() -> None:
    """Optional choices begin empty; a page that is looked at sends nothing of its own."""
    pages = {1: "Music", 2: None, 3: "Model"}
    found = walk(
        "generate", ["caption", "variants", "seed"], lambda step, name: pages.get(step) if name == "more" else None, {}
    )
    assert found["values"] == {"caption": "", "variants": 1} or found["values"] == {"variants": 1}
    (key,) = [row for page in found["pages"] for row in page["rows"] if row["name"] == "key"]
    assert key["optional"] and "value" not in key
    assert found["log"][1]["title"] == "Form: Music"


def test_what_is_chosen_on_a_page_is_sent_and_told() -> None:
    """A value of a page goes with the job, stands in the label of the row More, and is the last value of the next time."""

    def answers(step: int, name: str) -> str | None:
        return {(1, "more"): "Music", (2, "key"): "a minor", (2, "bpm"): "96.5"}.get((step, name))

    found = walk("generate", ["caption", "seed"], answers, {})
    assert (found["values"]["key"], found["values"]["bpm"]) == ("A minor", 96.5)
    (more,) = [row for row in found["log"][2]["rows"] if row["name"] == "more"]
    assert more["label"] == "More (set: Key, Tempo (bpm))" or more["label"] == "More (set: Tempo (bpm), Key)"
    again = walk("generate", ["caption", "seed"], lambda step, name: None, found["values"])
    assert again["values"]["key"] == "A minor"


def test_another_model_has_another_form() -> None:
    """It is asked for once the model is chosen; what was filled in stays where that model takes it, and the rest is not sent."""
    whole = fields_of("cover")
    of_v1 = [dict(field) for field in whole if field["name"] not in ("strength", "guide")]
    for field in of_v1:
        if field["name"] == "steps":
            field |= {"min": 1, "max": 200, "default": 60}
        if field["name"] == "sampler":
            field["choices"] = ["auto", "euler", "heun", "pingpong"]

    def answers(step: int, name: str) -> str | None:
        first = {(1, "caption"): "warm tape", (1, "strength"): "0.5", (1, "more"): "Model", (2, "model"): "v1"}
        return {**first, (3, "caption"): "warm tape"}.get((step, name))

    whole = [{**field, "choices": ["", "turbo", "v1"]} if field["name"] == "model" else field for field in whole]
    of_v1 = [{**field, "choices": ["", "turbo", "v1"]} if field["name"] == "model" else field for field in of_v1]
    last = {"sampler": "dpmpp_2m", "steps": 9, "guidance_scale": 3.5}
    lua, load = lua_host.core("54")
    form = lua.eval(REMADE)(load, json.dumps(whole), json.dumps(of_v1), answers, json.dumps(last))
    found = json.loads(form)
    assert (found["first"], found["asked"]) == ("default", ["v1"])
    assert found["values"] == {"caption": "warm tape", "model": "v1", "steps": 9, "guidance_scale": 3.5}


def test_labels_are_a_musicians_words() -> None:
    """No field shows its name twice, none shows an underscore, and a new seed is an empty line."""
    found = walk("repaint", ["caption", "seed"], lambda step, name: None, {})
    rows = [*found["log"][0]["rows"], *(row for page in found["pages"] for row in page["rows"])]
    labels = {row["name"]: row["label"] for row in rows}
    assert labels["seed"] == "Seed: leave empty for a new one" and labels["bpm"] == "Tempo (bpm)"
    assert not [label for label in labels.values() if "_" in label]
    (seed,) = [row for row in rows if row["name"] == "seed"]
    assert "value" not in seed


def test_instruments_stand_in_a_musicians_order() -> None:
    """Voices first, effects last, shown without underscores; what is typed may have spaces."""
    found = walk("extract", ["track"], lambda step, name: "Backing vocals" if name == "track" else None, {})
    (track,) = [row for row in found["log"][0]["rows"] if row["name"] == "track"]
    assert track["choices"][:3] == ["vocals", "backing_vocals", "drums"] and track["choices"][-1] == "fx"
    assert found["values"]["track"] == "backing_vocals"


def test_titles_stand_for_names() -> None:
    """What has a title is offered, typed and named in errors by it; the name is what is sent."""
    lua, load = lua_host.core("54")
    row = {"name": "operation", "label": "Operation", "kind": "choice", "choices": ["refine", "preset-night"]}
    row["titles"] = {"preset-night": "Night drive"}
    ask = lambda text: lua_host.call(lua, load, "forms", "values", [[row], [text]])  # noqa: E731
    assert ask("night drive")["value"] == ask("preset-night")["value"] == {"operation": "preset-night"}
    assert ask("x")["refusal"] == "Operation: 'x' cannot be used here; enter refine, Night drive."


def test_an_empty_seed_is_what_its_label_says() -> None:
    """A new one where the default is none or random; where an operation has a seed of its own, as a training has, that number."""
    labels = {
        operation.name: (field.default, field.label)
        for operation in Registry.load().operations.values()
        for field in describe(operation.schema)
        if field.name == "seed"
    }
    assert labels["train"] == (42, "Seed: 42 when left empty")
    assert len(labels) > 10
    for default, label in labels.values():
        random = default in (None, -1)
        assert label == ("Seed: leave empty for a new one" if random else f"Seed: {default} when left empty")
