"""ACE-Step v1 for the torch-free side: its checkpoints, what it can do, and what of a request it takes differently. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from acestep.api.conditioning import Conditioning
from acestep.api.family import Download, ModelFamily, PartTensors
from acestep.api.grid import LatentGrid
from acestep.api.music import INSTRUMENTAL_FORMS
from acestep.api.request import StageParams
from acestep.api.schema import describe
from acestep.api.variants import ModelInfo, TaskDefaults, Variant
from acestep.checkpoints.memory import whole_bytes
from acestep.families.ace_step_v1.inferred import Shapes
from acestep.families.ace_step_v1.layout import FOLDERS, ONNX_FOLDER, Parts, locate, recognise
from acestep.families.ace_step_v1.lyrics import LANGUAGE_TOKENS, LyricTokenizer, LyricTokens
from acestep.families.ace_step_v1.options import V1Options, check_options
from acestep.families.ace_step_v1.published import (
    AUTOENCODER,
    CONFIGS,
    FILES,
    LICENSE,
    REPOSITORY,
    REVISION,
    TEXT,
    TRANSFORMER,
    VOCABULARY,
    VOCABULARY_FILE,
    VOCABULARY_URL,
    VOCODER,
)
from acestep.families.ace_step_v1.tables import stored_tensors
from acestep.families.ace_step_v1.units import CHANNELS, FRAME, MAX_SECONDS, MIN_SECONDS, RATE, ROWS, frames_covering
from acestep.families.ace_step_v1.unused import is_unused
from acestep.families.ace_step_v1.weights import TIED, layer_shapes, read_config, stored_numbers, tensor_index
from acestep.families.words import metre_notes

NAME, TITLE = "ace-step-v1", "ACE-Step v1"

SHORT = "v1"
"""What the published checkpoint is called."""

PUBLISHED_FOLDER = "ACE-Step-v1-3.5B"

OPERATIONS = ("generate", "refine", "cover", "repaint", "extend", "flow-edit")

EXPORTS = ("transformer", "condition_encoder", "text_encoder", "codec_encoder", "codec_decoder")
"""Parts that can be written as graphs."""

GRID = LatentGrid(
    rate=RATE,
    hop=FRAME,
    channels=CHANNELS * ROWS,
    least=frames_covering(round(MIN_SECONDS * RATE)),
    multiple=1,
    most=frames_covering(round(MAX_SECONDS * RATE)),
)

QUALITIES = {"fast": {"steps": 27}, "quality": {"steps": 60}}
"""The two numbers of steps that its authors give figures for."""

USUAL = Variant(
    name=SHORT,
    steps=60,
    shift=3.0,
    schedule="double_shift",
    guidance="apg",
    guidance_scale=15.0,
    by_task={"cover": TaskDefaults(steps=60, guidance_scale=15.0, guidance_start=0.0, noise_strength=0.5)},
    distilled=False,
    guide_bottleneck=False,
    repository=REPOSITORY,
)

CHOICES = {
    "sampler": ("euler", "heun", "pingpong"),
    "schedule": (USUAL.schedule,),
    "guidance": ("apg", "cfg", "cfg_zero_star", "none"),
}

REFUSES = (
    "timesteps",
    "guidance_start",
    "guidance_end",
    "condition_strength",
    "velocity_limit",
    "velocity_average",
    "correction_low",
    "correction_high",
    "checkpoint_step",
    "resume",
    "batch",
    "guide",
    "mode",
    "strength",
    "bottleneck",
    "global_caption",
    "reference",
    "audio_codes",
    "codes",
    "thinking",
)
"""What belongs to the networks and training of other models."""


class AceStepV1(ModelFamily):
    """The 3.5B model of May 2025 and its adapters."""

    name = NAME
    title = TITLE
    Options = V1Options
    refuses = REFUSES

    def recognise(self, path: Path) -> bool:
        """The hub's four folders, ComfyUI's file, or a form of the model that is refused by name."""
        return bool(recognise(path))

    def candidates(self, folders: Sequence[Path], places: Sequence[Path]) -> list[Path]:
        """The models among ``places``; an ONNX set once, and not again as the folder that it lies in."""
        found = super().candidates(folders, places)
        return [place for place in found if place / ONNX_FOLDER not in found]

    def read_info(self, path: Path, near: Iterable[Path]) -> ModelInfo:
        """Facts of a complete checkpoint."""
        folders = list(near)
        parts = locate(path, folders)
        config, numbers = read_config(parts, TRANSFORMER), stored_numbers(parts)
        files = parts.files()
        trained = bool(config.get("trained", True))
        return ModelInfo(
            name=short_name(parts.name),
            path=str(path),
            variant=SHORT,
            task_types=USUAL.tasks,
            layers=int(config["num_layers"]),
            trained=trained,
            codec="MusicDCAE",
            latent_family=NAME if trained else f"{NAME}-random",
            size_bytes=sum(file.stat().st_size for file in files),
            license=str(config.get("license", LICENSE)),
            origin="ComfyUI" if path.is_file() else "original",
            lacks=() if parts.vocabulary else (VOCABULARY,),
            near=tuple(str(folder) for folder in folders),
            family=NAME,
            family_title=TITLE,
            grid=GRID,
            seconds=(MIN_SECONDS, MAX_SECONDS),
            operations=OPERATIONS,
            refuses=REFUSES,
            choices=CHOICES,
            ranges={"shift": (USUAL.shift, USUAL.shift)},
            qualities=QUALITIES,
            options=tuple(describe(V1Options)),
            languages=tuple(LANGUAGE_TOKENS),
            weight_files=tuple(map(str, files)),
            memory_bytes={dtype: whole_bytes(numbers, dtype) for dtype in ("float32", "bfloat16")},
            usual=USUAL,
            exports=EXPORTS,
        )

    def numbers(self, info: ModelInfo) -> Mapping[str, Mapping[str, int]]:
        """Its parts, as memory is counted; the vocoder stays where the autoencoder is."""
        stored = stored_numbers(parts_of(info))
        codec: dict[str, int] = {}
        for part in (AUTOENCODER, VOCODER):
            for kind, count in stored[part].items():
                codec[kind] = codec.get(kind, 0) + count
        return {"transformer": stored[TRANSFORMER], "text_encoder": stored[TEXT], "codec": codec}

    def tensors(self, info: ModelInfo) -> list[PartTensors]:
        """The four parts against what their configs ask for; what takes no part in the maths is left out on both sides."""
        parts = parts_of(info)
        return [
            PartTensors(part, parts.places[part], tensor_index(parts, part), _wanted(parts, part)) for part in FOLDERS
        ]

    def published(self) -> Mapping[str, tuple[Download, ...]]:
        """The hub's files, folder by folder, and the lyric vocabulary, which its authors keep elsewhere."""
        return {SHORT: (*(_download(folder) for folder in FOLDERS), _vocabulary())}

    def able(self, operation: str) -> list[str]:
        """The one model there is."""
        return [SHORT] if operation in OPERATIONS else []

    def layers(self, info: ModelInfo) -> Mapping[str, tuple[int, ...]]:
        """Those of the transformer."""
        shapes = layer_shapes(parts_of(info), TRANSFORMER)
        return {f"transformer/{name}": shape for name, shape in shapes.items()}

    def check(self, params: StageParams, conditioning: Conditioning, info: ModelInfo) -> list[str]:
        """Chosen steps can be taken, and lyrics be read: their vocabulary and the packages of their languages are here."""
        own = conditioning.lyrics if params.lyrics is None else params.lyrics
        found = [own, getattr(params, "source_lyrics", "")]
        sung = [text for text in found if not is_instrumental(text, conditioning)]
        notes = check_options(params)
        for text in sung:
            notes += read_lyrics(text, conditioning.language, parts_of(info)).notes
        if conditioning.lyrics.strip() and conditioning.instrumental:
            notes.append("instrumental is set, so the lyrics are not sung")
        return notes + metre_notes(conditioning, info)


