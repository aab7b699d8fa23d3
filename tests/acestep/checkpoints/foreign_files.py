"""Writes a tiny checkpoint the way other programs keep theirs: ComfyUI's files, GGUF of acestep.cpp, a hub's cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from acestep.checkpoints.layout import SILENCE, TEXT_ENCODER
from acestep.checkpoints.mapping import to_diffusers

FOLDERS = {"condition_encoder": "condition_encoder", "transformer": "transformer", "audio_tokenizer": "audio_tokenizer",
           "audio_detokenizer": "audio_token_detokenizer"}  # fmt: skip

UNITS = {"snake1": 0, "conv1": 1, "snake2": 2, "conv2": 3}


def stable_audio_name(name: str, blocks: int = 5) -> str:
    """A codec tensor's name in stable-audio-tools' numbering, from diffusers' (our own table, read the other way)."""
    side, first, *rest = name.split(".")
    if first != "block":
        return f"{side}.layers.{ {'conv1': 0, 'snake1': blocks + 1, 'conv2': blocks + 2}[first] }.{rest[0]}"
    number, layer, *leaf = rest
    outer = f"{side}.layers.{int(number) + 1}.layers"
    if layer.startswith("res_unit"):
        unit = int(layer.removeprefix("res_unit")) - 1 + (0 if side == "encoder" else 2)
        return f"{outer}.{unit}.layers.{UNITS[leaf[0]]}.{leaf[1]}"
    return f"{outer}.{ {'encoder': {'snake1': 3, 'conv1': 4}, 'decoder': {'snake1': 0, 'conv_t1': 1}}[side][layer] }.{leaf[0]}"


def codec_tensors(dit: Path) -> dict[str, Tensor]:
    """The codec as stable-audio-tools keeps it: numbered layers, snake parameters without their ones."""
    found = load_file(dit.parent / "vae" / "diffusion_pytorch_model.safetensors")
    return {
        stable_audio_name(name): tensor.reshape(-1) if name.endswith((".alpha", ".beta")) else tensor
        for name, tensor in found.items()
    }


