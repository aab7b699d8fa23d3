"""What is known of the published checkpoint before anything is fetched: files, sizes, sums, configs. No torch, no network."""

from __future__ import annotations

import json
from typing import Any

import msgspec

REPOSITORY = "ACE-Step/ACE-Step-v1-3.5B"
REVISION = "82cd0d7b6322bd28cd4e830fe675ddb6180ce36c"
"""A revision that is known to work."""

LICENSE = "Apache-2.0"

TRANSFORMER, AUTOENCODER, VOCODER, TEXT = "ace_step_transformer", "music_dcae_f8c8", "music_vocoder", "umt5-base"
"""The four folders of a checkpoint."""

WEIGHTS = {
    TRANSFORMER: "diffusion_pytorch_model.safetensors",
    AUTOENCODER: "diffusion_pytorch_model.safetensors",
    VOCODER: "diffusion_pytorch_model.safetensors",
    TEXT: "model.safetensors",
}


class PublishedFile(msgspec.Struct, frozen=True):
    """Bytes of a file, and how its sha256 begins."""

    size: int
    sha256: str


FILES = {
    f"{TRANSFORMER}/config.json": PublishedFile(639, "4d78beb6afb4c7f3"),
    f"{TRANSFORMER}/{WEIGHTS[TRANSFORMER]}": PublishedFile(6_611_422_728, "e810f16728d8a2e0"),
    f"{AUTOENCODER}/config.json": PublishedFile(1_034, "b14a49a8c52a52c2"),
    f"{AUTOENCODER}/{WEIGHTS[AUTOENCODER]}": PublishedFile(313_646_516, "2b0cb469307ac506"),
    f"{VOCODER}/config.json": PublishedFile(940, "39ddc4c417e01dc3"),
    f"{VOCODER}/{WEIGHTS[VOCODER]}": PublishedFile(206_350_988, "c92c9b46e28ab7b3"),
    f"{TEXT}/config.json": PublishedFile(848, "afae5da9a35e2b29"),
    f"{TEXT}/{WEIGHTS[TEXT]}": PublishedFile(1_127_460_248, "779cec0d210b2123"),
    f"{TEXT}/tokenizer.json": PublishedFile(16_837_459, "20a46ac256746594"),
    f"{TEXT}/tokenizer_config.json": PublishedFile(61_728, "ed9a3a8b"),
    f"{TEXT}/special_tokens_map.json": PublishedFile(7_079, "456b58fd"),
}

STORED_AS = {TRANSFORMER: "BF16", AUTOENCODER: "BF16", VOCODER: "BF16", TEXT: "F32"}

VOCABULARY = "vocab.json"
VOCABULARY_FILE = PublishedFile(364_005, "c2a66ea48c478c0bb9acb5497144b926acdeaa37128faa799508d40f2b9cc558")
VOCABULARY_URL = "https://raw.githubusercontent.com/ace-step/ACE-Step/main/acestep/models/lyrics_utils/vocab.json"
"""The lyric vocabulary is not on the hub but in the authors' code repository; its sum decides, not its place."""

CONFIGS: dict[str, dict[str, Any]] = {
    TRANSFORMER: {
        "_class_name": "ACEStepTransformer2DModel",
        "_diffusers_version": "0.32.2",
        "attention_head_dim": 128,
        "in_channels": 8,
        "inner_dim": 2560,
        "lyric_encoder_vocab_size": 6693,
        "lyric_hidden_size": 1024,
        "max_height": 16,
        "max_position": 32768,
        "max_width": 32768,
        "mlp_ratio": 2.5,
        "num_attention_heads": 20,
        "num_layers": 24,
        "out_channels": 8,
        "patch_size": [16, 1],
        "rope_theta": 1000000.0,
        "speaker_embedding_dim": 512,
        "ssl_encoder_depths": [8, 8],
        "ssl_latent_dims": [1024, 768],
        "ssl_names": ["mert", "m-hubert"],
        "text_embedding_dim": 768,
    },
    AUTOENCODER: {
        "_class_name": "AutoencoderDC",
        "_diffusers_version": "0.32.2",
        "_name_or_path": "checkpoints/music_dcae_f8c8",
        "attention_head_dim": 32,
        "decoder_act_fns": "silu",
        "decoder_block_out_channels": [128, 256, 512, 1024],
        "decoder_block_types": ["ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock"],
        "decoder_layers_per_block": [3, 3, 3, 3],
        "decoder_norm_types": "rms_norm",
        "decoder_qkv_multiscales": [[], [], [5], [5]],
        "downsample_block_type": "Conv",
        "encoder_block_out_channels": [128, 256, 512, 1024],
        "encoder_block_types": ["ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock"],
        "encoder_layers_per_block": [2, 2, 3, 3],
        "encoder_qkv_multiscales": [[], [], [5], [5]],
        "in_channels": 2,
        "latent_channels": 8,
        "scaling_factor": 0.41407,
        "upsample_block_type": "interpolate",
    },
    VOCODER: {
        "_class_name": "ADaMoSHiFiGANV1",
        "_diffusers_version": "0.32.2",
        "depths": [3, 3, 9, 3],
        "dims": [128, 256, 384, 512],
        "drop_path_rate": 0.0,
        "f_max": 16000,
        "f_min": 40,
        "hop_length": 512,
        "input_channels": 128,
        "kernel_sizes": [7],
        "n_fft": 2048,
        "n_mels": 128,
        "num_mels": 512,
        "post_conv_kernel_size": 13,
        "pre_conv_kernel_size": 13,
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5], [1, 3, 5]],
        "resblock_kernel_sizes": [3, 7, 11, 13],
        "sampling_rate": 44100,
        "upsample_initial_channel": 1024,
        "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4, 4],
        "upsample_rates": [4, 4, 2, 2, 2, 2, 2],
        "use_template": False,
        "win_length": 2048,
    },
    TEXT: {
        "architectures": ["UMT5EncoderModel"],
        "d_ff": 2048,
        "d_kv": 64,
        "d_model": 768,
        "feed_forward_proj": "gated-gelu",
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": "umt5",
        "num_heads": 12,
        "num_layers": 12,
        "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 32,
        "tie_word_embeddings": False,
        "vocab_size": 256384,
    },
}
"""Part -> its published config. Single files of other programs carry none. The text encoder's is what its network needs, not the
file itself."""


def config_file(part: str) -> bytes:
    """The config as its authors wrote it to the disk."""
    return (json.dumps(CONFIGS[part], indent=2, sort_keys=True) + "\n").encode()


def bytes_to_fetch() -> int:
    """Bytes of everything that is needed, the lyric vocabulary included."""
    return sum(file.size for file in FILES.values()) + VOCABULARY_FILE.size
