"""Operations on datasets: a folder of songs, or a project's regions, becomes what an adapter is trained on."""

from typing import Annotated, Any, Literal

from acestep.api import Operation, Request, limits, param

CODE = "acestep.dataset.operations"

DatasetName = Annotated[str, param("Name of the dataset.", max_length=80, example="my songs")]
StepAside = Annotated[bool, param("Whether to make room for other waiting jobs and continue afterwards.")]


class DatasetRegion(Request):
    """A part of a project: a sound file, a window of it, and the song it belongs to."""

    path: Annotated[str, param("Audio file.", max_length=limits.MAX_PATH)]
    start: Annotated[int, param("First sample, at the file's own rate.", unit="samples", ge=0)] = 0
    length: Annotated[int, param("Length; 0: to the end of the file.", unit="samples", ge=0)] = 0
    title: Annotated[str, param("Name for people.", max_length=200)] = ""
    song: Annotated[
        str,
        param("Song it belongs to. Parts of one song are all used for validation, or none of them.", max_length=200),
    ] = ""


class ScanDataset(Request):
    """Request of ``dataset-scan``."""

    dataset: Annotated[
        str, param("Name of the dataset; empty: the name of the folder.", max_length=80, example="my songs")
    ] = ""
    folders: Annotated[
        list[str], param("Folders of songs, with the labels beside them.", names="folder", group="source")
    ] = []
    regions: Annotated[list[DatasetRegion], param("Parts of a project, such as stems or regions.", group="source")] = []
    replace: Annotated[bool, param("Start over; otherwise known songs keep their labels.")] = False
    custom_tag: Annotated[str, param("Trigger: a word that is put into every caption.", max_length=200)] | None = None
    validation: (
        Annotated[
            float,
            param(
                "Share of the songs to use only for validation, to see whether the training overfits.", ge=0.0, le=0.5
            ),
        ]
        | None
    ) = None


class LoadDataset(Request):
    """Request of ``dataset-load``."""

    file: Annotated[
        str,
        param(
            "Dataset file (JSON) of this program or the original.",
            max_length=limits.MAX_PATH,
            example="/home/me/songs.json",
        ),
    ]
    dataset: Annotated[str, param("New name; empty: its own.", max_length=80)] = ""
    replace: Annotated[bool, param("Replace a dataset of that name.")] = False


class SaveDataset(Request):
    """Request of ``dataset-save``."""

    dataset: DatasetName
    file: Annotated[
        str,
        param(
            "File to write; the original program can open it too.",
            names="new_file",
            group="output",
            example="/home/me/songs.json",
        ),
    ]


class ListDatasets(Request):
    """Request of ``dataset-list``."""

    dataset: Annotated[str, param("List the samples of this dataset; empty: list all datasets.", max_length=80)] = ""
    offset: Annotated[int, param("How many samples to skip.", ge=0)] = 0
    limit: Annotated[int, param("How many samples at most.", ge=1, le=1000)] = 100


class EditDataset(Request):
    """Request of ``dataset-edit``."""

    dataset: DatasetName
    sample: Annotated[
        str, param("Id or file name of the sample to edit; empty: the dataset itself.", max_length=1000)
    ] = ""
    changes: Annotated[
        dict[str, Any],
        param(
            "Labels of the sample (caption, genre, lyrics, bpm, keyscale, timesignature, language, is_instrumental, custom_tag, "
            "prompt_override, split), or settings of the dataset (name, custom_tag, tag_position, genre_ratio, all_instrumental, "
            "validation).",
            example={"caption": "warm tape piano"},
        ),
    ] = {}
    remove: Annotated[list[str], param("Samples to remove, by id or file name; the files stay.")] = []
    delete: Annotated[bool, param("Delete the whole dataset and everything prepared from it; the songs stay.")] = False


class LabelDataset(Request):
    """Request of ``dataset-label``."""

    dataset: DatasetName
    only: Annotated[list[str], param("Ids of the samples to label; none: all.")] = []
    skip: Annotated[bool, param("Do not listen to the songs; unknown labels stay N/A.")] = False
    replace: Annotated[bool, param("Also replace existing labels.")] = False
    instrumental: Annotated[bool, param("Mark every sample as instrumental.")] = False
    understand: Annotated[
        Literal["auto", "on", "off"],
        param("Let the language model write caption, lyrics and language; auto: if one is installed.", group="model"),
    ] = "auto"
    planner_model: Annotated[
        str, param("Language model; auto: chosen by the available memory.", max_length=128, group="model")
    ] = "auto"
    checkpoint: Annotated[
        str, param("Model that makes the codes for the language model to listen to.", choices="models", group="model")
    ] = ""
    seed: Annotated[int, param("Seed for the language model.", ge=0, le=limits.MAX_SEED)] = 42
    step_aside: StepAside = True


class PrepareDataset(Request):
    """Request of ``dataset-prepare``."""

    dataset: DatasetName
    model: Annotated[str, param("Model to train on it; empty: the default model.", choices="models", group="model")] = (
        ""
    )
    max_seconds: Annotated[
        float,
        param("How many seconds of each song to use, from its beginning.", unit="s", ge=1.0, le=limits.MAX_DURATION),
    ] = 240.0
    step_aside: StepAside = True


def _of_the_daemon(word: str, summary: str, schema: type[Request], check: str = "check_known") -> Operation:
    return Operation(
        name=f"dataset-{word}",
        summary=summary,
        schema=schema,
        result=dict,
        runs="daemon",
        target=f"{CODE}:run_{word}",
        check=f"{CODE}:{check}",
        group="training",
    )


OPERATIONS = (
    _of_the_daemon("scan", "Make a dataset of folders of songs, or of a project's regions.", ScanDataset, "check_scan"),
    _of_the_daemon("load", "Open a dataset file under a name.", LoadDataset, "check_load"),
    _of_the_daemon("save", "Write a dataset to a file that the original trainer opens too.", SaveDataset),
    _of_the_daemon("list", "List the datasets, or the samples of one.", ListDatasets),
    _of_the_daemon("edit", "Change labels or settings of a dataset, or remove samples.", EditDataset, "check_edit"),
    Operation(
        name="dataset-label",
        summary="Label songs: measure tempo, key and metre; take captions and lyrics from the language model or the file names.",
        schema=LabelDataset,
        target="acestep.dataset.labelling:run_label",
        check=f"{CODE}:check_known",
        steps_aside=True,
        at_home=True,
        group="training",
    ),
    Operation(
        name="dataset-prepare",
        summary="Turn songs and labels into training data, each once.",
        schema=PrepareDataset,
        target="acestep.training.adapters.operations:run_prepare",
        check="acestep.training.adapters.door:check_prepare",
        steps_aside=True,
        at_home=True,
        group="training",
    ),
)
