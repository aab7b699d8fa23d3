"""From a client's parameters to a job that may wait: the whole check of any operation, as the door makes it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from acestep.admission.admitted import Admitted
from acestep.admission.chain_errors import AtStage, of_only_stage, of_stage, place_in_chain
from acestep.admission.host import CallerHostInfo
from acestep.admission.parse import parse
from acestep.admission.paths import check_guides, on_disk, with_real_paths
from acestep.admission.region import region_heard
from acestep.admission.render import RenderAdmission
from acestep.admission.song_time import written_duration
from acestep.api.errors import AceError, BadRequest
from acestep.api.operation import RENDER, Operation
from acestep.api.plan import Plan
from acestep.api.registry import Registry
from acestep.api.request import Stage
from acestep.api.resolve import ResolvedStage, resolve_stage
from acestep.api.schema import convert
from acestep.api.source import Region, Source
from acestep.api.stored_step import check_stored_step
from acestep.api.targets import resolve_target
from acestep.api.thinking import wants_planning
from acestep.audio.latent_header import read_latent_facts, require_family

SOURCES = frozenset({"source", "upload", "source_latent"})
"""Fields of a flat request that name what it works on."""

MODEL_OF_STAGE = re.compile(r"stages\[\d+\]\.model")
"""What whoever runs a preset names in its field ``models``."""


def admit(registry: Registry, operation: Operation, params: dict[str, Any], host: CallerHostInfo) -> Admitted:
    """Check a request of any operation. Blocks on the disk; call it in a thread. Raises `AceError` that names the field."""
    with _told_to_the_caller(operation, host):
        if not operation.renders:
            return _admit_other(registry, operation, params, host)
        if operation.preset is not None and operation.preset.source and not SOURCES & params.keys():
            raise BadRequest(f"{operation.name} needs a source", field="source")
        admitted = RenderAdmission(registry, host, parse(registry, operation, params)).run()
        at_stage = of_stage if operation.name == RENDER else of_only_stage
        _check_parts(registry, admitted, host, at_stage)
        render = with_real_paths(admitted.render, host, at_stage)
        notes = map(host.named, (*admitted.notes, *check_guides(render, at_stage)))
        return msgspec.structs.replace(admitted, request=render, notes=tuple(notes))


@contextmanager
def _told_to_the_caller(operation: Operation, host: CallerHostInfo) -> Iterator[None]:
    """Errors name the fields of the form in which the request came, and the caller's own files, and say nothing of ours."""
    try:
        yield
    except AceError as error:
        if operation.name == RENDER and error.field is not None:
            error.field = place_in_chain(error.field)
        elif operation.preset is not None and MODEL_OF_STAGE.fullmatch(error.field or ""):
            error.field = "models"
        error.message = host.named(error.message)
        error.args = (error.message,)
        raise
    except OSError as failure:  # what the system says to a name
        raise BadRequest(f"a file or folder of the request cannot be opened: {failure.strerror}") from None
    except (OverflowError, RecursionError):
        raise BadRequest("a number in the request is too large, or its maps nest too deep") from None


def _admit_other(registry: Registry, operation: Operation, params: dict[str, Any], host: CallerHostInfo) -> Admitted:
    """An operation that is not a render: its own schema, and whatever it names."""
    typed = convert(params, operation.schema)
    if isinstance(getattr(typed, "duration", None), str):
        typed = convert({**params, "duration": written_duration(typed)}, operation.schema)
    if operation.planner:
        host.require_planner(registry, typed, operation.planner, listens=operation.listens)
    if hasattr(typed, "checkpoint"):
        host.require_checkpoint(typed, read=bool(operation.planner))
    found = on_disk(typed, host)
    _check_heard(typed, host)
    if operation.check:
        found = resolve_target(operation.check)(found, host)
    return Admitted(request=found)


def _check_heard(typed: Any, host: CallerHostInfo) -> None:
    """See that the sound that a request listens to is here, and its region inside. Raises `BadRequest`, `RegionOutside` ..."""
    source = Source(path=getattr(typed, "source", ""), upload=getattr(typed, "upload", ""))
    if source.path and source.upload:
        raise BadRequest("name one source: a file or an upload", field="upload")
    if not (source.path or source.upload):
        return
    if set(Region.__struct_fields__) <= set(typed.__struct_fields__):
        region_heard(typed, host.probe(source))
    elif source.upload:
        host.place(source)


def _check_parts(registry: Registry, admitted: Admitted, host: CallerHostInfo, at_stage: AtStage) -> None:
    """See that the planner, adapters, weights and stored steps that a render needs are here, and that every stage can run."""
    render = admitted.render
    if wants_planning(render.conditioning, admitted.plans):
        host.require_planner(registry, render.conditioning, "planner_model")
    for index, (stage, plan) in enumerate(zip(render.stages, admitted.plans, strict=True)):
        at_stage(index, functools.partial(host.require_adapters, stage.params.lora, stage.params.model))
        at_stage(index, functools.partial(_check_run, registry, stage, plan, host))
    host.require_weights(render.weights, {stage.params.model for stage in render.stages})


def _check_run(registry: Registry, stage: Stage, plan: Plan, host: CallerHostInfo) -> None:
    """See that a stage can run at the times that it asks for, and go on from the step that it names. Raises `AceError`."""
    run = resolve_stage(registry, stage, plan, host.model(stage.params.model))
    if run.params.resume:
        _check_stored_step(run, host)


def _check_stored_step(run: ResolvedStage, host: CallerHostInfo) -> None:
    """See that a stored step that a stage goes on from is here, and one of a run like its own.

    Raises `NotFound`, `NotAllowed`, `BadLatent`, `BadRequest`.
    """
    name = run.params.resume
    try:
        facts = read_latent_facts(host.place(Source(latent=name)))
        require_family(name, facts, run.model.latent_family)
    except AceError as error:
        error.field = "resume"
        raise
    check_stored_step(name, facts, run, host.weights(run.model))
