"""The objective, against the published formula computed again without any code of ours, and against PEFT's own modules."""

from __future__ import annotations

import copy

import peft
import pytest
import torch
from diffusers import AceStepTransformer1DModel
from torch.nn import functional

from acestep.api.errors import ModelUnsuited
from acestep.api.training import AdapterShape, Flow, TrainOptions
from acestep.checkpoints import quantise
from acestep.checkpoints.info import part_paths
from acestep.checkpoints.load import Target, open_checkpoint
from acestep.training.adapters.adapter import attach, peft_config, trained_parameters
from acestep.training.adapters.draw import Basis, draw, fixed_draw
from acestep.training.adapters.encoders import load_dit
from acestep.training.adapters.objective import collate, squared_error
from acestep.training.adapters.setup import set_up
from acestep.training.adapters.store import Item

CPU = torch.device("cpu")
PUBLISHED_TIMES = (1.0, 0.9545454545, 0.9, 0.8333333333, 0.75, 0.6428571429, 0.5, 0.3)
"""The turbo schedule at shift 3, as the original's trainer lists it."""


def options(**more) -> TrainOptions:
    shape = AdapterShape(kind=more.pop("kind", "lora"), rank=4, alpha=8, dropout=0.0)
    return TrainOptions(shape=shape, device="cpu", **more)


@pytest.fixture(scope="module")
def plain(tiny_info) -> AceStepTransformer1DModel:
    """The model's weights in diffusers' own class, as diffusers runs it."""
    ours = load_dit(part_paths(tiny_info), Target(CPU, torch.float32, lambda: None))
    network = AceStepTransformer1DModel(**{k: v for k, v in ours.config.items() if not k.startswith("_")})
    network.load_state_dict(ours.state_dict())
    return network.eval()


def velocity(network, draws, states=None):
    """What diffusers' class gives for one song, or for zero-padded ones."""

    def pad(tensors):
        longest = max(map(len, tensors))
        return torch.stack([functional.pad(tensor, (0, 0, 0, longest - len(tensor))) for tensor in tensors])

    time = torch.tensor([one.time for one in draws])
    x0, noise = pad([one.clean for one in draws]), pad([one.noise for one in draws])
    x = time[:, None, None] * noise + (1 - time[:, None, None]) * x0
    made = network(hidden_states=x, timestep=time, timestep_r=time, encoder_hidden_states=pad([one.states for one in draws]),
                   context_latents=pad([one.context for one in draws])).sample  # fmt: skip
    return made, noise - x0


@pytest.mark.parametrize("timesteps", ["continuous", "discrete"])
@pytest.mark.parametrize("songs", [[0], [0, 1, 3]], ids=["unpadded", "padded"])
def test_the_loss_is_the_published_formula(prepared, tiny_info, plain, timesteps, songs):
    """Mean of (v - (noise - x0))^2 over each song alone, whatever it is padded with; ``whole``: over all of the padded batch."""
    setup = set_up(prepared, tiny_info, options(timesteps=timesteps))
    rows = [setup.rows[index] for index in songs]
    draws = [draw(setup.read(row), row.id, 3, setup.basis) for row in rows]
    assert len(songs) == 1 or len({len(one.clean) for one in draws}) == 3
    batch = collate(draws, CPU)
    with torch.no_grad():
        errors = [(made - target).square().sum().item() for made, target in (velocity(plain, [one]) for one in draws)]
        ours = squared_error(setup.network, setup.padding, batch, True).item() / batch.elements(True)
        made, target = velocity(plain, draws)
        whole = squared_error(setup.network, setup.padding, batch, False).item() / batch.elements(False)
    assert ours == pytest.approx(sum(errors) / sum(one.clean.numel() for one in draws), rel=1e-5)
    assert whole == pytest.approx((made - target).square().mean().item(), rel=1e-5)
    if len(songs) > 1:
        assert abs(whole - ours) > 1e-4


def test_times_are_the_published_ones(prepared, tiny_info):
    """Discrete: the eight of the turbo schedule, each as often; continuous: sigmoid of N(-0.4, 1)."""
    basis = set_up(prepared, tiny_info, options()).basis
    item = Item(torch.zeros(2, 64), torch.zeros(1, 64))
    for mode in ("discrete", "continuous"):
        flow = Flow(timesteps=mode, condition_dropout=0.0)
        one = Basis(basis.options, flow, basis.silence, basis.null)
        times = torch.tensor([draw(item, str(index), 0, one).time for index in range(2000)])
        if mode == "discrete":
            assert sorted(set(times.tolist()), reverse=True) == pytest.approx(PUBLISHED_TIMES)
            assert all(180 < (times - time).abs().lt(1e-6).sum() < 320 for time in PUBLISHED_TIMES)
        else:
            assert times.logit().mean().item() == pytest.approx(-0.4, abs=0.08)
            assert times.logit().std().item() == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("kind", ["lora", "dora", "lokr"])
