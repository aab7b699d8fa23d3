"""Tensors that the original trainer prepared: one ``.pt`` per song, read without running anything that is in them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acestep.api.errors import BadCheckpoint, BadRequest, NotFound
from acestep.api.limits import LATENT_CHANNELS
from acestep.dataset.digest import content_key
from acestep.training.adapters.store import MANIFEST, Item, Manifest, ModelFacts, PreparedFolder, Row, finite

ENDING = ".pt"
NEEDED = ("target_latents", "encoder_hidden_states")
UNNAMED = (
    "these tensors do not say which model they were prepared with; a model of the same sizes is taken for the right one"
)


class OriginalTensors:
    """A folder of ``.pt`` files with or without the original's manifest. Raises `NotFound`, `BadCheckpoint`, `BadRequest`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = {path.stem: path for path in _files(folder)}
        rows = tuple(_row(name, _read(path)) for name, path in self._files.items())
        self.manifest = Manifest(
            rows=rows, model=ModelFacts(), name=folder.name, dataset=_digest(rows), notes=(UNNAMED,)
        )

    def read(self, row: Row) -> Item:
        return _item(row.name, _read(self._files[row.id]))


def open_prepared(folder: Path) -> PreparedFolder | OriginalTensors:
    """A prepared dataset, ours or the original's. Raises `NotFound`, `BadRequest`, `BadCheckpoint`."""
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}", field="prepared")
    return OriginalTensors(folder) if next(folder.glob(f"*{ENDING}"), None) else PreparedFolder(folder)


def _files(folder: Path) -> list[Path]:
    """The files that the manifest lists, or all; only those inside the folder."""
    there = sorted(folder.glob(f"*{ENDING}"))
    listed: Any = None
    if (folder / MANIFEST).is_file():
        try:
            listed = json.loads((folder / MANIFEST).read_bytes()).get("samples")
        except (ValueError, AttributeError, OSError):
            listed = None
    if isinstance(listed, list):
        names = {Path(str(name).replace("\\", "/")).name for name in listed}
        there = [path for path in there if path.name in names] or there
    if not there:
        raise NotFound(f"{folder} holds no prepared tensors", field="prepared")
    return there


def _read(path: Path) -> dict[str, Any]:
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as failure:
        raise BadCheckpoint(
            f"{path} is damaged, or holds more than tensors and plain values, which is not opened", field="prepared"
        ) from failure
    if not isinstance(data, dict) or not all(isinstance(data.get(key), Tensor) for key in NEEDED):
        raise BadCheckpoint(f"{path} lacks {' or '.join(NEEDED)}", field="prepared")
    return data


def _row(name: str, data: dict[str, Any]) -> Row:
    item = _item(name, data)
    facts = data.get("metadata") if isinstance(data.get("metadata"), dict) else {}
    title = str(facts.get("filename") or name) if isinstance(facts, dict) else name
    text = str(facts.get("caption") or "") if isinstance(facts, dict) else ""
    return Row(id=name, name=title, frames=item.mean.shape[0], latents=name, states=name, text=text)


def _item(name: str, data: dict[str, Any]) -> Item:
    """Checked tensors of a file, without the padding of its text. Raises `BadCheckpoint`, `BadRequest`."""
    latents, states, context = data["target_latents"], data["encoder_hidden_states"], data.get("context_latents")
    for tensor, width in ((latents, LATENT_CHANNELS), (states, None), (context, 2 * LATENT_CHANNELS)):
        if tensor is not None and not _fits(tensor, width):
            raise BadCheckpoint(f"the tensors of {name} have shapes that no song has", field="prepared")
    frames, tokens = _kept(data, "attention_mask", latents), _kept(data, "encoder_attention_mask", states)
    latents, states = latents[frames].float(), states[tokens]
    if not len(latents) or not len(states) or not finite(latents) or not finite(states.float()):
        raise BadCheckpoint(f"the tensors of {name} are empty or hold values that are not numbers", field="prepared")
    if context is not None:
        context = context[frames].float() if len(context) == len(frames) else None
    if context is not None and torch.equal(context[:, :LATENT_CHANNELS], latents):
        raise BadRequest(
            f"{name} was prepared for LoKr by the original program, which shows the model the song that it should "
            "make; prepare the dataset here",
            field="prepared",
        )
    return Item(latents, states, context=context)


def _fits(tensor: Any, width: int | None) -> bool:
    return (
        isinstance(tensor, Tensor)
        and tensor.is_floating_point()
        and tensor.ndim == 2
        and (width is None or tensor.shape[1] == width)
    )


def _kept(data: dict[str, Any], key: str, tensor: Tensor) -> Tensor:
    mask = data.get(key)
    if not isinstance(mask, Tensor) or mask.numel() != len(tensor):
        return torch.ones(len(tensor), dtype=torch.bool)
    return mask.reshape(-1).bool()


def _digest(rows: tuple[Row, ...]) -> str:
    return content_key({row.id: [row.frames, row.text] for row in rows})
