"""Golden data of ACE-Step v1: outputs of the original at a tiny size, for inputs and weights that are functions of their names.

Only outputs are stored. A name that the folder does not have is no test here; another folder may have more.
"""

from __future__ import annotations

import json
import os
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderDC

from acestep.families.ace_step_v1.architecture import build_transformer, build_vocoder
from acestep.families.ace_step_v1.codec import MusicCodec
from acestep.families.ace_step_v1.transformer import Transformer
from acestep.families.ace_step_v1.vocoder import fuse_weight_norm, stored_shapes

FOLDER = Path(os.environ.get("GOLDEN_V1_DIR") or Path(__file__).parents[1] / "acestep-v1")
ARRAYS = np.load(FOLDER / "golden.npz")
CONFIGS = json.loads((FOLDER / "configs.json").read_text("utf-8"))


def tensor(name: str, *shape: int) -> torch.Tensor:
    """The recording's generator: unit noise from a name."""
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    return torch.from_numpy(noise.astype(np.float32))


def weight(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The value that the recording's recipe gives a parameter."""
    noise = tensor(name, *shape)
    if name.endswith("weight_g"):
        return (1 + 0.1 * noise).abs()
    if noise.ndim >= 2:
        return noise / float(np.sqrt(np.prod(shape[1:])))
    return 1 + 0.1 * noise if name.endswith(("weight", "gamma")) else 0.1 * noise


def filled(module: torch.nn.Module, shapes: dict[str, tuple[int, ...]]) -> torch.nn.Module:
    """The module with the recording's weights, given under the names that the published files use."""
    module.load_state_dict(
        dict(fuse_weight_norm((name, weight(name, shape)) for name, shape in shapes.items())), assign=True
    )
    return module.eval()


class Golden:
    """The recorded arrays, and the tiny networks they come from."""

    MODULE, LOOP = 1e-5, 2e-4
    """What correct implementations may differ by, absolute and relative."""

    tensor = staticmethod(tensor)

    def array(self, name: str) -> torch.Tensor:
        return torch.from_numpy(np.asarray(ARRAYS[name]))

    def compare(self, found: torch.Tensor, name: str, tolerance: float) -> None:
        torch.testing.assert_close(found, self.array(name), atol=tolerance, rtol=tolerance)

    @cached_property
    def transformer(self) -> Transformer:
        module = build_transformer(CONFIGS["transformer"])
        return filled(module, {name: tuple(value.shape) for name, value in module.state_dict().items()})

    @cached_property
    def codec(self) -> MusicCodec:
        autoencoder = AutoencoderDC(**CONFIGS["dcae"])
        filled(autoencoder, {name: tuple(value.shape) for name, value in autoencoder.state_dict().items()})
        vocoder = build_vocoder(CONFIGS["vocoder"])
        return MusicCodec(autoencoder, filled(vocoder, stored_shapes(vocoder)))


@pytest.fixture(scope="session")
def golden_v1() -> Golden:
    return Golden()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "golden_v1(*names): run for every recorded array whose name begins so")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test marked ``@pytest.mark.golden_v1(beginning, ...)`` runs once for every recorded array with such a name."""
    marker: Any = metafunc.definition.get_closest_marker("golden_v1")
    if marker is not None:
        names = [name for name in ARRAYS.files if name.startswith(marker.args)]
        slow = {name: (pytest.mark.slow, pytest.mark.timeout(900)) for name in names if name.startswith(MINUTE_LONG)}
        metafunc.parametrize("name", [pytest.param(name, marks=slow.get(name, ())) for name in names])


MINUTE_LONG = ("full", "overlap")
"""Arrays that take a minute of sound."""
