"""From training runs to a checkpoint folder in the published bundle layout, in half precision, with a manifest.

acestep-v15-nano/       config.json, model.safetensors (original key names), silence_latent.pt
vae/                    config.json, diffusion_pytorch_model.safetensors (class NanoCodec)
Qwen3-Embedding-0.6B/   config.json, model.safetensors, tokenizer files
manifest.json           size and sha256 of every other file
README.md               model card
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from acestep.checkpoints.mapping import to_original
from acestep.training.dit.dit_model import CONFIG, NanoModel
from acestep.training.dit.records import silence_frame
from acestep.training.dit.words import open_tokenizer
from acestep.training.export_layout import CODEC_FOLDER, DIT_FOLDER, MODULES, TEXT_FOLDER
from acestep.training.weights import averaged_weights, open_codec, save_codec

SILENCE_FRAMES = 15000
MODEL_CARD = Path(__file__).with_name("model_card.md")
MANIFEST = {"format": "acestep-checkpoint-manifest", "version": 1}


def original_names(model: NanoModel) -> dict[str, Tensor]:
    """The weights under the names of the published checkpoints."""
    return {
        to_original(component, name): value
        for component, module in MODULES.items()
        for name, value in getattr(model, module).state_dict().items()
    }


def export_checkpoint(run: Path, codec_folder: Path, out: Path) -> None:
    """Write the bundle of a DiT run (its EMA) and its codec into `out`, replacing what is there. Raises `RunMissing`,
    `CheckpointUnreadable` or `CodecUnreadable`."""
    model = NanoModel()
    model.load_state_dict(averaged_weights(run))
    codec = open_codec(codec_folder)
    silence = silence_frame(codec)
    if out.exists():
        shutil.rmtree(out)
    dit, text = out / DIT_FOLDER, out / TEXT_FOLDER
    dit.mkdir(parents=True)
    save_file(
        {name: value.half().contiguous() for name, value in original_names(model).items()}, dit / "model.safetensors"
    )
    (dit / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    torch.save(
        silence[None, :, None].expand(1, -1, SILENCE_FRAMES), dit / "silence_latent.pt"
    )  # a view: 64 numbers on disk
    save_codec(codec.half(), out / CODEC_FOLDER)
    model.text_encoder.half().save_pretrained(text)
    open_tokenizer(run / "tokenizer").save_pretrained(text)
    shutil.copyfile(MODEL_CARD, out / "README.md")
    for path in out.rglob("*.safetensors"):
        path.chmod(0o644)
    write_manifest(out)


def write_manifest(folder: Path) -> None:
    """Pin every file of the folder by size and sha256."""
    files = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(MANIFEST | {"files": files}, indent=2) + "\n")
