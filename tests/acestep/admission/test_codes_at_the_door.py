"""A model without the networks for semantic codes: what would need them is refused before anything is stored or planned."""

from __future__ import annotations

import pytest

from acestep.admission.render import admit
from acestep.api.errors import ModelUnsuited
from acestep.api.plan import Length, Plan
from acestep.api.variants import ModelInfo


class Lacking:
    """A machine whose models come from diffusers repositories without the two parts."""

    def __init__(self, lacks: tuple[str, ...], assumed: str = "") -> None:
        self.lacks, self.assumed = lacks, assumed

    def model(self, name: str) -> ModelInfo:
        tasks = ("text2music",)
        return ModelInfo(
            name="thin", path="", variant="turbo", task_types=tasks, lacks=self.lacks, assumed=self.assumed
        )


@pytest.fixture
def registry(registry):
    """Its stage takes codes and guides, as generate does."""
    make = registry.stage("make")
    plan = Plan(task="text2music", instruction="Make:", length=Length.REQUEST, semantic_codes=True, guide=True)
    make.plan = lambda params, source, model: plan
    return registry


PARTS = ("audio_tokenizer", "audio_token_detokenizer")


@pytest.mark.parametrize(("wish", "field"), [
    ({"audio_codes": [1, 2]}, "audio_codes"), ({"codes": [[1, 2]]}, "codes"), ({"guide": "Am F"}, "guide"),
    ({"thinking": True}, "thinking"),
])  # fmt: skip
def test_what_needs_codes_is_refused_at_the_door(registry, wish, field) -> None:
    """By field, with the parts' names; a model that has them, or can borrow them, takes the same request."""
    with pytest.raises(ModelUnsuited, match="audio_tokenizer and audio_token_detokenizer") as caught:
        admit(registry, "make", wish, Lacking(PARTS))
    assert caught.value.field == field
    admit(registry, "make", wish, Lacking(()))


@pytest.mark.parametrize("wish", [{}, {"guide": "none"}, {"thinking": True, "planner_codes": False}])
def test_what_needs_none_is_taken(registry, wish) -> None:
    """Words alone, no guide, and plans without codes."""
    admit(registry, "make", wish, Lacking(PARTS))


def test_what_was_assumed_of_a_model_is_a_note(registry) -> None:
    """A result says so, like everything else that nobody asked for."""
    notes = admit(registry, "make", {}, Lacking((), "it is run as base")).notes
    assert "thin: it is run as base" in notes
