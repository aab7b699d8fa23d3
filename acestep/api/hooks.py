"""The plug-in surface: every hook, on one page.

A plug-in is a module (or object) with any of these functions marked ``@hookimpl``; each gets a ``register`` callback and
calls it once per thing it offers. It is found through the entry-point group ``acestep_bridge`` or as a Python file in the
plug-in folder of the settings. A stage type registered here appears by itself as OSC address, RPC method, CLI command, form in the
DAW scripts and page of the reference.
"""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from acestep.api.family import FamilySpec
from acestep.api.operation import Operation
from acestep.api.plan import StageType
from acestep.api.planning import PlannerSpec
from acestep.api.sampling import BackendSpec, GuidanceSpec, SamplerSpec, ScheduleSpec

PROJECT = "acestep_bridge"
ENTRY_POINT_GROUP = "acestep_bridge"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_stages(register: Callable[[StageType], None]) -> None:
    """Offer stage types: what a job can do to audio. Example: ``register(Repaint())``."""


@hookspec
def register_samplers(register: Callable[[SamplerSpec], None]) -> None:
    """Offer samplers: how the flow is solved. Example: ``register(SamplerSpec(name="euler", run=euler, ...))``."""


@hookspec
def register_schedules(register: Callable[[ScheduleSpec], None]) -> None:
    """Offer schedules: where the timesteps lie. Example: ``register(ScheduleSpec(name="linear", times=linear, ...))``."""


@hookspec
def register_guidance(register: Callable[[GuidanceSpec], None]) -> None:
    """Offer guidance methods. Example: ``register(GuidanceSpec(name="apg", target="my.guidance:Apg", ...))``."""


@hookspec
def register_backends(register: Callable[[BackendSpec], None]) -> None:
    """Offer backends a worker can run jobs with. Example: ``register(BackendSpec(name="torch", target="...:Engine", ...))``."""


@hookspec
def register_operations(register: Callable[[Operation], None]) -> None:
    """Offer operations that are not renders (planning, analysis ...). Example: ``register(Operation(name="plan", ...))``."""


@hookspec
def register_planners(register: Callable[[PlannerSpec], None]) -> None:
    """Offer what runs the planner's language model. Example: ``register(PlannerSpec(name="vllm", target="...", ...))``."""


@hookspec
def register_families(register: Callable[[FamilySpec], None]) -> None:
    """Offer model families: whole models behind the same operations. Example: ``register(FamilySpec(name="my-model", ...))``."""
