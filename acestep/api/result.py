"""What a finished job hands back."""

from __future__ import annotations

from typing import Any

import msgspec

from acestep.api.request import FileRole

RECIPE_FORMAT = "acestep-bridge/recipe"
RECIPE_VERSION = 2


class ResultFile(msgspec.Struct, frozen=True, kw_only=True):
    """One audio (or latent) file of a result, placed on the source's timeline.

    ``start`` and ``length`` are samples at ``rate``; ``lead_in`` and ``lead_out`` count the samples at either end that lie
    outside the region (crossfade handles of a patch, untouched audio of a span), so a host can set fades there.
    """

    role: FileRole
    name: str
    """File name inside the result's folder."""
    rate: int
    channels: int
    start: int
    length: int
    variant: int = 0
    stage: int = 1
    """The stage of the job that made it, counted from 1."""
    seed: int | None = None
    lead_in: int = 0
    lead_out: int = 0
    crossfade: int = 0
    clipped: int = 0
    """Samples that had to be clipped to fit an integer format."""
    subtype: str = ""
    track: str = ""
    sha256: str = ""
    preview: bool = False
    """Made by a stage on the way: to listen to while the job runs, not to be placed."""
    copy_of: str = ""
    """For a lossy copy (role ``copy``): the name of the exact file it was made of."""
    delay: int = 0
    """For a copy: samples at its rate by which the sound comes late in players that ignore what the file says of its priming."""


class StageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage did: model, resolved settings, seconds."""

    type: str
    model: str
    settings: dict[str, Any] = {}
    seconds: dict[str, float] = {}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a job produced.

    ``notes`` are sentences for the user: what was rounded, padded, conformed, clamped or mapped, and that an untrained
    checkpoint renders noise. ``recipe`` re-runs to the same samples on the same weights, device and dtype.
    """

    files: tuple[ResultFile, ...] = ()
    seeds: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    stages: tuple[StageReport, ...] = ()
    recipe: dict[str, Any] = {}
    data: dict[str, Any] = {}
    """The answer of operations that return no audio."""
    seconds: float = 0.0
