"""The planner's operations: prompts become plans, sentences become songs, audio becomes words. No torch here."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from acestep.api import Operation, Right, hookimpl
from acestep.api.features import NANO_PLANNER
from acestep.api.planning import PlannerSpec
from plugins.planner import requests
from plugins.planner.form_help import FORM_HELP

CODE = "acestep.planner.operations"


@hookimpl
def register_planners(register: Callable[[PlannerSpec], None]) -> None:
    """What runs the language model."""
    register(
        PlannerSpec(
            name="transformers",
            target="acestep.planner.model:TransformersPlanner",
            summary="transformers' Qwen3 with this project's own token loop; runs everywhere.",
            packages=("llguidance",),
        )
    )
    register(
        PlannerSpec(
            name="vllm",
            target="acestep.planner.vllm:VllmPlanner",
            summary="vLLM, if it is installed (CUDA); without guidance for the language model.",
            packages=("vllm", "llguidance"),
            guides=False,
        )
    )
    register(
        PlannerSpec(
            name="mlx",
            target="acestep.planner.mlx:MlxPlanner",
            summary="MLX on a Mac with Apple silicon, where mlx-lm is installed.",
            packages=("mlx_lm", "llguidance"),
        )
    )
    register(
        PlannerSpec(
            name="rules",
            target="acestep.planner.rules.rules_planner:RulesPlanner",
            summary=(
                "Rules instead of a language model: caption and metadata from your sentence. auto uses them if "
                "no language model is installed."
            ),
            language_model=False,
        )
    )
    register(
        PlannerSpec(
            name="nano",
            target="acestep.planner.nano.nano_planner:NanoPlanner",
            summary=(
                "Rules, and for words that they do not know the nano planner, a small language model that comes with the program; "
                "behind the feature flag nano_planner."
            ),
            language_model=False,
            feature=NANO_PLANNER,
        )
    )


OPERATIONS = (
    Operation(
        name="plan",
        summary="Expand a prompt into caption, tempo, key, metre, length and semantic codes; fields you set are kept.",
        schema=requests.PlanRequest,
        planner="model",
        target=f"{CODE}:plan",
        form_help=FORM_HELP,
    ),
    Operation(
        name="compose",
        summary="Turn one sentence into a full sample: caption, lyrics and metadata.",
        schema=requests.ComposeRequest,
        planner="model",
        target=f"{CODE}:compose",
        form_help=FORM_HELP,
    ),
    Operation(
        name="format",
        summary="Improve a caption and lyrics, and find tempo, key, metre and length.",
        schema=requests.FormatRequest,
        planner="model",
        target=f"{CODE}:format_text",
        form_help=FORM_HELP,
    ),
    Operation(
        name="understand",
        summary="Describe audio or codes: caption, metadata and lyrics.",
        schema=requests.UnderstandRequest,
        planner="model",
        listens=True,
        target=f"{CODE}:understand",
    ),
    Operation(
        name="codes",
        summary="Turn audio into semantic codes at 5 Hz, or codes back into audio.",
        schema=requests.CodesRequest,
        target=f"{CODE}:codes",
    ),
    Operation(
        name="score",
        summary="Score how well caption, lyrics and metadata fit a piece.",
        schema=requests.ScoreRequest,
        planner="model",
        listens=True,
        target=f"{CODE}:score",
    ),
    Operation(
        name="lyrics-timing",
        summary="Find when each line and word is sung, as LRC.",
        schema=requests.TimingRequest,
        target=f"{CODE}:lyrics_timing",
    ),
    Operation(
        name="example",
        summary="A caption, lyrics and settings to start from: a random one, or the best match for a few words.",
        schema=requests.ExampleRequest,
        runs="daemon",
        target="plugins.planner.examples:run",
    ),
)


SONG = Operation(
    name="song",
    summary="Make a song from one sentence: plan it, then render it. The plan comes with the result.",
    schema=requests.SongRequest,
    group="create",
    right=Right.ANYBODY,
    stage="generate",
    fixed={"thinking": True},
    form_help=FORM_HELP,
)


@hookimpl
def register_operations(register: Callable[[Operation], None]) -> None:
    """Planning and analysis, for every door; and the song, which is planned and rendered in one job."""
    register(SONG)
    for operation in OPERATIONS:
        register(msgspec.structs.replace(operation, group="planner", right=Right.ANYBODY))
