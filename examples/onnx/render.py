"""Renders a song from the files of `acestep-bridge export-onnx nano`, without torch and without this project.

    pip install onnxruntime numpy tokenizers soundfile
    python render.py ~/nano-float32 song.wav "slow piano, warm strings" --seconds 20 --seed 7

Four graphs make a song: words become states (token_embedding, text_encoder), states become a condition (condition_encoder), noise
becomes latents under it in a handful of steps (transformer), latents become sound (codec_decoder). Everything else that has to be
known stands in export.json, beside them. The same seed gives the same song as in the bridge.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
from tokenizers import Tokenizer

FRAMES_PER_SECOND = 25
CHANNELS = 64


class ExportedModel:
    """The graphs of a folder, each opened when it is needed and dropped afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts = json.loads((folder / "export.json").read_text("utf-8"))
        self.tokenizer = Tokenizer.from_file(str(folder / self.facts["files"]["tokenizer"]))
        self.silence = np.load(folder / self.facts["files"]["silence_latent"])
        self.null = np.load(folder / self.facts["files"]["null_condition"])

    def open(self, name: str) -> onnxruntime.InferenceSession:
        """A graph of the folder."""
        path = self.folder / self.facts["parts"][name]["file"]
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def token_ids(self, text: str, limit: int) -> np.ndarray:
        """[1, L], cut off where the model stops reading."""
        return np.array([self.tokenizer.encode(text).ids[:limit]], np.int64)


def seeded_noise(seed: int, frames: int) -> np.ndarray:
    """Unit noise [1, frames, 64]: what torch's generator draws on a CPU, a Mersenne twister and Box and Muller's transform on
    blocks of sixteen."""
    twister = np.random.RandomState(seed & 0xFFFFFFFF)._bit_generator
    words = np.asarray(twister.random_raw(frames * CHANNELS), np.uint32)
    uniform = ((words & 0xFFFFFF) * np.float32(2**-24)).astype(np.float32).reshape(-1, 2, 8)
    radius = np.sqrt(-2 * np.log(1 - uniform[:, 0]))
    angle = np.float32(2 * np.pi) * uniform[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(1, frames, CHANNELS)


def encode_words(model: ExportedModel, caption: str, lyrics: str, frames: int) -> np.ndarray:
    """The condition [1, L, H] of a caption and lyrics."""
    text = model.facts["text"]
    prompt = text["prompt"].format(
        instruction=text["instruction"], caption=caption, bpm="N/A", time_signature="N/A", key="N/A",
        seconds=frames // FRAMES_PER_SECOND,
    )  # fmt: skip
    sung = text["lyrics"].format(language="unknown", lyrics=lyrics or text["instrumental"])
    embed = model.open("token_embedding")
    ids = model.token_ids(prompt, text["caption_tokens"]), model.token_ids(sung, text["lyric_tokens"])
    caption_embedded, lyrics_embedded = (embed.run(None, {"ids": one})[0] for one in ids)
    states = model.open("text_encoder").run(None, {"embeddings": caption_embedded})[0]
    timbre = model.silence[None, :, : text["timbre_frames"]]  # no reference: a stretch of silence
    fed = {"text_states": states, "lyric_embeddings": lyrics_embedded, "timbre": timbre}
    return model.open("condition_encoder").run(None, fed)[0]


def denoise(model: ExportedModel, condition: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Noise [1, T, 64] -> latents, by Euler's steps over the times of the schedule; guided where the model is used so."""
    schedule, frames = model.facts["schedule"], noise.shape[1]
    transformer = model.open("transformer")
    # what the model is shown of a source (here: nothing), and where it may write (everywhere)
    context = np.concatenate([model.silence[:, :frames], np.ones((1, frames, CHANNELS), np.float32)], axis=2)

    def velocity(x: np.ndarray, time: float, words: np.ndarray) -> np.ndarray:
        at = np.array([time], np.float32)
        fed = {"latents": x, "timestep": at, "timestep_r": at, "context": context, "condition": words}
        return transformer.run(None, fed)[0]

    x, times, guided = noise, schedule["times"], schedule["guidance"] != "none"
    for time, following in pairwise(times):
        v = velocity(x, time, condition)
        if guided and time >= schedule["guidance_start"]:
            away = velocity(x, time, model.null)
            v = away + np.float32(schedule["guidance_scale"]) * (v - away)
        x = x + np.float32(following - time) * v
    return x


def decode(model: ExportedModel, latents: np.ndarray) -> np.ndarray:
    """Latents [1, T, 64] -> sound [2, 1920 T] at 48 kHz, in tiles that overlap, so that memory does not grow with the song."""
    codec = model.open("codec_decoder")
    facts, total = model.facts["parts"]["codec_decoder"]["facts"], latents.shape[1]
    hop, margin = facts["hop"], facts["context_frames"]
    core = facts["tile_frames"] - 2 * margin
    placed = any(one.name == "first_frame" for one in codec.get_inputs())
    pieces = []
    for start in range(0, total, core):
        first, last, end = max(0, start - margin), min(total, start + core + margin), min(total, start + core)
        fed = {"latents": latents[:, first:last]}
        if placed:  # oscillators run on from tile to tile
            fed["first_frame"] = np.array([first], np.int64)
        pieces.append(codec.run(None, fed)[0][0, :, (start - first) * hop : (end - first) * hop])
    return np.concatenate(pieces, axis=1)


def render(folder: Path, caption: str, lyrics: str = "", seconds: float = 10.0, seed: int = 1) -> np.ndarray:
    """Sound [2, N] at 48 kHz of a caption; ``seconds`` are rounded up to a tenth of the 25 frames that a second has."""
    model = ExportedModel(folder)
    frames = max(10, -(-round(seconds * FRAMES_PER_SECOND) // 10) * 10)
    condition = encode_words(model, caption, lyrics, frames)
    return decode(model, denoise(model, condition, seeded_noise(seed, frames)))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Render a song from an exported model.")
    parser.add_argument("folder", type=Path, help="folder with export.json")
    parser.add_argument("out", type=Path, help="WAV file to write")
    parser.add_argument("caption", help="what it should sound like")
    parser.add_argument("--lyrics", default="", help="what is sung; none: instrumental")
    parser.add_argument("--seconds", type=float, default=10.0, help="length, 10 at least [10]")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another song [1]")
    given = parser.parse_args()
    sound = render(given.folder, given.caption, given.lyrics, max(10.0, given.seconds), given.seed)
    soundfile.write(given.out, sound.T, 48_000, subtype="FLOAT")


if __name__ == "__main__":
    main()
