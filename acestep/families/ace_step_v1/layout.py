"""Where the parts of a v1 checkpoint lie, and what of them is there. No torch.

Two layouts are opened as they lie: the hub's (four folders, also in a cache's snapshot) and ComfyUI's all-in-one file. lofi.nvim's
ONNX set and int4 forms are recognised, to be refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from acestep.api.errors import AceError, BadCheckpoint, ModelMissing
from acestep.checkpoints.files import SAFETENSORS, ends_whole, tensor_table, weight_files
from acestep.checkpoints.hub_cache import folder_name, snapshots
from acestep.checkpoints.weights import read_contents
from acestep.families.ace_step_v1.published import (
    AUTOENCODER,
    TEXT,
    TRANSFORMER,
    VOCABULARY,
    VOCODER,
)

FOLDERS = (TRANSFORMER, AUTOENCODER, VOCODER, TEXT)

INT4 = ("diffusion_pytorch_model_int4wo.bin", "pytorch_model_int4wo.bin")
"""Weights of the original's int4 form, which are pickles of a quantisation library's own tensors."""

ONNX = ("transformer_decoder.onnx", "transformer_decoder_weights.bin", "transformer_encoder.onnx")
"""Files by which lofi.nvim's set is known."""

ONNX_FOLDER = "ace-step"
"""Where that set lies below lofi.nvim's models."""

TOKENIZER = "tokenizer.json"

PREFIXES = {
    TRANSFORMER: "model.diffusion_model.",
    AUTOENCODER: "vae.dcae.",
    VOCODER: "vae.vocoder.",
    TEXT: "text_encoders.umt5base.transformer.",
}
"""How an all-in-one file marks its parts."""

SPIECE = "spiece_model"
"""Last piece of the name under which such a file carries the text encoder's tokenizer."""

COMFYUI_VOCABULARY = Path("comfy") / "text_encoders" / "ace_lyrics_tokenizer" / VOCABULARY
"""ComfyUI's copy of the lyric vocabulary, below its root."""

AGAIN = "download the model again"


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The places of one checkpoint's parts: folders, or the same file for each."""

    name: str
    places: dict[str, Path]
    tokenizer: Path
    """The text encoder's tokenizer: a ``tokenizer.json``, or a file that carries it."""
    vocabulary: Path | None
    """The lyric vocabulary; without it there is instrumental music only."""

    def files(self) -> list[Path]:
        """Every weight file, each once. Raises as `weight_files` does."""
        return list(dict.fromkeys(file for place in self.places.values() for file in weight_files(place)))


def recognise(path: Path) -> str:
    """What of this family lies at ``path``, complete or not: ``hub``, ``all-in-one``, ``int4``, ``onnx``, or nothing. Reads no
    more than names and one header."""
    if path.is_file():
        return "all-in-one" if path.suffix.lower() == SAFETENSORS and _has_transformer(path) else ""
    root = _root(path)
    if any((root / name).is_dir() for name in FOLDERS if name != TEXT):
        return "int4" if next(_int4(root), None) else "hub"
    return "onnx" if _onnx(root) else ""


def locate(path: Path, near: Iterable[Path] = ()) -> Parts:
    """The parts of the checkpoint at ``path``; the lyric vocabulary, and a file's tokenizer, may lie in the folders ``near``.

    Raises `ModelMissing` naming every part that is not there or cut short, `BadCheckpoint` for other families and forms.
    """
    near = list(near)
    if path.is_file():
        return _locate_file(path, near)
    root = _root(path)
    name = folder_name(root)
    if found := next(_int4(root), None):
        raise BadCheckpoint(
            f"{name} holds int4 weights ({found.name}), which cannot be opened; use the bfloat16 files of the same model",
            field="model",
        )
    if _onnx(root) is not None:
        raise BadCheckpoint(
            f"{name} is lofi.nvim's ONNX set of ACE-Step v1, which holds graphs and no weights to open; use the published "
            "safetensors files of the same model",
            field="model",
        )
    if not any((root / folder).is_dir() for folder in FOLDERS):
        raise BadCheckpoint(f"{path} holds no ACE-Step v1 checkpoint", field="model")
    if problems := list(_problems(root)):
        raise ModelMissing(f"{name} is not complete: {'; '.join(problems)}; {AGAIN}", field="model")
    places = {folder: root / folder for folder in FOLDERS}
    return Parts(name=name, places=places, tokenizer=root / TEXT / TOKENIZER, vocabulary=_vocabulary([root, *near]))


