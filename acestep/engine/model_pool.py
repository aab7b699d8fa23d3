"""The models of this worker: opened by name, sharing codec and text encoder, kept or put away after use; and which of their
networks are on the device while they do what."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import torch
from torch import nn

from acestep.api.errors import AceError, OutOfMemory
from acestep.api.variants import ModelInfo
from acestep.checkpoints.adapters import AdapterOptions, adapter_folders, parse_adapters
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.files import weight_files
from acestep.checkpoints.info import EMBEDDED, checkpoint_folders, find_checkpoint, part_paths, read_info
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.checkpoints.lora import load_adapter, use
from acestep.checkpoints.memory import Room, check_room, free_ram, mapped_too_large, stored_numbers
from acestep.checkpoints.quantise import is_quantised, quantise_int8
from acestep.checkpoints.weights import CODEC, TEXT
from acestep.networks.compiled import CompiledBlock, compile_blocks
from acestep.runtime.devices import free_cache, free_gb
from acestep.runtime.policy import Policy
from acestep.runtime.tiers import Offload

log = logging.getLogger(__name__)

SCRATCH = "tiny"
"""The random checkpoint that is built when no other is named and none is shipped."""

OWN_PARTS = ("transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer")
"""Networks that belong to one model alone; codec and text encoder are shared."""

WORK = {
    "words": ("text_encoder", "condition_encoder", "audio_tokenizer", "audio_detokenizer"),
    "denoise": ("transformer", "condition_encoder"),
    "listen": ("text_encoder", "condition_encoder", "transformer"),
    "codec": ("codec",),
}
"""Kinds of work and the networks they need."""

OFFLOADABLE = ("text_encoder", "codec")
"""What leaves after its work under `Offload.PARTS`."""


class ModelPool:
    """Opened models by path."""

    def __init__(
        self, settings: Mapping[str, Any], policy: Policy, closed: Callable[[Model], None] = lambda model: None
    ) -> None:
        """``closed`` is told of every model that is forgotten."""
        self.device = policy.choice.device
        self.dtype = policy.choice.dtype
        self.tier = policy.choice.tier
        self.memory_gb = policy.choice.memory_gb
        self._offload = policy.offload
        self.placement = DevicePlacement(self.device, policy.offload, free_cache, policy.codec_on_cpu)
        self.int8 = policy.int8
        waits = policy.int8 or policy.codec_on_cpu or policy.offload is not Offload.NONE
        self._landing = torch.device("cpu") if waits else self.device
        self._compiled = policy.compiled
        self._closed = closed
        self.make_room: Callable[[], bool] = lambda: False
        """Asked when a model does not fit: gives up what only waits, and says whether there was anything."""
        self._home = Path(settings["home"])
        self._default = str(settings.get("model") or "")
        self._folders = [Path(folder) for folder in settings.get("checkpoints") or ()]
        self.remarks: dict[str, str] = {}
        """Model -> what users of it should know about how it was opened; empty: nothing."""
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

    def open(self, name: str, check: Callable[[], None], lora: Sequence[str] = ()) -> Model:
        """The model with exactly these adapters (``name`` or ``name=scale``) in it. Where not everything shall be on the device at
        once, or not as it was read, its networks wait in ordinary memory and `placement` fetches them for their work.

        Raises `ModelMissing`, `BadCheckpoint`, `UnknownName`, `ModelUnsuited`, and what ``check`` raises.
        """
        info = self.info(name)
        adapters = parse_adapters(lora, adapter_folders(self._home, self._folders))
        model = self._open.get(info.path)
        if model is not None and is_quantised(model) and not _has(model, adapters):
            self._close(info.path)  # quantised weights cannot be merged with; they are read again
            model = None
        if model is None:
            log.info("opening %s on %s in %s", info.name, self.device, self.dtype)
            try:
                self._check_room(info)
            except OutOfMemory:
                if not self.make_room():
                    raise
                self._check_room(info)
            model = open_checkpoint(
                Path(info.path),
                near=map(Path, info.near),
                device=self._landing,
                dtype=self.dtype,
                check=check,
                shared=self._shared,
            )
            model.device = self.device
            self._open[info.path] = model
        if not _has(model, adapters):
            _merge(model, adapters)
        if self.int8:
            quantise_int8(model)
        if self._compiled:
            compile_blocks(model.transformer)
        return model

    def _check_room(self, info: ModelInfo) -> None:
        """See that a model fits before gigabytes are read, codec and text encoder left out where they are in use already.

        Raises `OutOfMemory` with the figures.
        """
        parts = part_paths(info)
        numbers = stored_numbers(parts)
        opened = {key[:2] for key in self._shared}
        for part, shared, place in (("codec", CODEC, parts.vae), ("text_encoder", TEXT, parts.text_encoder)):
            if (weights_digest(weight_files(place)), shared) in opened:
                del numbers[part]
        free_cache(self.device)
        on_device = None
        if self.device.type != "cpu" and (gigabytes := free_gb(self.device) or self.memory_gb) is not None:
            on_device = int(gigabytes * 2**30)
        dtype = str(self.dtype).removeprefix("torch.")
        ram = free_ram() if self._landing.type == "cpu" else None
        room = Room(dtype=dtype, ram=ram, device=on_device, offload=self._offload, int8=self.int8)
        check_room(info.name, numbers, room)
        self.remarks[info.name] = mapped_too_large(numbers, room)

    def put_away(self, name: str, policy: str) -> None:
        """Do with a model after a stage what its memory policy says: ``keep``, ``offload`` to RAM, ``unload``. What it shares with
        others stays: the next stage's model may need it."""
        path = self.info(name).path
        model = self._open.get(path)
        if model is None or policy == "keep":
            return
        if policy == "unload":
            self._close(path)
        elif self.device.type != "cpu":
            for part, network in model.networks().items():
                if part in OWN_PARTS:
                    network.to("cpu")
            free_cache(self.device)

    def unload(self, name: str = "") -> None:
        """Forget a model, or all, and what no other one uses."""
        for path, model in list(self._open.items()):
            if name in ("", model.info.name, path):
                self._close(path)
        self.tidy()

    def tidy(self) -> None:
        """Forget the shared parts that no opened model uses."""
        used = {
            id(part) for model in self._open.values() for part in (*model.networks().values(), model.text_tokenizer)
        }
        unused = [key for key, part in self._shared.items() if id(part) not in used]
        for key in unused:
            del self._shared[key]
        if unused:
            free_cache(self.device)

    def _close(self, path: str) -> None:
        self._closed(self._open.pop(path))
        free_cache(self.device)

    def names(self) -> list[str]:
        """Names of the opened models."""
        return sorted(model.info.name for model in self._open.values())

    def compiler_failure(self) -> str:
        """Why an opened model that should be compiled is not; empty when all is well."""
        runners = [model.transformer.quicker_block for model in self._open.values()]
        return next((run.failure for run in runners if isinstance(run, CompiledBlock) and run.failure), "")

    def memory(self) -> int:
        """Bytes of all weights in memory, each shared part once."""
        shared = [part for part in self._shared.values() if isinstance(part, nn.Module)]
        own = [net for model in self._open.values() for net in model.networks().values()]
        networks = {id(net): net for net in (*shared, *own)}
        return sum(p.numel() * p.element_size() for net in networks.values() for p in net.parameters())


