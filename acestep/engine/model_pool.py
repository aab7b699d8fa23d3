"""The models of this worker: opened by name, sharing codec and text encoder, kept or put away after use; and which of their
networks are on the device while they do what."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import msgspec
import torch
from torch import nn

from acestep.api.errors import AceError, Cancelled, OutOfMemory
from acestep.api.family import Families, FamilyRuntime, ModelOpening
from acestep.api.precision import Precision
from acestep.api.registry import Registry
from acestep.api.variants import ModelInfo
from acestep.checkpoints.adapters import AdapterOptions, adapter_folders, parse_adapters
from acestep.checkpoints.families import find_named
from acestep.checkpoints.info import EMBEDDED, checkpoint_folders, read_info
from acestep.checkpoints.memory import Numbers, Room, check_room, free_ram, mapped_too_large
from acestep.engine.precision_choice import OpenedAs, supported_precision, usual_precision
from acestep.networks.compiled import CompiledBlock
from acestep.runtime.devices import DTYPES, dtype_name, free_cache, free_gb
from acestep.runtime.pages import give_back_pages
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
        self._policy = policy
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
        self._opened_as: dict[str, OpenedAs] = {}
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

    def open(
        self,
        name: str,
        check: Callable[[], None],
        lora: Sequence[str] = (),
        precision: Precision | None = None,
    ) -> OpenedModel:
        """The model with exactly these adapters (``name`` or ``name=scale``) in it. Where not everything should be on the device at
        once, or not as it was read, its networks wait in ordinary memory and `placement` fetches them for their work.

        ``precision`` is what a recipe was made in: taken where it can be, and `precision_of` tells what it became. None: as
        this machine has it.

        Raises `ModelMissing`, `BadCheckpoint`, `UnknownName`, `ModelUnsuited`, and what ``check`` raises.
        """
        info = self.info(name)
        runtime = self.runtime(info)
        adapters = parse_adapters(lora, adapter_folders(self._home, self._folders))
        model = self._open.get(info.path)
        if model is not None and not self._serves(model, runtime, adapters, precision):
            self._close(info.path)  # also quantised weights, which cannot be merged with; they are read again
            model = None
        if model is None:
            model = self._read(info, runtime, precision, check)
        if not _has(model, adapters):
            self._merge(model, runtime, adapters, check)
        int8 = self._opened_as[info.path].wanted.int8
        try:
            said = runtime.prepare(model, int8=int8, compiled=self._compiled, check=check) or ""
        except BaseException:  # a cancel or too little memory on the way; a model half prepared serves nobody
            self._close(info.path)
            raise
        if int8 and not self.int8 and precision is None:  # unasked, for want of memory
            said = f"memory was short: {said}" if runtime.is_quantised(model) else ""
        self.prepared[info.name] = said
        return model

    def _merge(
        self, model: OpenedModel, runtime: FamilyRuntime, adapters: Sequence[AdapterOptions], check: Callable[[], None]
    ) -> None:
        try:
            runtime.use_adapters(model, adapters, check)
        except BaseException as failure:
            if isinstance(failure, Cancelled) or not isinstance(failure, AceError):  # stopped on the way, not refused
                self._close(model.info.path)
            raise

    def precision_of(self, model: OpenedModel) -> Precision:
        """What an opened model computes in."""
        return Precision(dtype_name(model.dtype), self.runtime(model.info).is_quantised(model))

    def _serves(
        self,
        model: OpenedModel,
        runtime: FamilyRuntime,
        adapters: Sequence[AdapterOptions],
        asked: Precision | None,
    ) -> bool:
        """Whether an opened model will do as it is."""
        opened = self._opened_as[model.info.path]
        wanted = opened.usual if asked is None else supported_precision(asked, self.device, runtime)
        return opened.wanted == wanted and (_has(model, adapters) or runtime.takes(model, adapters))

    def _read(
        self, info: ModelInfo, runtime: FamilyRuntime, asked: Precision | None, check: Callable[[], None]
    ) -> OpenedModel:
        try:
            opened = self._plan(info, runtime, asked)
        except OutOfMemory:
            if not self.make_room():
                raise
            opened = self._plan(info, runtime, asked)
        dtype = DTYPES[opened.wanted.dtype]
        log.info("opening %s on %s in %s", info.name, self.device, opened.wanted)
        near = tuple(map(Path, info.near))
        opening = ModelOpening(
            device=self.device, dtype=dtype, landing=self._landing, check=check, shared=self._shared, near=near
        )
        model = runtime.open(info, opening)
        model.device = self.device
        self._open[info.path], self._opened_as[info.path] = model, opened
        return model

    def _plan(self, info: ModelInfo, runtime: FamilyRuntime, asked: Precision | None) -> OpenedAs:
        """The precision to open a model in, seen to fit before gigabytes are read: a recipe's, else this machine's own.

        Raises `OutOfMemory` with the figures.
        """
        numbers, room = self._room(info)
        usual = usual_precision(self._policy, self.dtype, runtime, numbers, room)
        wanted = usual if asked is None else supported_precision(asked, self.device, runtime)
        for precision in dict.fromkeys((wanted, usual)):
            widens = self.device.type == "cpu" and precision.dtype == "float32" and runtime.widens
            room = msgspec.structs.replace(
                room, dtype=precision.dtype, int8=precision.int8 and runtime.quantises, widens=widens
            )
            try:
                check_room(info.name, numbers, room)
            except OutOfMemory:
                if precision == usual:
                    raise
                continue  # a recipe's samples in another precision are better than none, and the result tells
            self.remarks[info.name] = mapped_too_large(numbers, room)
            return OpenedAs(precision, usual)
        raise AssertionError("the usual precision was tried last")

    def _room(self, info: ModelInfo) -> tuple[Numbers, Room]:
        """What a model needs, parts left out that other models have opened already, and what there is for it."""
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
        ram = free_ram() if self._landing.type == "cpu" else None
        return numbers, Room(dtype=dtype_name(self.dtype), ram=ram, device=on_device, offload=self._offload)

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
        self._opened_as.pop(path, None)
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
            self._give_back(model, kind)
            if self._work:
                self._place(model, model.work[self._work[-1]])
            elif self._offload is not Offload.NONE:
                self._send_away(model.networks()[name] for name in model.offloadable)

    def _give_back(self, model: OpenedModel, kind: str) -> None:
        """Have pages of weight files go when their network has done its work and no work around this one needs it: so a process
        that computes out of its files holds one phase's weights, not all of them."""
        networks = model.networks()
        still = {name for outer in self._work for name in model.work[outer]}
        if self._device.type == "cpu":
            done = [networks[name] for name in model.work[kind] if name in networks and name not in still]
            give_back_pages(tensor for network in done for tensor in network.parameters())

    def _place(self, model: OpenedModel, needed: tuple[str, ...]) -> None:
        networks = model.networks()
        needed = tuple(name for name in needed if name in networks)
        if self._offload is Offload.ALL:
            staying = {id(networks[name]) for name in (*needed, *getattr(model, "resident", ()))}
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
