"""From a client's request to a job that may wait: everything that can be refused is refused here, before anything is stored."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from acestep.admission.parse import of_stage
from acestep.admission.region import region_heard
from acestep.admission.render import admit
from acestep.admission.song_time import written_duration
from acestep.api import limits
from acestep.api.conditioning import NO_GUIDE, Conditioning
from acestep.api.errors import AceError, BadRequest, NotAllowed, NotFound, OutputUnwritable
from acestep.api.operation import Operation
from acestep.api.plan import Plan
from acestep.api.registry import Registry, RenderRequest
from acestep.api.request import Output, Stage
from acestep.api.resolve import ResolvedStage, resolve_stage
from acestep.api.rights import Right
from acestep.api.schema import convert, describe
from acestep.api.source import AudioFacts, Region, Source
from acestep.api.stored_step import check_stored_step
from acestep.api.thinking import wants_planning
from acestep.api.variants import ModelInfo
from acestep.audio import sniff
from acestep.audio.latent_header import read_latent_facts, require_family
from acestep.audio.latent_store import find_latent, job_of
from acestep.checkpoints.adapters import check_adapters, parse_adapters
from acestep.checkpoints.digest import require_weights
from acestep.checkpoints.installed import fingerprint
from acestep.conditioning.guide_text import names_file, parse_guide
from bridge.core import planners
from bridge.core.access import Access
from bridge.core.models import Models
from bridge.core.naming import names_job, sound_of_job
from bridge.core.uploads import Uploads
from bridge.paths import AllowedRoots, UserRoots

UPLOADED = "upload:"
"""Before the id of an upload, in a field that takes a path."""

SOURCES = frozenset({"source", "upload", "source_latent"})
"""Fields of a flat request that name what it works on."""

MODEL_OF_STAGE = re.compile(r"stages\[\d+\]\.model")
"""What whoever runs a preset names in its field ``models``."""

AtStage = Callable[[int, Callable[[], Any]], Any]
"""Runs a check of the stage of an index, and has its error say which one it is."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A request that can be run, in its canonical form."""

    request: dict[str, Any]
    notes: tuple[str, ...] = ()


class Folders(msgspec.Struct, frozen=True):
    """Folders that requests name things in: results, and the LoRA adapters' own."""

    library: Path
    adapters: list[Path] = []


class Machine:
    """What admission may know of this machine (`acestep.admission.host.World`), and the checks of every path."""

    def __init__(self, roots: AllowedRoots, models: Models, uploads: Uploads, folders: Folders) -> None:
        self.roots = roots
        self._models = models
        self._uploads = uploads
        self._folders = folders

    def for_caller(self, access: Access, client_of: Callable[[str], str]) -> Machine:
        """This machine as a caller may use it. ``client_of`` tells who handed a job in.

        A stranger names no file of this machine but the results of its own jobs: neither to read nor to find out what is there.
        The machine's own user names any file.
        """
        if access.right >= Right.USER:
            roots = UserRoots(self.roots.read, self.roots.write)
            return Machine(roots, self._models, self._uploads, self._folders)
        if not access.stranger:
            return self
        return _StrangersMachine(self, lambda job: access.owns(client_of(job)))

    def model(self, name: str) -> ModelInfo:
        """Facts of a model. Raises `ModelMissing`."""
        return self._models.get(name)

    def require_planner(self, registry: Registry, request: Any, field: str) -> None:
        """See that the language model which a request names in a field can be run. Raises `Unavailable`, `ModelMissing`."""
        planners.require_planner(registry, self._models, request, field)

    def require_weights(self, named: dict[str, str], models: set[str]) -> None:
        """See that a recipe's models are those here, by a sample of their files. Raises `WeightsChanged`."""
        here = {name: self._models.get(name) for name in models & named.keys()}
        require_weights(named, {name: fingerprint(found) for name, found in here.items() if found.path})

    def require_checkpoint(self, request: Any, *, read: bool) -> None:
        """See that the checkpoint a request names can make its codes. Raises `ModelMissing`, `ModelUnsuited`."""
        planners.require_checkpoint(self._models, request, read=read)

    def require_adapters(self, wishes: list[str], model: str) -> None:
        """See that every adapter a stage names is here and fits its model.

        Raises `UnknownName` with those there are, `BadRequest`, `BadCheckpoint`, `ModelUnsuited`.
        """
        if wishes:
            check_adapters(parse_adapters(wishes, self._folders.adapters), self.model(model).path)

    def probe(self, source: Source) -> AudioFacts:
        """Header facts of a source. Raises `NotFound`, `NotAllowed`, `NotAudio`, `CorruptAudio` ..."""
        return sniff.probe(self.place(source))

    def file(self, text: str, field: str) -> Path:
        """The file that a path field names: a path of this machine, ``upload:<id>``, or a finished job (and its file)."""
        if text.startswith(UPLOADED):
            return self.place(Source(upload=text.removeprefix(UPLOADED)))
        if names_job(text):
            text = str(sound_of_job(self._folders.library, text, field))
        return self.roots.reading(text, field)

    def named(self, text: str) -> str:
        """A sentence with the names that uploads had where they came from."""
        return self._uploads.named(text)

    def place(self, source: Source) -> Path:
        """The file that a source means."""
        if source.path:
            return self.file(source.path, "source")
        if source.upload:
            return self._uploads.path(source.upload)
        return find_latent(self._folders.library, source.latent)


