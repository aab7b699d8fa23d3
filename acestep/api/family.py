"""Model families: what a third party gives so that its models stand behind the same keys as all others.

A family is registered as data (`FamilySpec`) that names two pieces of code as ``module:attribute``:

* its **description**, a `ModelFamily`, torch-free, used by the daemon and the worker alike: which files are its checkpoints, what
  each can do, where they are published, what of a request it cannot follow;
* its **runtime**, a `FamilyRuntime`, imported by a worker only and not before one of its models is opened: it opens checkpoints
  and makes music. Queue, windows, splice, delivery, recipes, stored latents and progress are the engine's, for every family.

Latents outside a family are float32 [1, T, C] on the CPU, one row per frame of the model's `acestep.api.grid.LatentGrid`.
``Tensor`` and ``Sound`` are torch tensors; this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from acestep.api.conditioning import Conditioning
from acestep.api.errors import ModelUnsuited
from acestep.api.request import StageParams
from acestep.api.schema import Request
from acestep.api.targets import resolve_target
from acestep.api.variants import ModelInfo

if TYPE_CHECKING:
    from acestep.api.resolve import ResolvedStage

Tensor = Any
Sound = Any

Tick = Callable[[int, int], None]
"""``tick(done, of)`` after every unit of work (an evaluation of the network, a tile, a token); raises `Cancelled` to stop."""


class NoOptions(Request):
    """Of a family without parameters of its own."""


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """Files of one repository for a published model: those in its folder ``inner`` ("": its root) that match ``patterns`` go to
    ``target`` below the checkpoint folder."""

    repository: str
    folder: str
    """The model's own folder below the checkpoint folder."""
    target: str
    patterns: tuple[str, ...]
    inner: str = ""
    url: str = ""
    """Address of a single file that is on no hub; ``patterns`` is then its name, and ``sha256`` decides."""
    sha256: str = ""
    size_bytes: int = 0
    """Bytes to fetch, as far as they are known before the hub is asked."""
    memory_bytes: int = 0
    """Bytes of the weights in bfloat16."""
    license: str = ""
    known_revision: str = ""
    """A commit that is known to work."""
    remark: str = ""
    """What has to be known before it is fetched (a licence that forbids commercial use), in a sentence."""


@dataclass(frozen=True)
class PartTensors:
    """One part of a checkpoint: where it lies, its tensors by name (`acestep.checkpoints.weights.StoredTensor`), and name -> shape
    of those that its network needs."""

    part: str
    place: Path
    found: Mapping[str, Any]
    wanted: Mapping[str, tuple[int, ...]]


class ModelFamily:
    """The torch-free half: derive, set the attributes, override what differs. One instance serves the whole process."""

    name: str = ""
    """Of the `FamilySpec`."""
    title: str = ""
    """What people call it: ``ACE-Step v1``."""
    Options: type[Request] = NoOptions
    """Parameters of this family alone; a request gives them in ``options`` as ``name=value``."""
    refuses: tuple[str, ...] = ()
    """Fields of a request that none of its models can follow; each model's `ModelInfo.refuses` holds them too."""

    def recognise(self, path: Path) -> bool:
        """Whether a folder or weight file is a model of this family, complete or not. Reads names and headers only."""
        raise NotImplementedError

    def candidates(self, folders: Sequence[Path], places: Sequence[Path]) -> list[Path]:
        """The models of this family, complete or not, in ``folders``; ``places`` are these, those below them and loose files."""
        return [place for place in places if self.recognise(place)]

    def read_info(self, path: Path, near: Iterable[Path]) -> ModelInfo:
        """Facts of the checkpoint at ``path``; missing parts may lie in the folders ``near``.

        Raises `ModelMissing` for what is incomplete, `BadCheckpoint` for what cannot be opened, each naming what and why.
        """
        raise NotImplementedError

    def files(self, info: ModelInfo) -> list[Path]:
        """The weight files of a known checkpoint, each once."""
        return [Path(file) for file in info.weight_files]

    def numbers(self, info: ModelInfo) -> Mapping[str, Mapping[str, int]]:
        """Part (``transformer``, ``text_encoder``, ``codec`` ...) -> stored type (``BF16`` ...) -> count; reads headers."""
        raise NotImplementedError

    def tensors(self, info: ModelInfo) -> list[PartTensors]:
        """What the files hold and what its networks need, for a check by headers alone; empty: nothing is compared."""
        return []

    def shared(self, info: ModelInfo) -> Mapping[str, tuple[str, str]]:
        """Part -> how `ModelOpening.shared` calls it, of the parts that several models use."""
        return {}

    def published(self) -> Mapping[str, tuple[Download, ...]]:
        """Short name -> what has to be fetched for it; models that are never downloaded are not in it."""
        return {}

    def able(self, operation: str) -> list[str]:
        """Short names of published models that can do an operation; for the error of one that cannot."""
        return []

    def can(self, operation: str, info: ModelInfo) -> bool:
        """Whether a model of the family can do an operation."""
        return not info.operations or operation in info.operations

    def check(self, params: StageParams, conditioning: Conditioning, info: ModelInfo) -> list[str]:
        """See at the door that a stage can run. Returns sentences about what the model takes differently.

        Raises an `AceError` that names the field; what `ModelInfo` says of itself has been checked already.
        """
        return []

    def layers(self, info: ModelInfo) -> Mapping[str, tuple[int, ...]]:
        """Layer (``component/module``) -> shape of its weight, of those that adapters may change; empty: not known before it is
        opened. A family whose models take no adapters has ``lora`` in their `ModelInfo.refuses`."""
        return {}


