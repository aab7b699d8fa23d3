"""What is known of the published files before anything is fetched: sizes, sums, revisions, licences. No torch, no network.

Sizes and sums are those of the files that independent catalogues and loaders list; a part without an entry is measured by the hub's
own listing when it is fetched.
"""

from __future__ import annotations

import msgspec

MAIN_BUNDLE = "ACE-Step/Ace-Step1.5"
"""The only repository with codec and text encoder; every installation needs those two from it."""

REVISIONS = {
    MAIN_BUNDLE: "19671f406d603126926c1b7e2adc169acbcade22",
    "ACE-Step/acestep-v15-xl-turbo": "d4a0b288b83ebb7e25a8c0b32c573c22e134e8ee",
    "ACE-Step/acestep-v15-xl-base": "220c1166efbdd9583eafcb12eb160594bbfcb241",
}
"""Repository -> a revision that is known to work."""

KNOWN = "known"
"""Word for those revisions where one is asked for."""


class KnownFile(msgspec.Struct, frozen=True):
    """One published file: bytes, and its sha256 where it is known."""

    size: int
    sha256: str = ""


_SILENCE = KnownFile(3_841_215, "a778e9dd942f5e8b2c09c55370782d318834432b03dabbcdf70e6ed49ad6358b")
_TURBO = KnownFile(4_787_825_604, "3f6e0797fad420a39bd33979eb6e840e30989e34a3794e843d23b60ec6e422d7")
_XL = {
    f"model-{index:05d}-of-00004.safetensors": KnownFile(size)
    for index, size in enumerate((4_986_971_456, 4_986_942_776, 4_986_942_808, 4_988_483_464), 1)
}

FILES: dict[str, dict[str, KnownFile]] = {
    "acestep-v15-turbo": {"model.safetensors": _TURBO, "silence_latent.pt": _SILENCE},
    **{
        f"acestep-v15-{name}": {"model.safetensors": KnownFile(_TURBO.size), "silence_latent.pt": _SILENCE}
        for name in ("turbo-shift1", "turbo-shift3", "turbo-continuous", "base", "sft")
    },
    **{f"acestep-v15-{name}": {**_XL, "silence_latent.pt": _SILENCE} for name in ("xl-turbo", "xl-base", "xl-sft")},
    "vae": {
        "diffusion_pytorch_model.safetensors": KnownFile(
            337_431_388, "da17edb604c40deaf09e9b24974e590d1ca83a374070e5d0884cfa4bed9a99b0"
        )
    },
    "Qwen3-Embedding-0.6B": {
        "model.safetensors": KnownFile(
            1_191_586_416, "0437e45c94563b09e13cb7a64478fc406947a93cb34a7e05870fc8dcd48e23fd"
        )
    },
    "acestep-5Hz-lm-0.6B": {"model.safetensors": KnownFile(1_325_804_024)},
    "acestep-5Hz-lm-1.7B": {
        "model.safetensors": KnownFile(
            3_708_521_528, "f161689da73e5ecefa28ff780d51c2d92a00f056d021d7933c779ed5c6cd7db8"
        )
    },
    "acestep-5Hz-lm-4B": {},
}
"""Folder of a part below the checkpoints -> its large files."""

SMALL_BYTES = {"companions/acestep-5Hz-lm-": 49_000_000, "companions/Qwen3": 15_800_000, "companions": 3_841_215,
               "Qwen3-Embedding-0.6B": 15_800_000, "acestep-5Hz-lm-": 49_000_000}  # fmt: skip
"""Beginning of a part's folder -> bytes of its tokenizer, about."""

UNLISTED_BYTES = {"acestep-5Hz-lm-4B": 8_379_108_352}
"""Parts whose shards are known as a sum only."""

STORED_FLOAT32 = tuple(f"acestep-v15-xl-{kind}" for kind in ("turbo", "base", "sft"))
"""Parts that are published as float32 and lose nothing that the model uses as bfloat16."""

LICENSES = {"Qwen3-Embedding-0.6B": "Apache-2.0", "acestep-5Hz-lm-": "MIT (built on Qwen3, Apache-2.0)"}
"""Beginning of a part's folder -> its licence, where it is not that of the models."""

WEIGHTS = ".safetensors"

MODEL_LICENSE = "MIT"
"""Licence of the published weights; a checkpoint's own config may say otherwise."""


def bytes_of(part: str) -> int:
    """Bytes of a published part, by its folder's name; 0 for an unknown one."""
    others = sum(file.size for name, file in FILES.get(part, {}).items() if not name.endswith(WEIGHTS))
    small = next((size for start, size in SMALL_BYTES.items() if part.startswith(start)), 0)
    return weights_of(part) + others + small


def weights_of(part: str) -> int:
    """Bytes of a published part's weights alone."""
    files = sum(file.size for name, file in FILES.get(part, {}).items() if name.endswith(WEIGHTS))
    return files + UNLISTED_BYTES.get(part, 0)


def license_of(part: str) -> str:
    """Licence of a published part, by its folder's name."""
    return next((text for start, text in LICENSES.items() if part.startswith(start)), MODEL_LICENSE)


def planner_licenses(size: str) -> dict[str, str]:
    """Short name and licence of a published language model, by its size; nothing for others."""
    part = f"acestep-5Hz-lm-{size}"
    return {f"lm-{size}": license_of(part)} if part in FILES else {}


def known_file(part: str, name: str) -> KnownFile | None:
    """What is known of one file of a part."""
    return FILES.get(part, {}).get(name)