OWN_ONLY = "from another machine only results of your own jobs can be named"


class _StrangersMachine(Machine):
    """What a caller without rights sees: its own results."""

    def __init__(self, whole: Machine, owns: Callable[[str], bool]) -> None:
        super().__init__(OwnResults(whole._folders.library, owns), whole._models, whole._uploads, whole._folders)
        self._owns = owns

    def file(self, text: str, field: str) -> Path:
        if names_job(text) and not self._owns(text.partition("/")[0]):
            raise NotAllowed(OWN_ONLY, field=field)
        return super().file(text, field)

    def place(self, source: Source) -> Path:
        if source.upload:
            raise NotAllowed("uploads are for the owner of this machine only", field="upload")
        if not source.path and not self._owns(source.latent.partition("/")[0]):
            raise NotFound(f"there is no stored latent {source.latent!r}", field="source_latent")
        return super().place(source)


class OwnResults(AllowedRoots):
    """The files of one caller's jobs in the library, and nothing else of this machine."""

    def __init__(self, library: Path, owns: Callable[[str], bool]) -> None:
        super().__init__([library], [])
        self._owns = owns

    def reading(self, text: str, field: str = "source") -> Path:
        """The real path of a file of an own result. Raises `NotAllowed` for every other, whether it exists or not."""
        try:
            real = super().reading(text, field)
        except (NotAllowed, NotFound):
            real = None
        (library,) = self.read
        if (
            real is None
            or real.parent == library
            or not self._owns(job_of(library / real.relative_to(library).parts[0]))
        ):
            raise NotAllowed(OWN_ONLY, field=field)
        return real

    def writing(self, text: str, field: str = "folder") -> Path:
        """Nothing. Raises `NotAllowed`."""
        raise NotAllowed("copies of results are for the owner of this machine only", field=field)


def check(registry: Registry, operation: Operation, params: dict[str, Any], machine: Machine) -> Checked:
    """Check a request of any operation. Blocks on the disk; call it in a thread. Raises `AceError` that names the field."""
    try:
        checked = _check(registry, operation, params, machine)
        return msgspec.structs.replace(checked, notes=tuple(map(machine.named, checked.notes)))
    except AceError as error:
        error.message = machine.named(error.message)
        error.args = (error.message,)
        raise
    except OSError as failure:  # what the system says to a name
        raise BadRequest(f"a file or folder of the request cannot be opened: {failure.strerror}") from None
    except (OverflowError, RecursionError):
        raise BadRequest("a number in the request is too large, or its maps nest too deep") from None


def _check(registry: Registry, operation: Operation, params: dict[str, Any], machine: Machine) -> Checked:
    if operation.stage or operation.preset or operation.schema is RenderRequest:
        return _check_render(registry, operation, params, machine)
    typed = convert(params, operation.schema)
    if isinstance(getattr(typed, "duration", None), str):
        typed = convert({**params, "duration": written_duration(typed)}, operation.schema)
    if operation.planner:
        machine.require_planner(registry, typed, operation.planner)
    if hasattr(typed, "checkpoint"):
        machine.require_checkpoint(typed, read=bool(operation.planner))
    changes = _check_paths(typed, machine)
    _check_heard(typed, machine)
    return Checked(request=msgspec.to_builtins(msgspec.structs.replace(typed, **changes)))


def _check_heard(typed: Any, machine: Machine) -> None:
    """See that the sound that a request listens to is here, and its region inside. Raises `BadRequest`, `RegionOutside` ..."""
    source = Source(path=getattr(typed, "source", ""), upload=getattr(typed, "upload", ""))
    if source.path and source.upload:
        raise BadRequest("name one source: a file or an upload", field="upload")
    if not (source.path or source.upload):
        return
    if set(Region.__struct_fields__) <= set(typed.__struct_fields__):
        region_heard(typed, machine.probe(source))
    elif source.upload:
        machine.place(source)


def _check_render(registry: Registry, operation: Operation, params: dict[str, Any], machine: Machine) -> Checked:
    chained = operation.schema is RenderRequest
    if operation.preset is not None and operation.preset.source and not SOURCES & params.keys():
        raise BadRequest(f"{operation.name} needs audio to work on", field="source")
    try:
        return _check_chain(registry, operation, params, machine, functools.partial(_at_stage, chained))
    except AceError as error:
        if chained and error.field is not None:
            error.field = _place_in_chain(error.field)
        elif operation.preset is not None and MODEL_OF_STAGE.fullmatch(error.field or ""):
            error.field = "models"
        raise


