"""How an adapter is trained: every choice with its limits. No torch, so a door can check it.

Defaults follow the original's trainers where they agree; where they differ by kind of model, ``auto`` decides (`by_variant`).
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from acestep.api.errors import BadRequest
from acestep.api.limits import MAX_DURATION, MAX_SEED
from acestep.api.schema import param
from acestep.api.variants import Variant

ATTENTION_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_LAYERS = ("gate_proj", "up_proj", "down_proj")
TARGETS = (*ATTENTION_LAYERS, *MLP_LAYERS)
"""Layers of a block that an adapter may change, in the original's names."""

MAX_DEVICES = 16
"""Of one machine."""

CONTINUOUS_MEAN, CONTINUOUS_DEVIATION = -0.4, 1.0
"""Of the logits of the times, where a checkpoint's config does not say."""

CONDITION_DROPOUT = 0.15
"""Share of samples that are trained without their condition: guidance needs the unconditional branch."""

LEARNING_RATES = {"lora": 1e-4, "dora": 1e-4, "lokr": 1e-3}
PRODIGY_RATE = 1.0
"""Prodigy finds the rate itself; this is its factor."""

ABOVE_ZERO, BELOW_ONE = Meta(gt=0.0), Meta(ge=0.0, lt=1.0)


class AdapterShape(msgspec.Struct, frozen=True, kw_only=True):
    """What is trained: its kind, size and place. ``factor``: of a LoKr, how its layers are split (-1: as evenly as can be)."""

    kind: Annotated[
        Literal["lora", "dora", "lokr"],
        param("Kind of adapter. A LoKr is smaller and learns faster.", group="adapter"),
    ] = "lora"
    rank: Annotated[
        int,
        param(
            "Size of the adapter. Larger ones learn finer detail, but overfit sooner.", ge=1, le=1024, group="adapter"
        ),
    ] = 64
    alpha: Annotated[
        int, param("Scale of the adapter: it is applied alpha / rank times.", ge=1, le=4096, group="adapter")
    ] = 128
    dropout: Annotated[
        float, param("Share of the adapter's input to drop during training.", group="adapter"), BELOW_ONE
    ] = 0.1
    targets: Annotated[
        tuple[str, ...],
        param(f"Layers it changes: {', '.join(TARGETS)}.", group="adapter", example=list(ATTENTION_LAYERS)),
    ] = ATTENTION_LAYERS
    attention: Annotated[Literal["both", "self", "cross"], param("Which attention it changes.", group="adapter")] = (
        "both"
    )
    factor: Annotated[
        int, param("How a LoKr splits its layers; -1: as evenly as possible.", ge=-1, le=128, group="adapter")
    ] = -1
    decompose_both: Annotated[bool, param("Whether a LoKr decomposes both factors.", group="adapter")] = False

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
    epochs: Annotated[int, param("How many times the training goes through all songs.", ge=1, le=100_000)] = 100
    batch: Annotated[int, param("Songs per batch; fewer if memory is short.", ge=1, le=64, group="optimiser")] = 1
    accumulation: Annotated[int, param("Batches per optimiser step.", ge=1, le=256, group="optimiser")] = 4
    devices: Annotated[
        int,
        param(
            "How many GPUs of this machine share every step (on a CPU: processes); needs accelerate.",
            ge=1,
            le=MAX_DEVICES,
            group="optimiser",
        ),
    ] = 1
    optimiser: Annotated[
        Literal["adamw", "adamw8bit", "adafactor", "prodigy"],
        param(
            "Optimiser. adamw8bit needs bitsandbytes and CUDA; prodigy finds the learning rate automatically.",
            group="optimiser",
        ),
    ] = "adamw"
    learning_rate: (
        Annotated[
            float,
            param("Learning rate; none: chosen by optimiser and kind of adapter.", le=10.0, group="optimiser"),
            ABOVE_ZERO,
        ]
        | None
    ) = None
    schedule: Annotated[
        Literal["cosine", "constant", "linear"],
        param("How the learning rate falls after the warm-up.", group="optimiser"),
    ] = "cosine"
    warmup: Annotated[
        int,
        param("Warm-up steps, at most a tenth of the training.", unit="steps", ge=0, le=100_000, group="optimiser"),
    ] = 100
    weight_decay: Annotated[float, param("Weight decay.", ge=0.0, le=1.0, group="optimiser")] = 0.01
    clip: Annotated[float, param("Maximum norm of the gradients.", le=1000.0, group="optimiser"), ABOVE_ZERO] = 1.0
    seed: Annotated[int, param("Seed for everything random.", ge=0, le=MAX_SEED)] = 42
    timesteps: Annotated[
        Literal["auto", "continuous", "discrete"],
        param("Timesteps to train at; auto: as the model was trained.", group="objective"),
    ] = "auto"
    condition_dropout: (
        Annotated[
            float,
            param("Share of songs to train without caption and lyrics; none: the model's default.", group="objective"),
            BELOW_ONE,
        ]
        | None
    ) = None
    loss: Annotated[
        Literal["masked", "whole"],
        param(
            "Count only the true length of songs (masked), or the padding too (whole), as the original trainers do.",
            group="objective",
        ),
    ] = "masked"
    sample_latents: Annotated[
        bool, param("Whether to draw new latents from the codec's posterior in every epoch.", group="objective")
    ] = True
    crop_seconds: Annotated[
        float,
        param(
            "Longest part of a song in a batch, from a different place in each epoch; 0: whole songs.",
            unit="s",
            ge=0.0,
            le=MAX_DURATION,
            group="objective",
        ),
    ] = 0.0
    save_every: Annotated[int, param("Keep an adapter every N epochs.", ge=1, le=100_000, group="saving")] = 10
    save_minutes: Annotated[
        float,
        param("Save at least every N minutes, so that a power cut costs no more.", le=1440.0, group="saving"),
        ABOVE_ZERO,
    ] = 5.0
    validate_every: Annotated[
        int, param("Measure the validation songs every N epochs.", ge=1, le=100_000, group="saving")
    ] = 1
    checkpointing: Annotated[
        Literal["auto", "on", "off"],
        param("Compute activations twice to save memory; auto: if memory is short.", group="optimiser"),
    ] = "auto"
    device: str = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        param("Number format of the model; auto: chosen by the device.", group="optimiser"),
    ] = "auto"

    def at_once(self) -> int:
        """The songs of a batch that a device computes at once: all, unless a step has fewer batches than there are devices."""
        pieces = -(-self.devices // self.accumulation)
        return -(-self.batch // pieces)

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
    facts = _bare(msgspec.inspect.type_info(kind))
    options = facts.types if isinstance(facts, msgspec.inspect.UnionType) else (facts,)
    found: dict[str, Any] = {}
    for option in map(_bare, options):
        if isinstance(option, msgspec.inspect.LiteralType):
            found["choices"] = list(option.values)
        for word, names in (("at least", ("ge", "gt")), ("at most", ("le", "lt"))):
            for name in names:
                if getattr(option, name, None) is not None:
                    found[word] = getattr(option, name)
    return found


def _bare(facts: Any) -> Any:
    """A type without the descriptions around it."""
    while isinstance(facts, msgspec.inspect.Metadata):
        facts = facts.type
    return facts
