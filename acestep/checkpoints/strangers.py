"""What lies in the models' folders and is no model of this program, with the reason: nothing is passed over unseen. No torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from acestep.api.errors import AceError
from acestep.checkpoints.files import read_json, weight_files
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
ADAPTER = "an adapter, no model"


def strangers(places: Iterable[Path], used: Collection[str]) -> dict[str, str]:
    """Path -> sentence for folders of other families, and for loose weight files that nothing here can use.

    ``used``: the files that models found here consist of or borrow.
    """
    folders = list(places)
    found = {
        str(path): f"this is {family}, another model family: not opened here" for path, family in _families(folders)
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
    for folder, files in crowd.items():
        found.setdefault(
            str(folder), f"{len(files)} of its files {OTHERS}: {files[0]}{' ...' if len(files) > 1 else ''}"
        )
    return found


def _sentence(file: Path, contents: Contents) -> str:
    """Why a readable file is not used; empty for adapters, which are listed elsewhere, and for parts that are models themselves."""
    if contents.family:
        return "" if contents.family == ADAPTER else f"{file.name} is {contents.family}"
    if LANGUAGE in contents.parts or "transformer" in contents.parts:
        return ""
    held = " and ".join(part.replace("_", " ") for part in contents.parts)
    return f"{file.name} holds a {held}, and no transformer that could use it is here"


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
