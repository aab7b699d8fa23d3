"""MusicGen for the torch-free side: its checkpoints, what it can do, and what of a request it takes differently. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from acestep.api.conditioning import Conditioning
from acestep.api.family import Download, ModelFamily
from acestep.api.grid import LatentGrid
from acestep.api.request import StageParams
from acestep.api.schema import Request, describe, param
from acestep.api.variants import ModelInfo, Variant
from acestep.checkpoints.memory import whole_bytes
from acestep.families.musicgen.layout import Layout, locate, recognise
from acestep.families.musicgen.published import LICENSE, MELODIES, PATTERNS, SIZES, owner_of
from acestep.families.words import metre_notes

NAME, TITLE = "musicgen", "MusicGen"

OPERATIONS = ("generate", "extend")
MELODY_OPERATIONS = (*OPERATIONS, "cover")
"""Of the models that follow a melody: a cover plays that of its source."""

MIN_SECONDS, MAX_SECONDS = 1.0, 120.0

REMARK = f"{TITLE}'s licence ({LICENSE}) forbids commercial use of the weights"

USUAL = Variant(
    name=NAME,
    steps=1,
    shift=1.0,
    guidance="cfg",
    guidance_scale=3.0,
    tasks=("text2music", "repaint"),
    distilled=False,
    guide_bottleneck=False,
    sings=False,
)

USUAL_MELODY = msgspec.structs.replace(USUAL, tasks=(*USUAL.tasks, "cover"))

CHOICES = {"sampler": ("euler",), "schedule": (USUAL.schedule,), "guidance": ("cfg", "none")}
"""It draws codes and knows no steps: what decides on steps has one value."""

RANGES = {"steps": (1.0, 1.0), "shift": (1.0, 1.0), "guidance_scale": (1.0, 10.0)}

REFUSES = (
    "timesteps",
    "guidance_start",
    "guidance_end",
    "variation",
    "condition_strength",
    "velocity_limit",
    "velocity_average",
    "latent_shift",
    "latent_rescale",
    "correction_low",
    "correction_high",
    "checkpoint_step",
    "resume",
    "batch",
    "lora",
    "guide",
    "mode",
    "strength",
    "noise_strength",
    "bottleneck",
    "global_caption",
    "reference",
    "audio_codes",
    "codes",
    "thinking",
)
"""What belongs to models that denoise, or to the language model of ACE-Step 1.5; a cover keeps the melody alone."""


class MusicGenOptions(Request):
    """Parameters that only this family has."""

    temperature: Annotated[
        float,
        param("How freely codes are drawn; values below 1 prefer the likely ones.", ge=0.05, le=4.0, group="musicgen"),
    ] = 1.0
    top_k: Annotated[
        int, param("Draw only among this many of the likeliest codes; 0: all.", ge=0, le=2048, group="musicgen")
    ] = 250
    top_p: Annotated[
        float,
        param(
            "Draw only among the likeliest codes that together have this probability; 1: all.",
            ge=0.01,
            le=1.0,
            group="musicgen",
        ),
    ] = 1.0
    stride: Annotated[
        float,
        param(
            "Seconds to add at a time after the first 30; the model hears the rest of the last 30 seconds.",
            ge=1.0,
            le=29.0,
            unit="s",
            group="musicgen",
        ),
    ] = 18.0


class MusicGen(ModelFamily):
    """Small, medium, large, those that follow a melody, and their stereo forms."""

    name = NAME
    title = TITLE
    Options = MusicGenOptions
    refuses = REFUSES

    def recognise(self, path: Path) -> bool:
        """A folder whose config names the model, or whose files are those of the authors' program."""
        return recognise(path)

    def read_info(self, path: Path, near: Iterable[Path]) -> ModelInfo:
        """Facts of a complete checkpoint."""
        layout = locate(path)
        numbers = layout.numbers()
        usual = USUAL_MELODY if layout.melody else USUAL
        return ModelInfo(
            name=layout.name,
            path=str(path),
            variant=NAME,
            task_types=usual.tasks,
            layers=layout.layers,
            trained=layout.trained,
            codec="EnCodec",
            latent_family=latent_family(layout),
            size_bytes=sum(file.stat().st_size for file in layout.files),
            license=LICENSE if layout.trained else "",
            origin="original",
            family=NAME,
            family_title=TITLE,
            grid=grid_of(layout),
            seconds=(MIN_SECONDS, MAX_SECONDS),
            operations=MELODY_OPERATIONS if layout.melody else OPERATIONS,
            forward=True,
            refuses=REFUSES,
            choices=CHOICES,
            ranges=RANGES,
            options=tuple(describe(MusicGenOptions)),
            weight_files=tuple(map(str, layout.files)),
            memory_bytes={dtype: whole_bytes(numbers, dtype) for dtype in ("float32", "bfloat16")},
            remark=REMARK if layout.trained else "",
            usual=usual,
        )

    def numbers(self, info: ModelInfo) -> Mapping[str, Mapping[str, int]]:
        """Its three parts, as memory is counted."""
        return locate(Path(info.path)).numbers()

    def published(self) -> Mapping[str, tuple[Download, ...]]:
        """The hub's repositories, a folder each."""
        return {name: (_download(name),) for name in SIZES}

    def able(self, operation: str) -> list[str]:
        """All of them generate and extend; a cover needs a melody model."""
        if operation in OPERATIONS:
            return list(SIZES)
        return list(MELODIES) if operation in MELODY_OPERATIONS else []

    def check(self, params: StageParams, conditioning: Conditioning, info: ModelInfo) -> list[str]:
        """Nothing is refused here; what is not heard is told."""
        return metre_notes(conditioning, info)


def grid_of(layout: Layout) -> LatentGrid:
    """Frames of the codec: 640 samples at 32 kHz in every published model."""
    frames = layout.rate / layout.hop
    return LatentGrid(
        rate=layout.rate,
        hop=layout.hop,
        channels=layout.codebooks,
        least=round(MIN_SECONDS * frames),
        multiple=1,
        most=round(MAX_SECONDS * frames),
    )


def latent_family(layout: Layout) -> str:
    """Codes can be passed between models of the same codec with as many channels."""
    return f"{NAME}{'-stereo' if layout.stereo else ''}{'' if layout.trained else '-random'}"


def _download(name: str) -> Download:
    numbers = SIZES[name]
    return Download(
        repository=owner_of(name),
        folder=name,
        target=name,
        patterns=PATTERNS,
        size_bytes=4 * numbers,
        memory_bytes=2 * numbers,
        license=LICENSE,
        remark=REMARK,
    )
