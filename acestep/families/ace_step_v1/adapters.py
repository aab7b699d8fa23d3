"""LoRA adapters of a v1 model: read from the files of many tools, merged into the transformer with a scale each.

Files and formulas are those of `acestep.checkpoints`: an alpha beside the weights or in the file's header counts, and where none is
named the product of the factors stands as it is. (The original ignores the header, so the same number means less there.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from acestep.api.errors import BadRequest
from acestep.checkpoints.adapter_file import Fitted, fit, read_adapter_file
from acestep.checkpoints.adapters import MAX_ADAPTERS, AdapterOptions, checked_scale
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.lora import Adapter, merged_weight, read_factors
from acestep.checkpoints.tensors import read_tensor
from acestep.families.ace_step_v1.layout import Parts
from acestep.families.ace_step_v1.load import Model
from acestep.families.ace_step_v1.published import TRANSFORMER
from acestep.families.ace_step_v1.weights import layer_shapes, tensor_index

COMPONENT = "transformer/"
"""What layers are called in front of their path, as everywhere in adapters."""


def fit_adapter(path: Path, parts: Parts) -> Fitted:
    """An adapter held against a checkpoint, by headers alone. Raises `ModelMissing`, `BadCheckpoint`, `ModelUnsuited`."""
    return fit(read_adapter_file(path), _layers(parts))


def _layers(parts: Parts) -> Mapping[str, tuple[int, ...]]:
    return {f"{COMPONENT}{layer}": shape for layer, shape in layer_shapes(parts, TRANSFORMER).items()}


def read_adapter(model: Model, one: AdapterOptions) -> Adapter:
    """An adapter for this model, not merged yet. Raises as `fit_adapter` does, and `BadRequest` for its scale."""
    fitted = fit_adapter(one.path, model.parts)
    return Adapter(
        name=one.name,
        path=str(one.path),
        digest=weights_digest([fitted.source.file]),
        factors=read_factors(fitted),
        facts=fitted.facts(),
        scale=checked_scale(one.scale),
    )


def use_adapters(
    model: Model, asked: Sequence[AdapterOptions], check: Callable[[], None] = lambda: None
) -> list[Adapter]:
    """Make the transformer's weights those of the checkpoint plus these adapters, and no others; the adapters as they are used.

    Untouched again, a weight comes back bit for bit. An adapter that is in use already is not read again. Raises as `read_adapter`
    does; the model is then as it was. Where ``check``, called before each layer, raises, only some layers are changed.
    """
    if len(asked) > MAX_ADAPTERS:
        limits = {"max": MAX_ADAPTERS}
        raise BadRequest(f"at most {MAX_ADAPTERS} adapters can be loaded at once", field="lora", limits=limits)
    known = {(adapter.name, adapter.path): adapter for adapter in model.adapters}
    wanted = []
    for one in asked:
        there = known.get((one.name, str(one.path)))
        wanted.append(read_adapter(model, one) if there is None else replace(there, scale=checked_scale(one.scale)))
    touched = {layer for adapter in (*model.adapters, *wanted) for layer in adapter.factors}
    stored = tensor_index(model.parts, TRANSFORMER) if touched else {}
    for layer in sorted(touched):
        check()
        path = layer.removeprefix(COMPONENT)
        parameter = model.transformer.get_parameter(f"{path}.weight")
        weight = merged_weight(read_tensor(stored[f"{path}.weight"]), layer, wanted)
        parameter.data = weight.reshape(parameter.shape).to(parameter)
    model.adapters[:] = wanted
    return wanted
