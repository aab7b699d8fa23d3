"""The Lua interpreters that the fake hosts run in."""

from __future__ import annotations

import random

import pytest

from daw_scripts.lua_host import runtime

FETCH = """
function(give, expect, times)
  local kept = {}
  for time = 1, times do
    local address, thing = give()
    expect(address, thing)
    kept[time % 700] = thing
    if time % 5000 == 0 then kept = {} end
  end
end
"""


@pytest.mark.parametrize("version", ["53", "54"])
def test_lua_gets_the_object_it_was_given(version: str) -> None:
    """Of thousands of objects that come and go, none is taken for another."""
    things = [object() for _ in range(5000)]
    picks = random.Random(1)
    wrong: list[object] = []

    def give() -> tuple[int, object]:
        thing = things[picks.randrange(picks.choice([50, 500, 5000]))]
        return id(thing), thing

    def expect(address: int, thing: object) -> None:
        if address != id(thing):
            wrong.append(thing)

    runtime(version).eval(FETCH)(give, expect, 100_000)
    assert not wrong
