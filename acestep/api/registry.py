"""The registry: loads plug-ins, checks what they register, and is the only way to reach any of it by name."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import logging
import os
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pluggy

from acestep.api import hooks
from acestep.api.conditioning import SENTENCE, Conditioning
from acestep.api.errors import (
    AceError,
    FeatureDisabled,
    NameClash,
    PluginFailed,
    ReservedName,
    UnknownName,
    UnknownOperation,
)
from acestep.api.family import FamilySpec
from acestep.api.operation import RENDER, Operation, preset_operation
from acestep.api.plan import StageType
from acestep.api.planning import PlannerSpec
from acestep.api.preset import SUFFIX as PRESET_SUFFIX
from acestep.api.preset import Preset, read_preset
from acestep.api.render_request import RenderRequest
from acestep.api.request import CHAIN_FIELDS, RUNTIME_CHOICES, Output
from acestep.api.rights import Right
from acestep.api.sampling import BackendSpec, GuidanceSpec, SamplerSpec, ScheduleSpec
from acestep.api.schema import Request, convert, merge_schemas
from acestep.api.sentences import quoted
from acestep.api.sound import SUFFIX as SOUND_SUFFIX
from acestep.api.sound import Sound, SoundField, read_sound
from acestep.api.source import SelectionFields

log = logging.getLogger(__name__)

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
"""Names become addresses, methods, commands and file names, so they are plain everywhere."""

RESERVED = frozenset(
    "auto none all render job jobs op status version describe notify sync synced dump error hello ping cancel result "
    "rerun results serve stop models plugins doctor demo config preset presets help upload download queue metrics health "
    "slot capture tempo performance midi call mcp "
    "audition export layout install-scripts completion sound sounds lofi studio json-rpc features autogen think".split()
)
"""Words the bridge's own addresses, methods and commands use; no plug-in may take one as an operation."""

OF_A_CHAIN = frozenset({"source", "returns"})
"""What a stage of a chain says besides its type's own parameters."""

Entry = TypeVar(
    "Entry", StageType, SamplerSpec, ScheduleSpec, GuidanceSpec, BackendSpec, PlannerSpec, FamilySpec, Operation
)


