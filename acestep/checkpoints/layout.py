"""Where the parts of a checkpoint lie on disk, and whether they are all there. No torch.

Four layouts are opened as they lie. *Published*: a bundle folder with one or more DiT folders (``acestep-v15-turbo/`` ...) beside
``vae/`` and ``Qwen3-Embedding-0.6B/``; further DiT folders are single repositories that borrow those two from a bundle nearby.
*Diffusers*: one folder per component under a root with ``model_index.json``. *ComfyUI*: one file with everything, or one for each
part. *GGUF*: one file for each part. What a place lacks is borrowed from those beside it and from the folders of the settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadCheckpoint, ModelMissing
from acestep.checkpoints.borrowing import DIFFUSERS_FOLDERS, OWN_KINDS, Fits, Lender, width_of_latents
from acestep.checkpoints.files import WEIGHT_NAMES, read_json
from acestep.checkpoints.inferred import read_config
from acestep.checkpoints.places import subfolders
from acestep.checkpoints.weights import CODEC, TEXT, read_contents

TEXT_ENCODER = "Qwen3-Embedding-0.6B"
VAE = "vae"
SILENCE = "silence_latent.pt"
INDEX = "model_index.json"

FETCH_SHARED = "`acestep-bridge models download shared` fetches it (1.5 GB)"
FETCH_COMPANIONS = "`acestep-bridge models download companions` fetches it (70 MB)"


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The folders or files of one checkpoint's parts. In the published layout and in ComfyUI's and GGUF files ``transformer``
    holds all four networks."""

    diffusers: bool
    transformer: Path
    condition_encoder: Path
    audio_tokenizer: Path | None
    audio_detokenizer: Path | None
    """None where a diffusers repository has no such part and none could be borrowed: no covers, no codes."""
    vae: Path
    text_encoder: Path
    text_tokenizer: Path
    silence: Path | None
    """A ``silence_latent.pt``, or a file or folder that holds the tensor; None where it is the condition encoder's own buffer."""

    def folders(self) -> list[Path]:
        """Every folder or file with weights, each once."""
        networks = (self.transformer, self.condition_encoder, self.audio_tokenizer, self.audio_detokenizer)
        found = (*networks, self.vae, self.text_encoder)
        return list(dict.fromkeys(place for place in found if place is not None))


def is_transformer(folder: Path) -> bool:
    """Whether a folder is a DiT in the published layout, by its config; a bundle that repeats the config of one of its models
    is none."""
    return _describes_transformer(folder) and not _is_bundle(folder)


def _describes_transformer(folder: Path) -> bool:
    try:
        config = read_json(folder / "config.json")
    except BadCheckpoint:
        return False
    return "num_audio_decoder_hidden_layers" in config or ("fsq_input_levels" in config and "in_channels" in config)


def _is_bundle(folder: Path) -> bool:
    """Whether a folder has models in it and no weights of its own."""
    own = any((folder / f"{name}{end}").exists() for name in WEIGHT_NAMES for end in ("", ".index.json"))
    return not own and any(_describes_transformer(inner) for inner in subfolders(folder))


def locate(path: Path, near: Iterable[Path] = ()) -> Parts:
    """The parts of the checkpoint at ``path``: a DiT folder, a bundle with exactly one, a diffusers root, or a weight file with a
    DiT in it. What it lacks is looked for beside it, then in the folders ``near``.

    Raises `ModelMissing` when a part is not there, `BadCheckpoint` when the place is not a checkpoint.
    """
    path = settled(path)
    if path.is_file():
        return _locate_file(path, near)
    if (path / INDEX).is_file():
        return _locate_diffusers(path, near)
    if is_transformer(path):
        return _locate_published(path, near)
    inner = [folder for folder in subfolders(path) if is_transformer(folder)]
    if len(inner) == 1:
        return _locate_published(inner[0], near)
    if inner:
        names = [folder.name for folder in inner]
        raise BadCheckpoint(f"{path} holds several models; name one of them", field="model", limits={"choices": names})
    raise BadCheckpoint(f"{path} holds no ACE-Step checkpoint", field="model")


def settled(path: Path) -> Path:
    """A path without links on the way; the last piece of a file stays, for its name says what the file is."""
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def _locate_diffusers(root: Path, near: Iterable[Path]) -> Parts:
    silence = root / SILENCE
    index = read_json(root / INDEX).get("_class_name", "")
    if not (root / "transformer").is_dir():
        raise BadCheckpoint(f"{root} is a pipeline of another model family ({index or 'unnamed'})", field="model")
    tokenizer, detokenizer = root / "audio_tokenizer", root / "audio_token_detokenizer"
    own = tokenizer.is_dir() and detokenizer.is_dir()
    borrowed = (tokenizer, detokenizer) if own else _borrow_tokenizers(root, near)
    return Parts(
        diffusers=True,
        transformer=root / "transformer",
        condition_encoder=root / "condition_encoder",
        audio_tokenizer=borrowed[0],
        audio_detokenizer=borrowed[1],
        vae=root / "vae",
        text_encoder=root / "text_encoder",
        text_tokenizer=root / "tokenizer",
        silence=silence if silence.is_file() else None,
    )


def own_networks(path: Path) -> dict[str, Path]:
    """Network -> where it lies, of the four that the checkpoint at ``path`` holds itself; nothing is borrowed or looked for."""
    path = settled(path)
    if not (path / INDEX).is_file():
        return _four(path)
    folders = {name: path / folder for name, folder in DIFFUSERS_FOLDERS.items()}
    return {name: folder for name, folder in folders.items() if folder.is_dir()}


