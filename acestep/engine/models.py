"""The models of this worker: opened by name, sharing codec and text encoder, kept or put away after use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from acestep.api.variants import ModelInfo
from acestep.checkpoints.info import EMBEDDED, checkpoint_folders, find_checkpoint, read_info
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.engine.device import free_cache

log = logging.getLogger(__name__)

SCRATCH = "tiny"
"""The random checkpoint that is built when no other is named and none is shipped."""

OWN_PARTS = ("transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer")
"""Networks that belong to one model alone; codec and text encoder are shared."""


class ModelPool:
    """Opened models by path."""

    def __init__(self, settings: Mapping[str, Any], device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self._home = Path(settings["home"])
        self._default = str(settings.get("model") or "")
        self._folders = [Path(folder) for folder in settings.get("checkpoints") or ()]
        self._open: dict[str, Model] = {}
        self._shared: dict[tuple[str, ...], Any] = {}

    def info(self, name: str) -> ModelInfo:
        """Facts of a model; the default one for the empty name. Raises `ModelMissing`."""
        wanted = name or self._default or (EMBEDDED.name if EMBEDDED.is_dir() else SCRATCH)
        if wanted == SCRATCH:
            return read_info(self._scratch())
        return find_checkpoint(wanted, checkpoint_folders(EMBEDDED, *self._folders))

    def _scratch(self) -> Path:
        from acestep.checkpoints.tiny import FOLDER, build_tiny

        folder = self._home / "cache" / "checkpoints"
        path = folder / FOLDER
        return path if (path / "config.json").is_file() else build_tiny(folder)

    def open(self, name: str, check: Callable[[], None]) -> Model:
        """The model, on its device. Raises `ModelMissing`, `BadCheckpoint`, and what ``check`` raises."""
        info = self.info(name)
        model = self._open.get(info.path)
        if model is None:
            log.info("opening %s on %s in %s", info.name, self.device, self.dtype)
            model = open_checkpoint(
                Path(info.path), device=self.device, dtype=self.dtype, check=check, shared=self._shared
            )
            self._open[info.path] = model
        for network in model.networks().values():
            network.to(self.device)
        return model

    def put_away(self, name: str, policy: str) -> None:
        """Do with a model after a stage what its memory policy says: ``keep``, ``offload`` to RAM, ``unload``."""
        model = self._open.get(self.info(name).path)
        if model is None or policy == "keep":
            return
        if policy == "unload":
            self.unload(model.info.name)
        elif self.device.type != "cpu":
            for part in OWN_PARTS:
                model.networks()[part].to("cpu")
            free_cache(self.device)

    def unload(self, name: str = "") -> None:
        """Forget a model, or all; shared parts go with the last one."""
        for path, model in list(self._open.items()):
            if name in ("", model.info.name, path):
                del self._open[path]
        if not self._open:
            self._shared.clear()
        free_cache(self.device)

    def names(self) -> list[str]:
        """Names of the opened models."""
        return sorted(model.info.name for model in self._open.values())

    def memory(self) -> int:
        """Bytes of all weights in memory, each shared part once."""
        networks = {id(net): net for model in self._open.values() for net in model.networks().values()}
        return sum(p.numel() * p.element_size() for net in networks.values() for p in net.parameters())