class FamilySpec(msgspec.Struct, frozen=True, kw_only=True):
    """A family as registered."""

    name: str
    title: str
    description: str
    """``module:attribute`` of a `ModelFamily` (the class). No torch."""
    target: str
    """``module:attribute`` of a `FamilyRuntime` (the class); imported by a worker only."""
    summary: str = ""

    def described(self) -> ModelFamily:
        """The family's description. Raises `PluginFailed` where it cannot be imported."""
        return _instance(self.description)

    def runtime(self) -> FamilyRuntime:
        """The family's runtime. Only for a worker. Raises `PluginFailed`."""
        return _instance(self.target)


@cache
def _instance(target: str) -> Any:
    return resolve_target(target)()


Families = Mapping[str, FamilySpec]
"""By name; the first is asked first."""

NO_FAMILIES: Families = {}


@dataclass(frozen=True, kw_only=True)
class ModelOpening:
    """How a model should be opened. ``landing`` is where its weights are read to: ordinary memory when not everything should be on
    ``device`` at once. ``check`` is called at every shard and may raise. ``shared`` holds parts that several models use."""

    device: Any
    dtype: Any
    landing: Any
    check: Callable[[], None] = lambda: None
    shared: MutableMapping[tuple[str, ...], Any] = field(default_factory=dict)
    near: tuple[Path, ...] = ()


class OpenModel(Protocol):
    """An opened checkpoint. ``adapters`` are those in use: objects with ``name``, ``path``, ``scale``, ``digest``, ``facts``."""

    info: ModelInfo
    digest: str
    """Of its weights; the recipe holds it."""
    codec_digest: str
    text_digest: str
    device: Any
    dtype: Any
    adapters: list[Any]

    def networks(self) -> dict[str, Any]:
        """The networks by part, for offloading and accounting."""

    @property
    def work(self) -> Mapping[str, tuple[str, ...]]:
        """Kind of work (``words``, ``denoise``, ``codec``) -> names of the networks that it needs on the device."""

    @property
    def offloadable(self) -> tuple[str, ...]:
        """Networks that leave the device after their work where memory is short. A model may also have ``resident``: small ones
        that stay while any of its work is done, even where everything else leaves."""


@dataclass(frozen=True, kw_only=True)
class StageTake:
    """One item that a stage makes: everything that decides it, and where it reports.

    ``stage`` holds type, plan and parameters with nothing left open; ``options`` is the family's own struct. ``source`` is what the
    stage works on, [1, frames, C], or None; ``region`` (first, last + 1) are the frames that it is about.
    """

    model: Any
    stage: ResolvedStage
    options: Any
    conditioning: Conditioning
    frames: int
    region: tuple[int, int]
    source: Tensor | None
    seed: int
    tick: Tick
    note: Callable[[str], None]
    on_device: Callable[[str], AbstractContextManager[None]]
    """``with take.on_device("denoise"):`` has on the device what that kind of work needs."""
    sound: Callable[[], Sound]
    """What the stage works on as sound [2, N] at the grid's rate: that of the region's frames, as it is in its file."""

    @property
    def caption(self) -> str:
        """The stage's own caption, else the shared one."""
        own = self.stage.params.caption
        return self.conditioning.caption if own is None else own

    @property
    def lyrics(self) -> str:
        """The stage's own lyrics, else the shared ones."""
        own = self.stage.params.lyrics
        return self.conditioning.lyrics if own is None else own