class PluginState(Enum):
    """Where a plug-in stands."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    LOAD_ERROR = "load_error"


class PluginReport(msgspec.Struct, frozen=True, kw_only=True):
    """One plug-in as the user sees it: its state and, if it did not load, the reason in a sentence."""

    name: str
    origin: str
    version: str = ""
    state: PluginState
    reason: str = ""
    offers: tuple[str, ...] = ()


_RENDER = Operation(name=RENDER, summary="Run a chain of stages.", schema=RenderRequest, right=Right.ANYBODY)


class Registry:
    """Everything that plug-ins offer, by kind and name.

    ``features`` are the enabled feature flags; what needs another one is invisible.
    """

    def __init__(self, features: Iterable[str] = ()) -> None:
        self.features = frozenset(features)
        self.stages: dict[str, StageType] = {}
        self.samplers: dict[str, SamplerSpec] = {}
        self.schedules: dict[str, ScheduleSpec] = {}
        self.guidance: dict[str, GuidanceSpec] = {}
        self.backends: dict[str, BackendSpec] = {}
        self.planners: dict[str, PlannerSpec] = {}
        self.families: dict[str, FamilySpec] = {}
        self.operations: dict[str, Operation] = {}
        self.sounds: dict[str, Sound] = {}
        self.plugins: list[PluginReport] = []
        self._owners: dict[tuple[str, str], str] = {}
        self._add_operation(_RENDER, "acestep")

    @classmethod
    def load(
        cls,
        *,
        folder: Path | None = None,
        disabled: Iterable[str] = (),
        features: Iterable[str] = (),
        entry_points: bool = True,
    ) -> Registry:
        """A registry with every installed plug-in and those in ``folder``; what fails to load is reported, not raised."""
        registry = cls(features)
        refused = frozenset(disabled)
        for candidate in _candidates(folder, entry_points):
            registry._load_candidate(candidate, refused)
        for path in sorted(folder.glob(f"*{PRESET_SUFFIX}")) if folder is not None else ():
            registry._load_preset(path, refused)
        for path in sorted(folder.glob(f"*{SOUND_SUFFIX}")) if folder is not None else ():
            registry._load_sound(path)
        return registry

    def _load_candidate(self, candidate: _Candidate, disabled: frozenset[str]) -> None:
        facts: dict[str, Any] = {"name": candidate.name, "origin": candidate.origin, "version": candidate.version}
        if candidate.name in disabled:
            self.plugins.append(PluginReport(**facts, state=PluginState.DISABLED, reason="disabled in the settings"))
            return
        try:
            offers = self.add_plugin(candidate.load(), candidate.name)
        except AceError as failure:
            self._report_failure(facts, failure.message)
        except Exception as failure:  # a stranger's module may raise anything while it is imported
            self._report_failure(facts, f"{type(failure).__name__}: {failure}")
        else:
            self.plugins.append(PluginReport(**facts, state=PluginState.ENABLED, offers=offers))

    def _load_preset(self, path: Path, disabled: frozenset[str]) -> None:
        """A user's preset file; loaded last, so that every stage type it may name is there."""
        name = path.name.removesuffix(PRESET_SUFFIX)
        facts: dict[str, Any] = {"name": name, "origin": str(path), "version": ""}
        if name in disabled:
            self.plugins.append(PluginReport(**facts, state=PluginState.DISABLED, reason="disabled in the settings"))
            return
        try:
            self.add_preset(read_preset(path), path)
        except AceError as failure:
            self._report_failure(facts, failure.message)

    def add_preset(self, preset: Preset, path: Path) -> None:
        """Offer a preset of the user's that is kept in a file. Raises `AceError` for one that does not fit."""
        name = path.name.removesuffix(PRESET_SUFFIX)
        self.check_stages(preset)
        registration = _Registration(self, name)
        registration.add_operation(preset_operation(preset))
        report = PluginReport(name=name, origin=str(path), state=PluginState.ENABLED, offers=registration.commit())
        self.plugins.append(report)

    def _load_sound(self, path: Path) -> None:
        """A user's sound; one that cannot be read is reported and left out."""
        try:
            sound = read_sound(path)
        except AceError as failure:
            self._report_failure({"name": path.name, "origin": str(path), "version": ""}, failure.message)
        else:
            self.sounds[sound.name] = sound

    def drop_preset(self, name: str) -> None:
        """Offer a preset of the user's no longer; nothing happens where there is none."""
        owner = self._owners.pop(("operations", name), None)
        if owner is not None:
            del self.operations[name]
            self.plugins = [
                report for report in self.plugins if report.name != owner or not report.origin.endswith(PRESET_SUFFIX)
            ]

    def check_stages(self, preset: Preset) -> None:
        """Raise the error of the first stage of a preset that is unknown or has wrong parameters."""
        for stage in preset.stages:
            fields = {name: value for name, value in stage.items() if name not in OF_A_CHAIN}
            convert(fields, self.stage(str(fields.pop("type"))).Params)

    def _report_failure(self, facts: dict[str, Any], reason: str) -> None:
        log.warning("plug-in %s did not load: %s", facts["name"], reason)
        self.plugins.append(PluginReport(**facts, state=PluginState.LOAD_ERROR, reason=reason))

    def add_plugin(self, plugin: object, name: str) -> tuple[str, ...]:
        """Register everything a plug-in offers, or nothing at all.

        Returns what it offers as ``kind:name``. Raises `NameClash`, `ReservedName` or `PluginFailed`.
        """
        pm = pluggy.PluginManager(hooks.PROJECT)
        pm.add_hookspecs(hooks)
        pm.register(plugin, name)
        pm.check_pending()
        registration = _Registration(self, name)
        pm.hook.register_stages(register=registration.add_stage)
        pm.hook.register_samplers(register=registration.adder("samplers", self.samplers))
        pm.hook.register_schedules(register=registration.adder("schedules", self.schedules))
        pm.hook.register_guidance(register=registration.adder("guidance", self.guidance))
        pm.hook.register_backends(register=registration.adder("backends", self.backends))
        pm.hook.register_planners(register=registration.adder("planners", self.planners))
        pm.hook.register_families(register=registration.adder("families", self.families))
        pm.hook.register_operations(register=registration.add_operation)
        return registration.commit()

    def _add_operation(self, operation: Operation, owner: str) -> None:
        self.operations[operation.name] = operation
        self._owners["operations", operation.name] = owner

    def operation(self, name: str) -> Operation:
        """The operation of that name. Raises `UnknownOperation`, or `FeatureDisabled` when a flag hides it."""
        found = self.operations.get(name)
        if found is None:
            raise UnknownOperation(f"there is no operation {name!r}", limits={"choices": sorted(self.visible())})
        if found.feature and found.feature not in self.features:
            raise FeatureDisabled(
                f"{name} is experimental; enable the feature {found.feature!r} in the settings to use it",
                field="operation",
            )
        return found

    def visible(self) -> dict[str, Operation]:
        """The operations that are enabled, by name."""
        return {name: op for name, op in self.operations.items() if not op.feature or op.feature in self.features}

    def stage(self, name: str) -> StageType:
        """The stage type of that name. Raises `UnknownName`."""
        return _find(self.stages, name, "stage type", "type")

    def sampler(self, name: str) -> SamplerSpec:
        """The sampler of that name or alias. Raises `UnknownName`."""
        return _find(self.samplers, name, "sampler", "sampler")

    def schedule(self, name: str) -> ScheduleSpec:
        """The schedule of that name or alias. Raises `UnknownName`."""
        return _find(self.schedules, name, "schedule", "schedule")

    def guidance_method(self, name: str) -> GuidanceSpec:
        """The guidance method of that name or alias. Raises `UnknownName`."""
        return _find(self.guidance, name, "guidance method", "guidance")

    def backend(self, name: str) -> BackendSpec:
        """The backend of that name. Raises `UnknownName`."""
        return _find(self.backends, name, "backend", "backend")

    def planner(self, name: str) -> PlannerSpec:
        """The planner backend of that name. Raises `UnknownName`."""
        return _find(self.planners, name, "planner backend", "backend")

    def planner_without_model(self) -> PlannerSpec | None:
        """The planner backend that needs no language model: one that a feature flag has switched on, else the first; none where no
        plug-in brings one.
        """
        found = [spec for spec in self.planners.values() if not spec.language_model and self.shows(spec)]
        return max(found, key=lambda spec: bool(spec.feature), default=None)

    def shows(self, planner: PlannerSpec) -> bool:
        """Whether a planner backend's feature flag, where it has one, is on."""
        return not planner.feature or planner.feature in self.features

    def family(self, name: str) -> FamilySpec:
        """The model family of that name. Raises `UnknownName`."""
        return _find(self.families, name, "model family", "model")

    def sound(self, name: str) -> Sound:
        """The sound of that name. Raises `UnknownName`."""
        return _find(self.sounds, name, "sound", "sound")

    def choices(self, table: str) -> list[str]:
        """The allowed values of a field that was declared with ``choices=table`` (models are the caller's to add)."""
        tables: dict[str, Iterable[str]] = {
            "samplers": self.samplers,
            "schedules": self.schedules,
            "guidance": self.guidance,
            "planners": [name for name, spec in self.planners.items() if self.shows(spec)],
        }
        if table in tables:
            return ["auto", *sorted(tables[table])]
        if table == "sounds":
            return ["", *sorted(self.sounds)]
        return RUNTIME_CHOICES.get(table, [])


