"""Parameters of a mapping that take their values from the hit: ``"$note"``, ``"dub in $key"``, ``{from = "velocity", ...}``.

Pure: what a hit knows ("facts") goes in as a map, filled parameters come out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from acestep.api.errors import BadRequest

LARGEST: dict[str, float] = {"note": 127, "velocity": 127, "value": 1, "program": 127}
"""Numbers that a range can be laid over, with their largest value; so can ``cc0`` to ``cc127`` (0 to 1)."""

VARIABLES = (*LARGEST, "channel", "chord", "key", "bpm")
"""What a hit knows, besides the controllers: ``value`` is its strength or its controller's place, 0 to 1."""

_VARIABLE = re.compile(r"\$(\$|\w+)")
_CONTROLLER = re.compile(r"cc(12[0-7]|1[01]\d|[1-9]?\d)")
_RANGE = frozenset({"from", "low", "high"})


def check_params(params: Mapping[str, Any]) -> None:
    """Whether all that the parameters refer to exists. Raises `BadRequest` with the choices."""
    for name, value in params.items():
        for variable in _variables(value):
            if variable not in VARIABLES and not _CONTROLLER.fullmatch(variable):
                known = [*VARIABLES, "cc0 to cc127"]
                raise BadRequest(
                    f"{name}: there is no ${variable}; a hit knows {', '.join('$' + word for word in known)}",
                    field="params",
                    limits={"choices": known},
                )
        if _is_range(value) and not _good_range(value):
            raise BadRequest(
                f"{name}: a range is {{ from = VARIABLE, low = NUMBER, high = NUMBER }}, from one of "
                f"{', '.join(LARGEST)} or a controller",
                field="params",
            )


def fill_params(params: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with everything that refers to the hit replaced; what the hit does not know is left out."""
    filled = {name: _fill(value, facts) for name, value in params.items()}
    return {name: value for name, value in filled.items() if value not in (None, "")}


def _variables(value: Any) -> list[str]:
    if isinstance(value, str):
        return [word for word in _VARIABLE.findall(value) if word != "$"]
    return [str(value["from"])] if _is_range(value) else []


def _is_range(value: Any) -> bool:
    return isinstance(value, dict) and "from" in value


def _good_range(value: dict[str, Any]) -> bool:
    numbers = all(isinstance(value.get(end), (int, float)) for end in ("low", "high"))
    return set(value) == _RANGE and numbers and _largest(str(value["from"])) is not None


def _largest(variable: str) -> float | None:
    return 1.0 if _CONTROLLER.fullmatch(variable) else LARGEST.get(variable)


def _fill(value: Any, facts: Mapping[str, Any]) -> Any:
    if _is_range(value):
        return _scale(value, facts.get(value["from"]))
    if not isinstance(value, str):
        return value
    whole = _VARIABLE.fullmatch(value)
    if whole and whole[1] != "$":
        return facts.get(whole[1])
    return _write(value, facts)


def _scale(scale: dict[str, Any], fact: float | None) -> float | int | None:
    """The fact's place in its own range, laid over low to high; whole where both ends are."""
    if fact is None:
        return None
    low, high = scale["low"], scale["high"]
    found = low + (high - low) * fact / (_largest(scale["from"]) or 1.0)
    return round(found) if isinstance(low, int) and isinstance(high, int) else float(found)


def _write(text: str, facts: Mapping[str, Any]) -> str:
    """A text with its variables written out; one that is not known leaves no gap."""

    def word(found: re.Match[str]) -> str:
        fact = "$" if found[1] == "$" else facts.get(found[1])
        return "" if fact is None else f"{fact:g}" if isinstance(fact, float) else str(fact)

    written = _VARIABLE.sub(word, text)
    return written if written == text else " ".join(written.split())
