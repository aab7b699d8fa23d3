"""Where the parts of a checkpoint lie on disk, and whether they are all there. No torch.

Two layouts exist. *Published*: a bundle folder with one or more DiT folders (``acestep-v15-turbo/`` ...) beside ``vae/`` and
``Qwen3-Embedding-0.6B/``; further DiT folders are single repositories that borrow those two from a bundle nearby.
*Diffusers*: one folder per component under a root with ``model_index.json``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadCheckpoint, ModelMissing

TEXT_ENCODER = "Qwen3-Embedding-0.6B"
VAE = "vae"
SILENCE = "silence_latent.pt"
INDEX = "model_index.json"

WEIGHT_NAMES = ("model.safetensors", "diffusion_pytorch_model.safetensors")
"""Names of a component's weights; with ``.index.json`` appended, of the list of its shards."""

PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "diffusion_pytorch_model.bin", "model.pt", "model.ckpt")
"""Formats that can run code when they are read: recognised only to be refused by name."""

MAX_HEADER = 100 * 2**20
"""Bytes. The safetensors format's own limit for its header."""

MAX_JSON = 64 * 2**20
"""Bytes of a configuration or shard list; the published ones are far below 1 MB."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The folders and files of one checkpoint. In the published layout ``transformer`` holds all four networks."""

    diffusers: bool
    transformer: Path
    condition_encoder: Path
    audio_tokenizer: Path
    audio_detokenizer: Path
    vae: Path
    text_encoder: Path
    text_tokenizer: Path
    silence: Path | None
    """None where the condition encoder's own buffer holds it (diffusers layout)."""

    def folders(self) -> list[Path]:
        """Every folder with weights, each once."""
        return list(dict.fromkeys((self.transformer, self.condition_encoder, self.audio_tokenizer, self.audio_detokenizer,
                                   self.vae, self.text_encoder)))  # fmt: skip


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises `BadCheckpoint`, also for a file of absurd size."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise BadCheckpoint(f"{path} is too large for a configuration file")
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as failure:
        raise BadCheckpoint(f"{path} cannot be read: {failure}") from failure
    if not isinstance(data, dict):
        raise BadCheckpoint(f"{path} holds no JSON object")
    return data


def is_transformer(folder: Path) -> bool:
    """Whether a folder's config describes the DiT in the published layout."""
    try:
        config = read_json(folder / "config.json")
    except BadCheckpoint:
        return False
    return "num_audio_decoder_hidden_layers" in config or ("fsq_input_levels" in config and "in_channels" in config)


def locate(path: Path) -> Parts:
    """The parts of the checkpoint at ``path``: a DiT folder, a bundle with exactly one, or a diffusers root.

    Raises `ModelMissing` when a part is not there, `BadCheckpoint` when the folder is no checkpoint.
    """
    path = path.resolve()
    if (path / INDEX).is_file():
        return _locate_diffusers(path)
    if is_transformer(path):
        return _locate_published(path)
    inner = [folder for folder in _folders(path) if is_transformer(folder)]
    if len(inner) == 1:
        return _locate_published(inner[0])
    if inner:
        names = [folder.name for folder in inner]
        raise BadCheckpoint(f"{path} holds several models; name one of them", field="model", limits={"choices": names})
    raise BadCheckpoint(f"{path} holds no ACE-Step checkpoint", field="model")


def _locate_diffusers(root: Path) -> Parts:
    silence = root / SILENCE
    return Parts(
        diffusers=True,
        transformer=root / "transformer",
        condition_encoder=root / "condition_encoder",
        audio_tokenizer=root / "audio_tokenizer",
        audio_detokenizer=root / "audio_token_detokenizer",
        vae=root / "vae",
        text_encoder=root / "text_encoder",
        text_tokenizer=root / "tokenizer",
        silence=silence if silence.is_file() else None,
    )


def _locate_published(dit: Path) -> Parts:
    text = _companion(dit, TEXT_ENCODER)
    vae = _companion(dit, VAE)
    silence = next((near / SILENCE for near in _neighbours(dit) if (near / SILENCE).is_file()), None)
    if silence is None:
        raise ModelMissing(f"{dit.name} lacks {SILENCE}; download the model again", field="model")
    return Parts(diffusers=False, transformer=dit, condition_encoder=dit, audio_tokenizer=dit, audio_detokenizer=dit,
                 vae=vae, text_encoder=text, text_tokenizer=text, silence=silence)  # fmt: skip


