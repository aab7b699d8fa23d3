"""What the daemon behind this door offers, in lofi.nvim's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.client.aio import AsyncClient
from bridge.doors.lofi.contract import Bounds, LofiBackend, LofiTerms

SECONDS = {"musicgen": (5, 120), "ace_step": (5, 240)}
"""Lengths that lofi.nvim's own side checks before it asks."""

MUSICGEN = "musicgen"
ACE_STEP = ("ace-step-v1", "ace-step-15")
"""The families of ours that its backends are; its own ``ace_step`` is v1."""

SHIPPED = "nano"
"""The variant that is the default where nobody chose one."""


async def look(client: AsyncClient) -> LofiTerms:
    """Ask the daemon for its models and for what ``generate`` takes. Raises an `AceError`."""
    rows = await client.call("models.list")
    fields = {field["name"]: field for field in (await client.describe("generate"))[0]["fields"]}
    return LofiTerms(
        backends={one.type: one for one in backends(rows)},
        samplers=frozenset(fields["sampler"]["choices"]),
        steps=_range(fields["steps"]),
        guidance=_range(fields["guidance_scale"]),
        prompt=fields["caption"]["max_length"],
    )


def _range(field: Mapping[str, Any]) -> Bounds:
    return Bounds(field["min"], field["max"])


def backends(rows: list[dict[str, Any]]) -> list[LofiBackend]:
    """lofi.nvim's two backends: MusicGen where it is installed, and a model of ACE-Step."""
    here = [row for row in rows if row.get("present") and row.get("kind", "checkpoint") == "checkpoint"]
    musicgen = _first([row for row in here if row.get("family") == MUSICGEN])
    ours = _ace_step(here)
    title = f"{ours.get('family_title') or 'ACE-Step 1.5'} ({ours['name']})" if ours else "ACE-Step"
    return [
        _backend("musicgen", f"MusicGen ({musicgen['name']})" if musicgen else "MusicGen", 32_000, musicgen),
        _backend("ace_step", title, 48_000, ours),
    ]


def _ace_step(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The default model where somebody chose it, else a v1, else the default. Other families are none of lofi.nvim's."""
    ours = [row for name in ACE_STEP for row in rows if row.get("family") == name]
    chosen = [row for row in ours if row.get("default") and row.get("variant") != SHIPPED]
    own = [row for row in ours if row.get("family") == ACE_STEP[0]]
    return _first(chosen or own or ours)


def _first(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The default model, else the first."""
    return next((row for row in rows if row.get("default")), rows[0] if rows else {})


def _backend(type: str, name: str, rate: int, row: Mapping[str, Any]) -> LofiBackend:
    identity = f"{row.get('path', '')} {row.get('size_bytes', 0)}" if row else ""
    return LofiBackend(
        type=type, name=name, seconds=SECONDS[type], rate=rate, model=row.get("name", ""), identity=identity
    )