def test_gradients_are_those_of_pefts_own_model(prepared, tiny_info, plain, kind):
    """PEFT around diffusers' class with the same weights, the formula written out: the same gradient in every parameter."""
    setup = set_up(prepared, tiny_info, options(kind=kind))
    generator = torch.Generator().manual_seed(0)
    own = trained_parameters(setup.network)
    for parameter in own.values():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    draws = [draw(setup.read(row), row.id, 0, setup.basis) for row in setup.rows[:3]]
    batch = collate(draws, CPU)
    (squared_error(setup.network, setup.padding, batch, True) / batch.elements(True)).backward()

    theirs = peft.get_peft_model(copy.deepcopy(plain), peft_config(setup.options.shape))
    named = {name.removeprefix("base_model.model."): p for name, p in theirs.named_parameters() if p.requires_grad}
    assert named.keys() == own.keys() and len(own) > 60
    for name, parameter in named.items():
        parameter.data.copy_(own[name].data)
    total = sum((made - target).square().sum() for made, target in (velocity(theirs, [one]) for one in draws))
    (total / sum(one.clean.numel() for one in draws)).backward()
    for name, parameter in named.items():
        torch.testing.assert_close(own[name].grad, parameter.grad, rtol=2e-4, atol=1e-6, msg=name)


def test_checkpointing_changes_no_gradient(prepared, tiny_info):
    """Activations that are computed twice, padding masks included."""
    found = []
    for checkpointing in ("off", "on"):
        setup = set_up(prepared, tiny_info, options(checkpointing=checkpointing))
        assert setup.checkpointing == (checkpointing == "on")
        setup.network.train()
        batch = collate([draw(setup.read(row), row.id, 0, setup.basis) for row in setup.rows[:3]], CPU)
        squared_error(setup.network, setup.padding, batch, True).backward()
        found.append([parameter.grad for parameter in trained_parameters(setup.network).values()])
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)


def test_chance_follows_from_seed_epoch_and_sample(prepared, tiny_info):
    """The same again, another in the next epoch; crops move, the posterior is drawn from, conditions are left out."""
    basis = set_up(prepared, tiny_info, options(crop_seconds=1.0)).basis
    item = Item(torch.randn(60, 64), torch.randn(3, 64))
    first, again, later = (draw(item, "song", epoch, basis) for epoch in (0, 0, 1))
    assert first.time == again.time and torch.equal(first.noise, again.noise) and torch.equal(first.clean, again.clean)
    assert first.time != later.time and not torch.equal(first.noise, later.noise) and len(first.clean) == 25
    many = [draw(item, "song", epoch, basis) for epoch in range(400)]
    null = basis.null.reshape(-1)
    assert 35 < sum(torch.equal(one.states, null.expand(3, -1)) for one in many) < 90  # 15 %
    starts = [next(at for at in range(36) if torch.equal(one.clean, item.mean[at : at + 25])) for one in many]
    assert set(starts) == set(range(36))
    wide = Item(item.mean, item.states, torch.full((60, 64), 0.5))
    spread = torch.stack([draw(wide, "song", epoch, basis).clean - one.clean for epoch, one in enumerate(many)])
    assert spread.std().item() == pytest.approx(0.5, rel=0.02) and abs(spread.mean().item()) < 0.01
    means = Basis(options(crop_seconds=1.0, sample_latents=False), basis.flow, basis.silence, basis.null)
    assert torch.equal(draw(wide, "song", 7, means).clean, many[7].clean)
    judged = fixed_draw(item, "song", 0.3, basis)
    assert torch.equal(judged.noise, fixed_draw(item, "song", 0.9, basis).noise) and judged.time == 0.3


def test_the_context_is_silence_and_a_mask_of_ones(prepared, tiny_info):
    setup = set_up(prepared, tiny_info, options())
    one = draw(setup.read(setup.rows[0]), "x", 0, setup.basis)
    assert torch.equal(one.context[:, :64], setup.basis.silence[0, : len(one.clean)]) and bool(
        (one.context[:, 64:] == 1).all()
    )


def test_an_int8_model_is_refused_by_name(tiny_info, monkeypatch):
    monkeypatch.setattr(quantise, "SMALLEST_MODEL", 0)
    model = open_checkpoint(tiny_info.path)
    quantise.quantise_int8(model)
    assert quantise.is_quantised(model)
    with pytest.raises(ModelUnsuited, match="int8 weights"):
        attach(model.transformer, AdapterShape(rank=2, alpha=2), 0)