def _problems(root: Path) -> Iterator[str]:
    """What is missing of a hub folder, or came only half, in a few words each."""
    for folder in FOLDERS:
        place = root / folder
        if not place.is_dir():
            yield f"the folder {folder} is missing"
            continue
        yield from _damage(place / "config.json", folder)
        try:
            weight_files(place)
        except ModelMissing as failure:
            yield failure.message.replace(f"{root}/", "").partition("; ")[0]
    if (root / TEXT).is_dir():
        yield from _damage(root / TEXT / TOKENIZER, TEXT)


def _damage(file: Path, folder: str) -> Iterator[str]:
    """What is wrong with a JSON file, by its last bytes; nothing where it came whole."""
    if not file.is_file():
        yield f"{folder}/{file.name} is missing"
    elif not ends_whole(file):
        yield f"{folder}/{file.name} is cut short"


def _locate_file(path: Path, near: list[Path]) -> Parts:
    if path.suffix.lower() != SAFETENSORS:
        raise BadCheckpoint(
            f"{path.name} is not a safetensors file; ACE-Step v1 is opened from those only", field="model"
        )
    weight_files(path)
    names = list(tensor_table(path))
    if not any(name.startswith(PREFIXES[TRANSFORMER]) for name in names) or not _has_transformer(path):
        raise BadCheckpoint(f"{path.name} {_other_family(path)}", field="model")
    missing = [part for part, prefix in PREFIXES.items() if not any(name.startswith(prefix) for name in names)]
    if missing:
        raise BadCheckpoint(
            f"{path.name} holds no {' and no '.join(missing)}: it is not an all-in-one file", field="model"
        )
    beside = [folder for folder in path.parents[:5]]
    borrowed = (folder / TEXT / TOKENIZER for folder in near)
    own = path if any(name.rpartition(".")[2] == SPIECE for name in names) else None
    tokenizer = own or next((file for file in borrowed if file.is_file()), None)
    if tokenizer is None:
        raise ModelMissing(f"{path.name} carries no tokenizer of the text encoder; {AGAIN}", field="model")
    return Parts(
        name=path.stem,
        places=dict.fromkeys(FOLDERS, path),
        tokenizer=tokenizer,
        vocabulary=_vocabulary([*beside, *near]),
    )


def _other_family(path: Path) -> str:
    """What a file is that is none of ours."""
    found = read_contents(path)
    if found.parts:
        return f"is a file of ACE-Step 1.5 ({', '.join(part.replace('_', ' ') for part in found.parts)}), not of v1"
    return f"is {found.family}" if "v1" not in found.family else "holds the transformer of ACE-Step v1 alone"


def _has_transformer(path: Path) -> bool:
    try:
        names = tensor_table(path)
    except AceError:
        return False
    return any(name.endswith("lyric_embs.weight") for name in names)


def _root(path: Path) -> Path:
    """The folder itself, or the snapshot that a hub's cache folder stands for."""
    inner = [folder for folder in snapshots(path) if any((folder / name).is_dir() for name in FOLDERS)]
    return inner[0] if inner else path


def _int4(root: Path) -> Iterator[Path]:
    yield from (root / folder / name for folder in FOLDERS for name in INT4 if (root / folder / name).is_file())


def _onnx(root: Path) -> Path | None:
    places = (root, root / ONNX_FOLDER)
    return next((place for place in places if any((place / name).is_file() for name in ONNX)), None)


def _vocabulary(folders: Iterable[Path]) -> Path | None:
    places = (folder / inner for folder in folders for inner in (VOCABULARY, COMFYUI_VOCABULARY))
    return next((place for place in places if place.is_file()), None)