def _check_chain(
    registry: Registry, operation: Operation, params: dict[str, Any], machine: Machine, at_stage: AtStage
) -> Checked:
    admitted = admit(registry, operation.name, params, machine)
    render = admitted.render
    if wants_planning(render.conditioning, admitted.plans):
        machine.require_planner(registry, render.conditioning, "planner_model")
    if render.output.variants > 1 and any(stage.params.resume for stage in render.stages):
        raise BadRequest("a stored step is one take; ask for one variant", field="variants", limits={"max": 1})
    for index, (stage, plan) in enumerate(zip(render.stages, admitted.plans, strict=True)):
        at_stage(index, lambda s=stage: machine.require_adapters(s.params.lora, s.params.model))
        at_stage(index, lambda s=stage, p=plan: _check_run(registry, s, p, machine))
    machine.require_weights(render.weights, {stage.params.model for stage in render.stages})
    conditioning = msgspec.structs.replace(render.conditioning, **_check_paths(render.conditioning, machine))
    output = msgspec.structs.replace(render.output, **_check_paths(render.output, machine))
    stages = tuple(at_stage(index, lambda s=stage: _on_disk(s, machine)) for index, stage in enumerate(render.stages))
    remarks = check_guide(conditioning)
    for index, stage in enumerate(stages):  # their paths are real ones now, inside what the caller may have read
        if stage.params.guide is not None:
            own = msgspec.structs.replace(conditioning, guide=stage.params.guide)
            remarks += at_stage(index, lambda wish=own: check_guide(wish))
    render = msgspec.structs.replace(
        render, stages=stages, conditioning=conditioning, output=output, source=_placed(render.source, machine)
    )
    return Checked(request=render.to_recipe(), notes=(*admitted.notes, *remarks))


def _check_run(registry: Registry, stage: Stage, plan: Plan, machine: Machine) -> None:
    """See that a stage can run at the times that it asks for, and go on from the step that it names. Raises `AceError`."""
    run = resolve_stage(registry, stage, plan, machine.model(stage.params.model))
    if run.params.resume:
        _check_stored_step(run, machine)


def _check_stored_step(run: ResolvedStage, machine: Machine) -> None:
    """See that a stored step that a stage goes on from is here, and one of a run like its own.

    Raises `NotFound`, `NotAllowed`, `BadLatent`, `BadRequest`.
    """
    name = run.params.resume
    try:
        facts = read_latent_facts(machine.place(Source(latent=name)))
        require_family(name, facts, run.model.latent_family)
    except AceError as error:
        error.field = "resume"
        raise
    check_stored_step(name, facts, run, fingerprint(run.model) if run.model.path else "")


def _at_stage(chained: bool, index: int, check: Callable[[], Any]) -> Any:
    """A check of one stage, whose error says which one where the request is a chain."""
    return of_stage(index, check) if chained else check()


def _place_in_chain(field: str) -> str:
    """Where a field stands in the request of a chain, which keeps the shared wish and the output in maps of their own."""
    name = re.split(r"[.\[]", field, maxsplit=1)[0]
    if name in Conditioning.__struct_fields__:
        return f"conditioning.{field}"
    return f"output.{field}" if name in Output.__struct_fields__ else field


def _on_disk(stage: Stage, machine: Machine) -> Stage:
    """A stage whose paths are the real ones of its files."""
    params = msgspec.structs.replace(stage.params, **_check_paths(stage.params, machine))
    return msgspec.structs.replace(stage, params=params, source=_placed(stage.source, machine))


def _placed(source: Source | None, machine: Machine) -> Source | None:
    """A source whose path is the real one of its file."""
    if source is None or not source.path:
        return source
    return msgspec.structs.replace(source, path=str(machine.place(source)))


def check_guide(conditioning: Conditioning) -> tuple[str, ...]:
    """See that the guide can be read, so that no worker stumbles over it; what was read otherwise than it was written.

    Raises `BadRequest`.
    """
    if conditioning.guide.strip() in ("", NO_GUIDE):
        return ()
    metre = conditioning.time_signature or "4"
    return parse_guide(conditioning.guide, metre, conditioning.key, conditioning.bpm or 120.0).remarks


def _check_paths(value: msgspec.Struct, machine: Machine) -> dict[str, str]:
    """The real paths of a struct's path fields: strings whose limit is that of a path. Raises `AceError`."""
    found: dict[str, str] = {}
    for info in describe(type(value)):
        text = getattr(value, info.name)
        if info.type != "str" or info.max_length != limits.MAX_PATH or not text:
            continue
        if isinstance(value, Output):
            found[info.name] = str(check_folder(text, machine.roots, info.name))
        elif info.name != "guide" or names_file(text) or text.startswith(UPLOADED):
            path = machine.file(text.strip(), info.name)
            if info.group == "audio":
                _check_sound(path, info.name)
            found[info.name] = str(path)
    return found


def _check_sound(path: Path, field: str) -> None:
    """See that a file that is listened to besides the source can be read. Raises as `sniff` does, about its own field."""
    try:
        sniff.sniff(path)
    except AceError as error:
        error.field = field
        raise


def check_folder(text: str, roots: AllowedRoots, field: str = "folder") -> Path:
    """A folder for copies, and that it can be written. Raises `NotAllowed` or `OutputUnwritable`."""
    folder = roots.writing(text, field)
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputUnwritable(f"{text} cannot be written", field=field)
    return folder
