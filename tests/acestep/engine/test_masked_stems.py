"""Extract cuts its stem out of what it works on: the two parts never hold more than the whole."""

from __future__ import annotations

import numpy as np
import soundfile


def power(sound: np.ndarray) -> float:
    return float(np.square(sound).mean())


def test_a_masked_stem_takes_its_power_out_of_the_mix(studio, song):
    """Even a model of random weights cannot take more than there is; unmasked, what it made up is added to the residual."""
    mix = soundfile.read(song(rate=44_100), always_2d=True)[0].T[:, 1_001:90_002]
    left = {}
    for asked in (True, False):
        result, folder = studio.run(
            "extract", source=str(song(rate=44_100)), start=1_001, end=90_002, track="drums", soft_mask=asked,
            returns=["stem", "residual"], format="wav32f", seed=1, steps=2,
        )  # fmt: skip
        stem, residual = (soundfile.read(folder / file.name, always_2d=True)[0].T for file in result.files)
        assert stem.shape == mix.shape and np.abs(stem + residual - mix).max() < 1e-6
        left[asked] = power(stem) + power(residual)
    assert left[True] <= 1.001 * power(mix) < left[False]


def test_a_stem_of_something_new_is_a_part_of_it(studio):
    """In a chain the mix is what the stage before made."""
    stages = [{"type": "generate", "steps": 2, "seed": 1, "preview": True},
              {"type": "extract", "track": "vocals", "steps": 2, "seed": 2}]  # fmt: skip
    result, folder = studio.run("render", stages=stages, output={"length": 96_000, "rate": 48_000})
    whole, stem = (soundfile.read(folder / file.name, always_2d=True)[0].T for file in result.files)
    assert power(stem) + power(whole - stem) <= 1.001 * power(whole)