@dataclass(frozen=True)
class TakeGroup:
    """Variants of a stage that are made together, and the latents [1, T, C] that each works on (none: nothing)."""

    variants: tuple[int, ...]
    sources: tuple[Tensor, ...] = ()
    number: int = 0
    """Which pass this is, of a result that is made of several."""

    def source(self, place: int) -> Tensor | None:
        """What an item works on."""
        return self.sources[place] if self.sources else None


class OnnxParts(Protocol):
    """The parts of a checkpoint as graphs for other programs; each is opened alone."""

    def numbers(self, part: str) -> int:
        """How many numbers the networks of a part hold; reads headers."""

    def graphs(self, part: str) -> list[Any]:
        """The graphs of a part (`acestep.onnx.graph.Graph`), with weights in float32."""

    def write_companions(self, folder: Path) -> dict[str, Any]:
        """Write what else a program needs; ``files`` and ``text`` of the manifest (`acestep.onnx.manifest.ModelExport`)."""

    def digests(self) -> dict[str, str]:
        """Fingerprints of the weights, as recipes hold them."""


class FamilyRuntime:
    """The tensor half: derive and override. One instance serves a worker."""

    quantises: bool = False
    """Whether `prepare` can quantise to 8 bits."""

    def open(self, info: ModelInfo, opening: ModelOpening) -> Any:
        """The checkpoint, ready to run, as an `OpenModel`. Raises `ModelMissing`, `BadCheckpoint`, what ``opening.check`` does."""
        raise NotImplementedError

    def supported_dtype(self, device: Any, dtype: Any) -> Any:
        """The number format that a model is opened in where ``dtype`` is asked for."""
        return dtype

    def encode(self, model: Any, audio: Sound, tick: Tick) -> Tensor:
        """Latents [1, ceil(N / hop), C] of sound [2, N] at the grid's rate."""
        raise NotImplementedError

    def decode(self, model: Any, latents: Tensor, span: tuple[int, int], tick: Tick) -> tuple[Sound, list[str]]:
        """Sound [2, (last - first) * hop] of the frames ``span`` (first, last) of latents [1, T, C], with notes for the result."""
        raise NotImplementedError

    def silence(self, model: Any, frames: int) -> Tensor:
        """Latents [1, frames, C] of silence."""
        raise NotImplementedError

    def make(self, take: StageTake) -> Tensor:
        """The clean latents [1, frames, C] of one item. Same take, same latents; no item depends on its company."""
        raise NotImplementedError

    def groups(self, stage: Any) -> list[tuple[int, ...]]:
        """The variants of a stage as they are made: each alone."""
        return [(variant,) for variant in range(stage.variants)]

    def denoise(self, stage: Any, group: TakeGroup, tick: Tick) -> list[Tensor]:
        """What ``group.variants`` of a stage become, one after the other."""
        return [self.make(stage.take(group, place, tick)) for place in range(len(group.variants))]

    def onnx_parts(self, info: ModelInfo, check: Callable[[], None]) -> OnnxParts:
        """What `ModelInfo.exports` names, as graphs; a family without exports has none. ``check`` may raise to stop."""
        raise ModelUnsuited(f"{info.name} has no parts that could be exported", field="model")

    computes_bfloat16: bool = False
    """Whether its models may run in bfloat16 on a CPU with such arithmetic where their files hold it and nobody chose."""

    widens: bool = False
    """Whether `open` leaves bfloat16 matrices in their files where a CPU computes in float32."""

    def prepare(self, model: Any, *, int8: bool, compiled: bool, check: Callable[[], None]) -> str:
        """Quantise or compile an opened model, where the family knows how; a sentence for the user on what that costs, or why it
        could not be. Here: neither is known."""
        asked = [word for word, wanted in (("int8", int8), ("compile", compiled)) if wanted]
        if not asked:
            return ""
        return f"{' and '.join(asked)} changed nothing: {model.info.family_title} models run as they are"

    def is_quantised(self, model: Any) -> bool:
        """Whether an opened model has 8-bit weights."""
        return False

    def takes(self, model: Any, adapters: Sequence[Any]) -> bool:
        """Whether `use_adapters` can bring these into the opened model as it is; else it is opened again."""
        return True

    def use_adapters(self, model: Any, adapters: Sequence[Any], check: Callable[[], None]) -> None:
        """Have exactly these adapters (with ``name``, ``path``, ``scale``) in the model's weights. Raises as opening does, and what
        ``check``, called before each layer, raises; after that the model is closed."""
        if adapters:
            raise ModelUnsuited(f"{model.info.family_title} takes no adapters", field="lora")
