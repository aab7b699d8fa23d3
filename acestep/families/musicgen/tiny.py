"""A tiny random MusicGen checkpoint in the published layout: everything of a real one except the training. Its sound is noise, and
its config says ``trained: false``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from acestep.families.musicgen.layout import CONFIG, TOKENIZER

FOLDER, STEREO_FOLDER, MELODY_FOLDER = "musicgen-tiny", "musicgen-stereo-tiny", "musicgen-melody-tiny"

VOCABULARY = 64
"""Codes of a codebook."""

BITS = 6

LETTERS = ["<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz0123456789'.,!?-:;()&%$#@"]


def build_tiny(folder: Path, *, stereo: bool = False, melody: bool = False, name: str = "", seed: int = 7) -> Path:
    """Write the checkpoint below ``folder`` and return its path; one that is there is left alone."""
    from transformers import MusicgenForConditionalGeneration, MusicgenMelodyForConditionalGeneration
    from transformers.utils import logging

    usual = STEREO_FOLDER if stereo else MELODY_FOLDER if melody else FOLDER
    root = folder / (name or usual)
    if (root / CONFIG).is_file():
        return root
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind: Any = MusicgenMelodyForConditionalGeneration if melody else MusicgenForConditionalGeneration
        network = kind(_config(stereo, melody))
        for layer in network.audio_encoder.quantizer.layers:
            layer.codebook.embed.normal_()  # the library begins with zeros, by which all codes would sound alike
    own = network.generation_config
    own.pad_token_id = own.bos_token_id = own.decoder_start_token_id = VOCABULARY
    own.do_sample, own.guidance_scale, own.max_length = True, 3.0, 1500
    network.save_pretrained(root)
    config = json.loads((root / CONFIG).read_text("utf-8"))
    (root / CONFIG).write_text(json.dumps({**config, "trained": False}, indent=2) + "\n", encoding="utf-8")
    _tokenizer().save(str(root / TOKENIZER))
    return root


def _config(stereo: bool, melody: bool) -> Any:
    import transformers
    from transformers import EncodecConfig, T5Config

    kind = "MusicgenMelody" if melody else "Musicgen"
    whole, inner = getattr(transformers, f"{kind}Config"), getattr(transformers, f"{kind}DecoderConfig")

    books = 4
    text = T5Config(vocab_size=len(LETTERS), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    codec = EncodecConfig(
        sampling_rate=32_000,
        audio_channels=1,
        num_filters=4,
        upsampling_ratios=[8, 5, 4, 4],
        num_residual_layers=1,
        codebook_size=VOCABULARY,
        codebook_dim=16,
        hidden_size=16,
        target_bandwidths=[50 * books * BITS / 1000],
        num_lstm_layers=1,
        use_causal_conv=False,
        normalize=False,
        chunk_length_s=None,
        use_conv_shortcut=False,
    )
    decoder = inner(
        vocab_size=VOCABULARY,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_codebooks=books * 2 if stereo else books,
        audio_channels=2 if stereo else 1,
        pad_token_id=VOCABULARY,
        bos_token_id=VOCABULARY,
    )
    return whole(text_encoder=text, audio_encoder=codec, decoder=decoder)


def _tokenizer() -> Tokenizer:
    """Characters as tokens, an end mark behind them."""
    letters = {letter: index for index, letter in enumerate(LETTERS)}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer
