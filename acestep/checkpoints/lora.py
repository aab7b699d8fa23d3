"""Adapters of a model: read from the files of many tools, merged into the weights with a scale each.

Merging costs nothing at run time and works before quantisation; unloading takes the touched weights from the checkpoint's files
again, so they come back bit for bit without a second copy in memory. Which files are understood, and how strong each is, stands in
`acestep.checkpoints.adapter_file`; the formulas in `acestep.checkpoints.updates`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from acestep.api.errors import BadCheckpoint, BadRequest, ModelUnsuited, UnknownName
from acestep.checkpoints.adapter_file import Fitted, WeightChange, fit, read_adapter_file
from acestep.checkpoints.adapters import MAX_ADAPTERS, checked_scale
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.layers import WEIGHT, BaseWeights
from acestep.checkpoints.load import Check, Model, Target
from acestep.checkpoints.updates import difference
from acestep.networks.packed_linear import PackedLinear


@dataclass(frozen=True)
class Factors:
    """One layer's update: its tensors by part, and alpha / rank."""

    tensors: Mapping[str, Tensor]
    scaling: float

    def delta(self, base: Tensor) -> Tensor:
        """What is added to the weight ``base`` at scale 1, float32."""
        return difference(self.tensors, self.scaling, base)


@dataclass(frozen=True)
class Adapter:
    """A loaded adapter: its factors by layer (``component/module``), how it is used, and what is known of it."""

    name: str
    path: str
    digest: str
    factors: dict[str, Factors] = field(repr=False)
    facts: dict[str, Any] = field(default_factory=dict)
    scale: float = 1.0
    enabled: bool = True


def load_adapter(
    model: Model, path: Path | str, *, name: str = "", scale: float = 1.0, check: Check = lambda: None
) -> Adapter:
    """Read an adapter, merge it and return it. A loaded one of the same name is replaced. ``check`` may raise to stop.

    Raises `ModelMissing`, `BadCheckpoint`, `BadRequest` (scale, number) or `ModelUnsuited` when it was made for another size of
    model or the model is quantised; the model is then as it was.
    """
    adapter = read_adapter(model, Path(path), name=name)
    others = [known for known in model.adapters if known.name != adapter.name]
    if len(others) >= MAX_ADAPTERS:
        raise BadRequest(
            f"at most {MAX_ADAPTERS} adapters can be loaded at once", field="lora", limits={"max": MAX_ADAPTERS}
        )
    use(model, [*others, replace(adapter, scale=checked_scale(scale))], check)
    return model.adapters[-1]


def unload_adapter(model: Model, name: str) -> None:
    """Take an adapter out again. Raises `UnknownName`."""
    find_adapter(model, name)
    use(model, [known for known in model.adapters if known.name != name])


def change_adapter(model: Model, name: str, *, scale: float | None = None, enabled: bool | None = None) -> Adapter:
    """Set an adapter's scale, or turn it on or off. Raises `UnknownName`, `BadRequest`."""
    old = find_adapter(model, name)
    new = replace(
        old,
        scale=old.scale if scale is None else checked_scale(scale),
        enabled=old.enabled if enabled is None else enabled,
    )
    use(model, [new if known is old else known for known in model.adapters])
    return new


def find_adapter(model: Model, name: str) -> Adapter:
    """The loaded adapter of that name. Raises `UnknownName`."""
    for known in model.adapters:
        if known.name == name:
            return known
    raise UnknownName(
        f"no adapter {name!r} is loaded", field="lora", limits={"choices": [known.name for known in model.adapters]}
    )


def use(model: Model, adapters: list[Adapter], check: Check = lambda: None) -> None:
    """Make the model's weights those of the checkpoint plus these adapters, and remember them on the model. ``check`` is called
    before each layer is merged and may raise to stop; the model is then as it was.

    Raises `ModelUnsuited` for a quantised model: its weights cannot be added to.
    """
    touched = {layer: _module(model, layer) for adapter in (*model.adapters, *adapters) for layer in adapter.factors}
    if any(not _whole(module) for module in touched.values()):
        raise ModelUnsuited(
            "the model is quantised, and an adapter has to be merged before that; open the model again with it",
            field="lora",
        )
    merged = {}
    if touched:
        base = BaseWeights(model.info)
        for layer in sorted(touched):
            check()
            merged[layer] = merged_weight(base.read(layer), layer, adapters)
    for layer, weight in merged.items():
        module = touched[layer]
        before = module.get_parameter("weight")
        # a weight that no adapter changes is kept as it would be opened; the sum of several is not rounded to bfloat16
        dtype = Target(before.device, model.dtype, lambda: None).dtype_for(module, "weight", weight)
        module.weight = nn.Parameter(weight.to(before.device, dtype), requires_grad=False)
    model.adapters[:] = adapters


def _module(model: Model, layer: str) -> nn.Module:
    component, _, path = layer.partition("/")
    return model.networks()[component].get_submodule(path)


def _whole(module: nn.Module) -> bool:
    """Whether a layer has its weight as plain numbers, which another can be added to."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, nn.Parameter) and type(weight.data) is Tensor


def merged_weight(base: Tensor, layer: str, adapters: list[Adapter]) -> Tensor:
    """A layer's weight with these adapters: the base itself where none acts, so that it comes back unrounded."""
    deltas = [known.scale * known.factors[layer].delta(base) for known in adapters
              if known.enabled and known.scale and layer in known.factors]  # fmt: skip
    return base if not deltas else base.float() + torch.stack(deltas).sum(0)


def model_layers(model: Model) -> dict[str, tuple[int, ...]]:
    """Every layer of the model that an adapter may change -> shape of its weight."""
    own = ("transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer")
    return {
        f"{component}/{name.removesuffix(WEIGHT)}": shape
        for component in own
        if (network := model.networks().get(component)) is not None
        for name, shape in _matrices(network)
    }


def _matrices(network: nn.Module) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a network's weights, 8-bit ones too: those are refused by `use`, not unknown."""
    for name, weight in network.named_parameters():
        if name.endswith(WEIGHT) and weight.ndim >= 2:
            yield name, tuple(weight.shape)
    for name, layer in network.named_modules():
        if isinstance(layer, PackedLinear):
            yield name + WEIGHT, (layer.out_features, layer.in_features)


def read_adapter(model: Model, path: Path, *, name: str = "") -> Adapter:
    """The adapter at ``path`` for this model, not merged yet. Raises `ModelMissing`, `BadCheckpoint`, `ModelUnsuited`."""
    fitted = fit(read_adapter_file(path), model_layers(model))
    factors = read_factors(fitted)
    digest = weights_digest([fitted.source.file])
    return Adapter(name or path.stem, str(path), digest, factors, fitted.facts())


def read_factors(fitted: Fitted) -> dict[str, Factors]:
    """The tensors of an adapter that found their layers. Raises `BadCheckpoint`."""
    file = fitted.source.file
    try:
        with safe_open(file, framework="pt", device="cpu") as tensors:
            return {layer: _checked(change, {part: tensors.get_tensor(key) for part, key in change.parts.items()
                                             if part != "alpha"})
                    for layer, change in fitted.changes.items()}  # fmt: skip
    except SafetensorError as failure:
        raise BadCheckpoint(f"{file} is damaged: {failure}", field="lora") from failure


def _checked(change: WeightChange, tensors: dict[str, Tensor]) -> Factors:
    for part, tensor in tensors.items():
        if not tensor.is_floating_point() or not torch.isfinite(tensor.float()).all():
            raise BadCheckpoint(f"the adapter's tensor {change.parts[part]} holds no finite numbers", field="lora")
    return Factors(tensors, change.scaling)
