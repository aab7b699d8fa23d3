"""LoRA adapters of the DiT: read from PEFT folders (and the flat files of other tools), merged into the weights with a scale each.

Merging costs nothing at run time and works before quantisation; unloading takes the touched weights from the checkpoint's files
again, so they come back bit for bit without a second copy in memory. alpha / r comes from the adapter's own config.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from acestep.api.errors import BadCheckpoint, BadRequest, ModelMissing, ModelUnsuited, UnknownName
from acestep.checkpoints.adapters import MAX_ADAPTERS, checked_scale
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.layout import PICKLES, expected_size, locate, read_json, tensor_table, weight_files
from acestep.checkpoints.load import SHOWN, Model
from acestep.checkpoints.mapping import rename, to_original

ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
INNER_FOLDER = "adapter"
"""Where a training checkpoint keeps its adapter."""

PREFIXES = ("base_model.model.", "diffusion_model.", "transformer.", "decoder.")
"""What tools put in front of a module's path, outermost first."""

HALVES = {"lora_A": "down", "lora_B": "up", "lora_down": "down", "lora_up": "up"}
"""Names of the two low-rank factors."""


@dataclass(frozen=True)
class Factors:
    """One module's update ``scaling * up @ down``: down [r, in], up [out, r]."""

    down: Tensor
    up: Tensor
    scaling: float

    def delta(self) -> Tensor:
        """The full update, float32 [out, in]."""
        return self.scaling * (self.up.float() @ self.down.float())


@dataclass(frozen=True)
class Adapter:
    """A loaded adapter: its factors by diffusers' module path, and how it is used."""

    name: str
    path: str
    digest: str
    factors: dict[str, Factors] = field(repr=False)
    scale: float = 1.0
    enabled: bool = True


def load_adapter(model: Model, path: Path | str, *, name: str = "", scale: float = 1.0) -> Adapter:
    """Read an adapter, merge it and return it. A loaded one of the same name is replaced.

    Raises `ModelMissing`, `BadCheckpoint`, `BadRequest` (scale, number) or `ModelUnsuited` when it was made for another size of
    model or the model is quantised; the model is then as it was.
    """
    adapter = read_adapter(Path(path), name=name)
    check_fit(model.transformer, adapter)
    others = [known for known in model.adapters if known.name != adapter.name]
    if len(others) >= MAX_ADAPTERS:
        raise BadRequest(
            f"at most {MAX_ADAPTERS} adapters can be loaded at once", field="lora", limits={"max": MAX_ADAPTERS}
        )
    use(model, [*others, replace(adapter, scale=checked_scale(scale))])
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


def use(model: Model, adapters: list[Adapter]) -> None:
    """Make the DiT's weights those of the checkpoint plus these adapters, and remember them on the model."""
    touched = _modules(model.adapters) | _modules(adapters)
    quantised = [path for path in touched if type(model.transformer.get_submodule(path).weight.data) is not Tensor]
    if quantised:
        raise ModelUnsuited(
            "the model is quantised; unload it, and load the adapter before it is quantised again", field="lora"
        )
    merged = {path: _merged(base, path, adapters) for path, base in base_weights(model, touched)}
    for path, weight in merged.items():
        layer = model.transformer.get_submodule(path)
        layer.weight = nn.Parameter(weight.to(layer.weight.device, layer.weight.dtype), requires_grad=False)
    model.adapters[:] = adapters


def _modules(adapters: Iterable[Adapter]) -> set[str]:
    return {path for adapter in adapters for path in adapter.factors}


def _merged(base: Tensor, path: str, adapters: list[Adapter]) -> Tensor:
    """The base weight itself where no adapter acts, so that it comes back unrounded."""
    deltas = [known.scale * known.factors[path].delta() for known in adapters
              if known.enabled and known.scale and path in known.factors]  # fmt: skip
    return base if not deltas else base.float() + torch.stack(deltas).sum(0)


def base_weights(model: Model, modules: Iterable[str]) -> Iterable[tuple[str, Tensor]]:
    """Module path and weight as the checkpoint's files have it."""
    parts = locate(Path(model.info.path))
    files = {name: path for path in weight_files(parts.transformer) for name in tensor_table(path)}
    for module in sorted(modules):
        own = f"{module}.weight"
        name = own if parts.diffusers else to_original("transformer", own)
        with safe_open(files[name], framework="pt", device="cpu") as file:
            yield module, file.get_tensor(name)


