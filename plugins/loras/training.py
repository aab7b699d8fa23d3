"""Operations on adapters of one's own: train, look at trainings, merge, copy out."""

from typing import Annotated, Any

import msgspec

from acestep.api import Operation, Request, limits, param
from acestep.api.schema import merge_schemas
from acestep.api.training import AdapterShape, TrainOptions
from plugins.loras.datasets import StepAside

CODE = "acestep.training.adapters"

LORAS = Annotated[
    list[str],
    param("Names of adapters, each with its strength if it is not 1.", group="model", example=["my songs=0.8"]),
]


class WhatToTrain(Request):
    """The fields of ``train`` besides the adapter's shape and the training's settings."""

    dataset: Annotated[str, param("Prepared dataset to train on.", max_length=80, example="my songs")] = ""
    tensors: Annotated[
        str, param("Or a folder of tensors prepared by the original trainer.", names="folder", group="source")
    ] = ""
    name: Annotated[
        str,
        param(
            "Name of the adapter; empty: the name of the dataset. An existing training of that name is continued.",
            max_length=80,
        ),
    ] = ""
    model: Annotated[str, param("Model to train; empty: the default model.", choices="models", group="model")] = ""
    sample_prompts: Annotated[
        list[str],
        param("Captions to render during training, to hear its progress; at most 8.", group="samples"),
    ] = []
    sample_every: Annotated[
        int, param("Render samples every N epochs; 0: never.", ge=0, le=100_000, group="samples")
    ] = 0
    sample_seed: Annotated[int, param("Seed of every sample.", ge=0, le=limits.MAX_SEED, group="samples")] = 1
    sample_seconds: Annotated[
        float, param("Length of a sample.", unit="s", ge=1.0, le=limits.MAX_DURATION, group="samples")
    ] = 20.0
    folder: Annotated[
        str, param("Folder for a copy of the finished adapter, in every format.", names="target", group="output")
    ] = ""
    step_aside: StepAside = True


Train = merge_schemas("Train", [WhatToTrain, AdapterShape, TrainOptions], drop=frozenset({"shape", "device"}))


class ListTrainings(Request):
    """Request of ``trainings``."""

    name: Annotated[str, param("Show the figures of this training; empty: list all trainings.", max_length=80)] = ""
    points: Annotated[int, param("How many points of its loss curve at most.", ge=0, le=10_000)] = 500


class MergeLora(Request):
    """Request of ``lora-merge``."""

    lora: LORAS
    name: Annotated[str, param("Name of the new checkpoint.", max_length=80, example="my-turbo")]
    model: Annotated[
        str, param("Model to merge them into; empty: the default model.", choices="models", group="model")
    ] = ""


class SweepLora(Request):
    """Request of ``lora-sweep``."""

    lora: Annotated[str, param("Name of the adapter.", max_length=128, example="my songs")]
    scales: Annotated[list[float], param("Strengths to render, -4 to 4.", example=[0.0, 0.5, 1.0])] = msgspec.field(
        default_factory=lambda: [0.0, 0.5, 1.0]
    )
    caption: Annotated[
        str,
        param(
            "Caption to render; include the adapter's trigger.",
            max_length=limits.MAX_CAPTION,
            example="zap, slow drone",
        ),
    ] = ""
    duration: Annotated[float, param("Length.", unit="s", ge=1.0, le=limits.MAX_DURATION)] = 20.0
    seed: Annotated[int, param("Seed of every render.", ge=0, le=limits.MAX_SEED)] = 1
    model: Annotated[str, param("Model to use; empty: the default model.", choices="models", group="model")] = ""
    params: Annotated[
        dict[str, Any], param("Further fields of generate, such as bpm or lyrics.", example={"bpm": 120.0})
    ] = {}


class ExportLora(Request):
    """Request of ``lora-export``."""

    lora: Annotated[str, param("Name of the adapter.", max_length=128, example="my songs")]
    folder: Annotated[
        str,
        param(
            "Folder in which to create a folder with its files.",
            names="target",
            group="output",
            example="/home/me/loras",
        ),
    ]


OPERATIONS = (
    Operation(
        name="train",
        summary="Train an adapter (LoRA, DoRA, LoKr) on a prepared dataset. You can then use it by name.",
        schema=Train,
        target=f"{CODE}.operations:run_train",
        check=f"{CODE}.door:check_train",
        steps_aside=True,
        at_home=True,
        prelude=("dataset-scan", "dataset-label", "dataset-prepare"),
        group="training",
    ),
    Operation(
        name="trainings",
        summary="List trainings, or show the figures of one: losses, samples, notes, plot.",
        schema=ListTrainings,
        result=dict,
        runs="daemon",
        target=f"{CODE}.door:run_trainings",
        group="training",
    ),
    Operation(
        name="lora-merge",
        summary="Bake adapters into a new checkpoint.",
        schema=MergeLora,
        target=f"{CODE}.operations:run_merge",
        check=f"{CODE}.door:check_merge",
        at_home=True,
        group="training",
    ),
    Operation(
        name="lora-sweep",
        summary="Render one caption and seed at several strengths of an adapter, to hear what it does.",
        schema=SweepLora,
        result=dict,
        runs="daemon",
        target=f"{CODE}.sweep:run_sweep",
        check=f"{CODE}.sweep:check_sweep",
        group="training",
    ),
    Operation(
        name="lora-export",
        summary="Copy an adapter's files to a folder, for other programs.",
        schema=ExportLora,
        result=dict,
        runs="daemon",
        target=f"{CODE}.door:run_export",
        check=f"{CODE}.door:check_export",
        group="training",
    ),
)
