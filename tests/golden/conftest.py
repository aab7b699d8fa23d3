"""Golden data: recorded inputs and outputs of the original model at a tiny size, and the models they belong to."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from acestep.checkpoints.layout import SILENCE
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.checkpoints.tiny import build_tiny

FOLDER = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parent / "acestep-1.5")
CONFIGS = json.loads((FOLDER / "configs.json").read_text(encoding="utf-8"))


def original_weight(name: str, shape: list[int]) -> torch.Tensor:
    """The value that the recording's recipe gives a parameter: a function of its name and shape."""
    noise = np.random.RandomState(zlib.crc32((CONFIGS["weight_salt"] + name).encode())).standard_normal(tuple(shape))
    last = name.rsplit(".", 1)[-1]
    if last in ("special_token", "special_tokens", "null_condition_emb"):
        scaled = noise
    elif len(shape) >= 2:
        scaled = noise / np.sqrt(float(np.prod(shape[1:])))
    else:
        scaled = 1.0 + 0.1 * noise if last == "weight" else 0.1 * noise
    return torch.from_numpy(scaled.astype(np.float32))


@dataclass
class Golden:
    """Arrays by name, cases by name, and the two models opened from files in the published layout."""

    arrays: Any
    models: dict[str, Model]

    def array(self, name: str) -> torch.Tensor:
        return torch.from_numpy(np.asarray(self.arrays[name]))

    def case(self, name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor], Model]:
        """A case's description, its inputs, and its model."""
        case = CONFIGS["cases"][name]
        return case, {key: self.array(path) for key, path in case.get("inputs", {}).items()}, self.models[case["model"]]

    def outputs(self, name: str) -> dict[str, torch.Tensor]:
        return {key: self.array(path) for key, path in CONFIGS["cases"][name]["outputs"].items()}


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    arrays = np.load(FOLDER / "golden.npz")
    silence = torch.from_numpy(arrays["in/silence"])
    models = {}
    for name, facts in CONFIGS["models"].items():
        dit = build_tiny(tmp_path_factory.mktemp(name), config={"encoder_hidden_size": None, **facts["config"]})
        weights = {key: original_weight(key, shape) for key, shape in facts["parameters"].items()}
        save_file(weights, dit / "model.safetensors")
        torch.save(silence.transpose(1, 2).contiguous(), dit / SILENCE)
        models[name] = open_checkpoint(dit)
    return Golden(arrays, models)


def cases(*kinds: str) -> list[str]:
    """Names of the cases of these kinds."""
    return [name for name, case in CONFIGS["cases"].items() if case["kind"] in kinds]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test marked ``@pytest.mark.golden_cases(kind, ...)`` runs once for every case of these kinds."""
    marker = metafunc.definition.get_closest_marker("golden_cases")
    if marker is not None:
        metafunc.parametrize("name", cases(*marker.args))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "golden_cases(*kinds): run for every golden case of these kinds")


@pytest.fixture
def tolerance() -> dict[str, dict[str, float]]:
    """What correct implementations may differ by: ``module`` and ``loop``, absolute and relative."""
    return {kind: {key: CONFIGS["tolerance"][kind][key] for key in ("atol", "rtol")} for kind in ("module", "loop")}
