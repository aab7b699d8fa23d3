"""What a stored latent is, from its safetensors header alone: the torch-free half of the latent store."""

from __future__ import annotations

import json
import operator
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadLatent

FORMAT = "acestep-bridge/latent"
VERSION = 1
KEY = "acestep-bridge"
"""Entry of the safetensors metadata that holds ours."""

SUFFIX = ".safetensors"
MAX_HEADER = 16 * 1024 * 1024

MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What taking a header apart raises when it is not of the shape it should be."""


class Companion(msgspec.Struct, frozen=True, kw_only=True):
    """A sound file of the same result, in the same folder; its sample 0 lies ``offset`` samples after the latent's.

    ``bytes`` is its size (0: unknown), by which copies of it elsewhere are noticed.
    ``frames`` (first, last + 1) of the latent are what is heard there; none: all of them.
    """

    name: str
    sha256: str
    bytes: int = 0
    offset: int = 0
    frames: tuple[int, int] | None = None


class LatentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a stored latent [1, frames, C].

    ``samples`` at ``rate`` of sound begin with frame 0; ``start`` places them on the timeline of the source they were made for;
    ``region`` is (first sample, length) of what was asked for.
    """

    format: str = FORMAT
    version: int = VERSION
    family: str
    codec: str
    """Digest of the codec's weights."""
    model: str
    weights: str
    frames: int
    rate: int
    channels: int
    samples: int
    start: int = 0
    region: tuple[int, int] = (0, 0)
    caption: str = ""
    seed: int | None = None
    trained: bool = True
    audio: tuple[Companion, ...] = ()
    recipe: dict[str, Any] = {}
    checkpoint: dict[str, Any] | None = None
    """Of a run that was stored in its middle: the step before it (``index``), its time and the shape of its state."""


def require_family(name: str, facts: LatentFacts, family: str) -> None:
    """See that a latent is one that a model's codec knows. Raises `BadLatent`."""
    if facts.family != family:
        raise BadLatent(
            f"{name} is a latent of the family {facts.family}; this model works with {family}",
            field="source_latent",
            limits={"family": family},
        )


def read_latent_facts(path: Path) -> LatentFacts:
    """The facts of a latent file. Raises `BadLatent` for anything that is none, or is damaged."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER, size - 8):
                raise BadLatent(f"{path.name} is not a stored latent", field="source_latent")
            header = json.loads(file.read(length))
        facts = msgspec.json.decode(header["__metadata__"][KEY].encode(), type=LatentFacts)
        shape = header["latent"]["shape"]
        last = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        expected = 8 + length + last
        if facts.checkpoint is not None:
            operator.index(facts.checkpoint["index"])
    except OSError as failure:
        raise BadLatent(f"{path.name} cannot be read: {failure.strerror}", field="source_latent") from None
    except (*MALFORMED, msgspec.DecodeError):
        raise BadLatent(
            f"{path.name} is not a stored latent: its description is not one of ours", field="source_latent"
        ) from None
    if size != expected:
        raise BadLatent(f"{path.name} is damaged: {size} of {expected} bytes", field="source_latent")
    if facts.format != FORMAT or facts.version > VERSION:
        raise BadLatent(f"{path.name} is a latent of another kind or a later version", field="source_latent")
    if len(shape) != 3 or shape[:2] != [1, facts.frames] or facts.samples < 1 or facts.rate < 1:
        raise BadLatent(f"{path.name} contradicts its own description", field="source_latent")
    return facts
