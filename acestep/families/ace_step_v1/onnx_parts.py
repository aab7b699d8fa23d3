"""The parts of an ACE-Step v1 checkpoint as graphs, each opened alone in float32, and what lies beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acestep.api.variants import ModelInfo
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.files import weight_files
from acestep.checkpoints.load import Check, Target
from acestep.families.ace_step_v1.codec import MusicCodec
from acestep.families.ace_step_v1.layout import TOKENIZER, Parts, locate
from acestep.families.ace_step_v1.load import open_part
from acestep.families.ace_step_v1.mel import LogMel
from acestep.families.ace_step_v1.onnx_networks import V1Condition, V1Decoder, V1Encoder, V1Text, V1Velocity
from acestep.families.ace_step_v1.published import AUTOENCODER, TEXT, TRANSFORMER, VOCABULARY, VOCODER
from acestep.families.ace_step_v1.text import MAX_TOKENS, load_tokenizer
from acestep.families.ace_step_v1.units import CHANNELS, FRAME, ROWS
from acestep.families.ace_step_v1.weights import stored_numbers
from acestep.onnx.graph import Graph, Port, Shape

NETWORKS = {
    "transformer": (TRANSFORMER,),
    "condition_encoder": (TRANSFORMER,),
    "text_encoder": (TEXT,),
    "codec_encoder": (AUTOENCODER,),
    "codec_decoder": (AUTOENCODER, VOCODER),
}
"""Part -> the networks that it is made of."""

LATENTS: Shape = ("batch", CHANNELS, ROWS, "frames")
AUDIO: Shape = ("batch", 2, f"{FRAME}*frames")
WEAKEN = Port("weaken", (1,), range=(0.01, 1.0))


class V1Parts:
    """Opens the parts of one checkpoint, one at a time."""

    def __init__(self, info: ModelInfo, check: Check) -> None:
        self.parts: Parts = locate(Path(info.path), map(Path, info.near))
        self._target = Target(torch.device("cpu"), torch.float32, check)

    def numbers(self, part: str) -> int:
        """How many numbers its networks hold."""
        stored = stored_numbers(self.parts)
        return sum(sum(stored[name].values()) for name in NETWORKS[part])

    def graphs(self, part: str) -> list[Graph]:
        """The graph of a part, with weights."""
        return [_MAKERS[part](*(open_part(self.parts, name, self._target) for name in NETWORKS[part]))]

    def write_companions(self, folder: Path) -> dict[str, Any]:
        """The two tokenizers."""
        load_tokenizer(self.parts.tokenizer).save(str(folder / TOKENIZER))
        files = {"tokenizer": TOKENIZER}
        if self.parts.vocabulary is not None:
            shutil.copyfile(self.parts.vocabulary, folder / VOCABULARY)
            files["lyric_tokenizer"] = VOCABULARY
        return {"files": files, "text": {"caption_tokens": MAX_TOKENS}}

    def digests(self) -> dict[str, str]:
        """Fingerprints of the weights, as recipes hold them."""
        places = self.parts.places
        codec = dict.fromkeys(file for name in (AUTOENCODER, VOCODER) for file in weight_files(places[name]))
        return {
            "model": weights_digest(self.parts.files()),
            "codec": weights_digest(codec),
            "text_encoder": weights_digest(weight_files(places[TEXT])),
        }


def _transformer(network: Any) -> Graph:
    width = network.sizes.width

    def truth(x: Tensor, time: Tensor, states: Tensor, mask: Tensor, weaken: Tensor) -> list[Tensor]:
        return [network.velocity(x, time, network.condition(states, mask > 0.5), float(weaken))]

    return Graph(
        name="transformer",
        summary="Velocity (noise minus data) at a latent and a noise level times 1000. weaken is 1, or 0.01 for the branch that "
        "entropy-rectifying guidance steers away from.",
        module=V1Velocity(network),
        inputs=(
            Port("latents", LATENTS),
            Port("timestep", ("batch",), range=(0.0, 1000.0)),
            Port("states", ("batch", "tokens", width)),
            Port("mask", ("batch", "tokens"), range=(0.4, 2.0)),
            WEAKEN,
        ),
        outputs=(Port("velocity", LATENTS),),
        truth=truth,
        example={"batch": 2, "frames": 20, "tokens": 13},
        unseen=(
            {"batch": 1, "frames": 54, "tokens": 7},
            {"batch": 3, "frames": 31, "tokens": 40},
            {"batch": 4, "frames": 110, "tokens": 90},
        ),
    )


def _condition_encoder(network: Any) -> Graph:
    sizes = network.sizes

    def truth(text: Tensor, text_mask: Tensor, lyrics: Tensor, lyric_mask: Tensor, weaken: Tensor) -> list[Tensor]:
        heard = network.encode(text, text_mask > 0.5, lyrics, lyric_mask > 0.5, weaken=float(weaken))[0]
        return [heard, torch.cat([torch.ones_like(text_mask[:, :1]), text_mask, lyric_mask], dim=1)]

    tokens = "1 + text + lyrics"
    return Graph(
        name="condition_encoder",
        summary="What the transformer is told: a voice, the text's states and the lyrics, and a mask, above 0.5 where they count. "
        "No lyrics: one token 0 whose mask is 0.",
        module=V1Condition(network),
        inputs=(
            Port("text_states", ("batch", "text", sizes.text_width)),
            Port("text_mask", ("batch", "text"), range=(0.6, 1.0)),
            Port("lyrics", ("batch", "lyrics"), "int64", (0, sizes.lyric_tokens)),
            Port("lyric_mask", ("batch", "lyrics"), range=(0.4, 2.0)),
            WEAKEN,
        ),
        outputs=(Port("states", ("batch", tokens, sizes.width)), Port("mask", ("batch", tokens))),
        truth=truth,
        example={"batch": 2, "text": 11, "lyrics": 17},
        unseen=(
            {"batch": 1, "text": 5, "lyrics": 3},
            {"batch": 3, "text": 30, "lyrics": 90},
            {"batch": 4, "text": 8, "lyrics": 41},
        ),
    )


def _text_encoder(encoder: Any) -> Graph:
    tokens, width = encoder.shared.weight.shape
    return Graph(
        name="text_encoder",
        summary="UMT5's states of a prompt's token ids, unpadded.",
        module=V1Text(encoder),
        inputs=(Port("ids", ("batch", "tokens"), "int64", (0, int(tokens))),),
        outputs=(Port("states", ("batch", "tokens", int(width))),),
        truth=lambda ids: [encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state],
        example={"batch": 2, "tokens": 13},
        unseen=({"batch": 1, "tokens": 3}, {"batch": 3, "tokens": 90}, {"batch": 4, "tokens": 41}),
    )


def _codec_encoder(autoencoder: Any) -> Graph:
    codec: Any = MusicCodec(autoencoder, None)  # type: ignore[arg-type]
    return Graph(
        name="codec_encoder",
        summary="Latents of stereo sound at 44.1 kHz; all of it at once, since the network looks at everything.",
        module=V1Encoder(autoencoder, LogMel()),
        inputs=(Port("audio", AUDIO, range=(-0.5, 0.5)),),
        outputs=(Port("latents", LATENTS),),
        truth=lambda audio: [torch.cat([codec.encode(one) for one in audio])],
        example={"batch": 2, "frames": 6},
        unseen=({"batch": 1, "frames": 9}, {"batch": 3, "frames": 5}, {"batch": 1, "frames": 22}),
        facts={"hop": FRAME},
    )


def _codec_decoder(autoencoder: Any, vocoder: Any) -> Graph:
    codec = MusicCodec(autoencoder, vocoder)
    return Graph(
        name="codec_decoder",
        summary="Stereo sound at 44.1 kHz of latents, all at once.",
        module=V1Decoder(autoencoder, vocoder),
        inputs=(Port("latents", LATENTS),),
        outputs=(Port("audio", AUDIO),),
        truth=lambda latents: [torch.stack([codec.decode(one[None]) for one in latents])],
        example={"batch": 2, "frames": 6},
        unseen=({"batch": 1, "frames": 9}, {"batch": 3, "frames": 5}, {"batch": 1, "frames": 22}),
        facts={"hop": FRAME},
    )


_MAKERS: dict[str, Callable[..., Graph]] = {
    "transformer": _transformer,
    "condition_encoder": _condition_encoder,
    "text_encoder": _text_encoder,
    "codec_encoder": _codec_encoder,
    "codec_decoder": _codec_decoder,
}
