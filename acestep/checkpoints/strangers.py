"""What lies in the models' folders and is no model of this program, with the reason: nothing is passed over unseen. No torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from acestep.api.errors import AceError
from acestep.checkpoints.adapter_strength import ADAPTER_FILES
from acestep.checkpoints.files import PICKLES, WEIGHT_NAMES, read_json, weight_files
from acestep.checkpoints.hub_cache import folder_name
from acestep.checkpoints.places import loose_files, loose_pickles
from acestep.checkpoints.weights import LANGUAGE, Contents, read_contents

FAMILIES = {
    "ACEStepTransformer2DModel": "ACE-Step v1",
    "musicgen": "MusicGen",
    "musicgen_melody": "MusicGen",
    "StableAudioDiTModel": "Stable Audio",
    "stable_audio": "Stable Audio",
}
"""What configs say of themselves (``_class_name`` or ``model_type``) -> family of models."""

AUDIOCRAFT = ("state_dict.bin", "compression_state_dict.bin")
"""Files in which MusicGen is published for its own program."""

OTHERS = "are of other model families"
ADAPTER = "an adapter, not a model"

ADAPTERS = "loras"
"""Name of the folders where adapters are looked for."""

MOVE = f"move it into a folder {ADAPTERS!r} there, and name it in a job's 'loras'"


def strangers(places: Iterable[Path], used: Collection[str]) -> dict[str, str]:
    """Path -> sentence for folders of other families, and for folders and loose files of weights that nothing here can use.

    ``used``: the places that models found here consist of or borrow, and those that are named with a reason already.
    """
    folders = list(places)
    found = {
        str(path): f"this is {family}, another model family: not opened here"
        for path, family in _families(folders)
        if not _is_told(path, used)
    }
    crowd: dict[Path, list[str]] = {}
    for file in loose_files(folders):
        if str(file) in used or str(file.parent.resolve() / file.name) in used:
            continue
        try:
            contents = read_contents(file)
        except AceError as failure:
            found[str(file)] = failure.message
            continue
        if contents.family.startswith("of another"):
            crowd.setdefault(file.parent, []).append(
                f"{file.name} {contents.family.removeprefix('of another model family ')}"
            )
        elif sentence := _sentence(file, contents):
            found[str(file)] = sentence
    for file in loose_pickles(folders):
        if not any(str(place) in found for place in (file, file.parent)):
            found[str(file)] = _refusal(file)
    for folder in folders:
        told = _is_told(folder, used) or any(
            str(place) in found for place in (folder, *(folder / name for name in PICKLES))
        )
        if not told and (sentence := _unused(folder)):
            found[str(folder)] = sentence
    for folder, files in crowd.items():
        found.setdefault(
            str(folder), f"{len(files)} of its files {OTHERS}: {files[0]}{' ...' if len(files) > 1 else ''}"
        )
    return found


def _sentence(file: Path, contents: Contents) -> str:
    """Why a readable file is not used; empty for adapters where adapters belong, and for parts that are models themselves."""
    if contents.family == ADAPTER:
        return "" if file.parent.name == ADAPTERS else f"{file.name} is {ADAPTER}: {MOVE}"
    if contents.family:
        return f"{file.name} is {contents.family}"
    if LANGUAGE in contents.parts or "transformer" in contents.parts:
        return ""
    return f"{file.name} holds a {_held(contents)}, {UNUSED}"


def _is_told(folder: Path, used: Collection[str]) -> bool:
    """Whether a folder is used or named, or is a part of a model or stands beside one that is (damaged ones included)."""
    own = folder.resolve()
    return any(str(place) in used for place in (folder, own, own.parent)) or any(
        Path(place).parent == own.parent for place in used if own.name in SHARED
    )


UNUSED = "and no model that can be opened here uses it"

SHARED = ("vae", "Qwen3-Embedding-0.6B")
"""Folders that the models beside them share."""


def _unused(folder: Path) -> str:
    """Why a folder with weight files of a component's name is not used; empty where there are none."""
    if any((folder / name).is_file() for name in ADAPTER_FILES):
        return "" if folder.parent.name == ADAPTERS else f"{folder_name(folder)} is {ADAPTER}: {MOVE}"
    names = (*WEIGHT_NAMES, *(f"{name}.index.json" for name in WEIGHT_NAMES), *PICKLES)
    if not any((folder / name).exists() for name in names):
        shards = any(folder.glob("*-of-*.safetensors"))
        return (
            f"{folder_name(folder)} holds shards and no list of them ({names[2]}); download the model again"
            if shards
            else ""
        )
    try:
        contents = read_contents(folder)
    except AceError as failure:
        return failure.message
    name = folder_name(folder)
    if contents.family:
        return f"{name} is {contents.family}"
    if not (folder / "config.json").is_file():
        return f"{name} holds weights ({_held(contents)}) and no config.json; download the model again"
    return f"{name} holds a {_held(contents)}, {UNUSED}"


def _held(contents: Contents) -> str:
    return " and ".join(part.replace("_", " ") for part in contents.parts)


def _refusal(file: Path) -> str:
    try:
        weight_files(file)
    except AceError as failure:
        return failure.message
    return ""


def _families(folders: Iterable[Path]) -> Iterable[tuple[Path, str]]:
    for folder in folders:
        if (folder / "ace_step_transformer").is_dir():
            yield folder, "ACE-Step v1"
        elif folder.name != "ace_step_transformer" and (family := _configured(folder)):
            yield folder, family
        elif any((folder / name).is_file() for name in AUDIOCRAFT):
            yield folder, "MusicGen"


def _configured(folder: Path) -> str:
    if not (folder / "config.json").is_file():
        return ""
    try:
        config = read_json(folder / "config.json")
    except AceError:
        return ""
    return next(
        (FAMILIES[word] for word in (config.get("_class_name"), config.get("model_type")) if word in FAMILIES), ""
    )
