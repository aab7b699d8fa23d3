"""From MIDI messages to actions: matches the mapping, remembers what is held, debounces, fills in parameters.

Pure: messages (as `mido.Message`) and their arrival times go in, `Action` values come out.
"""

from __future__ import annotations

from typing import Any

import mido
import msgspec

from bridge.performance import chords
from bridge.performance.mapping import Mapping, TriggerSpec

BANK_MSB, BANK_LSB = 0, 32


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something a hit asks for. ``key`` identifies the hit, so that its release can cancel what it began."""

    kind: str
    """submit, preset, cancel, launch, stop, capture or tap."""
    trigger: int
    key: str
    operation: str = ""
    params: dict[str, Any] = {}
    slot: int | None = None
    bars: int = 0
    quantise: str = "now"


class TriggerMachine:
    """The state between messages: held notes, selected banks, controller halves, toggles, last hits."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.bpm: float | None = None
        self._held: dict[int, set[int]] = {}
        self._controllers: dict[tuple[int, int], int] = {}
        self._above: dict[tuple[int, int, int], bool] = {}
        self._active: dict[str, int | None] = {}
        """Hits that have not been undone, with the slot they went to."""
        self._last: dict[str, float] = {}
        self._chorded: dict[int, frozenset[int]] = {}

    def held(self) -> list[int]:
        """Notes that are down, over all channels."""
        return sorted(set().union(*self._held.values())) if self._held else []

    def feed(self, message: mido.Message, clock: float) -> list[Action]:
        """The actions of one message that arrived at a clock time (s)."""
        kind = message.type
        if kind == "note_on" and message.velocity > 0:
            return self._note_on(message, clock)
        if kind in ("note_on", "note_off"):
            return self._note_off(message)
        if kind == "control_change":
            return self._control(message, clock)
        if kind == "program_change":
            return self._program(message, clock)
        return []

    def _note_on(self, message: mido.Message, clock: float) -> list[Action]:
        self._held.setdefault(message.channel, set()).add(message.note)
        facts = {"note": message.note, "velocity": message.velocity}
        actions = []
        for index, spec in self._matching("note", message.channel, message.note):
            actions += self._hit(index, spec, f"{index}:{message.channel}:{message.note}", clock, message, facts)
        for index, spec in self._matching("chord", message.channel, message.note):
            actions += self._chord(index, spec, clock, message, facts)
        return actions

    def _chord(
        self, index: int, spec: TriggerSpec, clock: float, message: mido.Message, facts: dict[str, Any]
    ) -> list[Action]:
        notes = frozenset(note for note in self._held[message.channel] if spec.low <= note <= spec.high)
        if len(notes) < spec.notes or notes == self._chorded.get(index):
            return []
        self._chorded[index] = notes
        return self._hit(index, spec, f"{index}:{message.channel}:chord", clock, message, facts)

    def _note_off(self, message: mido.Message) -> list[Action]:
        self._held.get(message.channel, set()).discard(message.note)
        actions = []
        for index, spec in self._matching("note", message.channel, message.note):
            actions += self._release(index, spec, f"{index}:{message.channel}:{message.note}")
        for index, spec in self._matching("chord", message.channel, message.note):
            if not self._held.get(message.channel):
                self._chorded.pop(index, None)
                actions += self._release(index, spec, f"{index}:{message.channel}:chord")
        return actions

    def _control(self, message: mido.Message, clock: float) -> list[Action]:
        self._controllers[message.channel, message.control] = message.value
        actions = []
        for index, spec in self._matching("cc", message.channel, message.control):
            actions += self._crossing(index, spec, message.value / 127, message, clock)
        low_half = message.control - 32 if 32 <= message.control < 64 else message.control
        for index, spec in self._matching("cc14", message.channel, low_half):
            high = self._controllers.get((message.channel, low_half), 0)
            low = self._controllers.get((message.channel, low_half + 32), 0)
            actions += self._crossing(index, spec, (high * 128 + low) / 16_383, message, clock)
        return actions

    def _crossing(
        self, index: int, spec: TriggerSpec, value: float, message: mido.Message, clock: float
    ) -> list[Action]:
        """A controller fires when it rises to the threshold and is released when it falls below."""
        number = message.control
        place = (index, message.channel, number)
        was, now = self._above.get(place, False), value >= spec.threshold
        self._above[place] = now
        key = f"{index}:{message.channel}:cc{number}"
        if now and not was:
            return self._hit(index, spec, key, clock, message, {"value": value})
        return self._release(index, spec, key) if was and not now else []

    def _program(self, message: mido.Message, clock: float) -> list[Action]:
        facts = {"program": message.program}
        return [
            action
            for index, spec in self._matching("program", message.channel, message.program)
            for action in self._hit(index, spec, f"{index}:{message.channel}:p{message.program}", clock, message, facts)
        ]

    def _matching(self, kind: str, channel: int, number: int) -> list[tuple[int, TriggerSpec]]:
        bank = self._controllers.get((channel, BANK_MSB), 0) * 128 + self._controllers.get((channel, BANK_LSB), 0)
        return [
            (index, spec)
            for index, spec in enumerate(self.mapping.trigger)
            if spec.on == kind
            and spec.low <= number <= spec.high
            and spec.channel in (None, channel + 1)
            and spec.bank in (None, bank)
        ]

    def _hit(
        self, index: int, spec: TriggerSpec, key: str, clock: float, message: mido.Message, facts: dict[str, Any]
    ) -> list[Action]:
        if clock - self._last.get(key, float("-inf")) < spec.debounce / 1000:
            return []
        self._last[key] = clock
        if spec.release == "toggle" and key in self._active:
            return [self._undo(index, spec, key)]
        held = self._held.get(message.channel, set())
        facts = {
            "channel": message.channel + 1,
            "chord": chords.name_chord(held),
            "key": chords.suggest_key(held),
            "bpm": self.bpm,
            **facts,
        }
        slot = facts.get("note", facts.get("program", 0)) - spec.low if spec.slot == -1 else spec.slot
        self._active[key] = slot
        return [
            Action(
                kind=spec.action,
                trigger=index,
                key=key,
                operation=spec.operation,
                params=_fill(spec.params, facts),
                slot=slot,
                bars=spec.bars,
                quantise=spec.quantise,
            )
        ]

    def _release(self, index: int, spec: TriggerSpec, key: str) -> list[Action]:
        if spec.release != "cancel" or key not in self._active:
            return []
        return [self._undo(index, spec, key)]

    def _undo(self, index: int, spec: TriggerSpec, key: str) -> Action:
        kind = "stop" if spec.action == "launch" else "cancel"
        return Action(kind=kind, trigger=index, key=key, slot=self._active.pop(key), quantise=spec.quantise)


def _fill(params: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Parameters with ``$name`` replaced by what the hit says; what it does not say is left out."""
    filled = {
        name: facts.get(value[1:]) if isinstance(value, str) and value.startswith("$") else value
        for name, value in params.items()
    }
    return {name: value for name, value in filled.items() if value not in (None, "")}