class DevicePlacement:
    """Moves networks to the device for their work and away again. Work may be nested; the outer one's networks come back."""

    def __init__(
        self, device: torch.device, offload: Offload, free: Callable[[torch.device], None], codec_on_cpu: bool = False
    ) -> None:
        self._device = device
        self._codec_on_cpu = codec_on_cpu
        self._offload = Offload.NONE if device.type == "cpu" else offload
        self._free = free
        self._work: list[str] = []
        self._moved: WeakSet[nn.Module] = WeakSet()
        """Every network that was brought to the device, of whichever model."""

    @contextmanager
    def on_device(self, model: Model, kind: str) -> Iterator[None]:
        """Have what a kind of work in `WORK` needs on the device, and no more than the policy allows."""
        self._work.append(kind)
        try:
            self._place(model, WORK[kind])
            yield
        finally:
            self._work.pop()
            if self._work:
                self._place(model, WORK[self._work[-1]])
            elif self._offload is not Offload.NONE:
                self._send_away(model.networks()[name] for name in OFFLOADABLE)

    def _place(self, model: Model, needed: tuple[str, ...]) -> None:
        networks = model.networks()
        needed = tuple(name for name in needed if name in networks)
        if self._offload is Offload.ALL:
            staying = {id(networks[name]) for name in needed}
            self._send_away(network for network in self._moved if id(network) not in staying)
        for name in needed:
            self._moved.add(networks[name])
            networks[name].to("cpu" if name == "codec" and self._codec_on_cpu else self._device)

    def _send_away(self, networks: Iterable[nn.Module]) -> None:
        moved = [network for network in networks if _is_on(network, self._device)]
        for network in moved:
            network.to("cpu")
        if moved:
            self._free(self._device)


def _is_on(network: nn.Module, device: torch.device) -> bool:
    first = next(network.parameters(), None)
    return first is not None and first.device.type == device.type


def _has(model: Model, adapters: Sequence[AdapterOptions]) -> bool:
    """Whether exactly these adapters are merged."""
    there = [(known.name, known.path, known.scale) for known in model.adapters if known.enabled]
    return there == [(one.name, str(one.path), one.scale) for one in adapters]


def _merge(model: Model, adapters: Sequence[AdapterOptions]) -> None:
    """Take all adapters out, then these in. Raises `BadRequest`, `BadCheckpoint`, `ModelUnsuited`; the model is then bare."""
    use(model, [])
    try:
        for one in adapters:
            load_adapter(model, one.path, name=one.name, scale=one.scale)
    except AceError:
        use(model, [])
        raise
