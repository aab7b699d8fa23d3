"""The other model families at full size, with random weights.

``python -m benchmarks.families [CASE ...] [--device cuda] [--dtype bfloat16] [--seconds 10] [--threads 1]``: MusicGen, UMT5 and the
DCAE beside their libraries, and the transformer of ACE-Step v1 alone, since no library has it. Each case runs in a process of its
own and prints its time and the most memory it took. On a CPU the time is processor time, so that other programs do not count; on a
GPU it is the clock's. Both sides of a case share every weight and take turns.

``python -m benchmarks.families song --checkpoint FOLDER --device cuda`` makes 120 s in 27 steps with a published checkpoint, and
tells how long loading took and how far progress was from the truth. The aim on an RTX 3090: 15 s, and 30 s to load.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

BLOCK = 1 << 22
"""Random numbers that fill a network over and over: drawing all of them would take longer than what is measured."""

MUSICGEN = {"musicgen-small": (1024, 24, 16), "musicgen-medium": (1536, 48, 24)}
"""Width, layers and heads of the transformers."""

FRAMES = 25
"""Of codes that MusicGen draws: half a second."""

WORDS = "lo-fi, warm electric piano, brushed drums, vinyl crackle, 82 bpm, a rainy evening in the city"

STEPS, SONG_SECONDS = 27, 120.0


class Bench:
    """One case at work: where and how it computes, and how time is taken."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.device, self.dtype = torch.device(options.device), getattr(torch, options.dtype)

    def filled(self, network: Any, dtype: torch.dtype | None = None) -> Any:
        """A weightless network on the device, with random weights."""
        block = torch.randn(BLOCK, generator=torch.Generator().manual_seed(0)).mul_(0.02)
        for part in network.modules():
            for name, parameter in list(part.named_parameters(recurse=False)):
                made = torch.empty(parameter.shape, dtype=dtype or self.dtype, device=self.device)
                for place in made.flatten().split(BLOCK):
                    place.copy_(block[: len(place)])
                setattr(part, name, nn.Parameter(made, requires_grad=False))
            for name, buffer in list(part.named_buffers(recurse=False)):
                kind = (dtype or self.dtype) if buffer.is_floating_point() else buffer.dtype
                part.register_buffer(name, buffer.to(self.device, kind), persistent=False)
        return network.eval()

    def seconds(self, work: Callable[[], object]) -> float:
        """How long one run takes."""
        on_cpu = self.device.type == "cpu"
        clock = time.process_time if on_cpu else time.perf_counter
        begun = clock()
        work()
        if not on_cpu:
            getattr(torch, self.device.type).synchronize()
        return clock() - begun

    def compare(
        self, what: str, ours: Callable[[], object], library: Callable[[], object] | None, units: int = 1
    ) -> None:
        """Print the medians of some turns, per unit."""
        sides = {"ours": ours, "library": library} if library else {"ours": ours}
        took: dict[str, list[float]] = {name: [] for name in sides}
        for work in sides.values():
            work()  # the first run pays for what later ones find ready
        for _ in range(self.options.runs):
            for name, work in sides.items():
                took[name].append(self.seconds(work) / units)
        found = {name: statistics.median(times) for name, times in took.items()}
        told = ", ".join(f"{name} {value:.3f} s" for name, value in found.items())
        ratio = f", {found['ours'] / found['library']:.2f} times the library's" if library else ""
        print(f"{what}: {told}{ratio}", flush=True)

    def memory(self) -> float:
        """The most gigabytes that the process has held: on a GPU of its memory."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() / 1e9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def musicgen(bench: Bench, name: str) -> None:
    """Codes of half a second and their sound, guided, through the seam's own loop and through ``generate``."""
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )

    from acestep.families.musicgen.draw import Draw, Told, continued, delay, seeded
    from acestep.families.musicgen.layout import Layout
    from acestep.families.musicgen.network import Model

    width, layers, heads = MUSICGEN[name]
    decoder = MusicgenDecoderConfig(
        hidden_size=width, ffn_dim=4 * width, num_hidden_layers=layers, num_attention_heads=heads
    )
    text = T5Config(d_model=768, d_ff=3072, num_layers=12, num_heads=12)
    codec = EncodecConfig(
        sampling_rate=32_000, num_filters=64, upsampling_ratios=[8, 5, 4, 4], codebook_size=2048, target_bandwidths=[2.2],
        use_causal_conv=False, normalize=False, chunk_length_s=None, use_conv_shortcut=False,
    )  # fmt: skip
    network: Any = weightless_network(
        MusicgenForConditionalGeneration, MusicgenConfig(text_encoder=text, audio_encoder=codec, decoder=decoder)
    )
    bench.filled(network)
    bench.filled(network.audio_encoder, torch.float32)
    network.text_encoder.encoder.embed_tokens = network.text_encoder.shared
    own = network.generation_config
    own.pad_token_id = own.bos_token_id = own.decoder_start_token_id = 2048
    config = {"decoder": {"num_codebooks": 4}, "audio_encoder": {"codebook_size": 2048}}
    layout = Layout(name=name, folder=Path(), files=(), config=config)
    model = Model(None, layout, network, None, "", bench.device, bench.dtype)  # type: ignore[arg-type]
    ids = torch.arange(3, 28)[None]
    nothing, how = torch.zeros(0, 4, dtype=torch.long), Draw()

    def ours() -> Tensor:
        with seeded(1, bench.device):
            return model.decode(continued(model, Told(ids), nothing, FRAMES, how, lambda: None)[None].float())

    def library() -> Tensor:
        torch.manual_seed(1)
        given = ids.to(bench.device)
        sound: Tensor = network.generate(
            input_ids=given, attention_mask=torch.ones_like(given), max_new_tokens=FRAMES + delay(model), do_sample=True,
            guidance_scale=3.0, top_k=250,
        )  # fmt: skip
        return sound

    same = torch.equal(ours()[:1], library()[0].float().cpu())
    print(f"{name}: the same samples: {'yes' if same else 'no'}", flush=True)
    bench.compare(f"{name}, a token (of {FRAMES + delay(model)})", ours, library, FRAMES + delay(model))


