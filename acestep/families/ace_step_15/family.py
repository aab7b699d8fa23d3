"""ACE-Step 1.5 for the torch-free side: its checkpoints, and what its published models can do. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from acestep.api.family import ModelFamily
from acestep.api.variants import VARIANTS, ModelInfo
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.files import weight_files
from acestep.checkpoints.info import candidates, part_paths, read_info
from acestep.checkpoints.layers import layer_shapes
from acestep.checkpoints.memory import stored_numbers
from acestep.checkpoints.weights import CODEC, TEXT

TASKS = {
    "generate": "text2music",
    "refine": "text2music",
    "flow-edit": "text2music",
    "cover": "cover",
    "repaint": "repaint",
    "extend": "repaint",
    "extract": "extract",
    "lego": "lego",
    "complete": "complete",
}
"""Operation -> the task that a variant has to be trained for."""


class AceStep15(ModelFamily):
    """Everything that `acestep.checkpoints` opens."""

    name = "ace-step-15"
    title = "ACE-Step 1.5"

    def recognise(self, path: Path) -> bool:
        """A DiT lies there."""
        return path in candidates([path])

    def candidates(self, folders: Sequence[Path], places: Sequence[Path]) -> list[Path]:
        """Places with a DiT in them."""
        return candidates(folders)

    def read_info(self, path: Path, near: Iterable[Path]) -> ModelInfo:
        """Facts of a complete checkpoint."""
        return read_info(path, near)

    def files(self, info: ModelInfo) -> list[Path]:
        """Weight files, borrowed ones included."""
        return list(dict.fromkeys(file for folder in part_paths(info).folders() for file in weight_files(folder)))

    def numbers(self, info: ModelInfo) -> Mapping[str, Mapping[str, int]]:
        """Numbers of each network by stored type."""
        return stored_numbers(part_paths(info))

    def shared(self, info: ModelInfo) -> Mapping[str, tuple[str, str]]:
        """Codec and text encoder."""
        parts = part_paths(info)
        places = {"codec": (parts.vae, CODEC), "text_encoder": (parts.text_encoder, TEXT)}
        return {name: (weights_digest(weight_files(place)), part) for name, (place, part) in places.items()}

    def able(self, operation: str) -> list[str]:
        """Variants that were trained for it."""
        task = TASKS.get(operation)
        return [name for name, variant in VARIANTS.items() if variant.repository and task in variant.tasks]

    def can(self, operation: str, info: ModelInfo) -> bool:
        """Those whose task it was trained for; of a plug-in's operation nothing is known before it plans."""
        return operation not in TASKS or TASKS[operation] in info.task_types

    def layers(self, info: ModelInfo) -> Mapping[str, tuple[int, ...]]:
        """Of its own networks; nothing for the checkpoint that is built when it is needed."""
        return layer_shapes(Path(info.path)) if info.path else {}
