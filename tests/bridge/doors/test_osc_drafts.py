"""Drafts: parameters one by one, a count that finds a lost one, repeats that are harmless."""

from __future__ import annotations

import pytest

from acestep.api.errors import Busy, IncompleteRequest
from bridge.doors import limits
from bridge.doors.osc.drafts import Drafts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def drafts(clock):
    numbers = iter(range(100))
    return Drafts(clock, lambda: f"made-{next(numbers)}")


def test_a_draft_and_the_submit_together_are_the_request(drafts):
    """The submit's own pairs win over the draft; afterwards the draft is empty."""
    drafts.set("op", "a", 1)
    drafts.set("op", "b", 2)
    drafts.set("op", "a", 3)
    assert drafts.take("op", {"b": 9}, None) == {"a": 3, "b": 9, "id": "made-0"}
    assert drafts.take("op", {"c": 1}, None) == {"c": 1}


def test_a_lost_parameter_is_incomplete_and_the_draft_stays(drafts):
    """With the count given, nothing is submitted that lacks a part; sending the lost one again mends it."""
    drafts.set("op", "a", 1)
    with pytest.raises(IncompleteRequest) as caught:
        drafts.take("op", {}, 2)
    assert caught.value.limits == {"arrived": ["a"]}
    drafts.set("op", "b", 2)
    assert drafts.take("op", {}, 2) == {"a": 1, "b": 2, "id": "made-0"}


def test_a_repeated_submit_is_the_same_request(drafts, clock):
    """A retry after a lost answer has the same id, so it is the same job; later it is incomplete."""
    drafts.set("op", "a", 1)
    first = drafts.take("op", {}, 1)
    assert drafts.take("op", {}, 1) == first
    clock.now = limits.DRAFT_REPEAT_SECONDS + 1
    with pytest.raises(IncompleteRequest):
        drafts.take("op", {}, 1)


def test_an_id_set_in_the_draft_is_kept(drafts):
    """``/ace/op/<operation>/id``."""
    drafts.set("op", "id", "mine")
    assert drafts.take("op", {}, 1) == {"id": "mine"}


def test_drafts_are_bounded_and_forgotten(drafts, clock):
    """Too many at a time are busy; old ones make room."""
    for number in range(limits.DRAFT_OPERATIONS):
        drafts.set(f"op{number}", "a", 1)
    with pytest.raises(Busy):
        drafts.set("one-more", "a", 1)
    clock.now = limits.DRAFT_SECONDS + 1
    drafts.set("one-more", "a", 1)
    assert len(drafts) == 1


@pytest.mark.parametrize("count", [None, 2])
def test_a_second_button_on_a_draft_makes_no_second_job(drafts, clock, count):
    """At once it is the same request, later incomplete, and only a parameter that is set makes a request again."""
    drafts.set("op", "a", 1)
    drafts.set("op", "b", 2)
    first = drafts.take("op", {}, count)
    assert drafts.take("op", {}, None) == drafts.take("op", {}, 2) == first
    for later in (limits.DRAFT_REPEAT_SECONDS + 1, limits.DRAFT_SECONDS - 1):
        clock.now = later
        for again in (None, 1, 2):
            with pytest.raises(IncompleteRequest):
                drafts.take("op", {}, again)
    drafts.set("op", "a", 5)
    assert drafts.take("op", {}, count and 1)["a"] == 5


def test_a_sender_without_a_draft_may_submit_nothing(drafts):
    """An operation that needs no parameter is started by its address alone; one with its own pairs as well."""
    assert drafts.take("op", {}, None) == {}
    drafts.set("op", "a", 1)
    drafts.take("op", {}, 1)
    assert drafts.take("op", {"b": 2}, None) == {"b": 2}


def test_spent_drafts_make_room(drafts, clock):
    """What was handed in long ago does not hold up new drafts."""
    for number in range(limits.DRAFT_OPERATIONS):
        drafts.set(f"op{number}", "a", 1)
        drafts.take(f"op{number}", {}, 1)
    clock.now = limits.DRAFT_REPEAT_SECONDS + 1
    drafts.set("one-more", "a", 1)
    assert drafts.take("one-more", {}, 1)["a"] == 1
