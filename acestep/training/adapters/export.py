"""A trained adapter in the forms that programs open, each with its strength where that program looks for it.

LoRA and DoRA: a PEFT folder (alpha and rank in its config), a file for ComfyUI (``.alpha`` beside every layer), a file for
diffusers (the config in the header). LoKr: the original's ``lokr_weights.safetensors`` and a file for ComfyUI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from acestep.api.training import AdapterShape
from acestep.checkpoints.adapter_strength import ADAPTER_CONFIG, ADAPTER_FILES
from acestep.checkpoints.mapping import rename, to_original
from acestep.training.adapters.adapter import split_name, trained_parameters
from acestep.training.adapters.network import TrainedDit
from acestep.training.adapters.writing import save_whole

OWN_ENTRY = "acestep_bridge"
"""Entry of a file's header under which our facts stand."""

PEFT_FILE, LOKR_FILE = ADAPTER_FILES[0], ADAPTER_FILES[1]
COMFY_ENDING, DIFFUSERS_ENDING = ".comfyui.safetensors", ".diffusers.safetensors"
DIFFUSERS_ENTRY = "lora_adapter_metadata"

PEFT_PARTS = {"down": "lora_A.weight", "up": "lora_B.weight", "magnitude": "lora_magnitude_vector"}
COMFY_PARTS = {"down": "lora_down.weight", "up": "lora_up.weight", "magnitude": "dora_scale"}

Layers = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Export:
    """An adapter's tensors by layer (diffusers' names) and part, its shape, and what is to be known of it."""

    layers: Layers
    shape: AdapterShape
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, network: TrainedDit, shape: AdapterShape, facts: Mapping[str, Any]) -> Export:
        """The adapter that is in a network."""
        layers: Layers = {}
        for name, parameter in trained_parameters(network).items():
            layer, part = split_name(name)
            layers.setdefault(layer, {})[part] = parameter.detach().float().cpu().contiguous()
        return cls(layers, shape, facts)

    def header(self, **more: str) -> dict[str, str]:
        """Entries of a file's header."""
        return {"format": "pt", OWN_ENTRY: json.dumps(self.facts, ensure_ascii=False), **more}


def write_forms(export: Export, folder: Path, name: str) -> dict[str, str]:
    """Every form of an adapter; returns the files by form. Raises `DiskFull`, `OutputUnwritable`."""
    comfy = folder / f"{name}{COMFY_ENDING}"
    if export.shape.kind == "lokr":
        files = {
            "lokr": write_peft(export, folder / "adapter"),
            "comfyui": write_lokr(export, comfy, "diffusion_model.decoder."),
        }
    else:
        diffusers = folder / f"{name}{DIFFUSERS_ENDING}"
        files = {
            "peft": write_peft(export, folder / "adapter"),
            "comfyui": write_comfy(export, comfy),
            "diffusers": write_diffusers(export, diffusers),
        }
    return {form: str(path) for form, path in files.items()}


def write_peft(export: Export, folder: Path) -> Path:
    """The folder that the original opens: PEFT's two files, or ``lokr_weights.safetensors``."""
    if export.shape.kind == "lokr":
        return write_lokr(export, folder / LOKR_FILE, "lycoris_", underscores=True).parent
    tensors = {
        f"base_model.model.{original_path(layer)}.{PEFT_PARTS[part]}": tensor
        for layer, parts in export.layers.items()
        for part, tensor in parts.items()
    }
    _save(folder / PEFT_FILE, tensors, export.header())
    text = (
        json.dumps(peft_settings(export.shape), indent=2) + "\n"
    )  # PEFT warns of, or fails at, entries it does not know
    save_whole(folder / ADAPTER_CONFIG, lambda path: path.write_text(text, "utf-8"))
    return folder


def write_comfy(export: Export, path: Path) -> Path:
    """One file for ComfyUI. Without ``.alpha`` it would take alpha for the rank, and play at another strength."""
    tensors: dict[str, Tensor] = {}
    for layer, parts in export.layers.items():
        base = f"diffusion_model.decoder.{original_path(layer)}"
        for part, tensor in parts.items():
            tensors[f"{base}.{COMFY_PARTS[part]}"] = tensor[:, None] if part == "magnitude" else tensor
        tensors[f"{base}.alpha"] = torch.tensor(float(export.shape.alpha))
    return _save(path, tensors, export.header())


def write_diffusers(export: Export, path: Path) -> Path:
    """One file for diffusers, which reads the strength from the header alone."""
    tensors = {
        f"transformer.{layer}.{PEFT_PARTS[part]}": tensor
        for layer, parts in export.layers.items()
        for part, tensor in parts.items()
    }
    settings = peft_settings(export.shape)
    settings["target_modules"] = [rename(f".{name}.").strip(".") for name in settings["target_modules"]]
    named = {f"transformer.{name}": value for name, value in settings.items()}
    return _save(path, tensors, export.header(**{DIFFUSERS_ENTRY: json.dumps(named, sort_keys=True)}))


def write_lokr(export: Export, path: Path, prefix: str, *, underscores: bool = False) -> Path:
    """A LoKr in LyCORIS' form. Where both factors are whole, LyCORIS and ComfyUI heed no alpha, so it goes into the first one."""
    shape = export.shape
    tensors: dict[str, Tensor] = {}
    for layer, parts in export.layers.items():
        name = original_path(layer)
        base = prefix + (name.replace(".", "_") if underscores else name)
        whole = "lokr_w1" in parts and "lokr_w2" in parts
        for part, tensor in parts.items():
            tensors[f"{base}.{part}"] = tensor * (shape.alpha / shape.rank) if whole and part == "lokr_w1" else tensor
        tensors[f"{base}.alpha"] = torch.tensor(float(shape.rank if whole else shape.alpha))
    settings = {
        "linear_dim": shape.rank, "linear_alpha": shape.alpha, "factor": shape.factor, "decompose_both": shape.decompose_both,
        "use_tucker": False, "use_scalar": False, "weight_decompose": False, "target_modules": shape.suffixes(),
    }  # fmt: skip
    return _save(path, tensors, export.header(algo="lokr", lokr_config=json.dumps(settings)) | {"format": "lycoris"})


def peft_settings(shape: AdapterShape) -> dict[str, Any]:
    """The entries of a PEFT config that every program reads, in the original's names."""
    return {
        "peft_type": "LORA", "task_type": None, "inference_mode": True, "r": shape.rank, "lora_alpha": shape.alpha,
        "lora_dropout": shape.dropout, "target_modules": shape.suffixes(), "bias": "none", "use_dora": shape.kind == "dora",
        "use_rslora": False, "fan_in_fan_out": False, "init_lora_weights": True, "rank_pattern": {}, "alpha_pattern": {},
        "base_model_name_or_path": None, "modules_to_save": None,
    }  # fmt: skip


def original_path(layer: str) -> str:
    """A transformer's layer in the original's names, without the component."""
    return to_original("transformer", f"{layer}.weight").removeprefix("decoder.").removesuffix(".weight")


def _save(path: Path, tensors: Mapping[str, Tensor], header: dict[str, str]) -> Path:
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_whole(path, lambda draft: save_file(whole, draft, header))
    return path
