"""A MusicGen checkpoint opened by transformers, which is imported here only when one is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from acestep.api.errors import BadCheckpoint
from acestep.api.shortage import is_out_of_memory
from acestep.api.variants import ModelInfo
from acestep.checkpoints.digest import weights_digest
from acestep.families.musicgen.layout import CONFIG, TOKENIZER, Layout

TEXT, TRANSFORMER, CODEC = "text_encoder", "transformer", "codec"
PROJECTION, MELODY_PROJECTION = "projection", "melody_projection"
"""From the widths of the text encoder and of a melody to that of the transformer."""

PROJECTIONS = {PROJECTION: "enc_to_dec_proj", MELODY_PROJECTION: "audio_enc_to_dec_proj"}
"""How the library calls those that a model has."""

WORDS = (TEXT, *PROJECTIONS, TRANSFORMER)
"""The library encodes the words within its loop."""

WORK = {"words": WORDS, "denoise": WORDS, "codec": (CODEC,)}


@dataclass
class Model:
    """An opened checkpoint: the library's own network, and codes to sound and back."""

    info: ModelInfo
    layout: Layout
    network: Any
    tokenizer: Tokenizer
    digest: str
    device: torch.device
    dtype: torch.dtype
    adapters: list[Any] = field(default_factory=list)

    @property
    def codec_digest(self) -> str:
        """The codec lies in the same files."""
        return self.digest

    @property
    def text_digest(self) -> str:
        """So does the text encoder."""
        return self.digest

    @property
    def work(self) -> Mapping[str, tuple[str, ...]]:
        """Kinds of work and the networks they need."""
        return WORK

    @property
    def offloadable(self) -> tuple[str, ...]:
        """What leaves the device after its work where memory is short."""
        return (TEXT, CODEC)

    def networks(self) -> dict[str, nn.Module]:
        """The networks by part."""
        found = {TEXT: self.network.text_encoder, TRANSFORMER: self.network.decoder, CODEC: self.network.audio_encoder}
        for part, name in PROJECTIONS.items():
            if hasattr(self.network, name):
                found[part] = getattr(self.network, name)
        return found

    def encode(self, audio: Tensor) -> Tensor:
        """Codes [1, T, C] of sound [2, N], the last frame filled up with silence; a mono model hears the mean of both channels."""
        frames = -(-audio.shape[-1] // self.layout.hop)
        padded = nn.functional.pad(audio, (0, frames * self.layout.hop - audio.shape[-1]))
        heard = padded if self.layout.stereo else padded.mean(0, keepdim=True)
        codec = self.network.audio_encoder
        with torch.inference_mode():
            found = codec.encode(heard[:, None].to(_place(codec))).audio_codes  # [1, channels, books, T]
        books = self.layout.codebooks // len(heard)
        codes = found[0, :, :books, :frames]  # of a stereo model: left 0, right 0, left 1 ...
        return codes.permute(2, 1, 0).reshape(1, frames, self.layout.codebooks).float().cpu()

    def decode(self, codes: Tensor) -> Tensor:
        """Sound [2, T * hop] of codes [1, T, C]."""
        channels = 2 if self.layout.stereo else 1
        codec, books = self.network.audio_encoder, whole(codes, self.layout).T
        with torch.inference_mode():
            sounds = [
                codec.decode(books[channel::channels][None, None].to(_place(codec)), [None]).audio_values[0, 0]
                for channel in range(channels)
            ]
        return torch.stack(sounds).float().cpu().expand(2, -1).contiguous()


def whole(codes: Tensor, layout: Layout) -> Tensor:
    """Codes [1, T, C] as whole numbers [T, C] that the codec knows."""
    return codes[0].round().long().clamp(0, layout.codebook_size - 1)


def _place(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def open_network(layout: Layout, dtype: torch.dtype, check: Callable[[], None]) -> Any:
    """The library's network with the weights of a checkpoint, its codec in float32 whatever ``dtype`` says.

    Raises `BadCheckpoint` for weights that do not fit the config, and what ``check`` raises before and after they are read.
    """
    from transformers import MusicgenForConditionalGeneration, MusicgenMelodyForConditionalGeneration
    from transformers.utils import logging

    kind: Any = MusicgenMelodyForConditionalGeneration if layout.melody else MusicgenForConditionalGeneration

    class Exact(kind):
        """Sound suffers from a codec in 16 bits, and it is small."""

        _keep_in_fp32_modules_strict = {"audio_encoder"}

    check()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        opened: Any = Exact.from_pretrained(
            layout.folder, dtype=dtype, output_loading_info=True, local_files_only=True, use_safetensors=True
        )
        network, told = opened  # with ``output_loading_info`` two of them come
    except Exception as failure:  # the library has kinds of its own, and none for this
        if is_out_of_memory(failure):
            raise
        raise BadCheckpoint(
            f"{layout.name} cannot be opened: its weights and its {CONFIG} do not fit together", field="model"
        ) from failure
    check()
    if missing := sorted(told["missing_keys"]):
        raise BadCheckpoint(
            f"{layout.name} lacks {len(missing)} of its tensors ({missing[0]} ...): its weights and its {CONFIG} do not fit "
            "together",
            field="model",
        )
    return network.eval()


def open_model(
    info: ModelInfo, layout: Layout, landing: torch.device, dtype: torch.dtype, check: Callable[[], None]
) -> Model:
    """The checkpoint, ready to run. Raises as `open_network` does."""
    network = open_network(layout, dtype, check).to(landing)
    try:
        tokenizer = Tokenizer.from_file(str(layout.folder / TOKENIZER))
    except Exception as failure:  # the library raises bare exceptions
        raise BadCheckpoint(f"{layout.folder / TOKENIZER} holds no tokenizer", field="model") from failure
    return Model(
        info=info,
        layout=layout,
        network=network,
        tokenizer=tokenizer,
        digest=weights_digest(layout.files),
        device=landing,
        dtype=dtype,
    )
