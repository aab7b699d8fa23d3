"""Operations: the one list that doors, CLI, reference pages and host forms are made from."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from acestep.api.preset import Preset, preset_schema
from acestep.api.result import Result
from acestep.api.rights import Right

RENDER = "render"
"""The operation whose request is a chain in its nested form; to the worker every render is one."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Something a client can ask for as a job.

    ``schema`` is the request type. ``runs`` says where: in the ``worker`` (may load models) or in the ``daemon``
    (must not block). ``target`` is ``module:attribute`` of the code: in the worker ``run(request, context) -> Result`` with the
    context of `acestep.worker.backend.JobContext`; in the daemon an ``async run(request, daemon) -> dict`` with an
    `acestep.api.daemon_context.DaemonContext`. An empty target is a
    render of the stage type of the same name.
    """

    name: str
    summary: str
    schema: type[msgspec.Struct]
    result: type[msgspec.Struct] | type[dict] = Result
    runs: Literal["worker", "daemon"] = "worker"
    target: str = ""
    check: str = ""
    """``module:attribute`` of what the door checks besides the schema, without torch: ``check(request, host) -> request`` with the
    host of `acestep.admission.host.CallerHostInfo`. It may raise any `AceError`."""
    steps_aside: bool = False
    """Whether a job of it makes room for any other that waits, and continues afterwards; its request may switch that off
    (``step_aside``)."""
    at_home: bool = False
    """Whether it works on folders of the daemon's machine (datasets, adapters, models), so that no other machine can do it."""
    prelude: tuple[str, ...] = ()
    """Operations that a folder goes through before this one, when the command line is given a folder: the first takes it in
    ``folders``; the rest, and this one, take the ``dataset`` that it made of it."""
    group: str = "render"
    """Heading under which musicians look for it: edit, create, stems, preset, planner, models, library, or one of its own."""
    since: int = 1
    feature: str = ""
    right: Right = Right.OWNER
    """Who may submit it. `Right.ANYBODY` is for what touches nothing but the caller's own jobs, such as every render."""
    planner: str = ""
    """Name of the request's field that names the language model; empty for everything that needs none."""
    listens: bool = False
    """Whether that language model listens to music: rules can't take its place."""
    fixed: dict[str, Any] = {}
    """Of a one-stage render: fields of its conditioning that are always so."""
    stage: str = ""
    """Name of the stage type that a one-stage render runs; empty for everything else."""
    preset: Preset | None = None
    """The chain of stages that it runs; None for everything else."""
    form_help: dict[str, Any] = {}
    """Help for whoever fills in the request: tags, names, examples. Published with the operation as ``guide``, never checked."""

    @property
    def renders(self) -> bool:
        """Whether it is a render: of one stage, of a preset, or of a chain that the request spells out."""
        return bool(self.stage) or self.preset is not None or self.name == RENDER


def preset_operation(preset: Preset) -> Operation:
    """The operation that a preset becomes."""
    summary = preset.summary or preset.title or f"Run the preset {preset.name}."
    return Operation(
        name=preset.name,
        summary=summary,
        schema=preset_schema(preset),
        group="preset",
        right=Right.ANYBODY,
        preset=preset,
    )