def umt5(bench: Bench) -> None:
    """A prompt's states, and the weak ones besides."""
    from acestep.families.ace_step_v1.architecture import build_text_encoder
    from acestep.families.ace_step_v1.published import CONFIGS, TEXT
    from acestep.families.ace_step_v1.text import PromptEncoder
    from acestep.families.ace_step_v1.tiny import _text_tokenizer

    network: Any = bench.filled(build_text_encoder(CONFIGS[TEXT]))
    network.set_input_embeddings(network.shared)
    prompts = PromptEncoder(network, _text_tokenizer())
    ids = torch.tensor([prompts._ids(WORDS)], device=bench.device)

    def library() -> Tensor:
        with torch.inference_mode():
            states: Tensor = network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            return states.float().cpu()

    bench.compare(f"umt5, a prompt of {ids.shape[1]} tokens", lambda: prompts.encode(WORDS), library)


def dcae(bench: Bench) -> None:
    """Sound to latents and back: ours with mel and vocoder, the library's autoencoder on the mel alone; then the vocoder."""
    from acestep.families.ace_step_v1.architecture import build_autoencoder, build_vocoder
    from acestep.families.ace_step_v1.codec import MusicCodec
    from acestep.families.ace_step_v1.published import AUTOENCODER, CONFIGS, VOCODER

    network = bench.filled(build_autoencoder(CONFIGS[AUTOENCODER]))
    vocoder = bench.filled(build_vocoder(CONFIGS[VOCODER]))
    codec, frames = MusicCodec(network, vocoder), int(bench.options.seconds * 44_100 / 4096)
    sound = 0.1 * torch.randn(2, frames * 4096, generator=torch.Generator().manual_seed(1))
    mel = torch.randn(1, 2, 128, frames * 8, generator=torch.Generator().manual_seed(2)).to(bench.device, bench.dtype)
    latents = torch.randn(1, 8, 16, frames, generator=torch.Generator().manual_seed(3))
    inner = latents.to(bench.device, bench.dtype)

    def encoded() -> Tensor:
        with torch.inference_mode():
            out: Tensor = network.encoder(mel)
            return out.cpu()

    def decoded() -> Tensor:
        with torch.inference_mode():
            out: Tensor = network.decoder(inner)
            return out.cpu()

    def voiced() -> Tensor:
        with torch.inference_mode():
            return torch.cat([vocoder(channel[None]) for channel in mel[0]]).cpu()

    length = f"{bench.options.seconds:g} s"
    bench.compare(f"dcae, encoding {length} (ours: with the mel)", lambda: codec.encode(sound), encoded)
    bench.compare(f"dcae, decoding {length} (ours: with the vocoder)", lambda: codec.decode(latents), decoded)
    bench.compare(f"vocoder, {length} in one piece", voiced, None)


