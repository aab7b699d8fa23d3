"""When drums are taken out of what a model made: by its words, its guide, its tracks, its task, and what it can."""

from __future__ import annotations

import msgspec
import pytest

from acestep.api import Registry
from acestep.api.conditioning import KIT_GUIDES
from acestep.api.drum_wish import drums_notes, settle_drums
from acestep.api.plan import Plan
from acestep.api.request import StageParams
from acestep.api.variants import ALL_TASKS, ModelInfo
from acestep.conditioning.guide_text import PULSE, STYLES

NANO = ModelInfo(name="nano", path="", variant="nano", task_types=ALL_TASKS)
MADE = Plan(task="text2music", instruction="")


@pytest.mark.parametrize(
    ("caption", "guide", "wish"),
    [("solo piano", "", "out"), ("rock", "", "model"), ("rock, no drums", "auto", "out"), ("", "", "model"),
     ("Klavier, ohne Schlagzeug", "Am F C G", "out"), ("solo piano", "beat four", "model"), ("piano", "Swing: Am F", "model"),
     ("guitar and shaker", "", "model"), ("solo piano", "pulse", "out"), ("solo piano", "none", "out")],
)  # fmt: skip
def test_words_and_guide_decide(caption, guide, wish):
    """A rhythm of a kit that is named as guide asks for drums, whatever the caption says."""
    assert settle_drums(MADE, StageParams(), (caption, guide), NANO) == wish


def test_the_rhythms_of_a_kit_are_those_of_the_guide():
    assert {*KIT_GUIDES, PULSE} == {*STYLES}


@pytest.mark.parametrize(
    ("change", "wish"),
    [({"task": "repaint"}, "out"), ({"task": "cover", "start_from_source": True, "t_start": 0.95}, "out"),
     ({"task": "lego"}, "model"), ({"task": "extract"}, "model"),
     ({"start_from_source": True, "t_start": 0.5}, "model")],
)  # fmt: skip
def test_what_makes_all_that_is_heard_is_held_to_its_words(change, wish):
    """A single track is what its name says; what begins near its source keeps what that has."""
    plan = msgspec.structs.replace(MADE, **change)
    assert settle_drums(plan, StageParams(), ("solo piano", ""), NANO) == wish


def test_a_track_that_is_named_stays():
    params = Registry.load().stage("complete").Params
    plan = msgspec.structs.replace(MADE, task="complete")
    assert settle_drums(plan, params(tracks=["bass", "drums"]), ("piano and bass", ""), NANO) == "model"
    assert settle_drums(plan, params(tracks=["bass"]), ("piano and bass", ""), NANO) == "out"


def test_other_models_are_left_alone_and_what_is_asked_is_done_or_told():
    """Only the small model plays drums of its own accord; asked for by name, any model that extracts takes them out."""
    base = ModelInfo(name="base", path="", variant="base", task_types=ALL_TASKS)
    turbo = ModelInfo(name="turbo", path="", variant="turbo", task_types=("text2music",))
    asked = StageParams(drums="out")
    assert settle_drums(MADE, StageParams(), ("solo piano", ""), base) == "model"
    assert settle_drums(MADE, asked, ("rock", ""), base) == "out" and not drums_notes(MADE, asked, base, "generate")
    assert drums_notes(MADE, asked, turbo, "generate") == ["drums out has no effect here: turbo cannot extract drums"]
    stem = Plan(task="extract", instruction="")
    assert drums_notes(stem, asked, NANO, "extract") == ["drums out has no effect here: extract makes a single track"]
