"""A random checkpoint in the published layout and in either size, and diffusers' own pipeline over the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AceStepPipeline, AceStepTransformer1DModel, FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.ace_step.modeling_ace_step import AceStepConditionEncoder
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

from acestep.checkpoints.architecture import (
    COMPONENT_CLASSES,
    build_codec,
    build_component,
    build_text_encoder,
    weightless,
)
from acestep.checkpoints.info import part_paths
from acestep.checkpoints.layout import SILENCE, TEXT_ENCODER, VAE, Parts
from acestep.checkpoints.load import Model
from acestep.checkpoints.mapping import to_original
from acestep.checkpoints.tiny import CODEC_CONFIGS, DIT_CONFIG, SILENCE_FRAMES, TEXT_CONFIG, write_tokenizer

OOBLECK = CODEC_CONFIGS["AutoencoderOobleck"]

SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {"dit": {}, "codec": OOBLECK, "text": TEXT_CONFIG},
    "full": {
        "dit": {
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "layer_types": ["sliding_attention", "full_attention"] * 12,
            "num_lyric_encoder_hidden_layers": 8,
            "num_timbre_encoder_hidden_layers": 4,
            "num_audio_decoder_hidden_layers": 24,
            "text_hidden_dim": 1024,
            "fsq_dim": 2048,
        },
        "codec": {**OOBLECK, "channel_multiples": [1, 2, 4, 8, 16], "decoder_channels": 128},
        "text": {
            **TEXT_CONFIG,
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151_669,
        },
    },
}
"""What the configs of the 2B turbo model say, and the narrowest that the published classes allow."""


def build(folder: Path, size: str, dtype: torch.dtype, layers: int = 0) -> Path:
    """Write a turbo checkpoint of random weights below ``folder``; ``layers``: how many the DiT has instead of all."""
    sizes = SIZES[size]
    config = {**DIT_CONFIG, **sizes["dit"], "model_version": "turbo", "is_turbo": True}
    if layers:
        config |= {"num_hidden_layers": layers, "layer_types": config["layer_types"][:layers]}
    dit, codec, text = folder / "acestep-v15-turbo", folder / VAE, folder / TEXT_ENCODER
    for place, wanted in ((dit, config), (codec, {"_class_name": "AutoencoderOobleck", **sizes["codec"]})):
        _config(place, wanted)
    _config(text, sizes["text"])
    write_tokenizer(text)
    names = [field for field in Parts.__struct_fields__ if field not in ("diffusers", "silence")]
    parts = Parts(diffusers=False, silence=None, **dict.fromkeys(names, dit))
    tensors = {}
    for component in COMPONENT_CLASSES:
        for name, tensor in noise(build_component(component, parts), dtype).items():
            tensors[to_original(component, name)] = tensor
    save_file(tensors, dit / "model.safetensors")
    torch.save(torch.randn(1, 64, SILENCE_FRAMES), dit / SILENCE)
    save_file(noise(build_codec(codec), dtype), codec / "diffusion_pytorch_model.safetensors")
    save_file(noise(build_text_encoder(text), dtype), text / "model.safetensors")
    return dit


def _config(folder: Path, config: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))


def noise(module: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """Random values of sensible size for a weightless module, cheaply: one block of noise, repeated."""
    block = torch.randn(2**20, generator=torch.Generator().manual_seed(0))
    values = {}
    for name, tensor in module.state_dict().items():
        count = tensor.numel()
        flat = block.repeat(-(-count // block.numel()))[:count].view(tensor.shape)
        leaf = name.rsplit(".", 1)[-1]
        gain = leaf == "weight_g" or (leaf == "weight" and tensor.ndim == 1)
        fan = max(1, tensor[0].numel()) if tensor.ndim > 1 and leaf not in ("alpha", "beta") else 100
        values[name] = (1 + 0.1 * flat if gain else flat / fan**0.5).to(dtype).contiguous()
    return values


def words_over(model: Model) -> dict[str, Any]:
    """transformers' text encoder and tokenizer over the tensors and files of an opened model, by the pipeline's names for them."""
    parts = part_paths(model.info)
    with weightless():
        encoder = Qwen3Model(Qwen3Config.from_pretrained(parts.text_encoder))
    encoder.load_state_dict(model.text_encoder.state_dict(), assign=True)
    words = AutoTokenizer.from_pretrained(parts.text_tokenizer, local_files_only=True, padding_side="right")
    return {"text_encoder": encoder.eval(), "tokenizer": words}


def pipeline_over(model: Model) -> AceStepPipeline:
    """diffusers' pipeline, its own classes throughout, over the tensors of an opened model; tiling on."""
    parts = part_paths(model.info)
    transformer = _over(build_component("transformer", parts, AceStepTransformer1DModel), model.transformer)
    conditions = _over(build_component("condition_encoder", parts, AceStepConditionEncoder), model.condition_encoder)
    conditions.silence_latent = model.silence.to(model.device, model.dtype)
    pipeline = AceStepPipeline(
        vae=model.codec,
        **words_over(model),
        transformer=transformer,
        condition_encoder=conditions,
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )
    pipeline.vae.enable_tiling()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _over(twin: nn.Module, ours: nn.Module) -> nn.Module:
    """The library's module on the same tensors; buffers that are stored nowhere are its own."""
    twin.load_state_dict(ours.state_dict(), assign=True, strict=False)
    missing = [name for name, _ in twin.named_parameters() if name not in ours.state_dict()]
    if missing:
        raise RuntimeError(f"{type(twin).__name__} has parameters that ours lacks: {missing}")
    return twin.eval()
