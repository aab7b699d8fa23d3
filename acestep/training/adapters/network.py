"""The network that an adapter is trained in: diffusers' class, which knows gradients and how to compute activations twice."""

from __future__ import annotations

from diffusers.models.transformers.ace_step_transformer import AceStepTransformer1DModel
from torch import Tensor


class TrainedDit(AceStepTransformer1DModel):
    """diffusers' DiT; `acestep.networks.dit.Dit` renders with the same weights."""

    @property
    def like(self) -> Tensor:
        """A weight whose device and dtype are everybody's; ``device`` and ``dtype`` look through all of them."""
        return self.proj_in_conv.weight
