"""The built-in model families, and operations on models: facts, download, verify, remove. Listing and unloading are methods of the
daemon."""

from collections.abc import Callable
from typing import Annotated, Literal

from acestep.api import FamilySpec, Operation, Request, hookimpl, param

CODE = "acestep.checkpoints.operations"

FAMILIES = (
    FamilySpec(
        name="ace-step-15",
        title="ACE-Step 1.5",
        description="acestep.families.ace_step_15.family:AceStep15",
        target="acestep.families.ace_step_15.runtime:Runtime",
        summary="Songs up to ten minutes, edits, covers, extracting and adding tracks.",
    ),
    FamilySpec(
        name="ace-step-v1",
        title="ACE-Step v1",
        description="acestep.families.ace_step_v1.family:AceStepV1",
        target="acestep.families.ace_step_v1.runtime:Runtime",
        summary="The 3.5B model of 2025 and its adapters: songs up to four minutes, repaint, extend, edits by words.",
    ),
    FamilySpec(
        name="musicgen",
        title="MusicGen",
        description="acestep.families.musicgen.family:MusicGen",
        target="acestep.families.musicgen.runtime:Runtime",
        summary="Instrumental music up to two minutes on small machines, and extending a file. Not for commercial use.",
    ),
)
"""The first is asked first."""


@hookimpl
def register_families(register: Callable[[FamilySpec], None]) -> None:
    """All of them."""
    for family in FAMILIES:
        register(family)


class NameModel(Request):
    """Request of ``model-info``, ``model-verify`` and ``model-remove``."""

    model: Annotated[
        str,
        param("Short name of the model, as shown by `models list`.", max_length=128, group="store", example="turbo"),
    ]


class DownloadModel(NameModel):
    """Request of ``model-download``."""

    hub: Annotated[
        Literal["auto", "huggingface", "modelscope"],
        param("Where to download from; auto: Hugging Face, then ModelScope.", group="store"),
    ] = "auto"
    revision: Annotated[
        str,
        param(
            "Commit, tag or branch of the model's repository, or 'known' for one that is known to work; empty: the newest.",
            max_length=100,
            group="store",
        ),
    ] = ""
    store: Annotated[
        Literal["published", "bfloat16"],
        param("How to store float32 weights (XL): as published, or converted to half the size.", group="store"),
    ] = "published"


class ExportOnnx(Request):
    """Request of ``export-onnx``."""

    model: Annotated[
        str,
        param("A model by its short name, as `models list` shows it.", max_length=128, group="store", example="nano"),
    ]
    parts: Annotated[
        list[str],
        param(
            "Parts to write, such as transformer or codec_decoder; none: all that the model has.",
            example=["transformer", "codec_decoder"],
        ),
    ] = []
    dtype: Annotated[
        Literal["float32", "float16"],
        param("How weights are stored: float32 for exactness, float16 for half the size."),
    ] = "float32"
    folder: Annotated[
        str,
        param(
            "Folder that gets a folder of the files; empty: the folder onnx of the daemon's home.",
            names="target",
            group="output",
        ),
    ] = ""


SUMMARIES: dict[str, tuple[str, type[Request]]] = {
    "info": ("Describe a model on this machine.", NameModel),
    "download": ("Fetch a published model; an interrupted download is resumed.", DownloadModel),
    "verify": ("Read every file of a model again and compare it with what was published.", NameModel),
    "remove": ("Delete a downloaded model.", NameModel),
}


@hookimpl
def register_operations(register: Callable[[Operation], None]) -> None:
    """All of them; the daemon runs all but the export, so they work while the worker is busy or down."""
    for word, (summary, schema) in SUMMARIES.items():
        register(
            Operation(
                name=f"model-{word}",
                summary=summary,
                schema=schema,
                result=dict,
                runs="daemon",
                target=f"{CODE}:run_{word}",
                group="models",
            )
        )
    register(
        Operation(
            name="export-onnx",
            summary="Write a model's parts as ONNX files for other programs, and compare them with the model in ONNX Runtime.",
            schema=ExportOnnx,
            target="acestep.onnx.export:run_export",
            check="acestep.onnx.door:check_export",
            at_home=True,
            group="models",
        )
    )