def transformer(bench: Bench) -> None:
    """One evaluation of v1's transformer under a prompt and lyrics."""
    from acestep.families.ace_step_v1.architecture import build_transformer
    from acestep.families.ace_step_v1.published import CONFIGS, TRANSFORMER

    layers = bench.options.layers or CONFIGS[TRANSFORMER]["num_layers"]
    network = bench.filled(build_transformer({**CONFIGS[TRANSFORMER], "num_layers": layers}))
    draw = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(1))  # noqa: E731
    frames = int(bench.options.seconds * 44_100 / 4096)
    x, text, lyrics = draw(1, 8, 16, frames), draw(1, 60, 768), torch.arange(3, 303)[None]
    given = text, torch.ones(1, 60), lyrics, torch.ones_like(lyrics)

    def words() -> object:
        return network.condition(*network.encode(*given))

    condition = network.condition(*network.encode(*given))
    bench.compare("transformer, the words of a run (60 tokens, 300 of lyrics)", words, None)
    bench.compare(
        f"transformer of {layers} layers, one evaluation of {bench.options.seconds:g} s",
        lambda: network.velocity(x, 500.0, condition),
        None,
    )


def song(bench: Bench) -> None:
    """A whole song of a checkpoint through the engine: time to load, to make, and how far progress was from the truth."""
    from acestep.admission.render import admit_render
    from acestep.api import Registry
    from acestep.engine import Engine
    from acestep.worker.backend import JobContext

    place = Path(bench.options.checkpoint).resolve()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = {
            "home": home,
            "library": home / "library",
            "uploads": home / "uploads",
            "checkpoints": [place.parent],
        }
        registry = Registry.load()
        engine = Engine({**settings, "device": bench.options.device, "threads": bench.options.threads})
        asked = {
            "model": bench.options.model or place.name,
            "duration": SONG_SECONDS,
            "steps": STEPS,
            "caption": WORDS,
            "seed": 1,
        }
        recipe = admit_render(registry, "generate", asked, engine.host).render.to_recipe()
        for turn in ("first", "second"):
            told: list[tuple[float, float]] = []
            staging = home / "library" / turn
            staging.mkdir(parents=True)

            def report(*tick: Any, told: list[tuple[float, float]] = told) -> None:
                told.append((time.perf_counter(), float(tick[3])))

            begun = time.perf_counter()
            result = engine.run("render", recipe, JobContext(turn, staging, registry, report, lambda _: None, engine))
            took = time.perf_counter() - begun
            phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.stages[0].seconds.items())
            wrong = max(abs(fraction - (moment - begun) / took) for moment, fraction in told)
            print(
                f"{turn} song of {SONG_SECONDS:g} s in {STEPS} steps: {took:.1f} s ({phases}); progress at most {wrong:.0%} off"
            )


def weightless_network(kind: Any, config: Any) -> Any:
    """A library's network without weights."""
    from acestep.checkpoints.architecture import weightless

    with weightless():
        return kind(config)


CASES: dict[str, Callable[[Bench], None]] = {
    **{name: (lambda bench, name=name: musicgen(bench, name)) for name in MUSICGEN},  # type: ignore[misc]
    "umt5": umt5,
    "dcae": dcae,
    "transformer": transformer,
    "song": song,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the cases, each in a process of its own."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.families", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--seconds", type=float, default=10.0, help="of sound, for codec and transformer")
    parser.add_argument("--layers", type=int, default=0, help="of `transformer`, where memory is short; 0: all 24")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--checkpoint", default="", help="of `song`: a folder or file of a model")
    parser.add_argument(
        "--model", default="", help="of `song`: the model's short name, where it is not that of the folder"
    )
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.here:
        rest = [one for one in sys.argv[1:] if one not in CASES]
        for case in options.cases or [name for name in CASES if name != "song"]:
            subprocess.run([sys.executable, "-m", "benchmarks.families", case, "--here", *rest], check=True)
        return
    torch.set_num_threads(options.threads)
    bench = Bench(options)
    CASES[options.cases[0]](bench)
    print(f"{options.cases[0]}: {options.dtype} on {options.device}, at most {bench.memory():.2f} GB", flush=True)


if __name__ == "__main__":
    main()
