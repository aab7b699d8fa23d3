"""Tensors of the published transformer that take no part in the maths: a fifth of the file. No torch."""

from __future__ import annotations

import re

_UNUSED = re.compile(r"projectors\.|transformer_blocks\.\d+\.cross_attn\.(add_[qkv]_proj|to_add_out)\.")


def is_unused(name: str) -> bool:
    """Whether a tensor belongs to the second set of projections of a cross-attention, or to the heads that only training used."""
    return _UNUSED.match(name) is not None
