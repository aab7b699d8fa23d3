"""Feature flags: what may be switched on or off without another version, each with its default and the reason for it.

``ACESTEP_FEATURE_<NAME>`` (1 or 0), the setting ``features`` (``name``, or ``-name`` for off) and the method ``features.set``
change one. A plug-in's own flag is the one that its operation or stage type names; it is off until somebody switches it on.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import msgspec

from acestep.api.errors import FeatureDisabled, UnknownName
from acestep.api.operation import Operation
from acestep.api.sentences import quoted

AUTOGEN = "autogen"
NANO_PLANNER = "nano_planner"


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """A flag of this program."""

    name: str
    summary: str
    default: bool
    reason: str
    """Why the default is what it is."""


FEATURES: tuple[Feature, ...] = (
    Feature(
        name=AUTOGEN,
        summary="AutoGen: submits one batch after another while you listen (`autogen.start`).",
        default=True,
        reason="It starts only when somebody asks, gives way to every other job and ends after its batches; a machine that "
        "several people share may want it off.",
    ),
    Feature(
        name=NANO_PLANNER,
        summary="The nano planner: where no language model is installed, a small one of our own helps the rules with words that "
        "they do not know.",
        default=False,
        reason="It is new, reads English only, and now and then takes a word for something else; docs/nano.md says how often.",
    ),
)
"""All of them."""

DEFAULTS = frozenset(feature.name for feature in FEATURES if feature.default)


def spellings(name: str) -> frozenset[str]:
    """A flag's name with ``-`` and with ``_``: environment variables cannot hold a dash."""
    return frozenset({name.replace("-", "_"), name.replace("_", "-")})


def known_features(operations: Mapping[str, Operation]) -> dict[str, Feature]:
    """This program's flags and those of plug-ins, by name."""
    found = {feature.name: feature for feature in FEATURES}
    for operation in operations.values():
        if operation.feature and operation.feature not in found:
            found[operation.feature] = Feature(
                name=operation.feature,
                summary=f"The operation {operation.name}: {operation.summary}",
                default=False,
                reason="A plug-in calls it experimental.",
            )
    return found


def require_known(name: str, operations: Mapping[str, Operation], field: str = "name") -> Feature:
    """The flag of that name, in either spelling. Raises `UnknownName` with the nearest."""
    known = known_features(operations)
    for spelling in spellings(name):
        if spelling in known:
            return known[spelling]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownName(f"there is no feature flag {quoted(name)}{hint}", field=field, limits={"choices": sorted(known)})


def require_on(name: str, on: Iterable[str], field: str = "name") -> None:
    """Raise `FeatureDisabled` about a field of a request for a flag of this program that is off."""
    if name not in on:
        raise FeatureDisabled(
            f"{name} is switched off here; `acestep-bridge features set {name}` switches it on until the daemon ends",
            field=field,
        )