def read_adapter(path: Path, *, name: str = "") -> Adapter:
    """An adapter from a PEFT folder, a training checkpoint that contains one, or a flat safetensors file.

    Raises `ModelMissing`, `BadCheckpoint`.
    """
    file, config = _adapter_files(path)
    if file.stat().st_size != expected_size(file):
        raise BadCheckpoint(f"{file} is cut short or damaged", field="lora")
    if config.get("use_dora"):
        raise BadCheckpoint("DoRA adapters are not supported; export this one as plain LoRA", field="lora")
    found: dict[str, dict[str, Tensor]] = {}
    alphas: dict[str, float | None] = {}
    try:
        with safe_open(file, framework="pt", device="cpu") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - safe_open is no mapping
                module, half = parse_key(key)
                found.setdefault(module, {})[half] = tensors.get_tensor(key)
                alphas[module] = _configured_alpha(key, config)
    except SafetensorError as failure:
        raise BadCheckpoint(f"{file} is damaged: {failure}", field="lora") from failure
    rooted = bool(config.get("use_rslora"))
    factors = {module: _factors(module, halves, alphas[module], rooted) for module, halves in found.items()}
    if not factors:
        raise BadCheckpoint(f"{file} holds no adapter", field="lora")
    return Adapter(name or path.stem, str(path), weights_digest([file]), factors)


def _adapter_files(path: Path) -> tuple[Path, dict[str, Any]]:
    if path.is_file() and path.suffix == ".safetensors":
        return path, {}
    for folder in (path, path / INNER_FOLDER):
        if (folder / ADAPTER_FILE).is_file():
            config = folder / ADAPTER_CONFIG
            return folder / ADAPTER_FILE, read_json(config) if config.is_file() else {}
    if any((path / name).is_file() for name in (*PICKLES, "adapter_model.bin")):
        raise BadCheckpoint(
            f"{path} holds a pickled adapter, which can run code; only safetensors are opened", field="lora"
        )
    raise ModelMissing(f"{path} holds no {ADAPTER_FILE}", field="lora")


def parse_key(key: str) -> tuple[str, str]:
    """Module path in diffusers' names and which half (``down``, ``up``, ``alpha``) a tensor is. Raises `BadCheckpoint`."""
    path = key.removesuffix(".weight").removesuffix(".default")
    for prefix in PREFIXES:
        path = path.removeprefix(prefix)
    module, _, leaf = path.rpartition(".")
    half = "alpha" if leaf == "alpha" else HALVES.get(leaf)
    if half is None or not module:
        raise BadCheckpoint(f"{key!r} is no tensor of a LoRA that can be merged", field="lora")
    return rename(f"{module}.").removesuffix("."), half


def _configured_alpha(key: str, config: dict[str, Any]) -> float | None:
    """The alpha that a config gives the module of a tensor, by PEFT's rule; none: its rank.

    The first of ``alpha_pattern`` (regular expressions) that the end of the module's name matches stands above ``lora_alpha``.
    ``rank_pattern`` says nothing that the factors' own shapes do not. Raises `BadCheckpoint`.
    """
    path, _, _ = key.removeprefix(PREFIXES[0]).removesuffix(".weight").removesuffix(".default").rpartition(".")
    entry = "alpha_pattern"
    try:
        for pattern, alpha in (config.get(entry) or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", path):
                return float(alpha)
        entry = "lora_alpha"
        return None if config.get(entry) is None else float(config[entry])
    except (re.error, AttributeError, TypeError, ValueError) as failure:
        raise BadCheckpoint(f"the adapter's {entry} cannot be read: {failure}", field="lora") from failure


def _factors(module: str, halves: dict[str, Tensor], alpha: float | None, rooted: bool) -> Factors:
    """``alpha`` is the config's; the file's own stands above it. ``rooted``: it is divided by the root of the rank."""
    down, up = halves.get("down"), halves.get("up")
    if down is None or up is None or down.ndim != 2 or up.ndim != 2 or up.shape[1] != down.shape[0]:
        raise BadCheckpoint(f"the adapter's factors for {module} do not fit together", field="lora")
    rank = down.shape[0]
    if "alpha" in halves:
        alpha = float(halves["alpha"])
    return Factors(down, up, (rank if alpha is None else alpha) / (math.sqrt(rank) if rooted else rank))


def check_fit(transformer: nn.Module, adapter: Adapter) -> None:
    """Refuse an adapter for another network. Raises `ModelUnsuited` naming the first modules that do not fit."""
    wrong = []
    for path, factors in adapter.factors.items():
        shape = (factors.up.shape[0], factors.down.shape[1])
        try:
            layer = transformer.get_submodule(path)
        except AttributeError:
            wrong.append(f"{path} does not exist")
            continue
        if not isinstance(layer, nn.Linear) or tuple(layer.weight.shape) != shape:
            wrong.append(f"{path} is {list(getattr(layer, 'weight', torch.empty(0)).shape)}, not {list(shape)}")
    if wrong:
        shown = "; ".join(wrong[:SHOWN]) + (" ..." if len(wrong) > SHOWN else "")
        raise ModelUnsuited(
            f"the adapter was made for another model size (2B and XL do not mix): {shown}", field="lora"
        )
