"""The surface that plug-ins and the daemon build on: requests, plans, schemas, hooks, errors. No torch, ever."""

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
