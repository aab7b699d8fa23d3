"""How a model computes: in which number format, and whether its large matrices have 8 bits. Recipes hold it as text. No torch."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from acestep.api.errors import BadRequest

NUMBER_FORMATS = ("float32", "bfloat16", "float16")

INT8 = "int8"


class Precision(msgspec.Struct, frozen=True):
    """As text ``float32``, ``bfloat16``, ``float32 int8`` ..."""

    dtype: str
    int8: bool = False

    def __str__(self) -> str:
        return f"{self.dtype} {INT8}" if self.int8 else self.dtype


CHOICES = {
    str(precision): precision for dtype in NUMBER_FORMATS for precision in (Precision(dtype), Precision(dtype, True))
}
"""Every precision by its text."""


def read_precision(text: str, model: str) -> Precision:
    """What a recipe says of one of its models. Raises `BadRequest`."""
    if (found := CHOICES.get(text)) is None:
        raise BadRequest(
            f"{text!r} is not a precision; it takes {', '.join(CHOICES)}",
            field=f"precision.{model}",
            limits={"choices": list(CHOICES)},
        )
    return found


def check_precisions(texts: Mapping[str, str]) -> dict[str, str]:
    """A recipe's precisions, all of them readable. Raises `BadRequest`."""
    for model, text in texts.items():
        read_precision(text, model)
    return dict(texts)
