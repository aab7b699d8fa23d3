"""The worker reads the canonical recipe and nothing else, and plans it as the door did."""

import pytest

from acestep.admission.recipe import read_recipe
from acestep.admission.render import RenderAdmission, admit_render
from acestep.api.errors import BadPreset, BadRequest, UnknownName

SOURCE = {"source": "/song.wav", "start": 100, "end": 44_100}
CHAIN = {
    "stages": [
        {"type": "make"},
        {"type": "edit", "source": {"stage": 1, "start": 10, "end": 4_000}, "returns": ["whole"]},
        {"type": "edit", "source": {"stage": 2}},
    ],
    "output": {"length": 44_100, "rate": 44_100},
}
REQUESTS = [
    ("edit", SOURCE),
    ("edit", {**SOURCE, "returns": ["span"], "span_start": 0, "span_end": 44_200}),
    ("edit", {"source": "/song.wav", "regions": [{"start": 0, "end": 9_000}, {"start": 20_000, "end": 30_000}]}),
    ("make", {"duration": "2bars", "bpm": 90.0, "time_signature": "3/4", "variants": 3, "seeds": [7]}),
    ("make", {"sampler": "ode", "timesteps": [1.0, 0.5]}),
    ("render", CHAIN),
]


@pytest.mark.parametrize(("operation", "fields"), REQUESTS)
def test_what_was_written_is_read_and_planned_the_same(registry, host, operation, fields):
    admitted = admit_render(registry, operation, fields, host)
    render = read_recipe(registry, admitted.to_data())
    assert render == admitted.render
    again = RenderAdmission(registry, host, render).run()
    assert (again.request, again.plans, again.inputs) == (admitted.request, admitted.plans, admitted.inputs)


def test_the_clients_forms_are_not_read(registry):
    """Flat fields, seconds and the forms of earlier versions were settled at the door."""
    with pytest.raises(BadRequest):
        read_recipe(registry, {**SOURCE})
    with pytest.raises(BadRequest) as caught:
        read_recipe(registry, {"stages": [{"type": "edit"}], "source": {"path": "/song.wav", "end_seconds": 2.0}})
    assert caught.value.field == "source.end_seconds"
    with pytest.raises(BadPreset, match="submit it again"):
        read_recipe(registry, {"stages": [{"type": "make", "input": None}], "version": 1})


def test_a_stage_type_that_is_gone_names_the_stage(registry):
    """A plug-in may be removed while a job waits."""
    with pytest.raises(UnknownName) as caught:
        read_recipe(registry, {"stages": [{"type": "make"}, {"type": "gone"}]})
    assert caught.value.message.startswith("stage 2") and caught.value.field == "stages[1].type"


TOO_MANY = [1.0 - index / 300 for index in range(201)]


@pytest.mark.parametrize("timesteps", [[], [0.0], [0.5, 0.9], [0.5, 0.5 - 1e-12], [1.5], [0.5, -0.1], TOO_MANY])
def test_timesteps_that_no_run_can_follow_are_refused_at_the_door(registry, host, timesteps):
    """By the rule of the run itself: in float32, with the closing 0 that may be left out."""
    with pytest.raises(BadRequest) as caught:
        admit_render(registry, "make", {"timesteps": timesteps}, host)
    assert caught.value.field == "timesteps"