def _find(table: dict[str, Any], name: str, kind: str, field: str) -> Any:
    if name in table:
        return table[name]
    for entry in table.values():
        if name in getattr(entry, "aliases", ()):
            return entry
    raise UnknownName(f"there is no {kind} {quoted(name)}", field=field, limits={"choices": sorted(table)})


def flat_schema(stage: StageType) -> type[Request]:
    """The flat request of a stage type's own operation: source, parameters, conditioning and output in one list."""
    parts: list[type[msgspec.Struct]] = [stage.Params, Conditioning, SoundField, Output]
    if stage.source != "none":
        parts.insert(0, SelectionFields)
    title = "".join(word.title() for word in re.split("[-_]", stage.name))
    return merge_schemas(f"{title}Request", parts, drop=SENTENCE, drop_of={stage.Params: CHAIN_FIELDS})


class _Candidate(msgspec.Struct, frozen=True):
    """A plug-in that was found and not yet imported."""

    name: str
    origin: str
    version: str
    source: Any

    def load(self) -> object:
        if isinstance(self.source, Path):
            _check_trust(self.source)
            return _import_file(self.source, self.name)
        return self.source.load()


def _candidates(folder: Path | None, entry_points: bool) -> Iterator[_Candidate]:
    if entry_points:
        found = [
            _Candidate(point.name, *_origin(point.dist), point)
            for point in importlib.metadata.entry_points(group=hooks.ENTRY_POINT_GROUP)
        ]
        yield from sorted(found, key=lambda one: (one.origin != "acestep-bridge", one.name))
    if folder is not None and folder.is_dir():
        for path in sorted(folder.glob("*.py")):
            yield _Candidate(path.stem, str(path), "", path)