def short_name(name: str) -> str:
    """What a checkpoint is called: the published one ``v1``."""
    return SHORT if name in (PUBLISHED_FOLDER, REPOSITORY) else name.removeprefix("ACE-Step-")


def parts_of(info: ModelInfo) -> Parts:
    """Where the parts of a known checkpoint lie. Raises as `locate` does."""
    return locate(Path(info.path), map(Path, info.near))


def is_instrumental(lyrics: str, conditioning: Conditioning) -> bool:
    """Whether there is nothing to sing."""
    return conditioning.instrumental or lyrics.strip().lower() in INSTRUMENTAL_FORMS


def read_lyrics(lyrics: str, language: str, parts: Parts) -> LyricTokens:
    """Lyrics as tokens. Raises `ModelMissing` without the vocabulary, `Unavailable` for a language whose package is missing."""
    tokens = int(read_config(parts, TRANSFORMER)["lyric_encoder_vocab_size"])
    return LyricTokenizer.load(parts.vocabulary, tokens).encode(lyrics, "" if language == "unknown" else language)


def _wanted(parts: Parts, part: str) -> Shapes:
    shapes = stored_tensors(part, read_config(parts, part))
    if part == VOCODER:
        return {name: shape for name, shape in shapes.items() if not name.startswith("mel_transform.")}
    return {name: shape for name, shape in shapes.items() if not is_unused(name) and name != TIED}


def _download(folder: str) -> Download:
    own = {name: file for name, file in FILES.items() if name.startswith(f"{folder}/")}
    counts = {name: math.prod(shape) for name, shape in stored_tensors(folder, CONFIGS[folder]).items()}
    return Download(
        repository=REPOSITORY,
        folder=PUBLISHED_FOLDER,
        inner=folder,
        target=f"{PUBLISHED_FOLDER}/{folder}",
        patterns=tuple(name.partition("/")[2] for name in own),
        size_bytes=sum(file.size for file in own.values()),
        memory_bytes=2 * sum(count for name, count in counts.items() if not is_unused(name)),
        license=LICENSE,
        known_revision=REVISION,
    )


def _vocabulary() -> Download:
    return Download(
        repository=REPOSITORY,
        folder=PUBLISHED_FOLDER,
        target=PUBLISHED_FOLDER,
        patterns=(VOCABULARY,),
        url=VOCABULARY_URL,
        sha256=VOCABULARY_FILE.sha256,
        size_bytes=VOCABULARY_FILE.size,
        license=LICENSE,
        known_revision=REVISION,
    )
