"""How an adapter is trained: every choice with its limits. No torch, so a door can check it.

Defaults follow the original's trainers where they agree; where they differ by kind of model, ``auto`` decides (`by_variant`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from acestep.api.errors import BadRequest
from acestep.api.limits import MAX_DURATION, MAX_SEED
from acestep.api.variants import Variant

ATTENTION_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_LAYERS = ("gate_proj", "up_proj", "down_proj")
TARGETS = (*ATTENTION_LAYERS, *MLP_LAYERS)
"""Layers of a block that an adapter may change, in the original's names."""

CONTINUOUS_MEAN, CONTINUOUS_DEVIATION = -0.4, 1.0
"""Of the logits of the times, where a checkpoint's config does not say."""

CONDITION_DROPOUT = 0.15
"""Share of samples that are trained without their condition: guidance needs the unconditional branch."""

LEARNING_RATES = {"lora": 1e-4, "dora": 1e-4, "lokr": 1e-3}
PRODIGY_RATE = 1.0
"""Prodigy finds the rate itself; this is its factor."""

Share = Annotated[float, Meta(ge=0.0, lt=1.0)]


class AdapterShape(msgspec.Struct, frozen=True, kw_only=True):
    """What is trained: its kind, size and place. ``factor``: of a LoKr, how its layers are split (-1: as evenly as can be)."""

    kind: Literal["lora", "dora", "lokr"] = "lora"
    rank: Annotated[int, Meta(ge=1, le=1024)] = 64
    alpha: Annotated[int, Meta(ge=1, le=4096)] = 128
    dropout: Share = 0.1
    targets: tuple[str, ...] = ATTENTION_LAYERS
    attention: Literal["both", "self", "cross"] = "both"
    factor: Annotated[int, Meta(ge=-1, le=128)] = -1
    decompose_both: bool = False

    def __post_init__(self) -> None:
        strange = [name for name in self.targets if name not in TARGETS]
        if strange or not self.targets:
            raise BadRequest(
                f"an adapter has no layers {', '.join(strange)}" if strange else "an adapter needs at least one layer",
                field="targets",
                limits={"choices": list(TARGETS)},
            )

    def suffixes(self) -> list[str]:
        """Ends of the paths of the changed layers, in the original's names."""
        parts = {"self": ("self_attn.",), "cross": ("cross_attn.",), "both": ("",)}[self.attention]
        wide = [name for name in self.targets if name in MLP_LAYERS]
        return [f"{part}{name}" for part in parts for name in self.targets if name not in wide] + wide


class TrainOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A training. ``auto`` and None stand for what suits the model, the kind of adapter and the device."""

    shape: AdapterShape = AdapterShape()
    epochs: Annotated[int, Meta(ge=1, le=100_000)] = 100
    batch: Annotated[int, Meta(ge=1, le=64)] = 1
    accumulation: Annotated[int, Meta(ge=1, le=256)] = 4
    optimiser: Literal["adamw", "adamw8bit", "adafactor", "prodigy"] = "adamw"
    learning_rate: Annotated[float, Meta(gt=0.0, le=10.0)] | None = None
    schedule: Literal["cosine", "constant", "linear"] = "cosine"
    warmup: Annotated[int, Meta(ge=0, le=100_000)] = 100
    """Steps; a tenth of the training at most."""
    weight_decay: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.01
    clip: Annotated[float, Meta(gt=0.0, le=1000.0)] = 1.0
    seed: Annotated[int, Meta(ge=0, le=MAX_SEED)] = 42
    timesteps: Literal["auto", "continuous", "discrete"] = "auto"
    condition_dropout: Share | None = None
    loss: Literal["masked", "whole"] = "masked"
    """``whole``: over the padding, too, as the original's trainers do it."""
    sample_latents: bool = True
    """Whether latents are drawn from the codec's posterior, each epoch another; else its mean."""
    crop_seconds: Annotated[float, Meta(ge=0.0, le=MAX_DURATION)] = 0.0
    """Longest part of a song in a batch, at another place each epoch; 0: whole songs."""
    save_every: Annotated[int, Meta(ge=1, le=100_000)] = 10
    """Epochs between two kept adapters."""
    save_minutes: Annotated[float, Meta(gt=0.0, le=1440.0)] = 5.0
    """Most minutes of training that a power cut costs."""
    validate_every: Annotated[int, Meta(ge=1, le=100_000)] = 1
    checkpointing: Literal["auto", "on", "off"] = "auto"
    device: str = "auto"
    dtype: str = "auto"

    def rate(self) -> float:
        """The learning rate, or the one that suits the optimiser and the kind of adapter."""
        if self.learning_rate is not None:
            return self.learning_rate
        return PRODIGY_RATE if self.optimiser == "prodigy" else LEARNING_RATES[self.shape.kind]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """At which times a model is taught and how often without its condition."""

    timesteps: Literal["continuous", "discrete"]
    condition_dropout: float
    mean: float = CONTINUOUS_MEAN
    deviation: float = CONTINUOUS_DEVIATION


def by_variant(options: TrainOptions, variant: Variant, config: dict[str, Any]) -> Flow:
    """What ``auto`` means for a model: a distilled one is taught at the eight times it runs, and knows no guidance."""
    discrete = variant.distilled and variant.schedule != "continuous"
    usual: Literal["continuous", "discrete"] = "discrete" if discrete else "continuous"
    dropout = 0.0 if variant.distilled else CONDITION_DROPOUT
    return Flow(
        timesteps=usual if options.timesteps == "auto" else options.timesteps,
        condition_dropout=dropout if options.condition_dropout is None else options.condition_dropout,
        mean=float(config.get("timestep_mu", CONTINUOUS_MEAN)),
        deviation=float(config.get("timestep_sigma", CONTINUOUS_DEVIATION)),
    )


def checked_options(values: dict[str, Any]) -> TrainOptions:
    """A training out of plain values. Raises `BadRequest` in a sentence of our own, with the field."""
    shape = {name: values[name] for name in AdapterShape.__struct_fields__ if name in values}
    rest = {name: value for name, value in values.items() if name not in shape}
    for kind, given in ((AdapterShape, shape), (TrainOptions, rest)):
        for name, value in given.items():
            _check(kind, name, value)
    return msgspec.convert({**rest, "shape": msgspec.convert(shape, AdapterShape)}, TrainOptions, from_attributes=True)


def _check(kind: type[msgspec.Struct], name: str, value: Any) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    if name not in fields or name == "shape":
        raise BadRequest(f"a training has no setting {name!r}", field=name)
    try:
        msgspec.convert(value, fields[name].type)
    except msgspec.ValidationError:
        limits = _limits(fields[name].type)
        words = (
            f"one of {', '.join(map(str, limits['choices']))}"
            if "choices" in limits
            else " and ".join(f"{word} {limit:g}" for word, limit in limits.items()) or "of another type"
        )
        raise BadRequest(f"{name} cannot be {value!r}; it is {words}", field=name, limits=limits) from None


def _limits(kind: Any) -> dict[str, Any]:
    """What a field allows, from its type."""
    facts = msgspec.inspect.type_info(kind)
    options = facts.types if isinstance(facts, msgspec.inspect.UnionType) else (facts,)
    found: dict[str, Any] = {}
    for option in options:
        if isinstance(option, msgspec.inspect.LiteralType):
            found["choices"] = list(option.values)
        for word, names in (("at least", ("ge", "gt")), ("at most", ("le", "lt"))):
            for name in names:
                if getattr(option, name, None) is not None:
                    found[word] = getattr(option, name)
    return found