ENCODER_SIZES = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
"""Sizes that XL configs repeat with the prefix ``encoder_`` for everything except the DiT."""


def encoder_config(config: dict[str, Any]) -> dict[str, Any]:
    """The published config with the sizes of the networks beside the DiT."""
    own = {key: config[f"encoder_{key}"] for key in ENCODER_SIZES if config.get(f"encoder_{key}") is not None}
    return {**config, **own}


SAME_SIZES = ("hidden_size", "num_hidden_layers", "intermediate_size")
"""What the transformers of two checkpoints of one size have in common."""


def _borrow_tokenizers(root: Path, near: Iterable[Path]) -> tuple[Path, Path] | tuple[None, None]:
    """The pair of networks for semantic codes out of a sibling of the same size; both or none."""
    config = read_json(root / "transformer" / "config.json")
    sizes = {key: config.get(key) for key in SAME_SIZES}
    lender = Lender(root, (root.parent, *near))
    found = [lender.network(part, sizes) for part in ("audio_tokenizer", "audio_detokenizer")]
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else (None, None)


def _locate_published(dit: Path, near: Iterable[Path]) -> Parts:
    near = list(near)
    text = _companion(dit, TEXT_ENCODER, TEXT, near)
    vae = _companion(dit, VAE, CODEC, near)
    silence = next((place / SILENCE for place in _neighbours(dit) if (place / SILENCE).is_file()), None)
    silence = silence or Lender(dit, near).silence(dit)
    if silence is None:
        raise ModelMissing(f"{dit.name} lacks {SILENCE}; download the model again", field="model")
    words = Lender(dit, near).text_tokenizer(text)
    return Parts(
        diffusers=False, **_four(dit), vae=vae, text_encoder=text, text_tokenizer=words or text, silence=silence
    )


def _four(place: Path) -> dict[str, Path]:
    """The four networks of the published layout, all in one place."""
    return dict.fromkeys(("transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer"), place)


def _companion(dit: Path, name: str, part: str, near: list[Path]) -> Path:
    """The shared part ``name`` for a DiT folder: inside it, beside it, in a bundle beside it, or in the folders ``near``."""
    for place in _neighbours(dit):
        if (place / name / "config.json").is_file():
            return place / name
    found = Lender(dit, near).part(part, _fits(read_config(dit, "transformer"), part))
    if found is not None:
        return found
    raise ModelMissing(
        f"{dit.name} needs the folder {name}, which comes with the main bundle; {FETCH_SHARED}", field="model"
    )


def _fits(config: dict[str, Any], part: str) -> Fits:
    """Whether a codec or text encoder has the widths that the transformer's config names."""
    if part == TEXT:
        return lambda own: own.get("hidden_size") == config.get("text_hidden_dim", own.get("hidden_size"))
    published = config.get("model_version") not in OWN_KINDS
    return lambda own: (
        width_of_latents(own) == config.get("audio_acoustic_hidden_dim", width_of_latents(own))
        and not (published and own.get("_class_name") == NANO_CODEC)
    )


NANO_CODEC = "NanoCodec"
"""The small model's codec: as many channels as the published one, and other latents."""


def _locate_file(file: Path, near: Iterable[Path]) -> Parts:
    """A file of ComfyUI or acestep.cpp with a DiT in it, and the other parts in it or around it."""
    found = read_contents(file)
    if "transformer" not in found.parts:
        held = ", ".join(part.replace("_", " ") for part in found.parts)
        what = f"holds {held} and no transformer: it is a part of a model" if held else f"is {found.family}"
        raise BadCheckpoint(f"{file.name} {what}", field="model")
    config, lender = read_config(file, "transformer"), Lender(file, near)
    text = file if TEXT in found.parts else lender.part(TEXT, _fits(config, TEXT))
    vae = file if CODEC in found.parts else lender.part(CODEC, _fits(config, CODEC))
    words = None if text is None else lender.text_tokenizer(text)
    silence = lender.silence(file)
    shared = [name for name, place in (("the text encoder", text), ("the codec", vae)) if place is None]
    if shared or text is None or vae is None:
        raise ModelMissing(f"{file.name} needs {' and '.join(shared)}; {FETCH_SHARED}", field="model")
    small = [name for name, place in (("the silence latent", silence), ("the text tokenizer", words)) if place is None]
    if words is None or silence is None:
        raise ModelMissing(f"{file.name} needs {' and '.join(small)}; {FETCH_COMPANIONS}", field="model")
    return Parts(diffusers=False, **_four(file), vae=vae, text_encoder=text, text_tokenizer=words, silence=silence)


def _neighbours(dit: Path) -> Iterator[Path]:
    yield dit
    yield dit.parent
    yield from (folder for folder in subfolders(dit.parent) if folder != dit)


def users(part: Path) -> list[Path]:
    """The DiT folders that take the shared part ``part`` from where it is: those beside it, and those beside its bundle."""
    found = []
    for dit in (*subfolders(part.parent), *subfolders(part.parent.parent)):
        if is_transformer(dit):
            try:
                parts = locate(dit)
            except (ModelMissing, BadCheckpoint):
                continue
            if part.resolve() in (parts.vae.resolve(), parts.text_encoder.resolve()):
                found.append(dit.resolve())
    return found
