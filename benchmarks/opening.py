"""What day one with the published weights costs: reading their tokenizer, checking and opening full-size files.

    python -m benchmarks.opening

Each figure comes from a process of its own: seconds of processor time and the most memory it had. The files are sparse, of the
published names, shapes and lengths, so a disk's speed is not in it; the tokenizer's are byte for byte as long as published.
"""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acestep.checkpoints.expected import expected_tensors
from acestep.checkpoints.mapping import to_original
from acestep.checkpoints.weights import NETWORKS

DIT: dict[str, Any] = {
    "model_type": "acestep", "model_version": "turbo", "is_turbo": True, "vocab_size": 64003, "hidden_size": 2048,
    "intermediate_size": 6144, "num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1000000,
    "use_sliding_window": True, "sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 12,
    "num_lyric_encoder_hidden_layers": 8, "num_timbre_encoder_hidden_layers": 4, "num_attention_pooler_hidden_layers": 2,
    "num_audio_decoder_hidden_layers": 24, "audio_acoustic_hidden_dim": 64, "pool_window_size": 5, "text_hidden_dim": 1024,
    "in_channels": 192, "patch_size": 2, "timbre_hidden_dim": 64, "timbre_fix_frame": 750, "fsq_dim": 2048,
    "fsq_input_levels": [8, 8, 8, 5, 5, 5], "fsq_input_num_quantizers": 1,
}  # fmt: skip

CODEC = {"_class_name": "AutoencoderOobleck", "audio_channels": 2, "channel_multiples": [1, 2, 4, 8, 16],
         "decoder_channels": 128, "decoder_input_channels": 64, "downsampling_ratios": [2, 4, 4, 6, 10],
         "encoder_hidden_size": 128, "sampling_rate": 48000}  # fmt: skip

TEXT = {"model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151669,
        "tie_word_embeddings": True, "rope_theta": 1000000, "max_position_embeddings": 32768}  # fmt: skip

PROBE = """
import json, time
from pathlib import Path
{work}
most = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(json.dumps([time.process_time() - start, int(most) / 1e6]))
"""

WORK = {
    "the planner's tokenizer": (
        "from acestep.planner.tokenizer import load_tokenizer\nstart = time.process_time()\nload_tokenizer(Path({planner!r}))"
    ),
    "`models check`, 2B bundle": (
        "start = time.process_time()\nfrom acestep.checkpoints.checking import check_place\n"
        "assert all(model.usable for model in check_place(Path({bundle!r})))"
    ),
    "opening 2B as bfloat16": (
        "import torch\nfrom acestep.checkpoints.load import open_checkpoint\nstart = time.process_time()\n"
        "open_checkpoint(Path({bundle!r}) / 'acestep-v15-turbo', dtype=torch.bfloat16)"
    ),
}
"""What is measured -> the work, with the clock started behind the imports of libraries where those are not part of it."""


Numbers = Callable[[str, tuple[int, ...]], bytes]
"""A tensor's name and shape -> its bfloat16 numbers."""


def write_weights(path: Path, shapes: dict[str, tuple[int, ...]], numbers: Numbers | None = None) -> None:
    """A safetensors file of bfloat16 numbers, one tensor in memory at a time; without ``numbers`` zeros that take no room."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in sorted(shapes.items()):
        length = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + length]}
        offset += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        if numbers is not None:
            for name, shape in sorted(shapes.items()):
                file.write(numbers(name, shape))
        file.truncate(8 + len(text) + offset)


def write_bundle(root: Path, numbers: Numbers | None = None) -> None:
    """The main bundle's three parts in full size, with the small tokenizer of the tests."""
    import torch

    from acestep.checkpoints.tiny import write_tokenizer

    for name, config in (("acestep-v15-turbo", DIT), ("vae", CODEC), ("Qwen3-Embedding-0.6B", TEXT)):
        (root / name).mkdir(parents=True)
        (root / name / "config.json").write_text(json.dumps(config))
    networks = {
        to_original(part, name): shape
        for part in NETWORKS
        for name, shape in (expected_tensors(part, DIT) or {}).items()
    }
    for place, shapes in (
        ("acestep-v15-turbo/model.safetensors", networks),
        ("vae/diffusion_pytorch_model.safetensors", expected_tensors("vae", CODEC) or {}),
        ("Qwen3-Embedding-0.6B/model.safetensors", expected_tensors("text_encoder", TEXT) or {}),
    ):
        write_weights(root / place, shapes, numbers)
    write_tokenizer(root / "Qwen3-Embedding-0.6B")
    torch.save(torch.randn(1, 64, 15_000), root / "acestep-v15-turbo" / "silence_latent.pt")


def main() -> None:
    """Measure each kind of work and print the table."""
    from acestep.planner.tiny import build_tiny

    with tempfile.TemporaryDirectory() as folder:
        places = {"planner": str(build_tiny(Path(folder) / "planner")), "bundle": str(Path(folder) / "bundle")}
        write_bundle(Path(places["bundle"]))
        print("| | processor s | most memory, GB |\n| --- | --- | --- |")
        for name, work in WORK.items():
            code = PROBE.format(work=work.format(**places))
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            seconds, gigabytes = json.loads(done.stdout.splitlines()[-1])
            print(f"| {name} | {seconds:.1f} | {gigabytes:.2f} |")


if __name__ == "__main__":
    main()
