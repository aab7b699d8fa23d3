"""A model without the networks for semantic codes: what would need them is refused before anything is stored or planned."""

from __future__ import annotations

import pytest

from acestep.admission.render import admit_render
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
        admit_render(registry, "make", wish, Lacking(PARTS))
    assert caught.value.field == field
    admit_render(registry, "make", wish, Lacking(()))


@pytest.mark.parametrize("wish", [{}, {"guide": "none"}, {"thinking": True, "planner_codes": False}])
def test_what_needs_none_is_taken(registry, wish) -> None:
    """Words alone, no guide, and plans without codes."""
    admit_render(registry, "make", wish, Lacking(PARTS))


def test_what_was_assumed_of_a_model_is_a_note(registry) -> None:
    """A result says so, like everything else that nobody asked for."""
    notes = admit_render(registry, "make", {}, Lacking((), "it is run as base")).notes
    assert "thin: it is run as base" in notes


class Foreign(Lacking):
    """A machine whose model has a codec, and so a codebook, of its own."""

    def model(self, name: str) -> ModelInfo:
        return ModelInfo(name="small", path="", variant="nano", task_types=("text2music",), latent_family="small-1")


@pytest.mark.parametrize(("wish", "said"), [
    ({"thinking": True}, "the planner does not know the codes of small, so it plans words and metadata only"),
    ({"audio_codes": [1, 2]}, "those of the planner mean nothing to it"),
    ({"codes": [[1, 2]]}, "those of the planner mean nothing to it"),
])  # fmt: skip
def test_a_model_with_another_codebook_is_told_of(registry, wish, said) -> None:
    """Codes that say nothing to the model are a note before the job runs; what is not a code is none."""
    assert any(said in note for note in admit_render(registry, "make", wish, Foreign(())).notes)
    assert not any("codes" in note for note in admit_render(registry, "make", {}, Foreign(())).notes)
    words = admit_render(registry, "make", {"thinking": True, "planner_codes": False}, Foreign(())).notes
    assert not any("codes" in note for note in words)
