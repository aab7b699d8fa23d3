"""From MIDI messages to actions: matches the mapping, remembers what is held, debounces, fills in parameters.

Pure: messages (as `mido.Message`) and their arrival times go in, `Action` values come out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mido
import msgspec

from bridge.performance import chords
from bridge.performance.mapping import Mapping, TriggerSpec
from bridge.performance.parameters import fill_params

BANK_MSB, BANK_LSB = 0, 32

DEFAULT_BARS = 4
"""What is captured or recorded when the mapping does not say."""

SILENCERS = (120, 123)
"""Controllers that end all notes of a channel: all sound off, all notes off."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something a hit asks for. ``key`` identifies the hit, so that its release can cancel what it began."""

    kind: str
    """submit, preset, cancel, launch, stop, capture, record or tap."""
    trigger: int
    key: str
    clock: float = 0.0
    """When the hit arrived (s, monotonic)."""
    operation: str = ""
    params: dict[str, Any] = {}
    slot: int | None = None
    bars: int = 0
    """Bars to keep, or that a job's part should last; 0: as its parameters say."""
    quantise: str = "now"


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a trigger answers to: who (``key``), when, which pitch, controller or program, and what it knows."""

    key: str
    clock: float
    number: int
    facts: dict[str, Any]


class TriggerMachine:
    """The state between messages: held notes, selected banks, controller halves, toggles, last hits."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.bpm: float | None = None
        self._held: dict[int, set[int]] = {}
        self._controllers: dict[tuple[int, int], int] = {}
        self._latest: dict[str, float] = {}
        """Controllers as facts (``cc74`` to 0 .. 1), from whichever channel moved them last."""
        self._above: dict[tuple[int, int, int], bool] = {}
        self._active: dict[str, int | None] = {}
        """Hits that have not been undone, with the slot they went to."""
        self._last: dict[str, float] = {}
        self._chorded: dict[tuple[int, int], frozenset[int]] = {}

    def adopt(self, mapping: Mapping) -> TriggerMachine:
        """A machine for another mapping, that knows what is held and where the controllers stand."""
        other = TriggerMachine(mapping)
        other._held, other._controllers, other._latest = self._held, self._controllers, self._latest
        return other

    def settle(self, key: str) -> None:
        """What a hit began is over: there is nothing to undo, the next hit begins anew."""
        self._active.pop(key, None)

    def settle_slot(self, slot: int) -> None:
        """A slot fell silent: the next hit of a pad that launches it launches it again."""
        launches = [
            key
            for key, active in self._active.items()
            if active == slot and self.mapping.trigger[int(key.partition(":")[0])].action == "launch"
        ]
        for key in launches:
            self.settle(key)

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
        if kind == "reset":
            self._let_go(None)
        return []

    def _let_go(self, channel: int | None) -> None:
        """Forget what is held on a channel (none: everywhere), as when a cable is pulled."""
        for held in [channel] if channel is not None else list(self._held):
            self._held.pop(held, None)
        self._chorded = {place: notes for place, notes in self._chorded.items() if place[1] in self._held}

    def _note_on(self, message: mido.Message, clock: float) -> list[Action]:
        self._held.setdefault(message.channel, set()).add(message.note)
        known = {"velocity": message.velocity, "value": message.velocity / 127, "note": message.note}
        actions = []
        for index, spec in self._matching("note", message.channel, message.note):
            facts = self._facts(message, self._played(), **known)
            key = f"{index}:{message.channel}:{message.note}"
            actions += self._hit(index, spec, Hit(key=key, clock=clock, number=message.note, facts=facts))
        for index, spec in self._matching("chord", message.channel, message.note):
            actions += self._chord(index, spec, clock, message, known)
        return actions

    def _chord(
        self, index: int, spec: TriggerSpec, clock: float, message: mido.Message, known: dict[str, Any]
    ) -> list[Action]:
        place = (index, message.channel)
        notes = self._inside(spec, message.channel)
        if len(notes) < spec.notes or notes == self._chorded.get(place):
            return []
        self._chorded[place] = notes
        facts = self._facts(message, notes, **known)
        key = f"{index}:{message.channel}:chord"
        return self._hit(index, spec, Hit(key=key, clock=clock, number=min(notes), facts=facts))

    def _inside(self, spec: TriggerSpec, channel: int) -> frozenset[int]:
        """The held notes of a channel in a trigger's range."""
        return frozenset(note for note in self._held.get(channel, ()) if spec.low <= note <= spec.high)

    def _note_off(self, message: mido.Message) -> list[Action]:
        self._held.get(message.channel, set()).discard(message.note)
        actions = []
        for index, spec in self._matching("note", message.channel, message.note):
            actions += self._release(index, spec, f"{index}:{message.channel}:{message.note}")
        for index, spec in self._matching("chord", message.channel, message.note):
            if not self._inside(spec, message.channel):
                self._chorded.pop((index, message.channel), None)
                actions += self._release(index, spec, f"{index}:{message.channel}:chord")
        return actions

    def _control(self, message: mido.Message, clock: float) -> list[Action]:
        self._controllers[message.channel, message.control] = message.value
        self._latest[f"cc{message.control}"] = message.value / 127
        if message.control in SILENCERS:
            self._let_go(message.channel)
        actions = []
        for index, spec in self._matching("cc", message.channel, message.control):
            actions += self._crossing(index, spec, message.control, message.value / 127, message, clock)
        upper = message.control - 32 if 32 <= message.control < 64 else message.control
        for index, spec in self._matching("cc14", message.channel, upper):
            high = self._controllers.get((message.channel, upper), 0)
            low = self._controllers.get((message.channel, upper + 32), 0)
            actions += self._crossing(index, spec, upper, (high * 128 + low) / 16_383, message, clock)
        return actions

    def _crossing(
        self, index: int, spec: TriggerSpec, number: int, value: float, message: mido.Message, clock: float
    ) -> list[Action]:
        """A controller fires when it rises to the threshold and is released when it falls below."""
        place = (index, message.channel, number)
        was, now = self._above.get(place, False), value >= spec.threshold
        self._above[place] = now
        key = f"{index}:{message.channel}:cc{number}"
        if now and not was:
            facts = self._facts(message, self._played(), value=value)
            return self._hit(index, spec, Hit(key=key, clock=clock, number=number, facts=facts))
        return self._release(index, spec, key) if was and not now else []

    def _program(self, message: mido.Message, clock: float) -> list[Action]:
        facts = self._facts(message, self._played(), program=message.program)
        actions = []
        for index, spec in self._matching("program", message.channel, message.program):
            key = f"{index}:{message.channel}:p{message.program}"
            actions += self._hit(index, spec, Hit(key=key, clock=clock, number=message.program, facts=facts))
        return actions

    def _played(self) -> list[int]:
        """The held notes that are music, on whatever channel: pads that trigger something are none."""
        return [
            note for channel, notes in self._held.items() for note in notes if not self._matching("note", channel, note)
        ]

    def _facts(self, message: mido.Message, notes: Iterable[int], **known: Any) -> dict[str, Any]:
        """What parameters may take from a message while these notes are held."""
        return {
            **self._latest,
            "channel": message.channel + 1,
            "chord": chords.name_chord(notes),
            "key": chords.suggest_key(notes),
            "bpm": self.bpm,
            **known,
        }

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

    def _hit(self, index: int, spec: TriggerSpec, hit: Hit) -> list[Action]:
        if hit.clock - self._last.get(hit.key, float("-inf")) < spec.debounce / 1000:
            return []
        self._last[hit.key] = hit.clock
        if spec.release == "toggle" and hit.key in self._active:
            return [self._undo(index, spec, hit.key)]
        slot = hit.number - spec.low if spec.slot == -1 else spec.slot
        self._active[hit.key] = slot
        action = Action(
            kind=spec.action,
            trigger=index,
            key=hit.key,
            clock=hit.clock,
            operation=spec.task,
            params=fill_params(spec.params, hit.facts),
            slot=slot,
            bars=spec.bars or (DEFAULT_BARS if spec.action in ("capture", "record") else 0),
            quantise=spec.quantise,
        )
        return [action]

    def _release(self, index: int, spec: TriggerSpec, key: str) -> list[Action]:
        if spec.release != "cancel" or key not in self._active:
            return []
        return [self._undo(index, spec, key)]

    def _undo(self, index: int, spec: TriggerSpec, key: str) -> Action:
        kind = "stop" if spec.action == "launch" else "cancel"
        return Action(kind=kind, trigger=index, key=key, slot=self._active.pop(key), quantise=spec.quantise)
