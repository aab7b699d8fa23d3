"""A hit becomes the action its mapping says, once."""

import random

import mido
import pytest

from bridge.performance.mapping import Mapping, TriggerSpec
from bridge.performance.triggers import TriggerMachine


def machine(**spec) -> TriggerMachine:
    return TriggerMachine(
        Mapping(trigger=[TriggerSpec(**{"on": "note", "action": "submit", "operation": "generate", **spec})])
    )


def note(number: int, velocity: int = 100, channel: int = 0) -> mido.Message:
    return mido.Message("note_on", note=number, velocity=velocity, channel=channel)


def off(number: int, channel: int = 0) -> mido.Message:
    return mido.Message("note_off", note=number, channel=channel)


def control(number: int, value: int) -> mido.Message:
    return mido.Message("control_change", control=number, value=value)


def test_parameters_come_from_the_hit():
    hit = machine(params={"seed": "$note", "steps": "$velocity", "caption": "x", "bpm": "$bpm"}).feed(note(60, 90), 0.0)
    assert hit[0].params == {"seed": 60, "steps": 90, "caption": "x"}


@pytest.mark.parametrize(
    ("spec", "message", "fires"),
    [
        ({"low": 36, "high": 40}, note(40), True),
        ({"low": 36, "high": 40}, note(41), False),
        ({"channel": 10}, note(60, channel=9), True),
        ({"channel": 10}, note(60), False),
        ({}, note(60, velocity=0), False),
        ({"on": "program", "low": 5, "high": 5}, mido.Message("program_change", program=5), True),
        ({"bank": 3}, note(60), False),
    ],
)
def test_only_what_the_mapping_names_fires(spec, message, fires):
    assert bool(machine(**spec).feed(message, 0.0)) is fires


def test_a_bank_must_be_selected_first():
    triggers = machine(bank=130)
    triggers.feed(control(0, 1), 0.0)
    triggers.feed(control(32, 2), 0.0)
    assert triggers.feed(note(60), 0.0)


def test_hits_closer_than_the_debounce_time_are_one():
    triggers = machine(debounce=30.0)
    assert [len(triggers.feed(note(60), clock)) for clock in (0.0, 0.02, 0.05)] == [1, 0, 1]


def test_a_note_off_cancels_what_the_note_began():
    triggers = machine(release="cancel")
    begun = triggers.feed(note(60), 0.0)[0]
    ended = triggers.feed(off(60), 1.0)[0]
    assert (ended.kind, ended.key) == ("cancel", begun.key)
    assert triggers.feed(off(60), 2.0) == []


def test_a_second_hit_toggles():
    triggers = machine(release="toggle")
    kinds = [action.kind for clock in (0.0, 1.0, 2.0) for action in triggers.feed(note(60), clock)]
    assert kinds == ["submit", "cancel", "submit"]


def test_a_controller_fires_when_it_rises_over_the_threshold_and_only_then():
    triggers = machine(on="cc", low=64, high=64, release="cancel", debounce=0.0)
    kinds = [
        a.kind
        for clock, value in enumerate([10, 63, 64, 127, 80, 20, 90])
        for a in triggers.feed(control(64, value), clock)
    ]
    assert kinds == ["submit", "cancel", "submit"]


def test_a_14_bit_controller_joins_its_halves():
    triggers = machine(on="cc14", low=1, high=1, threshold=0.5, params={"steps": "$value"})
    assert triggers.feed(control(1, 63), 0.0) == []
    assert triggers.feed(control(33, 127), 1.0) == []
    assert triggers.feed(control(1, 64), 2.0)[0].params["steps"] == pytest.approx((64 * 128 + 127) / 16_383)


def test_a_chord_fires_once_with_its_name_and_key():
    triggers = machine(on="chord", notes=3, params={"key": "$key", "caption": "$chord"})
    actions = [action for number in (57, 60, 64) for action in triggers.feed(note(number), 0.0)]
    assert [action.params for action in actions] == [{"key": "A minor", "caption": "Am"}]


