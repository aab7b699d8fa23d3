"""A MusicGen checkpoint in the published layout: which files it has, and what they say. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError, BadCheckpoint, ModelMissing
from acestep.checkpoints.files import PICKLES, WEIGHT_NAMES, ends_whole, read_json, tensor_table, weight_files
from acestep.checkpoints.hub_cache import folder_name, snapshots

MELODY = "musicgen_melody"
KINDS = ("musicgen", MELODY)
"""What a config says of itself in ``model_type``."""

CONFIG, TOKENIZER, GENERATION = "config.json", "tokenizer.json", "generation_config.json"

AUDIOCRAFT = ("state_dict.bin", "compression_state_dict.bin")
"""Pickles in which the same models are published for the authors' own program."""

PREFIXES = {"text_encoder.": "text_encoder", "audio_encoder.": "codec"}
"""How the tensors of a part begin; all others are the transformer's."""

BRIDGE = "enc_to_dec_proj."
"""How the tensors begin that lead from the text encoder into its transformer."""

AGAIN = "download the model again"


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A complete checkpoint."""

    name: str
    folder: Path
    files: tuple[Path, ...]
    config: dict[str, Any]

    @property
    def trained(self) -> bool:
        """False for random weights."""
        return bool(self.config.get("trained", True))

    @property
    def melody(self) -> bool:
        """Whether it follows a melody."""
        return self.config.get("model_type") == MELODY

    @property
    def codebooks(self) -> int:
        """Codes of a frame; of a stereo model, left and right take turns."""
        return self._whole("decoder", "num_codebooks")

    @property
    def stereo(self) -> bool:
        """Whether it makes two channels."""
        return self._whole("decoder", "audio_channels") == 2

    @property
    def codebook_size(self) -> int:
        """Codes of a codebook."""
        return self._whole("audio_encoder", "codebook_size")

    @property
    def rate(self) -> int:
        """Sample rate of its codec in Hz."""
        return self._whole("audio_encoder", "sampling_rate")

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        ratios = self._part("audio_encoder").get("upsampling_ratios")
        if not isinstance(ratios, list) or not ratios or not all(isinstance(one, int) and one > 0 for one in ratios):
            raise self._bad("audio_encoder", "upsampling_ratios")
        return math.prod(ratios)

    @property
    def layers(self) -> int:
        """Layers of its transformer."""
        return self._whole("decoder", "num_hidden_layers")

    def numbers(self) -> dict[str, dict[str, int]]:
        """Part -> stored type -> how many numbers."""
        found: dict[str, dict[str, int]] = {part: {} for part in ("transformer", "text_encoder", "codec")}
        for file in self.files:
            for name, (shape, kind, _) in tensor_table(file).items():
                counts = found[
                    next((part for start, part in PREFIXES.items() if name.startswith(start)), "transformer")
                ]
                counts[kind] = counts.get(kind, 0) + math.prod(shape)
        return found

    def _part(self, part: str) -> Mapping[str, Any]:
        found = self.config.get(part)
        if not isinstance(found, dict):
            raise BadCheckpoint(f"the config of {self.name} tells nothing of its {part}", field="model")
        return found

    def _whole(self, part: str, key: str) -> int:
        value = self._part(part).get(key, DEFAULTS[key])
        if not isinstance(value, int) or value < 1:
            raise self._bad(part, key)
        return value

    def _bad(self, part: str, key: str) -> BadCheckpoint:
        return BadCheckpoint(f"the config of {self.name} has no usable {part}.{key}", field="model")


DEFAULTS = {
    "codebook_size": 2048,
    "num_codebooks": 4,
    "audio_channels": 1,
    "sampling_rate": 32_000,
    "num_hidden_layers": 24,
}
"""Values that published configs may leave out."""


def root_of(path: Path) -> Path:
    """The folder itself, or the snapshot that a hub's cache folder stands for."""
    return next((folder for folder in snapshots(path) if (folder / CONFIG).is_file()), path)


def recognise(path: Path) -> bool:
    """Whether a folder holds such a model, complete or not, or the same model in the form of the authors' program."""
    root = root_of(path)
    if not path.is_dir():
        return False
    return kind_of(root) in KINDS or any((root / name).is_file() for name in AUDIOCRAFT) or _lost_config(root)


def _lost_config(root: Path) -> bool:
    """Whether the weights in a folder are such a model's, and its config is missing or came only half."""
    if (root / CONFIG).is_file() and ends_whole(root / CONFIG):
        return False
    return any(name.startswith(BRIDGE) for file in _stored(root) for name in _names(file))


def _stored(root: Path) -> list[Path]:
    """The weight files with a component's names, complete or not, shards included."""
    return sorted(root.glob("model*.safetensors")) if root.is_dir() else []


def _names(file: Path) -> list[str]:
    """Names of a file's tensors; none where they cannot be read."""
    try:
        return list(tensor_table(file))
    except AceError:
        return []


def kind_of(root: Path) -> str:
    """``model_type`` of a folder's config; empty where there is none that can be read."""
    if not (root / CONFIG).is_file():
        return ""
    try:
        return str(read_json(root / CONFIG).get("model_type", ""))
    except AceError:
        return ""


def locate(path: Path) -> Layout:
    """The checkpoint at ``path``.

    Raises `ModelMissing` naming what is missing or came only half, `BadCheckpoint` for forms that are not opened.
    """
    root = root_of(path)
    name = folder_name(root)
    if _lost_config(root):
        state = "is cut short" if (root / CONFIG).is_file() else "is missing"
        raise ModelMissing(f"{name} is not complete: {CONFIG} {state}; {AGAIN}", field="model")
    if kind_of(root) not in KINDS:
        raise BadCheckpoint(
            f"{name} holds MusicGen in the form of its authors' program (pickles, which can run code); use the safetensors files "
            "that the hub has of the same model",
            field="model",
        )
    if not any((root / f"{weights}{end}").is_file() for weights in WEIGHT_NAMES for end in ("", ".index.json")) and (
        pickle := next((one for one in (*PICKLES, *AUDIOCRAFT) if (root / one).is_file()), "")
    ):
        raise BadCheckpoint(
            f"{name} holds {pickle} alone, a pickle, which can run code; use the safetensors files of the same model",
            field="model",
        )
    problems = [] if (root / TOKENIZER).is_file() else [f"{TOKENIZER} is missing"]
    problems += [f"{one} is cut short" for one in (TOKENIZER, GENERATION) if not ends_whole(root / one)]
    files: tuple[Path, ...] = ()
    try:
        files = tuple(weight_files(root))
    except ModelMissing as failure:
        problems.append(failure.message.replace(f"{root}/", "").replace(str(root), "it").partition("; ")[0])
    if problems:
        raise ModelMissing(f"{name} is not complete: {'; '.join(problems)}; {AGAIN}", field="model")
    found = Layout(name=name, folder=root, files=files, config=read_json(root / CONFIG))
    for _ in (found.codebooks, found.codebook_size, found.rate, found.hop, found.layers):
        pass  # each refuses a config that does not say it
    return found