def comfy_files(dit: Path, root: Path, *, prefix: str = "model.diffusion_model.") -> Path:
    """ComfyUI's split files; returns the transformer's. No config, no tokenizer, no silence latent."""
    name = f"acestep_v1.5_{dit.name.removeprefix('acestep-v15-')}_bf16.safetensors"
    text = load_file(dit.parent / TEXT_ENCODER / "model.safetensors")
    network = {f"{prefix}{key}": tensor for key, tensor in load_file(dit / "model.safetensors").items()}
    for folder, file, tensors in (
        ("diffusion_models", name, network),
        ("vae", "ace_1.5_vae.safetensors", codec_tensors(dit)),
        ("text_encoders", "qwen_0.6b_ace15.safetensors", {f"model.{key}": value for key, value in text.items()}),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        save_file(tensors, root / folder / file)
    return root / "diffusion_models" / name


def all_in_one(dit: Path, file: Path, language: dict[str, Tensor] | None = None) -> Path:
    """ComfyUI's single file, with a logit scale for each text encoder and (``language``) the planner as the second of them."""
    tensors = {f"model.diffusion_model.{key}": value for key, value in load_file(dit / "model.safetensors").items()}
    tensors |= {f"vae.{key}": value for key, value in codec_tensors(dit).items()}
    encoder = "text_encoders.qwen3_06b"
    text = load_file(dit.parent / TEXT_ENCODER / "model.safetensors")
    tensors |= {f"{encoder}.transformer.model.{key}": value for key, value in text.items()}
    tensors[f"{encoder}.logit_scale"] = torch.tensor(4.6)
    for key, value in (language or {}).items():
        tensors[f"text_encoders.qwen3_2b.transformer.{key}"] = value
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    return file


Kind = Callable[[str, Tensor], gguf.GGMLQuantizationType]
"""Which type a tensor is kept in."""


def write_gguf(
    file: Path, architecture: str, tensors: dict[str, Tensor], config: dict, kind: Kind, **facts: list[str]
) -> Path:
    """A file as acestep.cpp's converter makes it, by the `gguf` package itself."""
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_name(file.stem)
    writer.add_string("acestep.config_json", json.dumps(config, separators=(",", ":")))
    for key, strings in facts.items():
        writer.add_array(f"tokenizer.ggml.{key}", strings)
    for name, tensor in tensors.items():
        numbers = tensor.float().numpy()
        chosen = kind(name, tensor)
        if chosen is gguf.GGMLQuantizationType.F32:
            writer.add_tensor(name, numbers)
        elif chosen.name.endswith("_K"):
            writer.add_tensor(name, random_blocks(numbers.shape, chosen), raw_dtype=chosen)
        else:
            writer.add_tensor(name, gguf.quants.quantize(numbers, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def random_blocks(shape: tuple[int, ...], kind: gguf.GGMLQuantizationType) -> np.ndarray:
    """Bytes of a tensor of K-quants, which the package reads but does not write; the half-precision factors are kept small."""
    block, width = gguf.GGML_QUANT_SIZES[kind]
    rows = np.random.default_rng(shape[-1]).integers(0, 32, (*shape[:-1], shape[-1] // block * width), dtype=np.uint8)
    return np.ascontiguousarray(rows)


def gguf_files(dit: Path, root: Path, kind: Kind, label: str) -> Path:
    """A model as acestep.cpp keeps it, one file for each part; returns the transformer's. The silence latent lies in it."""
    networks = load_file(dit / "model.safetensors")
    silence = torch.load(dit / SILENCE, weights_only=True)[0].T.contiguous()
    plain = lambda name, tensor: gguf.GGMLQuantizationType.F32  # noqa: E731
    config = json.loads((dit / "config.json").read_text())
    text = dit.parent / TEXT_ENCODER
    words = json.loads((text / "tokenizer.json").read_text())["model"]["vocab"]
    tokens = sorted(words, key=words.get)
    tokens.append(tokens[0] + tokens[1])
    write_gguf(root / f"vae-{label}.gguf", "acestep-vae",
               load_file(dit.parent / "vae" / "diffusion_pytorch_model.safetensors"),
               json.loads((dit.parent / "vae" / "config.json").read_text()), plain)  # fmt: skip
    write_gguf(root / f"Qwen3-Embedding-0.6B-{label}.gguf", "acestep-text-enc", load_file(text / "model.safetensors"),
               json.loads((text / "config.json").read_text()), plain,
               tokens=tokens, merges=[f"{tokens[0]} {tokens[1]}"])  # fmt: skip
    file = root / f"{dit.name}-{label}.gguf"
    chosen = lambda name, tensor: plain(name, tensor) if name == "silence_latent" else kind(name, tensor)  # noqa: E731
    return write_gguf(file, "acestep-dit", {**networks, "silence_latent": silence}, config, chosen)


def hub_cache(folder: Path, cache: Path, repository: str, *, links: bool = True) -> Path:
    """``folder`` as the hub's client keeps it: blobs, and a snapshot of links to them (files, where the system knows none)."""
    sha = "0123456789abcdef0123456789abcdef01234567"
    home = cache / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / sha
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(sha)
    (home / "blobs").mkdir()
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        target = snapshot / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        blob = home / "blobs" / f"{number:064x}"
        shutil.copy(path, blob if links else target)
        if links:
            target.symlink_to(Path(*[".."] * (len(target.relative_to(home).parts) - 1)) / "blobs" / blob.name)
    return snapshot


def convert(dit: Path, root: Path) -> Path:
    """The same checkpoint in the diffusers layout, the way the official converter writes it."""
    shutil.copytree(dit.parent / "vae", root / "vae")
    shutil.copytree(dit.parent / TEXT_ENCODER, root / "text_encoder")
    shutil.copytree(dit.parent / TEXT_ENCODER, root / "tokenizer")
    config = json.loads((dit / "config.json").read_text())
    sizes = {
        **config,
        **{key.removeprefix("encoder_"): value for key, value in config.items() if key.startswith("encoder_")},
    }
    split: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in load_file(dit / "model.safetensors").items():
        component, key = to_diffusers(name)
        split.setdefault(component, {})[key] = tensor
    silence = torch.load(dit / SILENCE, weights_only=True).transpose(1, 2).contiguous()
    split["condition_encoder"]["silence_latent"] = silence
    for component, tensors in split.items():
        folder = root / FOLDERS[component]
        folder.mkdir()
        own = dict(config if component == "transformer" else sizes)
        if component != "transformer":
            own.pop("layer_types")
        (folder / "config.json").write_text(json.dumps(own))
        save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    (root / "model_index.json").write_text(json.dumps({"_class_name": "AceStepPipeline"}))
    return root
