"""The file lists of the published repositories, names as the hub shows them, and small stand-ins with exactly those files.

Contents are a tiny checkpoint's where there is something to open, and filler elsewhere: what a download has to leave alone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

REMOTE_CODE = ("configuration_acestep_v15.py", "modeling_acestep_v15_turbo.py", "apg_guidance.py")
PAGE = (".gitattributes", "README.md", "LICENSE")
DIT = ("config.json", "model.safetensors", "silence_latent.pt")
SHARDS = tuple(f"model-{index:05d}-of-00004.safetensors" for index in range(1, 5))
XL = ("config.json", "silence_latent.pt", "model.safetensors.index.json", *SHARDS)
TOKENIZER = ("added_tokens.json", "merges.txt", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
             "vocab.json", "chat_template.jinja")  # fmt: skip
PLANNER = ("config.json", "model.safetensors", *TOKENIZER)


def _inside(folder: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


LISTS: dict[str, tuple[str, ...]] = {
    "ACE-Step/Ace-Step1.5": (
        *PAGE,
        "config.json",
        *_inside("acestep-v15-turbo", (*DIT, *REMOTE_CODE)),
        *_inside("vae", ("config.json", "diffusion_pytorch_model.safetensors")),
        *_inside("Qwen3-Embedding-0.6B", ("config.json", "model.safetensors", *TOKENIZER, "README.md")),
        *_inside("acestep-5Hz-lm-1.7B", PLANNER),
    ),
    **{
        f"ACE-Step/acestep-v15-{name}": (*PAGE, *DIT, *REMOTE_CODE)
        for name in ("base", "sft", "turbo-shift1", "turbo-shift3", "turbo-continuous")
    },
    **{f"ACE-Step/acestep-v15-xl-{name}": (*PAGE, *XL, *REMOTE_CODE) for name in ("turbo", "base", "sft")},
    **{f"ACE-Step/acestep-5Hz-lm-{size}": (*PAGE, *PLANNER) for size in ("0.6B", "4B")},
}
"""Repository -> its files."""


def stand_in(root: Path, repository: str, real: dict[str, Path]) -> Path:
    """A folder with exactly the repository's files; ``real`` gives folders for parts of it ("": the root's own)."""
    folder = root / repository.replace("/", "--")
    for name in LISTS[repository]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part, _, leaf = name.rpartition("/")
        source = real.get(part, Path("/nowhere")) / leaf
        shutil.copyfile(source, path) if source.is_file() else path.write_bytes(
            b"{}" if leaf.endswith(".json") else b"filler"
        )
    return folder


def shard(model: Path) -> None:
    """Split a folder's one weight file into the four shards of the XL models, float32 as they are."""
    tensors = load_file(model / "model.safetensors")
    names, places = sorted(tensors), {}
    for index, shard_name in enumerate(SHARDS):
        own = names[index::4]
        save_file({name: tensors[name] for name in own}, model / shard_name, metadata={"format": "pt"})
        places.update(dict.fromkeys(own, shard_name))
    (model / "model.safetensors").unlink()
    total = sum(tensor.nbytes for tensor in tensors.values())
    index_file = {"metadata": {"total_size": total}, "weight_map": places}
    (model / "model.safetensors.index.json").write_text(json.dumps(index_file))
