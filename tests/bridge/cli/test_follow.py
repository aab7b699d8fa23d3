"""What a terminal shows of a job under way."""

from __future__ import annotations

from bridge.cli.follow import UnitRate


def test_slow_units_are_told_by_the_minute():
    """From the first one that was seen, so that songs which were there already do not count; each stage begins again."""
    now = [0.0]
    rate = UnitRate(lambda: now[0])

    def at(seconds, stage, step):
        now[0] = seconds
        return rate.words({"stage": stage, "step": step, "steps": 40})

    assert at(0, "sounds", 8) == ""
    assert at(10, "sounds", 9) == ", 6.0 a minute"
    assert at(19, "sounds", 9) == ", 6.0 a minute"
    assert at(20, "sounds", 10) == ", 6.0 a minute"
    assert at(21, "words", 1) == ""
    assert at(22, "words", 30) == ""