def _companion(dit: Path, name: str) -> Path:
    """The shared part ``name`` for a DiT folder: inside it, beside it, or in a bundle beside it."""
    for near in _neighbours(dit):
        if (near / name / "config.json").is_file():
            return near / name
    raise ModelMissing(
        f"{dit.name} needs the folder {name}, which comes with the main bundle; download that too", field="model"
    )


def _neighbours(dit: Path) -> Iterator[Path]:
    yield dit
    yield dit.parent
    yield from (folder for folder in _folders(dit.parent) if folder != dit)


def users(part: Path) -> list[Path]:
    """The DiT folders that take the shared part ``part`` from where it is: those beside it, and those beside its bundle."""
    found = []
    for dit in (*_folders(part.parent), *_folders(part.parent.parent)):
        if is_transformer(dit):
            try:
                parts = locate(dit)
            except (ModelMissing, BadCheckpoint):
                continue
            if part.resolve() in (parts.vae.resolve(), parts.text_encoder.resolve()):
                found.append(dit.resolve())
    return found


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(entry for entry in path.iterdir() if entry.is_dir())
    except OSError:
        return []


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of one component, shards in order.

    Raises `BadCheckpoint` for pickled weights and shard lists that point outside the folder, `ModelMissing` when there are
    no weights or a shard is missing or cut short.
    """
    for name in WEIGHT_NAMES:
        if (folder / name).is_file():
            return [_complete(folder / name)]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return [_complete(_inside(folder, shard)) for shard in _shards(index)]
    for name in PICKLES:
        if (folder / name).is_file():
            raise BadCheckpoint(
                f"{folder / name} is a pickle, which can run code; only safetensors are opened", field="model"
            )
    raise ModelMissing(f"{folder} holds no weights", field="model")


def _shards(index: Path) -> list[str]:
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
        raise BadCheckpoint(f"{index} lists no shards", field="model")
    return sorted(set(shards.values()))


def _inside(folder: Path, name: str) -> Path:
    if Path(name).name != name or not name.endswith(".safetensors"):
        raise BadCheckpoint(f"{folder.name} names the shard {name!r}, which is no safetensors file of that folder")
    return folder / name


def _complete(path: Path) -> Path:
    """The file itself, once its length is what its header promises (interrupted downloads are the usual failure)."""
    try:
        size = path.stat().st_size
    except OSError as failure:
        raise ModelMissing(f"{path} is missing; download the model again", field="model") from failure
    expected = expected_size(path)
    if size < expected:
        raise ModelMissing(f"{path} is cut short ({size} of {expected} bytes); download the model again", field="model")
    if size > expected:
        raise BadCheckpoint(f"{path} is {size - expected} bytes longer than its header says", field="model")
    return path


def expected_size(path: Path) -> int:
    """Length in bytes that a safetensors file must have, from its header. Raises `BadCheckpoint`."""
    return 8 + len(read_header(path)) + max((end for _, _, end in tensor_table(path).values()), default=0)


def read_header(path: Path) -> bytes:
    """The JSON header of a safetensors file, as bytes. Raises `BadCheckpoint`."""
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else MAX_HEADER + 1
        if length > MAX_HEADER:
            raise BadCheckpoint(f"{path} is no safetensors file", field="model")
        header = file.read(length)
    if len(header) < length:
        raise ModelMissing(f"{path} is cut short inside its header; download the model again", field="model")
    return header


def tensor_table(path: Path) -> dict[str, tuple[tuple[int, ...], str, int]]:
    """Name -> (shape, data type, end offset) of every tensor of a safetensors file, without reading the tensors."""
    try:
        entries = json.loads(read_header(path))
        entries.pop("__metadata__", None)
        return {
            name: (tuple(entry["shape"]), entry["dtype"], int(entry["data_offsets"][1]))
            for name, entry in entries.items()
        }
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as failure:
        raise BadCheckpoint(f"{path} has a damaged safetensors header", field="model") from failure
