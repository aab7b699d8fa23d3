"""The adapter to MLX. Its calls are answered by a stand-in over the same weights, so it has to write what transformers writes.
Where ``mlx-lm`` is installed (``mlx-cpu`` runs it on Linux) the same is asked of the real one."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from acestep.api.errors import Cancelled, TooLarge, Unavailable
from acestep.api.planning import CodesJob, Sampling, TextJob
from acestep.planner.mlx import MlxPlanner
from acestep.planner.model import TransformersPlanner

GRAMMAR = 'start: "bpm: " /[0-9]{2,3}/ "\\n" "key: " /[A-G]/ " major"'
JOB = TextJob(prompt="<|im_start|>user\na slow waltz<|im_end|>\n", negative="<|im_start|>user\n<|im_end|>\n", grammar=GRAMMAR,
              seed=3, limit=40)  # fmt: skip
DRAWN = Sampling(cfg_scale=1.0, temperature=0.9, top_k=0, top_p=0.95)
GUIDED = Sampling(cfg_scale=2.0, temperature=0.8, top_k=50, top_p=1.0)


class StandInArray:
    """As much of an MLX array as is used."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __getitem__(self, place: Any) -> StandInArray:
        return StandInArray(self.values[place])

    def astype(self, kind: Any) -> StandInArray:
        return StandInArray(self.values.astype(kind))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values


class StandInModel:
    """transformers' network behind MLX's call: ids [1, n] and a cache that grows -> logits [1, n, V]."""

    def __init__(self, planner: TransformersPlanner) -> None:
        self.network = planner.decoder._model

    def __call__(self, ids: StandInArray, cache: list[int]) -> StandInArray:
        new = ids.values[0].tolist()
        cache += new
        with torch.inference_mode():
            logits = self.network(input_ids=torch.tensor([cache])).logits
        return StandInArray(logits[:, -len(new) :].float().numpy())


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, backend: TransformersPlanner) -> None:
    """MLX's modules, as far as they are called."""

    def load_model(folder: Path, get_model_classes: Any) -> tuple[StandInModel, dict[str, Any]]:
        assert folder.is_dir() and callable(get_model_classes)
        return StandInModel(backend), {"max_position_embeddings": backend.decoder.context}

    core = types.ModuleType("mlx.core")
    core.array, core.float32, core.clear_cache = StandInArray, np.float32, lambda: None
    cache, utils = types.ModuleType("mlx_lm.models.cache"), types.ModuleType("mlx_lm.utils")
    cache.make_prompt_cache, utils.load_model = lambda model: [], load_model
    for name, module in (("mlx.core", core), ("mlx_lm.models.cache", cache), ("mlx_lm.utils", utils)):
        monkeypatch.setitem(sys.modules, name, module)


REAL = pytest.mark.skipif(importlib.util.find_spec("mlx_lm") is None, reason="mlx-lm is not installed")


@pytest.fixture(params=["stand-in", pytest.param("real", marks=REAL)])
def planner(request: pytest.FixtureRequest, tiny_folder: Path) -> MlxPlanner:
    """The adapter over the stand-in, and over MLX itself where that is."""
    if request.param == "stand-in":
        request.getfixturevalue("stand_in")
    return MlxPlanner(tiny_folder, {})


@pytest.mark.parametrize("sampling", [DRAWN, GUIDED], ids=["drawn", "guided"])
def test_texts_and_codes_are_those_of_transformers(
    planner: MlxPlanner, backend: TransformersPlanner, sampling: Sampling
) -> None:
    """The same grammar, seeds, guidance and sampling over the same network."""
    heard: list[tuple[int, int]] = []
    told = lambda done, of: heard.append((done, of))  # noqa: E731
    assert planner.write([JOB], sampling, told) == backend.write([JOB], sampling, lambda done, of: None)
    codes = CodesJob(prompt=JOB.prompt, negative=JOB.negative, seeds=(1, 2), count=6, limit=6)
    assert planner.write_codes(codes, sampling, told) == backend.write_codes(codes, sampling, lambda done, of: None)
    assert heard[-1] == (12, 12)
    planner.offload()


@pytest.mark.long
@pytest.mark.usefixtures("stand_in")
def test_a_cancel_is_heard_at_every_token(tiny_folder: Path) -> None:
    def stop(done: int, of: int) -> None:
        if done == 3:
            raise Cancelled("the job was cancelled")

    with pytest.raises(Cancelled):
        MlxPlanner(tiny_folder, {}).write([JOB], DRAWN, stop)


@pytest.mark.usefixtures("stand_in")
def test_what_does_not_fit_is_refused_with_the_bound(tiny_folder: Path) -> None:
    planner = MlxPlanner(tiny_folder, {})
    planner._context = 20
    with pytest.raises(TooLarge, match="reads 20 tokens"):
        planner.write([JOB], DRAWN, lambda done, of: None)


def test_without_the_package_it_says_what_is_missing(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlx.core", None)
    with pytest.raises(Unavailable, match="needs the package mlx-lm"):
        MlxPlanner(tiny_folder, {})
