"""Which seeds belong to training, validation and test: disjoint ranges, so a held-out song was never trained on."""

from __future__ import annotations

SPAN = 1_000_000_000
SPLITS: dict[str, int] = {"train": 0, "validation": SPAN, "test": 2 * SPAN}


def song_seed(split: str, index: int) -> int:
    """Seed of song `index` (0 <= index < 1e9) of a split; raises ValueError for anything else."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; one of {', '.join(SPLITS)}")
    if not 0 <= index < SPAN:
        raise ValueError(f"song index {index} is outside 0..{SPAN - 1}")
    return SPLITS[split] + index