@functools.lru_cache
def _origin(distribution: importlib.metadata.Distribution | None) -> tuple[str, str]:
    """Name and version. Each look parses all of its metadata, our README among it, so one has to do for all its plug-ins."""
    if distribution is None:
        return "", ""
    facts = distribution.metadata
    return facts["Name"], facts["Version"]


def _check_trust(path: Path) -> None:
    """Run no file that another user could have written: neither it nor its folder. Raises `PluginFailed`."""
    if os.name != "posix":
        return
    for place in (path, path.parent, path.resolve().parent):
        facts = place.stat()
        if facts.st_mode & 0o002:
            raise PluginFailed(
                f"{place} can be written by every user, so it is not run; `chmod o-w {place}` protects it"
            )
        if facts.st_uid not in (os.getuid(), 0):
            raise PluginFailed(f"{place} belongs to another user, so it is not run")


def _import_file(path: Path, name: str) -> object:
    spec = importlib.util.spec_from_file_location(f"acestep_bridge_plugin_{name}", path)
    if spec is None or spec.loader is None:
        raise PluginFailed(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Registration:
    """What one plug-in registers, held back until all of it is known to fit."""

    def __init__(self, registry: Registry, owner: str) -> None:
        self._registry = registry
        self._owner = owner
        self._pending: list[tuple[str, dict[str, Any], Any]] = []

    def adder(self, kind: str, table: dict[str, Any]) -> Any:
        def add(entry: Any) -> None:
            self._check_name(kind, entry.name)
            for alias in getattr(entry, "aliases", ()):
                self._check_clash(kind, alias)
            self._pending.append((kind, table, entry))

        return add

    def add_stage(self, stage: StageType) -> None:
        self._check_name("stages", stage.name)
        self._check_name("operations", stage.name)
        self._pending.append(("stages", self._registry.stages, stage))
        operation = Operation(
            name=stage.name,
            summary=stage.summary,
            schema=flat_schema(stage),
            since=stage.since,
            feature=stage.feature,
            group=stage.group or ("create" if stage.source == "none" else "edit"),
            right=Right.ANYBODY,
            stage=stage.name,
        )
        self._pending.append(("operations", self._registry.operations, operation))

    def add_operation(self, operation: Operation) -> None:
        self._check_name("operations", operation.name)
        self._pending.append(("operations", self._registry.operations, operation))

    def _check_name(self, kind: str, name: str) -> None:
        if not NAME.fullmatch(name):
            raise PluginFailed(f"{self._owner} registers {name!r}; names are lower case letters, digits, - and _")
        if (kind == "operations" and name in RESERVED) or name == "auto":
            raise ReservedName(f"{self._owner} registers {kind} {name!r}, a name that acestep-bridge itself uses")
        self._check_clash(kind, name)

    def _check_clash(self, kind: str, name: str) -> None:
        owner = self._registry._owners.get((kind, name))
        if owner is None and any(
            k == kind and name in (e.name, *getattr(e, "aliases", ())) for k, _, e in self._pending
        ):
            owner = self._owner
        if owner is not None:
            raise NameClash(f"{self._owner} and {owner} both register {kind} {name!r}")

    def commit(self) -> tuple[str, ...]:
        for kind, table, entry in self._pending:
            table[entry.name] = entry
            for name in (entry.name, *getattr(entry, "aliases", ())):
                self._registry._owners[kind, name] = self._owner
        return tuple(f"{kind}:{entry.name}" for kind, _, entry in self._pending)