def test_held_notes_of_any_channel_give_chord_and_key_to_pads_and_pedals():
    """The keyboard plays on one channel, the pad that is hit on another; pads are not music."""
    triggers = machine(channel=10, params={"key": "$key", "caption": "pads over $chord"})
    for number in (57, 60, 64):
        assert triggers.feed(note(number), 0.0) == []
    hit = triggers.feed(note(37, channel=9), 0.0)[0]
    assert hit.params == {"key": "A minor", "caption": "pads over Am"}


@pytest.mark.parametrize(
    "silence", [mido.Message("reset"), control(123, 0), control(120, 0)], ids=["unplugged", "notes off", "sound off"]
)
def test_notes_that_are_silenced_are_held_no_longer(silence):
    triggers = machine(channel=10, params={"caption": "$chord"})
    for number in (57, 60, 64):
        triggers.feed(note(number), 0.0)
    triggers.feed(silence, 0.0)
    assert triggers.feed(note(37, channel=9), 0.0)[0].params == {}


def test_a_chord_is_released_when_its_own_range_is_empty():
    triggers = machine(on="chord", notes=2, low=48, high=72, release="cancel")
    triggers.feed(note(30), 0.0)
    begun = [action for number in (60, 64) for action in triggers.feed(note(number), 0.0)]
    ended = [action for number in (60, 64) for action in triggers.feed(off(number), 1.0)]
    assert [action.kind for action in begun + ended] == ["submit", "cancel"]


def test_a_knob_anywhere_can_set_a_parameter_of_a_hit():
    triggers = machine(channel=10, params={"strength": "$cc74"})
    triggers.feed(control(74, 127), 0.0)
    assert triggers.feed(note(60, channel=9), 0.0)[0].params == {"strength": 1.0}


def test_the_same_hit_by_two_ports_is_one():
    """A sender that is connected to the virtual port and is opened by us as well is heard twice; debounce makes it one."""
    triggers = machine(release="toggle")
    kinds = [action.kind for clock in (0.0, 0.001, 1.0, 1.001) for action in triggers.feed(note(60), clock)]
    assert kinds == ["submit", "cancel"]


def test_a_preset_runs_by_its_name():
    hit = machine(action="preset", operation="", preset="cover-and-polish").feed(note(60), 0.0)[0]
    assert (hit.kind, hit.operation) == ("preset", "cover-and-polish")


def test_a_new_mapping_knows_what_is_held():
    triggers = machine(params={"caption": "$chord"}, channel=10)
    for number in (57, 60, 64):
        triggers.feed(note(number), 0.0)
    other = triggers.adopt(triggers.mapping)
    assert other.feed(note(37, channel=9), 0.0)[0].params == {"caption": "Am"}


def test_a_controller_can_choose_the_slot():
    action = machine(on="cc", action="launch", slot=-1, low=20, high=35, operation="").feed(control(23, 127), 0.0)[0]
    assert action.slot == 3


def test_slots_can_follow_the_pitch():
    action = machine(action="launch", slot=-1, low=36, high=51, operation="").feed(note(40), 0.0)[0]
    assert (action.kind, action.slot) == ("launch", 4)


def test_a_second_hit_stops_the_slot_that_the_first_launched():
    triggers = machine(action="launch", slot=-1, low=36, high=51, operation="", release="toggle")
    actions = [action for clock in (0.0, 1.0) for action in triggers.feed(note(40), clock)]
    assert [(action.kind, action.slot) for action in actions] == [("launch", 4), ("stop", 4)]


def test_random_messages_do_no_harm():
    rng = random.Random(5)
    triggers = TriggerMachine(
        Mapping(
            trigger=[
                TriggerSpec(on=on, action="submit", operation="x", release=release)
                for on in ("note", "cc", "program", "chord")
                for release in ("cancel", "toggle")
            ]
        )
    )
    for clock in range(1000):
        kind = rng.choice(
            ["note_on", "note_off", "control_change", "program_change", "pitchwheel", "sysex", "clock", "reset"]
        )
        fields = {
            "note_on": ["note", "velocity"],
            "note_off": ["note"],
            "control_change": ["control", "value"],
            "program_change": ["program"],
        }.get(kind, [])
        message = mido.Message(kind, **{field: rng.randrange(128) for field in fields})
        assert isinstance(triggers.feed(message, clock / 100), list)
