"""Finds a part that a checkpoint lacks among what lies around it and in the folders of the settings. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from acestep.api.errors import AceError
from acestep.checkpoints import gguf_header
from acestep.checkpoints.files import GGUF
from acestep.checkpoints.inferred import read_config
from acestep.checkpoints.places import COMFYUI, EMBEDDED, loose_files, places
from acestep.checkpoints.weights import CODEC, SILENCE, TEXT, read_contents, tensor_index

FOLDERS = {CODEC: ("vae",), TEXT: ("Qwen3-Embedding-0.6B", "text_encoder")}
"""Names of the folders of a part, in the published layout and in diffusers'."""

TOKENIZER_FOLDERS = ("Qwen3-Embedding-0.6B", "tokenizer", "text_encoder")
TOKENIZER = "tokenizer.json"
TOKENS = "tokenizer.ggml.tokens"

SILENCE_FILE = "silence_latent.pt"

Fits = Callable[[dict[str, Any]], bool]
"""Whether a part with this config belongs to the checkpoint."""


class Lender:
    """What lies around a place: the folders beside it first, then those of the settings, in their order."""

    def __init__(self, place: Path, near: Iterable[Path]) -> None:
        self._place = place
        self._near = tuple(near)

    @cached_property
    def _folders(self) -> list[Path]:
        near = [folder for folder in self._near if folder != EMBEDDED or self._place.is_relative_to(EMBEDDED)]
        return list(dict.fromkeys((*_around(self._place), *places(near))))

    def part(self, part: str, fits: Fits) -> Path | None:
        """The first folder or file that holds ``part``, whole and of the right sizes."""
        for place in (*self._component_folders(FOLDERS[part]), *self._files):
            try:
                if part in read_contents(place, part if place.is_dir() else "").parts and fits(
                    read_config(place, part)
                ):
                    return place
            except AceError:
                continue  # damaged or another model's: `checkpoint_problems` names it where it lies
        return None

    def text_tokenizer(self, text_encoder: Path) -> Path | None:
        """The tokenizer of the text encoder: its own, or an installed one for as many words (all published ones are the same)."""
        if (text_encoder / TOKENIZER).is_file() or has_tokens(text_encoder):
            return text_encoder
        words = _words(text_encoder)
        folders = (
            place
            for place in self._component_folders(TOKENIZER_FOLDERS, TOKENIZER)
            if _words(place) in (words, None) or words is None
        )
        files = (file for file in self._files if has_tokens(file) and TEXT in read_contents(file).parts)
        return next(chain(folders, files), None)

    def silence(self, own: Path) -> Path | None:
        """The silence latent: in the file itself, a file of its own, or a tensor of another checkpoint; all are the same."""
        if SILENCE in _parts(own):
            return own
        beside = (folder / SILENCE_FILE for folder in self._folders if not _is_small(folder))
        if found := next((path for path in beside if path.is_file()), None):
            return found
        if found := next((file for file in self._files if SILENCE in _parts(file)), None):
            return found
        encoders = (folder / "condition_encoder" for folder in self._folders if not _is_small(folder / "transformer"))
        return next((place for place in encoders if SILENCE in _index(place, "condition_encoder")), None)

    def network(self, part: str, sizes: dict[str, Any]) -> Path | None:
        """A network of the published layout's four out of a sibling whose transformer has the same sizes."""
        for place in (*self._folders, *self._files):
            owner = place / "transformer" if (place / "transformer").is_dir() else place
            own = place / DIFFUSERS_FOLDERS[part] if owner != place else place
            if owner == self._place or owner.parent == self._place or not _index(own, part):
                continue
            try:
                config = read_config(owner, "transformer")
            except AceError:
                continue
            if all(config.get(key) == size for key, size in sizes.items()):
                return own
        return None

    def _component_folders(self, names: tuple[str, ...], file: str = "config.json") -> Iterator[Path]:
        for folder in self._folders:
            for name in names:
                if (folder / name / file).is_file():
                    yield folder / name

    @cached_property
    def _files(self) -> list[Path]:
        own = [self._place] if self._place.is_file() else []
        return list(dict.fromkeys((*own, *loose_files(self._folders))))


DIFFUSERS_FOLDERS = {
    "transformer": "transformer",
    "condition_encoder": "condition_encoder",
    "audio_tokenizer": "audio_tokenizer",
    "audio_detokenizer": "audio_token_detokenizer",
}
"""Folders of the four networks under a diffusers root."""


def has_tokens(file: Path) -> bool:
    """Whether a GGUF file carries a tokenizer along."""
    try:
        return file.suffix.lower() == GGUF and TOKENS in gguf_header.read_head(file).arrays
    except AceError:
        return False


OWN_KINDS = ("nano", "tiny")
"""Models of this program's own: their codec has other latents, and their silence and words are theirs alone."""


def _is_small(folder: Path) -> bool:
    """Whether a folder is a model of this program's own kinds, or one of random weights."""
    config = _config(folder, "transformer")
    return config.get("model_version") in OWN_KINDS or config.get("trained") is False


def _words(place: Path) -> int | None:
    """Rows of a text encoder's embedding, by its config; None where there is none."""
    return _config(place, TEXT).get("vocab_size")


def _config(place: Path, part: str) -> dict[str, Any]:
    try:
        return read_config(place, part) if place.is_file() or (place / "config.json").is_file() else {}
    except AceError:
        return {}


def _around(place: Path) -> list[Path]:
    """Where the parts of the checkpoint at ``place`` are expected: in it, beside it, in folders beside it.

    A single file has ComfyUI's folders around it, one or two levels up; nothing else above it is searched.
    """
    if place.is_dir():
        beside = [place.parent] if (place.parent / "model_index.json").is_file() else []
        return [place, *beside]
    found = [place.parent]
    for above in (place.parent.parent, place.parent.parent.parent):
        found += [above / name for name in COMFYUI if (above / name).is_dir()]
    return found


def _parts(file: Path) -> dict[str, Any]:
    try:
        return read_contents(file).parts if file.is_file() else {}
    except AceError:
        return {}


def _index(place: Path, part: str) -> dict[str, Any]:
    try:
        return tensor_index(place, part)
    except AceError:
        return {}


def width_of_latents(config: dict[str, Any]) -> int:
    """Channels of the latents that a codec's config promises."""
    return int(config.get("decoder_input_channels", config.get("latent_channels", 0)))
