"""JSON that means harm: requests as real clients send them, with values exchanged, and with bytes cut, doubled or changed.

Pure, and the same for the same seed. The fuzz tests and benchmarks of the doors that speak JSON draw from it.
"""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from bridge.testing.hostile import mutate

BAD_VALUES: list[Any] = [
    None, True, -1, 0, 2**31, -(2**63), 2**64, 1e308, float("inf"), float("nan"), "", " ", "x" * 5_000, "\x00", "../../etc/passwd",
    "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/", "\u202e", "é" * 300, [], {}, [[]], [{}] * 50, {"path": "/etc/passwd"},
    {"__proto__": 1}, ["../x"], "%2e%2e%2f", "C:\\windows", "'; DROP TABLE jobs; --", "${jndi}", "<script>",
]  # fmt: skip
"""What no field expects, or what some program somewhere has stumbled over."""


def mutated(value: Any, chance: random.Random) -> bytes:
    """A request as JSON, with something wrong in it."""
    if chance.random() < 0.25:
        return mutate(json.dumps(value).encode(), chance)
    changed = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        changed = _changed(changed, chance)
    return json.dumps(changed).encode()


def deep(levels: int) -> bytes:
    """Lists within lists."""
    return b"[" * levels + b"]" * levels


def _changed(value: Any, chance: random.Random) -> Any:
    """The value with one place of it exchanged, dropped or added."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        if chance.random() < 0.15:
            return {name: inner for name, inner in value.items() if name != key}
        if chance.random() < 0.1:
            return {**value, chance.choice(["x", "", "id", "__class__", "\x00"]): chance.choice(BAD_VALUES)}
        return {**value, key: _changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        if chance.random() < 0.15:
            return value[:at] + value[at + chance.randint(0, 2) :]
        return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
    return copy.deepcopy(chance.choice(BAD_VALUES))
