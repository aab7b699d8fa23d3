"""The surface that plug-ins and the daemon build on: requests, plans, schemas, hooks, errors. No torch, ever.

Each name is imported when it is first asked for: a client that only wants an error's class does not load the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acestep.api.conditioning import Conditioning
    from acestep.api.daemon_context import DaemonContext
    from acestep.api.errors import AceError
    from acestep.api.family import Download, FamilyRuntime, FamilySpec, ModelFamily, ModelOpening, NoOptions, StageTake
    from acestep.api.grid import LatentGrid
    from acestep.api.hooks import hookimpl
    from acestep.api.instructions import instruction
    from acestep.api.operation import Operation
    from acestep.api.plan import Fill, Length, Mask, Plan, SourceFacts, StageType, require_region, require_task
    from acestep.api.registry import Registry
    from acestep.api.request import Output, Render, Stage, StageParams
    from acestep.api.result import Result, ResultFile, StageReport
    from acestep.api.rights import Right
    from acestep.api.rounding import samples
    from acestep.api.sampling import BackendSpec, GuidanceSpec, SamplerSpec, ScheduleSpec, Step
    from acestep.api.schema import Request, convert, describe, param
    from acestep.api.source import Source
    from acestep.api.variants import VARIANTS, ModelInfo, Variant

__all__ = [
    "VARIANTS",
    "AceError",
    "BackendSpec",
    "Conditioning",
    "DaemonContext",
    "Download",
    "FamilyRuntime",
    "FamilySpec",
    "Fill",
    "GuidanceSpec",
    "LatentGrid",
    "Length",
    "Mask",
    "ModelFamily",
    "ModelInfo",
    "ModelOpening",
    "NoOptions",
    "Operation",
    "Output",
    "Plan",
    "Registry",
    "Render",
    "Request",
    "Result",
    "ResultFile",
    "Right",
    "SamplerSpec",
    "ScheduleSpec",
    "Source",
    "SourceFacts",
    "Stage",
    "StageParams",
    "StageReport",
    "StageTake",
    "StageType",
    "Step",
    "Variant",
    "convert",
    "describe",
    "hookimpl",
    "instruction",
    "param",
    "require_region",
    "require_task",
    "samples",
]

_NAMES = {
    "conditioning": "Conditioning",
    "daemon_context": "DaemonContext",
    "errors": "AceError",
    "family": "Download FamilyRuntime FamilySpec ModelFamily ModelOpening NoOptions StageTake",
    "grid": "LatentGrid",
    "hooks": "hookimpl",
    "instructions": "instruction",
    "operation": "Operation",
    "plan": "Fill Length Mask Plan SourceFacts StageType require_region require_task",
    "registry": "Registry",
    "request": "Output Render Stage StageParams",
    "result": "Result ResultFile StageReport",
    "rights": "Right",
    "rounding": "samples",
    "sampling": "BackendSpec GuidanceSpec SamplerSpec ScheduleSpec Step",
    "schema": "Request convert describe param",
    "source": "Source",
    "variants": "VARIANTS ModelInfo Variant",
}
"""Module -> what this package offers of it."""

_PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
