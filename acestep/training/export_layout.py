"""Names inside an exported checkpoint: its folders, and the modules of training by the engine's component names."""

from __future__ import annotations

DIT_FOLDER, TEXT_FOLDER, CODEC_FOLDER = "acestep-v15-nano", "Qwen3-Embedding-0.6B", "vae"
MODULES = {"transformer": "transformer", "condition_encoder": "condition_encoder", "audio_tokenizer": "tokenizer",
           "audio_detokenizer": "detokenizer"}  # fmt: skip
