"""A prepared dataset on disk: latents and conditions by content, and a manifest that says which song has which.

    manifest.json            rows, the model they were made with, sentences on what was left out
    latents/<key>.safetensors    ``mean`` [T, 64] and, of a codec with a posterior, ``std`` [T, 64], float32
    words/<key>.safetensors      ``text`` [L, D], ``lyrics`` [M, D]: what the text encoder makes of a prompt
    states/<key>.safetensors     ``states`` [L, H]: the packed condition

A key is the hash of everything its tensors follow from, digests of the networks included; so files never get stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from acestep.api.errors import BadCheckpoint, BadRequest, ModelUnsuited, NotFound
from acestep.api.limits import LATENT_CHANNELS
from acestep.training.adapters.writing import save_whole

FORMAT, VERSION = "acestep-bridge-prepared", 1
MANIFEST = "manifest.json"
LATENTS, WORDS, STATES = "latents", "words", "states"


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Which networks tensors were made with: the model's name, and digests of its files."""

    name: str = ""
    variant: str = ""
    digest: str = ""
    codec: str = ""
    text: str = ""
    condition: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One prepared sample. ``sound`` is the sha256 of its file, ``text`` what the text encoder read."""

    id: str
    name: str
    frames: int
    latents: str
    states: str
    sound: str = ""
    text: str = ""
    validation: bool = False


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared dataset: ``dataset`` is the digest of its texts and sounds, ``trigger`` its tag."""

    rows: tuple[Row, ...]
    model: ModelFacts
    format: str = FORMAT
    version: int = VERSION
    name: str = ""
    dataset: str = ""
    trigger: str = ""
    tag_position: str = "prepend"
    max_seconds: float = 0.0
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """What a sample is trained on: latents [T, 64] (their posterior's spread, where there is one), and states [L, H].

    ``context`` [T, 128]: of tensors that the original prepared; None stands for silence and a mask of ones.
    """

    mean: Tensor
    states: Tensor
    std: Tensor | None = None
    context: Tensor | None = None


class Prepared(Protocol):
    """A prepared dataset, whoever prepared it."""

    folder: Path
    manifest: Manifest

    def read(self, row: Row) -> Item:
        """The tensors of a row. Raises `BadCheckpoint`."""
        ...


class Store:
    """A folder of tensors by content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, kind: str, key: str) -> Path:
        return self.folder / kind / f"{key}.safetensors"

    def has(self, kind: str, key: str) -> bool:
        """Whether the tensors are there; files appear whole or not at all, so being there is enough."""
        return self.place(kind, key).is_file()

    def put(self, kind: str, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Write tensors, whole or not at all. Raises `DiskFull`, `OutputUnwritable`."""
        whole = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
        save_whole(self.place(kind, key), lambda path: save_file(whole, path))

    def get(self, kind: str, key: str) -> dict[str, Tensor]:
        """Tensors by name. Raises `BadCheckpoint` for a damaged or missing file."""
        path = self.place(kind, key)
        try:
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a mapping)
        except (OSError, SafetensorError) as failure:
            raise BadCheckpoint(
                f"{path} is missing or damaged; delete it and prepare the dataset again", field="prepared"
            ) from failure


class PreparedFolder:
    """A dataset that `prepare` has prepared. Raises `NotFound`, `BadRequest`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self._store = Store(folder)

    def read(self, row: Row) -> Item:
        latents = self._store.get(LATENTS, row.latents)
        states = self._store.get(STATES, row.states).get("states")
        mean = latents.get("mean")
        if mean is None or states is None or mean.shape != (row.frames, LATENT_CHANNELS) or states.ndim != 2:
            raise BadCheckpoint(f"the tensors of {row.name} do not fit together; prepare it again", field="prepared")
        return Item(mean.float(), states, latents.get("std"))


def read_manifest(folder: Path) -> Manifest:
    """Raises `NotFound` where nothing was prepared, `BadRequest` for another file."""
    path = folder / MANIFEST
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError:
        raise NotFound(f"{folder} holds no prepared dataset; prepare one there first", field="prepared") from None
    except (msgspec.DecodeError, ValueError):
        raise BadRequest(f"{path} is not a manifest of a prepared dataset", field="prepared") from None
    if found.format != FORMAT or found.version != VERSION:
        raise BadRequest(f"{path} is of another version ({found.format} {found.version})", field="prepared")
    return found


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Raises `DiskFull`, `OutputUnwritable`."""
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    save_whole(folder / MANIFEST, lambda path: path.write_bytes(data))


def require_model(manifest: Manifest, facts: ModelFacts) -> None:
    """Refuse tensors that were made with other networks. Raises `ModelUnsuited`.

    The original stores no digests; of its tensors only the sizes can be checked (`require_sizes`).
    """
    made = manifest.model
    wrong = [
        word
        for word, own, other in (
            ("codec", made.codec, facts.codec),
            ("text encoder", made.text, facts.text),
            ("condition encoder", made.condition, facts.condition),
        )
        if own and own != other
    ]
    if wrong:
        raise ModelUnsuited(
            f"the dataset was prepared with another {' and '.join(wrong)} (model {made.name}) than that of {facts.name}; "
            f"prepare it for {facts.name}",
            field="model",
        )


def require_sizes(item: Item, row: Row, width: int) -> None:
    """Refuse states of another width than the model's conditions. Raises `ModelUnsuited`."""
    if item.states.shape[-1] != width:
        raise ModelUnsuited(
            f"the tensors of {row.name} are for a model whose conditions have {item.states.shape[-1]} numbers; this one's have "
            f"{width}",
            field="model",
        )


def finite(tensor: Tensor) -> bool:
    """Whether all numbers of a tensor are finite."""
    return bool(torch.isfinite(tensor).all())
