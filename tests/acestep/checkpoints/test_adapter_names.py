"""What an adapter is called: its folder, or the epoch after which a training kept it."""

from __future__ import annotations

from pathlib import Path

import pytest

from acestep.api.errors import UnknownName
from acestep.checkpoints.adapters import parse_adapters


def keep(folder: Path, epoch: int) -> Path:
    """An adapter of a training that has not ended: no other file of it is there yet."""
    place = folder / "checkpoints" / f"epoch_{epoch}"
    (place / "adapter").mkdir(parents=True)
    (place / "adapter" / "adapter_config.json").write_text("{}")
    return place


def test_what_a_training_kept_on_the_way_is_used_before_it_ends(tmp_path: Path) -> None:
    """Its samples ask for it, and whoever stopped it early: it needs neither a last nor a best one."""
    place = keep(tmp_path / "loras" / "night", 20)
    found = parse_adapters(["night@20=0.5"], [tmp_path / "none", tmp_path / "loras"])
    assert [(one.name, one.path, one.scale) for one in found] == [("night@20", place, 0.5)]


@pytest.mark.parametrize("name", ["night@21", "night@", "night@x", "@20", "..@20", "a/b@20", "night@²"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    keep(tmp_path / "loras" / "night", 20)
    keep(tmp_path, 20)
    with pytest.raises(UnknownName, match="there is no LoRA"):
        parse_adapters([name], [tmp_path / "loras"])
