"""From a checkpoint's config to networks without weights: which sizes each network takes, and how it is built for free."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints.inferred import read_config
from acestep.checkpoints.info import is_xl
from acestep.checkpoints.layout import Parts, encoder_config
from acestep.checkpoints.weights import CODEC, TEXT, is_published
from acestep.networks.condition import ConditionEncoder
from acestep.networks.dit import Dit
from acestep.networks.layers import Sizes
from acestep.networks.nano_codec import NanoCodec
from acestep.networks.text_encoder import TextEncoder
from acestep.networks.tokenizer import AudioDetokenizer, AudioTokenizer

CODECS = ("AutoencoderOobleck", "NanoCodec")
"""Codec classes: the ``_class_name`` of ``vae/config.json``."""

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


def build_component(name: str, parts: Parts, kind: type[nn.Module] | None = None) -> nn.Module:
    """One of the four ACE-Step networks, weightless, in evaluation mode; ``kind``: another class that takes its sizes and weights.

    Raises `BadCheckpoint` for sizes that make no sense.
    """
    place = getattr(parts, name)
    encoder, sizes = read_config(parts.transformer, "transformer"), read_config(place, name)
    published = not parts.diffusers or is_published(place)
    if published and name != "transformer":
        sizes = encoder_config(sizes)
    kind = kind or COMPONENT_CLASSES[name]
    if name in ("audio_tokenizer", "audio_detokenizer") and published:
        sizes["layer_types"] = (sizes.get("layer_types") or [])[
            : sizes.get("num_attention_pooler_hidden_layers", 2)
        ] or None
    if name == "condition_encoder":
        sizes["layer_types"] = None  # lyric and timbre layers alternate by themselves, whatever the DiT's list says
        sizes["leading_timbre_token"] = is_xl(encoder)
    return _build(kind, sizes)


def _build(kind: type[nn.Module], config: dict[str, Any]) -> nn.Module:
    """``kind`` with those entries of the config that its constructor takes."""
    known = _taken(kind)
    chosen = {
        name: value
        for name, value in config.items()
        if name in known and not name.startswith("_") and value is not None
    }
    try:
        with weightless():
            return kind(**chosen).eval()
    except (TypeError, ValueError, RuntimeError, IndexError, ZeroDivisionError) as failure:
        raise BadCheckpoint(f"the config of {kind.__name__} makes no network: {failure}", field="model") from failure


def _taken(kind: type[nn.Module]) -> set[str]:
    """The names that a constructor takes; one that passes any ``**sizes`` on takes those of `Sizes`."""
    parameters = inspect.signature(kind).parameters.values()
    named = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    return named | {size.name for size in fields(Sizes)} if len(named) < len(parameters) else named


def build_codec(place: Path) -> nn.Module:
    """The codec that its config names, weightless. Raises `BadCheckpoint` for a class that is not in the table."""
    config = read_config(place, CODEC)
    name = str(config.get("_class_name", "AutoencoderOobleck"))
    if name not in CODECS:
        raise BadCheckpoint(f"the codec {name!r} is unknown", field="model", limits={"choices": sorted(CODECS)})
    return _build(_codec_class(name), config)


def _codec_class(name: str) -> Any:
    if name == "NanoCodec":
        return NanoCodec
    from diffusers import (
        AutoencoderOobleck,  # here, because importing it takes seconds that the embedded model need not wait
    )

    return AutoencoderOobleck


def build_text_encoder(place: Path) -> TextEncoder:
    """The text encoder, weightless; only the plain Qwen3 architecture, and no code from the checkpoint. Raises `BadCheckpoint`."""
    config = read_config(place, TEXT)
    if config.get("model_type") != "qwen3":
        raise BadCheckpoint(f"the text encoder is {config.get('model_type')!r}, not qwen3", field="model")
    if strange := _not_plain(config):
        raise BadCheckpoint(f"the text encoder's config asks for {strange}, which is not opened", field="model")
    try:
        shared = {name: config[name] for name in QWEN_SIZES}
        bias, eps = bool(config.get("attention_bias")), config.get("rms_norm_eps", 1e-6)
        sizes = Sizes(**shared, rope_theta=config.get("rope_theta", QWEN_THETA), attention_bias=bias, rms_norm_eps=eps)
        with weightless():
            return TextEncoder(config["vocab_size"], config["num_hidden_layers"], sizes).eval()
    except KeyError as missing:
        raise BadCheckpoint(f"the config of the text encoder lacks {missing.args[0]}", field="model") from missing
    except (TypeError, ValueError, RuntimeError) as failure:
        raise BadCheckpoint(f"the config of the text encoder makes no network: {failure}", field="model") from failure


QWEN_SIZES = "hidden_size intermediate_size num_attention_heads num_key_value_heads head_dim".split()

QWEN_THETA = 1_000_000.0
"""Of every published Qwen3."""


def _not_plain(config: dict[str, Any]) -> str:
    """What makes a Qwen3 config another network than `TextEncoder`; empty when nothing does."""
    if config.get("hidden_act", "silu") != "silu":
        return f"the activation {config['hidden_act']!r}"
    if config.get("use_sliding_window"):
        return "sliding attention"
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    return "" if kind == "default" else f"{kind!r} positions"


def materialise_buffers(module: nn.Module, device: torch.device) -> None:
    """Move the buffers that no file holds to the device, in their own dtype."""
    for inner in module.modules():
        for name, buffer in inner._buffers.items():
            if buffer is not None:
                inner._buffers[name] = buffer.to(device)
