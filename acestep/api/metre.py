"""Time signatures: what a bar holds, what a beat of it is, and which of the model's four stands nearest."""

from __future__ import annotations

import re

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.sentences import quoted

MODEL_METRES = ("2", "3", "4", "6")
"""Time signatures the model knows, by their numerator (2/4, 3/4, 4/4, 6/8)."""

BARE = {"2": (2, 4), "3": (3, 4), "4": (4, 4), "6": (6, 8)}
"""What a metre without a denominator means: the model's own way of writing."""

DENOMINATORS = (1, 2, 4, 8, 16, 32)
MAX_NUMERATOR = 64

_WRITTEN = re.compile(r"(\d{1,2})(?:\s*/\s*(\d{1,2}))?")


class Metre(msgspec.Struct, frozen=True):
    """A time signature, such as 6/8. A beat is what the denominator says: in 6/8 an eighth, six of them to the bar."""

    numerator: int = 4
    denominator: int = 4

    @property
    def bar(self) -> float:
        """Quarter notes in a bar: 3 in 6/8."""
        return self.numerator * 4 / self.denominator

    @property
    def beat(self) -> float:
        """Quarter notes in a beat: 0.5 in 6/8."""
        return 4 / self.denominator

    @property
    def name(self) -> str:
        """As requests write it: the model's word for its own four, ``12/8`` for all others."""
        return str(self.numerator) if BARE.get(str(self.numerator)) == (self.numerator, self.denominator) else str(self)

    @property
    def compound(self) -> bool:
        """Whether its beats come in groups of three: 6/8, 9/8, 12/8."""
        return self.denominator >= 8 and self.numerator % 3 == 0

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"


def parse_metre(text: str, *, field: str = "metre") -> Metre:
    """A metre such as ``6/8``, ``4`` or ``12/8``. Raises `BadRequest`."""
    found = _WRITTEN.fullmatch(text.strip())
    if found and found[2] is None:
        if found[1] in BARE:
            return Metre(*BARE[found[1]])
        raise BadRequest(f"{quoted(text)} could mean quarters or eighths; also write the lower number", field=field)
    if not found or int(found[2]) not in DENOMINATORS or not 1 <= int(found[1]) <= MAX_NUMERATOR:
        raise BadRequest(
            f"{quoted(text)} is not a time signature such as 4/4, 3/4, 6/8 or 12/8",
            field=field,
            limits={"min": 1, "max": MAX_NUMERATOR, "denominators": list(DENOMINATORS)},
        )
    return Metre(int(found[1]), int(found[2]))


def model_metre(metre: Metre) -> str:
    """The model's nearest word: groups of three eighths and odd eighths are 6, the others go by the length of their bar."""
    if metre.compound or metre.bar != int(metre.bar):
        return "6"
    for known in (4, 3, 2):
        if metre.bar % known == 0:
            return str(known)
    return "4" if metre.bar > 4 else "2"
