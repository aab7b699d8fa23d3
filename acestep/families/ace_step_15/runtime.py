"""ACE-Step 1.5 at work: opened, encoded, denoised in groups, decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from acestep.api.errors import AceError
from acestep.api.family import FamilyRuntime, ModelOpening, TakeGroup, Tick
from acestep.api.variants import ModelInfo
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.checkpoints.lora import load_adapter, use
from acestep.checkpoints.quantise import is_quantised, quantise_int8
from acestep.codec.latent_codec import Codec
from acestep.conditioning.context import silence
from acestep.engine.denoise_group import DenoiseGroup, groups_of
from acestep.engine.render_state import StageState
from acestep.networks.compiled import compile_blocks

if TYPE_CHECKING:
    from acestep.families.ace_step_15.onnx_parts import CheckpointParts


class Runtime(FamilyRuntime):
    """Variants may run as a batch, runs be stored and resumed, loops be replaced: a group of its own denoises its stages."""

    quantises = True
    widens = True
    computes_bfloat16 = True

    def open(self, info: ModelInfo, opening: ModelOpening) -> Model:
        """The checkpoint with the parts it shares."""
        return open_checkpoint(
            info.path,
            near=opening.near,
            device=opening.landing,
            dtype=opening.dtype,
            keep=opening.device.type == "cpu",
            check=opening.check,
            shared=opening.shared,
        )

    def encode(self, model: Model, audio: Tensor, tick: Tick) -> Tensor:
        """The posterior's mean."""
        return Codec(model.codec).encode(audio, tick)

    def decode(self, model: Model, latents: Tensor, span: tuple[int, int], tick: Tick) -> tuple[Tensor, list[str]]:
        """In tiles that give exactly what the whole would."""
        codec = Codec(model.codec)
        return codec.decode(latents, *span, tick), codec.notes

    def silence(self, model: Model, frames: int) -> Tensor:
        """The checkpoint's own silence latent."""
        return silence(model.silence, frames)

    def groups(self, stage: StageState) -> list[tuple[int, ...]]:
        """Each variant alone, or as many together as fit where that is asked for."""
        return groups_of(stage)

    def denoise(self, stage: StageState, group: TakeGroup, tick: Tick) -> list[Tensor]:
        """The group's latents, one for each variant."""
        return list(DenoiseGroup(stage, group.variants, group.sources, group.number).denoise(tick).split(1))

    def prepare(self, model: Model, *, int8: bool, compiled: bool, check: Callable[[], None]) -> str:
        """Both are known here; a large model is quantised for seconds, and a cancel is heard before each layer."""
        said = quantise_int8(model, check) if int8 else ""
        if compiled:
            compile_blocks(model.transformer)
        return said

    def onnx_parts(self, info: ModelInfo, check: Callable[[], None]) -> CheckpointParts:
        """Seven, or five where the checkpoint knows no semantic codes."""
        from acestep.families.ace_step_15.onnx_parts import CheckpointParts

        return CheckpointParts(info, check)

    def is_quantised(self, model: Model) -> bool:
        """Its transformer."""
        return is_quantised(model)

    def takes(self, model: Model, adapters: Sequence[Any]) -> bool:
        """Quantised weights cannot be merged with."""
        return not is_quantised(model)

    def use_adapters(self, model: Model, adapters: Sequence[Any], check: Callable[[], None]) -> None:
        """All adapters are taken out, then these put in; the model is bare where one of them fails."""
        use(model, [])
        try:
            for one in adapters:
                load_adapter(model, one.path, name=one.name, scale=one.scale, check=check)
        except AceError:
            use(model, [])
            raise
