"""From a published config to networks without weights."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from diffusers import AutoencoderDC
from transformers import UMT5Config, UMT5EncoderModel

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints.architecture import weightless
from acestep.families.ace_step_v1.lyric_encoder import LyricEncoderSizes
from acestep.families.ace_step_v1.transformer import Sizes, Transformer
from acestep.families.ace_step_v1.vocoder import Vocoder, VocoderSizes

UNSUITED = (TypeError, ValueError, RuntimeError, LookupError, ZeroDivisionError)

OWN_SIZES = "lyric_encoder"
"""Entry of a config of ours that shrinks the lyric encoder; published configs do not have it."""


def build_transformer(config: Mapping[str, Any]) -> Transformer:
    """The transformer that a config describes, weightless. Raises `BadCheckpoint` for sizes that make no sense."""
    try:
        encoder = LyricEncoderSizes(**{"width": config["lyric_hidden_size"], **config.get(OWN_SIZES, {})})
        sizes = Sizes(
            heads=config["num_attention_heads"],
            head_width=config["attention_head_dim"],
            layers=config["num_layers"],
            mlp_ratio=config["mlp_ratio"],
            channels=config["in_channels"],
            rows=config["max_height"],
            text_width=config["text_embedding_dim"],
            speaker_width=config["speaker_embedding_dim"],
            lyric_tokens=config["lyric_encoder_vocab_size"],
            rope_theta=config["rope_theta"],
            lyric_encoder=encoder,
        )
        with weightless():
            return Transformer(sizes).eval()
    except UNSUITED as failure:
        raise _senseless("transformer", failure) from failure


def build_autoencoder(config: Mapping[str, Any]) -> Any:
    """diffusers' autoencoder, weightless. Raises `BadCheckpoint`."""
    known = inspect.signature(AutoencoderDC.__init__).parameters
    try:
        with weightless():
            network: Any = AutoencoderDC(**{key: value for key, value in config.items() if key in known})
            return network.eval()
    except UNSUITED as failure:
        raise _senseless("music_dcae_f8c8", failure) from failure


def build_vocoder(config: Mapping[str, Any]) -> Vocoder:
    """The vocoder that a config describes, weightless. Raises `BadCheckpoint`."""
    known = {field.name for field in fields(VocoderSizes)}
    try:
        with weightless():
            return Vocoder(
                VocoderSizes(**{key: _frozen(value) for key, value in config.items() if key in known})
            ).eval()
    except UNSUITED as failure:
        raise _senseless("music_vocoder", failure) from failure


def build_text_encoder(config: Mapping[str, Any]) -> UMT5EncoderModel:
    """transformers' UMT5 encoder, weightless. Raises `BadCheckpoint`."""
    if config.get("model_type") != "umt5":
        raise BadCheckpoint(f"the text encoder is {config.get('model_type')!r}, not umt5", field="model")
    try:
        with weightless():
            return UMT5EncoderModel(UMT5Config.from_dict(dict(config))).eval()
    except UNSUITED as failure:
        raise _senseless("umt5-base", failure) from failure


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value


def _senseless(part: str, failure: Exception) -> BadCheckpoint:
    return BadCheckpoint(f"the config of {part} makes no network: {failure}", field="model")
