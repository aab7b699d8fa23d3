"""Which networks of a model are on the device while it does what: the offload policy of `acestep.checkpoints.tiers`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from weakref import WeakSet

import torch
from torch import nn

from acestep.checkpoints.load import Model
from acestep.checkpoints.tiers import Offload

WORK = {
    "words": ("text_encoder", "condition_encoder", "audio_tokenizer", "audio_detokenizer"),
    "denoise": ("transformer", "condition_encoder"),
    "listen": ("text_encoder", "condition_encoder", "transformer"),
    "codec": ("codec",),
}
"""Kinds of work and the networks they need."""

OFFLOADABLE = ("text_encoder", "codec")
"""What leaves after its work under `Offload.PARTS`."""


class DevicePlacement:
    """Moves networks to the device for their work and away again. Work may be nested; the outer one's networks come back."""

    def __init__(
        self, device: torch.device, offload: Offload, free: Callable[[torch.device], None], codec_on_cpu: bool = False
    ) -> None:
        self._device = device
        self._codec_on_cpu = codec_on_cpu
        self._offload = Offload.NONE if device.type == "cpu" else offload
        self._free = free
        self._work: list[str] = []
        self._moved: WeakSet[nn.Module] = WeakSet()
        """Every network that was brought to the device, of whichever model."""

    @contextmanager
    def on_device(self, model: Model, kind: str) -> Iterator[None]:
        """Have what a kind of work in `WORK` needs on the device, and no more than the policy allows."""
        self._work.append(kind)
        try:
            self._place(model, WORK[kind])
            yield
        finally:
            self._work.pop()
            if self._work:
                self._place(model, WORK[self._work[-1]])
            elif self._offload is not Offload.NONE:
                self._send_away(model.networks()[name] for name in OFFLOADABLE)

    def _place(self, model: Model, needed: tuple[str, ...]) -> None:
        networks = model.networks()
        needed = tuple(name for name in needed if name in networks)
        if self._offload is Offload.ALL:
            staying = {id(networks[name]) for name in needed}
            self._send_away(network for network in self._moved if id(network) not in staying)
        for name in needed:
            self._moved.add(networks[name])
            networks[name].to("cpu" if name == "codec" and self._codec_on_cpu else self._device)

    def _send_away(self, networks: Iterable[nn.Module]) -> None:
        moved = [network for network in networks if _is_on(network, self._device)]
        for network in moved:
            network.to("cpu")
        if moved:
            self._free(self._device)


def _is_on(network: nn.Module, device: torch.device) -> bool:
    first = next(network.parameters(), None)
    return first is not None and first.device.type == device.type
