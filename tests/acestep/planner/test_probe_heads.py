"""Which attention heads follow the lyrics: the checkpoint's own word first, then the table of its size."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acestep.planner.probe import HEADS, XL_HEADS, alignment_heads

SIZES = {False: (24, 16), True: (32, 32)}
"""Blocks and query heads of the 2B and of the XL network."""


def model(path: Path, *, xl: bool, blocks: int = 0, heads: int = 0) -> Any:
    """What the choice of heads reads of an opened model; the networks themselves are 20 GB."""
    layer = SimpleNamespace(cross_attn=SimpleNamespace(heads=heads or SIZES[xl][1]))
    return SimpleNamespace(
        info=SimpleNamespace(path=str(path), xl=xl),
        transformer=SimpleNamespace(layers=[layer] * (blocks or SIZES[xl][0])),
    )


def test_each_size_has_its_own_table(tmp_path: Path) -> None:
    """The 2B table would fit into an XL network, and point at heads that follow nothing."""
    assert alignment_heads(model(tmp_path, xl=False)) == (HEADS, True)
    table, exact = alignment_heads(model(tmp_path, xl=True))
    assert exact and table == XL_HEADS
    assert table == {3: (18, 27), 4: (22,), 5: (5, 6, 7), 6: (2, 12, 13), 7: (20, 21)}


@pytest.mark.parametrize("place", ["config.json", "transformer/config.json"])
@pytest.mark.parametrize("xl", [False, True])
def test_the_checkpoints_own_table_stands_first(tmp_path: Path, place: str, xl: bool) -> None:
    """In whichever layout its config lies."""
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(json.dumps({"lyric_alignment_layers_config": {"7": [1, 2]}}))
    assert alignment_heads(model(tmp_path, xl=xl)) == ({7: (1, 2)}, True)


def test_a_small_network_is_said_to_have_none(tmp_path: Path) -> None:
    """All heads of its first half have to do, and the timing is not called exact."""
    table, exact = alignment_heads(model(tmp_path, xl=True, blocks=4, heads=4))
    assert not exact and table == {0: (0, 1, 2, 3), 1: (0, 1, 2, 3)}
