"""Which folders and files are looked at for models, below the folders that a person names. No torch.

Three levels: the folder, its folders, theirs. Of a hub's cache the snapshots count, under the names of their repositories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from acestep.checkpoints.files import GGUF, PICKLED, SAFETENSORS, WEIGHT_NAMES
from acestep.checkpoints.hub_cache import MARK, snapshots

EMBEDDED = Path(__file__).parent / "nano"
"""The checkpoint that is shipped with the package, when there is one."""

DEPTH = 2
"""Levels below a named folder."""

COMFYUI = ("diffusion_models", "unet", "checkpoints", "text_encoders", "clip", "vae")
"""ComfyUI's folders for the parts of a model, side by side."""

ONNX = ".onnx"
"""Ending of graphs, whose numbers lie beside them in files that look like pickles."""

COMPONENT_FILES = ("config.json", "model_index.json")
"""What makes a folder a component or a model of its own: weight files with a component's names are its, not loose ones."""

COMPONENT_NAMES = ("model.", "model-", "diffusion_pytorch_model")
"""Beginnings of a component's own weight files, other formats of the same weights among them (``model.fp16.safetensors``)."""

NO_MODELS = ("adapter_model", "lora_weights", "lokr_weights", "pytorch_lora_weights")
"""Beginnings of file names that belong to adapters."""


def places(folders: Iterable[Path]) -> list[Path]:
    """The folders, and those below them that are looked at, each once; in a hub's cache its snapshots."""
    found: dict[Path, None] = {}
    for folder in folders:
        cached = snapshots(folder)
        for place in (folder, *cached):
            for inner in _below(place, DEPTH):
                found.setdefault(inner)
    return list(found)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    if depth and not folder.name.startswith(MARK):
        for child in subfolders(folder):
            if not child.name.startswith(MARK):
                yield from _below(child, depth - 1)


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder that are not hidden, by name; none where it cannot be read."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []


def loose_files(folders: Iterable[Path]) -> list[Path]:
    """Weight files of other programs in these folders (not below them): alone, not as the weights of a component."""
    found: dict[Path, None] = {}
    for folder in folders:
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        component = any(entry.name in COMPONENT_FILES for entry in entries)
        for entry in entries:
            own = component and entry.name.startswith(COMPONENT_NAMES)
            if entry.suffix.lower() in (GGUF, SAFETENSORS) and not own and _is_loose(entry):
                found.setdefault(entry)
    return list(found)


def loose_pickles(folders: Iterable[Path]) -> list[Path]:
    """Pickled weight files that stand where weight files would: named, so that nothing lies there unseen."""
    found = []
    for folder in folders:
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        graphs = any(entry.suffix.lower() == ONNX for entry in entries)
        if not graphs and not any(entry.name in COMPONENT_FILES for entry in entries):
            found += [entry for entry in entries if entry.suffix.lower() in PICKLED and "silence" not in entry.name]
    return found


def _is_loose(path: Path) -> bool:
    plain = path.name.lower()
    return (
        plain not in WEIGHT_NAMES and "-of-" not in plain and not plain.startswith((".", *NO_MODELS)) and path.is_file()
    )
