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

from acestep.api.errors import OutOfMemory
from acestep.api.family import Families, FamilyRuntime, ModelOpening
from acestep.api.registry import Registry
from acestep.api.variants import ModelInfo
from acestep.checkpoints.adapters import AdapterOptions, adapter_folders, parse_adapters
from acestep.checkpoints.families import find_named
from acestep.checkpoints.info import EMBEDDED, checkpoint_folders, read_info
from acestep.checkpoints.memory import Room, check_room, free_ram, is_short, mapped_too_large
from acestep.networks.compiled import CompiledBlock
from acestep.runtime.devices import free_cache, free_gb
from acestep.runtime.policy import Policy
from acestep.runtime.tiers import Offload

log = logging.getLogger(__name__)

SCRATCH = "tiny"
"""The random checkpoint that is built when no other is named and none is shipped."""

OpenedModel = Any
"""An opened checkpoint of any family (`acestep.api.family.OpenModel`)."""


class ModelPool:
    """Opened models by path."""

    def __init__(
        self, settings: Mapping[str, Any], policy: Policy, closed: Callable[[OpenedModel], None] = lambda model: None
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
        registry = settings.get("registry")
        self.families: Families = (Registry.load() if registry is None else registry).families
        self._int8_where_short = policy.int8_where_short
        self._short: set[str] = set()
        self.prepared: dict[str, str] = {}
        """Model -> what 8-bit weights cost it, or why it has none though they were asked for; empty: nothing to say."""
        self.remarks: dict[str, str] = {}
        """Model -> what users of it should know about how it was opened; empty: nothing."""
        self._open: dict[str, OpenedModel] = {}
        self._shared: dict[tuple[str, ...], Any] = {}

    def info(self, name: str) -> ModelInfo:
        """Facts of a model; the default one for the empty name. Raises `ModelMissing`."""
        wanted = name or self._default or (EMBEDDED.name if EMBEDDED.is_dir() else SCRATCH)
        if wanted == SCRATCH:
            return read_info(self._scratch())
        return find_named(wanted, checkpoint_folders(EMBEDDED, *self._folders), self.families)

    def runtime(self, info: ModelInfo) -> FamilyRuntime:
        """The tensor code of a model's family. Raises `PluginFailed` where it cannot be imported."""
        return self.families[info.family].runtime()

    def _scratch(self) -> Path:
        from acestep.checkpoints.tiny import FOLDER, build_tiny

        folder = self._home / "cache" / "checkpoints"
        path = folder / FOLDER
        return path if (path / "config.json").is_file() else build_tiny(folder)

    def open(self, name: str, check: Callable[[], None], lora: Sequence[str] = ()) -> OpenedModel:
        """The model with exactly these adapters (``name`` or ``name=scale``) in it. Where not everything should be on the device at
        once, or not as it was read, its networks wait in ordinary memory and `placement` fetches them for their work.

        Raises `ModelMissing`, `BadCheckpoint`, `UnknownName`, `ModelUnsuited`, and what ``check`` raises.
        """
        info = self.info(name)
        runtime = self.runtime(info)
        adapters = parse_adapters(lora, adapter_folders(self._home, self._folders))
        model = self._open.get(info.path)
        if model is not None and not _has(model, adapters) and not runtime.takes(model, adapters):
            self._close(info.path)  # quantised weights cannot be merged with; they are read again
            model = None
        if model is None:
            dtype = runtime.supported_dtype(self.device, self.dtype)
            log.info("opening %s on %s in %s", info.name, self.device, dtype)
            try:
                self._check_room(info, dtype)
            except OutOfMemory:
                if not self.make_room():
                    raise
                self._check_room(info, dtype)
            near = tuple(map(Path, info.near))
            opening = ModelOpening(
                device=self.device, dtype=dtype, landing=self._landing, check=check, shared=self._shared, near=near
            )
            model = runtime.open(info, opening)
            model.device = self.device
            self._open[info.path] = model
        if not _has(model, adapters):
            runtime.use_adapters(model, adapters)
        int8 = self.int8 or info.path in self._short
        self.prepared[info.name] = runtime.prepare(model, int8=int8, compiled=self._compiled) or ""
        return model

    def _check_room(self, info: ModelInfo, number_type: torch.dtype) -> None:
        """See that a model fits before gigabytes are read, parts left out that other models have opened already.

        Raises `OutOfMemory` with the figures.
        """
        family = self.families[info.family].described()
        numbers = dict(family.numbers(info))
        opened = {key[:2] for key in self._shared}
        for part, key in family.shared(info).items():
            if key in opened:
                del numbers[part]
        free_cache(self.device)
        on_device = None
        if self.device.type != "cpu" and (gigabytes := free_gb(self.device) or self.memory_gb) is not None:
            on_device = int(gigabytes * 2**30)
        dtype = str(number_type).removeprefix("torch.")
        ram = free_ram() if self._landing.type == "cpu" else None
        room = Room(
            dtype=dtype,
            ram=ram,
            device=on_device,
            offload=self._offload,
            int8=self.int8 and self.runtime(info).quantises,
            widens=self._widens(info, dtype),
        )
        if self._int8_where_short and self.runtime(info).quantises and is_short(numbers, room):
            self._short.add(info.path)
        else:
            self._short.discard(info.path)
        check_room(info.name, numbers, room)
        self.remarks[info.name] = mapped_too_large(numbers, room)

    def _widens(self, info: ModelInfo, dtype: str) -> bool:
        return self.device.type == "cpu" and dtype == "float32" and self.runtime(info).widens

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
                if part not in model.offloadable:
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
            id(part)
            for model in self._open.values()
            for part in (*model.networks().values(), getattr(model, "text_tokenizer", None))
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
        networks = [network for model in self._open.values() for network in model.networks().values()]
        runners = [getattr(network, "quicker_block", None) for network in networks]
        return next((run.failure for run in runners if isinstance(run, CompiledBlock) and run.failure), "")

    def memory(self) -> int:
        """Bytes of all weights in memory, each shared part once."""
        shared = [part for part in self._shared.values() if isinstance(part, nn.Module)]
        own = [net for model in self._open.values() for net in model.networks().values()]
        networks = {id(net): net for net in (*shared, *own)}
        whole = sum(p.numel() * p.element_size() for net in networks.values() for p in net.parameters())
        packed = (getattr(part, "packed_bytes", 0) for net in networks.values() for part in net.modules())
        return whole + sum(packed)


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
    def on_device(self, model: OpenedModel, kind: str) -> Iterator[None]:
        """Have what a kind of work of the model needs on the device, and no more than the policy allows."""
        self._work.append(kind)
        try:
            self._place(model, model.work[kind])
            yield
        finally:
            self._work.pop()
            if self._work:
                self._place(model, model.work[self._work[-1]])
            elif self._offload is not Offload.NONE:
                self._send_away(model.networks()[name] for name in model.offloadable)

    def _place(self, model: OpenedModel, needed: tuple[str, ...]) -> None:
        networks = model.networks()
        needed = tuple(name for name in needed if name in networks)
        if self._offload is Offload.ALL:
            staying = {id(networks[name]) for name in needed}
            self._send_away(network for network in self._moved if id(network) not in staying)
        for name in needed:
            self._moved.add(networks[name])
            stays = self._codec_on_cpu and name in model.work["codec"]
            networks[name].to("cpu" if stays else self._device)

    def _send_away(self, networks: Iterable[nn.Module]) -> None:
        moved = [network for network in networks if _is_on(network, self._device)]
        for network in moved:
            network.to("cpu")
        if moved:
            self._free(self._device)


def _is_on(network: nn.Module, device: torch.device) -> bool:
    first = next(network.parameters(), None)
    return first is not None and first.device.type == device.type


def _has(model: OpenedModel, adapters: Sequence[AdapterOptions]) -> bool:
    """Whether exactly these adapters are merged."""
    there = [(known.name, known.path, known.scale) for known in model.adapters if known.enabled]
    return there == [(one.name, str(one.path), one.scale) for one in adapters]
