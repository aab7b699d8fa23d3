"""The parts of an ACE-Step 1.5 checkpoint as graphs, each opened alone in float32, and what lies beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acestep.api.instructions import TEXT_TO_MUSIC
from acestep.api.variants import ModelInfo
from acestep.checkpoints.architecture import build_component
from acestep.checkpoints.borrowing import TOKENIZER
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.files import weight_files
from acestep.checkpoints.info import part_paths
from acestep.checkpoints.load import Check, Target, fill, load_codec, load_silence, load_text_encoder
from acestep.checkpoints.memory import stored_numbers
from acestep.checkpoints.tensors import read_tensor, read_tensors
from acestep.checkpoints.text_tokenizer import load_text_tokenizer
from acestep.checkpoints.weights import SILENCE, tensor_index
from acestep.codec.latent_codec import DECODE
from acestep.codec.tiles import Tiling
from acestep.conditioning.condition_cache import TIMBRE_FRAMES
from acestep.conditioning.prompts import (
    CAPTION_TOKENS,
    INSTRUMENTAL,
    LYRIC_FORM,
    LYRIC_TOKENS,
    METAS_FORM,
    PROMPT_FORM,
)
from acestep.families.ace_step_15.onnx_codec import NanoDecoder, NanoEncoder, WaveDecoder, WaveEncoder
from acestep.families.ace_step_15.onnx_networks import (
    CodeLatents,
    Codes,
    ConditionTokens,
    TextStates,
    TokenEmbedding,
    Velocity,
)
from acestep.networks.nano_codec import NanoCodec
from acestep.onnx.graph import Graph, Port, Shape

SILENCE_FILE, NULL_FILE = "silence_latent.npy", "null_condition.npy"


NETWORKS = {
    "transformer": ("transformer",),
    "condition_encoder": ("condition_encoder",),
    "text_encoder": ("text_encoder",),
    "audio_tokenizer": ("audio_tokenizer",),
    "audio_detokenizer": ("audio_tokenizer", "audio_detokenizer"),
    "codec_encoder": ("codec",),
    "codec_decoder": ("codec",),
}
"""Part -> the networks that it is made of."""


class CheckpointParts:
    """Opens the parts of one checkpoint, one at a time, so that memory holds no more than one."""

    def __init__(self, info: ModelInfo, check: Check) -> None:
        self._parts = part_paths(info)
        self._target = Target(torch.device("cpu"), torch.float32, check, keep=False)

    def numbers(self, part: str) -> int:
        """How many numbers its networks hold."""
        stored = stored_numbers(self._parts)
        return sum(sum(stored[name].values()) for name in NETWORKS[part])

    def graphs(self, part: str) -> list[Graph]:
        """The graphs of a part, with weights."""
        return _MAKERS[part](self)

    def network(self, name: str) -> Any:
        """One of the four ACE-Step networks."""
        place = getattr(self._parts, name)
        index = {key: stored for key, stored in tensor_index(place, name).items() if key != SILENCE}
        tensors = read_tensors(index, self._target.check)
        return fill(build_component(name, self._parts), tensors, self._target, place.name)

    def text_encoder(self) -> Any:
        """The text encoder."""
        return load_text_encoder(self._parts.text_encoder, self._target)

    def codec(self) -> Any:
        """The codec, weight norm multiplied out."""
        return load_codec(self._parts.vae, self._target)

    def write_companions(self, folder: Path) -> dict[str, Any]:
        """Tokenizer, silence latent and null condition; what the manifest says of them and of the text."""
        words = load_text_tokenizer(self._parts.text_tokenizer)
        words.save(folder / TOKENIZER)
        np.save(folder / SILENCE_FILE, load_silence(self._parts).numpy())
        place = self._parts.condition_encoder
        stored = tensor_index(place, "condition_encoder")["null_condition_emb"]
        np.save(folder / NULL_FILE, read_tensor(stored).float().reshape(1, 1, -1).numpy())
        return {
            "files": {"tokenizer": TOKENIZER, "silence_latent": SILENCE_FILE, "null_condition": NULL_FILE},
            "text": {
                "prompt": PROMPT_FORM.replace("{metas}", METAS_FORM),
                "lyrics": LYRIC_FORM,
                "instruction": TEXT_TO_MUSIC,
                "instrumental": INSTRUMENTAL,
                "caption_tokens": CAPTION_TOKENS,
                "lyric_tokens": LYRIC_TOKENS,
                "timbre_frames": TIMBRE_FRAMES,
            },
        }

    def digests(self) -> dict[str, str]:
        """Fingerprints of the weights, as recipes hold them."""
        parts = self._parts
        files = dict.fromkeys(file for folder in parts.folders() for file in weight_files(folder))
        return {
            "model": weights_digest(files),
            "codec": weights_digest(weight_files(parts.vae)),
            "text_encoder": weights_digest(weight_files(parts.text_encoder)),
        }


def _transformer(parts: CheckpointParts) -> list[Graph]:
    dit = parts.network("transformer")
    width = dit.condition_embedder.in_features
    latents, context = ("batch", "2*patches", 64), ("batch", "2*patches", 128)

    def truth(x: Tensor, t: Tensor, r: Tensor, context: Tensor, condition: Tensor) -> list[Tensor]:
        return dit.velocity(x, t, context, [dit.condition(condition)], r=r)

    inside = (dit.sizes.sliding_window or 0) // 2
    return [
        Graph(
            name="transformer",
            summary="Velocity (noise minus data) at a latent and a time, under a condition; timestep_r is timestep for all models.",
            module=Velocity(dit),
            inputs=(
                Port("latents", latents),
                Port("timestep", ("batch",), range=(0.0, 1.0)),
                Port("timestep_r", ("batch",), range=(0.0, 1.0)),
                Port("context", context),
                Port("condition", ("batch", "tokens", width)),
            ),
            outputs=(Port("velocity", latents),),
            truth=truth,
            example={"batch": 2, "patches": 20, "tokens": 13},
            unseen=(
                {"batch": 1, "patches": 5, "tokens": 7},
                {"batch": 3, "patches": 2 * inside + 40, "tokens": 29},  # beyond the window
                {"batch": 4, "patches": 33, "tokens": 90},
            ),
        )
    ]


def _condition_encoder(parts: CheckpointParts) -> list[Graph]:
    encoder = parts.network("condition_encoder")
    width, out = encoder.text_projector.in_features, encoder.text_projector.out_features

    def truth(text: Tensor, lyrics: Tensor, timbre: Tensor) -> list[Tensor]:
        items = [encoder.encode(*one) for one in zip(text.split(1), lyrics.split(1), timbre, strict=True)]
        return [torch.cat(items)]

    return [
        Graph(
            name="condition_encoder",
            summary="What the transformer is told: lyrics, references and text as one row of tokens. No reference is 750 frames "
            "of the silence latent.",
            module=ConditionTokens(encoder),
            inputs=(
                Port("text_states", ("batch", "text", width)),
                Port("lyric_embeddings", ("batch", "lyrics", width)),
                Port("timbre", ("batch", "references", "frames", 64)),
            ),
            outputs=(Port("condition", ("batch", "lyrics + references + text", out)),),
            truth=truth,
            example={"batch": 2, "text": 11, "lyrics": 17, "references": 3, "frames": 40},
            unseen=(
                {"batch": 1, "text": 5, "lyrics": 3, "references": 1, "frames": TIMBRE_FRAMES},
                {"batch": 3, "text": 30, "lyrics": 150, "references": 2, "frames": 21},
                {"batch": 4, "text": 64, "lyrics": 8, "references": 1, "frames": 90},
            ),
        )
    ]


def _text_encoder(parts: CheckpointParts) -> list[Graph]:
    encoder = parts.text_encoder()
    tokens, width = encoder.embed_tokens.weight.shape
    states = ("batch", "tokens", int(width))
    sizes = ({"batch": 1, "tokens": 3}, {"batch": 3, "tokens": 40}, {"batch": 4, "tokens": 77})
    return [
        Graph(
            name="token_embedding",
            summary="Embeddings of token ids; of the lyrics the condition encoder takes these.",
            module=TokenEmbedding(encoder),
            inputs=(Port("ids", ("batch", "tokens"), "int64", (0, int(tokens))),),
            outputs=(Port("embeddings", states),),
            truth=lambda ids: [encoder.embed_tokens(ids)],
            example={"batch": 2, "tokens": 13},
            unseen=sizes,
        ),
        Graph(
            name="text_encoder",
            summary="Hidden states of a text's embeddings, unpadded.",
            module=TextStates(encoder),
            inputs=(Port("embeddings", states, range=(-0.1, 0.1)),),
            outputs=(Port("states", states),),
            truth=lambda embedded: [encoder.states(embedded)],
            example={"batch": 2, "tokens": 13},
            unseen=sizes,
        ),
    ]


def _audio_tokenizer(parts: CheckpointParts) -> list[Graph]:
    tokenizer = parts.network("audio_tokenizer")
    frames = f"{tokenizer.pool_window_size}*codes"
    return [
        Graph(
            name="audio_tokenizer",
            summary="Semantic codes of latents, five frames each; fill up with the first frames of the silence latent.",
            module=Codes(tokenizer),
            inputs=(Port("latents", ("batch", frames, 64)),),
            outputs=(Port("codes", ("batch", "codes"), "int64"),),
            truth=lambda latents: [tokenizer.quantise(latents, latents[:1])[1].squeeze(-1)],
            example={"batch": 2, "codes": 7},
            unseen=({"batch": 1, "codes": 3}, {"batch": 3, "codes": 20}, {"batch": 4, "codes": 50}),
            whole=True,
        )
    ]


def _audio_detokenizer(parts: CheckpointParts) -> list[Graph]:
    quantizer, detokenizer = parts.network("audio_tokenizer").quantizer, parts.network("audio_detokenizer")
    window = detokenizer.special_tokens.shape[1]
    most = int(quantizer.levels.prod())

    def truth(codes: Tensor) -> list[Tensor]:
        return [detokenizer.expand(quantizer.from_codes(codes))]

    return [
        Graph(
            name="audio_detokenizer",
            summary="Latents of semantic codes: the hint that a cover follows.",
            module=CodeLatents(quantizer, detokenizer),
            inputs=(Port("codes", ("batch", "codes"), "int64", (0, most)),),
            outputs=(Port("latents", ("batch", f"{window}*codes", 64)),),
            truth=truth,
            example={"batch": 2, "codes": 7},
            unseen=({"batch": 1, "codes": 3}, {"batch": 3, "codes": 20}, {"batch": 4, "codes": 50}),
        )
    ]


HOP = 1920
AUDIO: Shape = ("batch", 2, f"{HOP}*frames")
LATENTS: Shape = ("batch", "frames", 64)


def _codec_encoder(parts: CheckpointParts) -> list[Graph]:
    codec = parts.codec()
    module: nn.Module = NanoEncoder(codec) if isinstance(codec, NanoCodec) else WaveEncoder(codec)
    return [
        Graph(
            name="codec_encoder",
            summary="Latents (the posterior's mean) of stereo sound at 48 kHz.",
            module=module,
            inputs=(Port("audio", AUDIO, range=(-0.5, 0.5)),),
            outputs=(Port("latents", LATENTS),),
            truth=lambda audio: [_mean(codec.encode(audio)).transpose(1, 2)],
            example={"batch": 2, "frames": 13},
            unseen=({"batch": 1, "frames": 5}, {"batch": 3, "frames": 8}, {"batch": 1, "frames": 22}),
            facts=_tiles(codec),
        )
    ]


def _mean(encoded: Any) -> Tensor:
    return encoded if isinstance(encoded, Tensor) else encoded.latent_dist.mode()


def _codec_decoder(parts: CheckpointParts) -> list[Graph]:
    codec = parts.codec()

    def placed(latents: Tensor, first: Tensor) -> list[Tensor]:
        return [codec.decode(latents.transpose(1, 2), int(first))]

    def plain(latents: Tensor) -> list[Tensor]:
        return [codec.decode(latents.transpose(1, 2)).sample]

    own = isinstance(codec, NanoCodec)
    latents, first_frame = Port("latents", LATENTS), Port("first_frame", (1,), "int64", (0, 15_000))
    return [
        Graph(
            name="codec_decoder",
            summary="Stereo sound at 48 kHz of latents; first_frame is where they stand in the whole, for tiles.",
            module=NanoDecoder(codec) if own else WaveDecoder(codec),
            inputs=(latents, first_frame) if own else (latents,),
            outputs=(Port("audio", AUDIO),),
            truth=placed if own else plain,
            example={"batch": 2, "frames": 13},
            unseen=({"batch": 1, "frames": 5}, {"batch": 3, "frames": 8}, {"batch": 1, "frames": 22}),
            facts=_tiles(codec),
        )
    ]


def _tiles(codec: Any) -> dict[str, int]:
    """Frames of a tile, and how many of them a side only let the network see what stands beside."""
    own = isinstance(codec, NanoCodec)
    tiling = Tiling(codec.tile_frames, codec.context_frames) if own else DECODE
    return {"hop": HOP, "tile_frames": tiling.chunk, "context_frames": tiling.margin}


_MAKERS: dict[str, Callable[[CheckpointParts], list[Graph]]] = {
    "transformer": _transformer,
    "condition_encoder": _condition_encoder,
    "text_encoder": _text_encoder,
    "audio_tokenizer": _audio_tokenizer,
    "audio_detokenizer": _audio_detokenizer,
    "codec_encoder": _codec_encoder,
    "codec_decoder": _codec_decoder,
}
