"""Slots: parts that are asked for ahead of time, wait with their variants, and start on the bar."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, NotFound
from bridge.core.views import Accepted, Core, Event, EventKind, Submission
from bridge.performance.link import PlayerLink
from bridge.performance.player.messages import Gain, Load
from bridge.performance.tempo import Tempo

CLIENT = "performance"
"""The name under which hits and slots submit jobs."""

URGENCY = 5
"""Priority of what a stage waits for, above ordinary work."""

SLOTS = 64

ENDS = frozenset({EventKind.DONE, EventKind.FAILED, EventKind.CANCELLED, EventKind.INTERRUPTED})


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


class Slots:
    """The slots of one daemon: what fills them, and what the player plays of them."""

    def __init__(
        self, core: Core, player: PlayerLink, tempo: Tempo, spawn: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._core = core
        self._player = player
        self._tempo = tempo
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
        state.variants, state.chosen, state.state, state.error, state.loop = [path], 0, "ready", "", loop
        await self._load_chosen(state)
        return msgspec.to_builtins(state)

    async def fill(self, slot: int, operation: str, params: dict[str, Any], job: str = "", **loop: Any) -> Accepted:
        """Ask for a part ahead of time; its variants wait in the slot until they are launched."""
        state = self._slot(slot)
        accepted = await self._core.submit(
            Submission(client=CLIENT, operation=operation, params=params, id=job, priority=URGENCY)
        )
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

    async def launch(self, slot: int, quantise: str = "bar") -> dict[str, Any]:
        """Start a slot on the next line of the grid; answers when it will be heard."""
        state = self._slot(slot)
        if not state.variants:
            raise BadRequest(f"slot {slot} is empty", field="slot")
        at = self._tempo.next_line(quantise)
        launched = await self._player.launch(slot, at)
        return {"slot": slot, "in": max(0.0, at - time.monotonic()), "frame": launched.frame, "late": launched.late}

    async def stop(self, slot: int | None = None, quantise: str = "now") -> dict[str, Any]:
        """Stop a slot, or all, on the next line of the grid."""
        if slot is not None:
            self._slot(slot)
        at = self._tempo.next_line(quantise)
        await self._player.stop(slot, at)
        return {"slot": slot, "in": max(0.0, at - time.monotonic())}

    async def gain(self, slot: int, gain: float) -> dict[str, Any]:
        """Change a slot's gain at once."""
        self._slot(slot)
        await self._player.send(Gain(slot=slot, gain=gain))
        return {"slot": slot, "gain": gain}

    def peek(self, number: int) -> SlotState:
        """A slot as it is. Raises `BadRequest` for a number that is none."""
        return self._slot(number)

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
            await self._take_in(state, event)
            if event.kind in ENDS:
                return

    async def _take_in(self, state: SlotState, event: Event) -> None:
        """The first result is loaded at once, so that it can be launched before the rest is there."""
        if event.kind is EventKind.RESULT and event.data.get("role") != "latent":
            first = state.state != "ready"
            state.variants = [event.data["path"]] if first else [*state.variants, event.data["path"]]
            if first:
                state.chosen, state.state = 0, "ready"
                await self._load_chosen(state)
        elif event.kind is EventKind.FAILED:
            state.state, state.error = "failed", str(event.data.get("error", {}).get("message", ""))
        elif event.kind in (EventKind.CANCELLED, EventKind.INTERRUPTED):
            state.state = "ready" if state.variants else "empty"
