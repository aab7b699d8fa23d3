"""Settings, schedules and the order of an epoch: tables with known answers."""

from __future__ import annotations

import pytest

from acestep.api.errors import BadRequest, Unavailable
from acestep.api.training import AdapterShape, TrainOptions, by_variant, checked_options
from acestep.api.variants import VARIANTS
from acestep.training.adapters.batches import plan_epoch
from acestep.training.adapters.optimisers import make_optimiser, rate_factor
from acestep.training.adapters.store import Row


def test_defaults_by_kind_of_model():
    """Distilled models at their eight times with their condition always; the others continuously with dropout."""
    for name in ("turbo", "turbo-shift1", "xl-turbo"):
        flow = by_variant(TrainOptions(), VARIANTS[name], {})
        assert (flow.timesteps, flow.condition_dropout) == ("discrete", 0.0)
    for name in ("base", "sft", "xl-base", "xl-sft", "nano"):
        flow = by_variant(TrainOptions(), VARIANTS[name], {})
        assert (flow.timesteps, flow.condition_dropout, flow.mean, flow.deviation) == ("continuous", 0.15, -0.4, 1.0)
    assert by_variant(TrainOptions(), VARIANTS["turbo-continuous"], {}).timesteps == "continuous"
    assert by_variant(TrainOptions(), VARIANTS["nano"], {"timestep_mu": 0.8}).mean == 0.8
    own = TrainOptions(timesteps="continuous", condition_dropout=0.5)
    assert by_variant(own, VARIANTS["turbo"], {}).condition_dropout == 0.5


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"rank": 0}, "rank", "at least 1"),
        ({"rank": "big"}, "rank", "at most 1024"),
        ({"kind": "loha"}, "kind", "one of dora, lokr, lora"),
        ({"dropout": 1.0}, "dropout", "at most 1"),
        ({"targets": ["conv"]}, "targets", "no layers conv"),
        ({"targets": []}, "targets", "at least one layer"),
        ({"epochs": -3}, "epochs", "at least 1"),
        ({"optimiser": "sgd"}, "optimiser", "adamw8bit"),
        ({"learning_rate": 0}, "learning_rate", "at least 0"),
        ({"momentum": 1}, "momentum", "no setting"),
        ({"shape": {}}, "shape", "no setting"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(values, field, words):
    with pytest.raises(BadRequest, match=words) as raised:
        checked_options(values)
    assert raised.value.field == field and "\n" not in raised.value.message


def test_good_settings_are_taken():
    options = checked_options(
        {"kind": "lokr", "rank": 8, "targets": ["q_proj", "up_proj"], "attention": "self", "epochs": 3}
    )
    assert (
        options.shape.suffixes() == ["self_attn.q_proj", "up_proj"] and options.epochs == 3 and options.rate() == 1e-3
    )
    assert TrainOptions(optimiser="prodigy").rate() == 1.0 and TrainOptions().rate() == 1e-4


def rows(*frames):
    return [Row(id=str(index), name="", frames=count, latents="", states="") for index, count in enumerate(frames)]


def test_an_epoch_has_every_song_once_in_buckets_of_like_length():
    """As many steps each time, in another order; songs of a batch are neighbours in length."""
    songs = rows(*(10 * (index // 2 + 1) for index in range(13)))
    options = TrainOptions(batch=2, accumulation=3)
    plans = [plan_epoch(songs, options, epoch) for epoch in range(5)]
    for plan in plans:
        flat = [index for group in plan for batch in group for index in batch]
        assert sorted(flat) == list(range(13)) and [len(group) for group in plan] == [3, 3, 1]
        lengths = [[songs[index].frames for index in batch] for group in plan for batch in group]
        assert all(max(batch) == min(batch) for batch in lengths)
    assert plans[0] == plan_epoch(songs, options, 0) and plans[0] != plans[1]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [0.1, 0.55, 1, 1, 1]), ("linear", [0.1, 0.55, 1, 0.5, 0]), ("cosine", [0.1, 0.55, 1, 0.505, 0.01])],
)
def test_rates(schedule, expected):
    """A hundred steps of warm-up in a thousand, then by the schedule."""
    options = TrainOptions(schedule=schedule, warmup=100)
    assert [rate_factor(options, step, 1000) for step in (0, 50, 100, 550, 1000)] == pytest.approx(expected)
    assert rate_factor(TrainOptions(schedule=schedule, warmup=100), 10, 100) == 1.0  # a tenth at most


def test_missing_packages_are_named(monkeypatch):
    import sys

    import torch

    monkeypatch.setitem(sys.modules, "prodigyopt", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    weights = [torch.nn.Parameter(torch.zeros(1))]
    with pytest.raises(Unavailable, match="prodigyopt"):
        make_optimiser(TrainOptions(optimiser="prodigy"), weights, torch.device("cpu"))
    with pytest.raises(Unavailable, match="CUDA only"):
        make_optimiser(TrainOptions(optimiser="adamw8bit"), weights, torch.device("cpu"))
    with pytest.raises(Unavailable, match="bitsandbytes"):
        make_optimiser(TrainOptions(optimiser="adamw8bit"), weights, torch.device("cuda"))
    assert isinstance(
        make_optimiser(TrainOptions(shape=AdapterShape()), weights, torch.device("cpu")), torch.optim.AdamW
    )
