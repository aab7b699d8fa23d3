"""Numbers as people write and say them."""

from __future__ import annotations

import random

_UNITS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
          "eighteen nineteen").split()  # fmt: skip
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()


def below_hundred(value: int, dash: str = "-") -> str:
    """0 to 99 in words."""
    if value < 20:
        return _UNITS[value]
    tens, units = divmod(value, 10)
    return _TENS[tens] + (dash + _UNITS[units] if units else "")


def spoken(value: int, chance: random.Random) -> str:
    """0 to 999 in words, in one of the ways in which people say it: "one hundred and twenty-eight", "one twenty eight"."""
    dash = chance.choice("- ")
    hundreds, rest = divmod(value, 100)
    if not hundreds:
        return below_hundred(value, dash)
    if rest >= 10 and chance.random() < 0.3:
        return f"{_UNITS[hundreds]}{dash}{below_hundred(rest, dash)}"
    head = f"{chance.choice(('one', 'a')) if hundreds == 1 else _UNITS[hundreds]} hundred"
    if hundreds == 1 and chance.random() < 0.1:
        head = "hundred"
    return head + (chance.choice((" and ", " ")) + below_hundred(rest, dash) if rest else "")


def written(value: int, chance: random.Random, words: float = 0.55) -> str:
    """A number in words, or with this chance's rest in digits."""
    return spoken(value, chance) if chance.random() < words else str(value)
