"""From a checkpoint's config to networks without weights: which sizes each network takes, and how it is built for free."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderOobleck
from torch import nn
from transformers import Qwen3Config, Qwen3Model

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints.inferred import read_config
from acestep.checkpoints.info import is_xl
from acestep.checkpoints.layout import Parts, encoder_config
from acestep.checkpoints.weights import CODEC, TEXT, is_published
from acestep.networks.condition import ConditionEncoder
from acestep.networks.dit import Dit
from acestep.networks.nano_codec import NanoCodec
from acestep.networks.tokenizer import AudioDetokenizer, AudioTokenizer

CODECS: dict[str, type[Any]] = {"AutoencoderOobleck": AutoencoderOobleck, "NanoCodec": NanoCodec}
"""Codec classes by the ``_class_name`` of ``vae/config.json``."""

COMPONENT_CLASSES = {
    "transformer": Dit,
    "condition_encoder": ConditionEncoder,
    "audio_tokenizer": AudioTokenizer,
    "audio_detokenizer": AudioDetokenizer,
}


@contextmanager
def weightless() -> Iterator[None]:
    """Modules built inside get parameters on the meta device: no memory, no random numbers. Buffers are real.

    (``torch.device("meta")`` would lose the buffers that are computed in constructors and stored in no file.) Only modules of
    this thread are touched, and threads take turns: two that put the old function back in the wrong order would leave the
    whole process weightless.
    """
    builder = threading.get_ident()
    with _turn:
        plain = nn.Module.register_parameter

        def register(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
            if param is not None and not param.is_meta and threading.get_ident() == builder:
                param = nn.Parameter(param.detach().to("meta"), requires_grad=False)
            plain(self, name, param)

        nn.Module.register_parameter = register  # type: ignore[method-assign]
        try:
            yield
        finally:
            nn.Module.register_parameter = plain  # type: ignore[method-assign]


_turn = threading.RLock()


def build_component(name: str, parts: Parts) -> nn.Module:
    """One of the four ACE-Step networks, weightless, in evaluation mode. Raises `BadCheckpoint` for sizes that make no sense."""
    place = getattr(parts, name)
    encoder, sizes = read_config(parts.transformer, "transformer"), read_config(place, name)
    published = not parts.diffusers or is_published(place)
    if published and name != "transformer":
        sizes = encoder_config(sizes)
    kind = COMPONENT_CLASSES[name]
    if name in ("audio_tokenizer", "audio_detokenizer") and published:
        sizes["layer_types"] = (sizes.get("layer_types") or [])[
            : sizes.get("num_attention_pooler_hidden_layers", 2)
        ] or None
    if name == "condition_encoder":
        sizes["layer_types"] = None  # lyric and timbre layers alternate by themselves, whatever the DiT's list says
        return _build(kind, sizes, leading_timbre_token=is_xl(encoder))
    return _build(kind, sizes)


def _build(kind: type[nn.Module], config: dict[str, Any], **more: Any) -> nn.Module:
    """``kind`` with those entries of the config that its constructor (or its parent's) takes."""
    known = {
        name for base in kind.__mro__[:2] for name in inspect.signature(vars(base).get("__init__", base)).parameters
    }
    chosen = {
        name: value
        for name, value in config.items()
        if name in known and not name.startswith("_") and value is not None
    }
    try:
        with weightless():
            return kind(**chosen, **more).eval()
    except (TypeError, ValueError, RuntimeError, IndexError, ZeroDivisionError) as failure:
        raise BadCheckpoint(f"the config of {kind.__name__} makes no network: {failure}", field="model") from failure


def build_codec(place: Path) -> nn.Module:
    """The codec that its config names, weightless. Raises `BadCheckpoint` for a class that is not in the table."""
    config = read_config(place, CODEC)
    name = str(config.get("_class_name", "AutoencoderOobleck"))
    if name not in CODECS:
        raise BadCheckpoint(f"the codec {name!r} is unknown", field="model", limits={"choices": sorted(CODECS)})
    return _build(CODECS[name], config)


def build_text_encoder(place: Path) -> Qwen3Model:
    """The text encoder, weightless; only the Qwen3 architecture, and no code from the checkpoint."""
    config = read_config(place, TEXT)
    if config.get("model_type") != "qwen3":
        raise BadCheckpoint(f"the text encoder is {config.get('model_type')!r}, not qwen3", field="model")
    try:
        with weightless():
            return Qwen3Model(Qwen3Config.from_dict(config)).eval()
    except (TypeError, ValueError, RuntimeError) as failure:
        raise BadCheckpoint(f"the config of the text encoder makes no network: {failure}", field="model") from failure


def materialise_buffers(module: nn.Module, device: torch.device) -> None:
    """Move the buffers that no file holds to the device, in their own dtype."""
    for inner in module.modules():
        for name, buffer in inner._buffers.items():
            if buffer is not None:
                inner._buffers[name] = buffer.to(device)
