"""Slots: parts that are asked for ahead of time, wait with their variants, and start on the bar."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError, BadRequest, NotFound
from bridge.core.interface import Accepted, Core, Event, EventKind
from bridge.performance.jobs import CLIENT
from bridge.performance.link import PlayerLink
from bridge.performance.player.messages import Load
from bridge.performance.tempo import Tempo
from bridge.performance.timeline import Timeline

SLOTS = 64


class SlotState(msgspec.Struct, kw_only=True):
    """A slot: its variants (files that are ready), which of them is loaded, and the job that fills it."""

    slot: int
    variants: list[str] = []
    chosen: int = 0
    job: str = ""
    state: str = "empty"
    """empty, filling, ready or failed."""
    error: str = ""
    loop: dict[str, Any] = {}


Submit = Callable[[str, dict[str, Any], str, int], Awaitable[Accepted]]
"""Asks for a job: operation, parameters, id (empty: the core makes one), length in bars (0: as the parameters say)."""


class Slots:
    """The slots of one daemon: what fills them, and what the player plays of them."""

    def __init__(
        self,
        core: Core,
        player: PlayerLink,
        tempo: Tempo,
        submit: Submit,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._core = core
        self._player = player
        self._tempo = tempo
        self._submit = submit
        self._spawn = spawn
        self._slots = {number: SlotState(slot=number) for number in range(SLOTS)}

    def state(self) -> list[dict[str, Any]]:
        """The slots that hold or await something."""
        playing = set(self._player.levels.playing)
        return [
            {**msgspec.to_builtins(slot), "playing": slot.slot in playing}
            for slot in self._slots.values()
            if slot.state != "empty"
        ]

    async def load(self, slot: int, path: str, **loop: Any) -> dict[str, Any]:
        """Put an audio file into a slot (`loop`: gain, loop, length, crossfade, choke)."""
        state = self._slot(slot)
        if not await asyncio.to_thread(Path(path).is_file):
            raise NotFound(f"there is no file {path}", field="path")
        await self._player.load(Load(slot=slot, path=path, **loop))
        state.variants, state.chosen, state.state, state.error, state.loop = [path], 0, "ready", "", loop
        state.job = ""
        return msgspec.to_builtins(state)

    async def fill(
        self, slot: int, operation: str, params: dict[str, Any], job: str = "", bars: int = 0, **loop: Any
    ) -> Accepted:
        """Ask for a part ahead of time, of so many bars; its variants wait in the slot until they are launched."""
        state = self._slot(slot)
        accepted = await self._submit(operation, params, job, bars)
        state.job, state.state, state.error, state.loop = accepted.id, "filling", "", loop
        self._spawn(self._follow_job(state, accepted.id))
        return accepted

    async def choose_variant(self, slot: int, variant: int) -> dict[str, Any]:
        """Make another variant of a slot the one that the next launch plays."""
        state = self._slot(slot)
        if not 0 <= variant < len(state.variants):
            raise BadRequest(
                f"slot {slot} has {len(state.variants)} variants",
                field="variant",
                limits={"max": len(state.variants) - 1},
            )
        state.chosen = variant
        await self._load_chosen(state)
        return msgspec.to_builtins(state)

    async def launch(self, slot: int, quantise: str = "bar", asked: Timeline | None = None) -> dict[str, Any]:
        """Start a slot on the next line of the grid; answers what will be heard, when, and on which beat."""
        state = self._slot(slot)
        if not state.variants:
            raise BadRequest(f"slot {slot} is empty", field="slot")
        at, beat = self._tempo.next_line(quantise, asked)
        launched = await self._player.launch(slot, at)
        told = {"frame": launched.frame, "late": launched.late, "path": state.variants[state.chosen]}
        return {"slot": slot, "in": max(0.0, at - time.monotonic()), "beat": beat, **told}

    async def stop(
        self, slot: int | None = None, quantise: str = "now", asked: Timeline | None = None
    ) -> dict[str, Any]:
        """Stop a slot, or all, on the next line of the grid."""
        if slot is not None:
            self._slot(slot)
        at, beat = self._tempo.next_line(quantise, asked)
        await self._player.stop(slot, at)
        return {"slot": -1 if slot is None else slot, "in": max(0.0, at - time.monotonic()), "beat": beat}

    async def gain(self, slot: int, gain: float) -> dict[str, Any]:
        """Change a slot's gain at once."""
        state = self._slot(slot)
        await self._player.gain(slot, gain)
        state.loop = {**state.loop, "gain": gain}
        return {"slot": slot, "gain": gain}

    def peek(self, number: int) -> SlotState:
        """A slot as it is. Raises `BadRequest` for a number that is none."""
        return self._slot(number)

    def ready(self, number: int) -> bool:
        """Whether a slot holds something to launch."""
        return number in self._slots and bool(self._slots[number].variants)

    def _slot(self, number: int) -> SlotState:
        if number not in self._slots:
            raise BadRequest(f"slots are 0 to {SLOTS - 1}", field="slot", limits={"min": 0, "max": SLOTS - 1})
        return self._slots[number]

    async def _load_chosen(self, state: SlotState) -> None:
        await self._player.load(Load(slot=state.slot, path=state.variants[state.chosen], **state.loop))

    async def _follow_job(self, state: SlotState, job: str) -> None:
        """Collect a job's results into its slot until it ends or the slot is filled by another."""
        async for event in self._core.subscribe(CLIENT, frozenset({job}), {job: -1}):
            if state.job != job:
                return
            try:
                await self._take_in(state, event)
            except AceError as error:
                state.state, state.error = "failed", error.message
            if event.kind.terminal:
                return

    async def _take_in(self, state: SlotState, event: Event) -> None:
        """The first result is loaded at once, so that it can be launched before the rest is there."""
        if event.kind is EventKind.RESULT and event.data.get("role") not in ("latent", "copy"):
            first = state.state != "ready"
            state.variants = [event.data["path"]] if first else [*state.variants, event.data["path"]]
            if first:
                state.chosen, state.state = 0, "ready"
                await self._load_chosen(state)
        elif event.kind is EventKind.FAILED:
            state.state, state.error = "failed", str(event.data.get("error", {}).get("message", ""))
        elif event.kind in (EventKind.CANCELLED, EventKind.INTERRUPTED):
            state.state = "ready" if state.variants else "empty"
