"""Adapters baked into a checkpoint: a new folder with the changed weights, everything else as it was.

What a merge adds is rounded once to the type of the weights; unlike a loaded adapter it cannot be taken out again or scaled, but
any program that opens the checkpoint has it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from acestep.api.disk import require_space, unwritable
from acestep.api.errors import BadRequest, ModelUnsuited
from acestep.api.variants import ModelInfo
from acestep.checkpoints.adapter_file import Fitted, fit, read_adapter_file
from acestep.checkpoints.adapters import AdapterOptions
from acestep.checkpoints.files import SAFETENSORS, read_header, weight_files
from acestep.checkpoints.layers import WEIGHT, layer_shapes
from acestep.checkpoints.layout import own_networks
from acestep.checkpoints.lora import Factors, read_factors
from acestep.checkpoints.weights import StoredTensor, tensor_index

ENTRY = "merged_adapters"
"""Entry of the new config that names what was merged."""

CONFIG = "config.json"

Check = Callable[[], None]


def merge_adapters(
    info: ModelInfo, asked: Sequence[AdapterOptions], target: Path, check: Check = lambda: None
) -> dict[str, Any]:
    """Write the checkpoint with the adapters in it to the new folder ``target``, which appears whole or not at all.

    Put it beside the other checkpoints: codec and text encoder are borrowed from there as before. Returns path, bytes and the facts
    of each adapter. Raises `BadRequest` (no adapter, a folder that is there), `ModelUnsuited` for weights that are blocks of
    numbers, `BadCheckpoint`, `DiskFull`, `OutputUnwritable`, and what ``check`` raises.
    """
    if not asked:
        raise BadRequest("name at least one adapter to merge", field="lora")
    if target.exists():
        raise BadRequest(f"{target} already exists; choose a new folder", field="out")
    root = Path(info.path)
    fitted = {options.name: fit(read_adapter_file(options.path), layer_shapes(root)) for options in asked}
    changes = _changes(fitted, {options.name: options.scale for options in asked})
    places = _places(root)
    _require_room(root, target)
    draft = target.with_name(f".{target.name}.merging")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        _write(root, draft, {file: {name: changes[layer] for name, layer in rows.items() if layer in changes}
                             for file, rows in places.items()}, check)  # fmt: skip
        merged = [{"name": options.name, "scale": options.scale} for options in asked]
        _note(draft, root, merged)
        draft.replace(target)
    except OSError as failure:
        raise unwritable(target, failure, "out") from failure
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return {
        "path": str(target),
        "bytes": size,
        "loras": [{"name": name, **one.facts()} for name, one in fitted.items()],
    }


@dataclass
class Delta:
    """What all adapters together add to one layer: their factors with their scales."""

    parts: list[tuple[Factors, float]] = field(default_factory=list)

    def added_to(self, base: Tensor) -> Tensor:
        """The changed weight, in its own type."""
        changes = [scale * factors.delta(base) for factors, scale in self.parts]
        return (base.float() + torch.stack(changes).sum(0)).to(base.dtype)


def _changes(fitted: Mapping[str, Fitted], scales: Mapping[str, float]) -> dict[str, Delta]:
    """By layer."""
    found: dict[str, Delta] = {}
    for name, adapter in fitted.items():
        for layer, factors in read_factors(adapter).items():
            found.setdefault(layer, Delta()).parts.append((factors, scales[name]))
    return found


def _places(root: Path) -> dict[Path, dict[str, str]]:
    """File -> tensor name in it -> layer. Raises `ModelUnsuited` for files that no weight can be written back to."""
    found: dict[Path, dict[str, str]] = {}
    for component, place in own_networks(root).items():
        for file in weight_files(place):
            if file.suffix.lower() != SAFETENSORS:
                raise ModelUnsuited(
                    f"{file.name} holds blocks of numbers; merge into the safetensors checkpoint", field="model"
                )
            found.setdefault(file, {})
        for name, stored in tensor_index(place, component).items():
            _require_plain(stored)
            if name.endswith(WEIGHT):
                found[stored.file][stored.name] = f"{component}/{name.removesuffix(WEIGHT)}"
    return found


def _require_plain(stored: StoredTensor) -> None:
    if stored.scale:
        raise ModelUnsuited(f"{stored.file.name} holds scaled fp8; merge into the bf16 checkpoint", field="model")


def _require_room(root: Path, target: Path) -> None:
    """Raises `DiskFull` before anything is written."""
    files = [root] if root.is_file() else [path for path in root.rglob("*") if path.is_file()]
    need = sum(path.stat().st_size for path in files)
    require_space("the merged checkpoint takes", need, target.parent, "out")


def _write(root: Path, draft: Path, changed: Mapping[Path, Mapping[str, Delta]], check: Check) -> None:
    """A copy of the checkpoint; files with weights are written again, tensor by tensor mapped from the old ones."""
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    base = root.parent if root.is_file() else root
    for path in files:
        check()
        goal = draft / path.relative_to(base)
        goal.parent.mkdir(parents=True, exist_ok=True)
        deltas = next((rows for file, rows in changed.items() if file.resolve() == path.resolve()), None)
        if deltas is None:
            shutil.copyfile(path, goal)
        else:
            _write_weights(path, goal, deltas, check)


def _write_weights(source: Path, goal: Path, deltas: Mapping[str, Delta], check: Check) -> None:
    tensors: dict[str, Tensor] = {}
    with safe_open(source, framework="pt", device="cpu") as file, torch.inference_mode():
        for count, name in enumerate(file.keys()):
            if count % 16 == 0:
                check()
            tensor = file.get_tensor(name)
            tensors[name] = deltas[name].added_to(tensor) if name in deltas else tensor
        metadata = json.loads(read_header(source)).get("__metadata__") or {"format": "pt"}
        save_file(tensors, goal, metadata)


def _note(draft: Path, root: Path, merged: list[dict[str, Any]]) -> None:
    """Name what was merged in the transformer's config, and forget a manifest that is no longer true."""
    for config in (draft / CONFIG, draft / "transformer" / CONFIG):
        if config.is_file():
            data = json.loads(config.read_text("utf-8"))
            data[ENTRY] = [*data.get(ENTRY, []), *merged]
            config.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    if not root.is_file():
        (draft / "manifest.json").unlink(missing_ok=True)
