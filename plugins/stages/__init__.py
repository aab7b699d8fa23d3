"""The built-in stage types: what a job can do to audio, one module each."""

from __future__ import annotations

from collections.abc import Callable

from acestep.api import StageType, hookimpl
from plugins.stages.complete import Complete
from plugins.stages.cover import Cover
from plugins.stages.extend import Extend
from plugins.stages.extract import Extract
from plugins.stages.flow_edit import FlowEdit
from plugins.stages.generate import Generate
from plugins.stages.lego import Lego
from plugins.stages.refine import Refine
from plugins.stages.repaint import Repaint

STAGES: tuple[type[StageType], ...] = (Generate, Refine, Cover, Repaint, Extend, Extract, Lego, Complete, FlowEdit)


@hookimpl
def register_stages(register: Callable[[StageType], None]) -> None:
    """All of them."""
    for stage in STAGES:
        register(stage())
