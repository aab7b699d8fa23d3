"""A backend without a model: real files of the right length and place, made of quiet tones, on a script.

For tests of daemons, clients and DAW scripts. The caption carries the script, ``fake: steps=8 delay=0.1 crash_at=3`` (see
`acestep.testing.script.Script`), or the environment variable ``ACESTEP_FAKE_SCRIPT`` does so for every job. Every result says
that it is a fake.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import ERRORS, Unavailable
from acestep.api.planned import THINK, PlannedConditioning, PlanWish
from acestep.api.result import Result
from acestep.runtime.tiers import limit_facts, simulated_memory, tier_of
from acestep.testing.fake_render import FAKE, FakeRender
from acestep.testing.script import Script, parse_script
from acestep.worker.backend import JobContext

SCRIPT_VARIABLE = "ACESTEP_FAKE_SCRIPT"
DEVICES_VARIABLE = "ACESTEP_FAKE_DEVICES"
"""Devices that a worker claims to find, such as ``fake:0,fake:1``."""

NOTE = "made by the fake backend: tones for testing, no music"


def _limit_facts() -> dict[str, Any]:
    """The limits of a card of the size that ``MAX_CUDA_VRAM`` simulates; none without it, as on a CPU."""
    memory = simulated_memory("cuda", math.inf)
    return limit_facts(tier_of(memory), None if math.isinf(memory) else memory)


class FakeBackend:
    """Runs any render; other operations answer with their own request in ``data``."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._device = str(settings.get("device") or "auto")
        if settings.get("insist") and gone_marker(Path(settings["home"]), self._device).exists():
            raise Unavailable(f"there is no {self._device} device on this machine", field="device")
        self._loaded: dict[str, int] = {}
        self._jobs = 0

    def info(self) -> dict[str, Any]:
        """What a status shows; the word fake is in it."""
        return {
            "backend": "fake",
            "device": "fake" if self._device == "auto" else self._device,
            "devices": os.environ.get(DEVICES_VARIABLE, "").split(",") if os.environ.get(DEVICES_VARIABLE) else [],
            "dtype": "float32",
            **_limit_facts(),
            "models": sorted(self._loaded),
            "memory_bytes": sum(self._loaded.values()),
            "threads": threading.active_count(),
            "jobs": self._jobs,
        }

    def unload(self, model: str) -> None:
        """Forget a model, or all."""
        if not model:
            self._loaded.clear()
        self._loaded.pop(model, None)

    def run(self, operation: str, request: dict[str, Any], context: JobContext) -> Result:
        """Follow the script, then write what the request asks for."""
        caption = str((request.get("conditioning") or {}).get("caption", "") or request.get("script", ""))
        script = parse_script(caption if "fake:" in caption else os.environ.get(SCRIPT_VARIABLE, ""))
        started = time.monotonic()
        self._jobs += 1
        if operation == THINK:
            self._play(script, ["thinking"], [], context)
            return Result(data=msgspec.to_builtins(self._thought(msgspec.convert(request, PlanWish))))
        if "stages" not in request:
            if context.registry.operation(operation).steps_aside:
                self._play_in_sittings(script, operation, context)
            else:
                self._play(script, [operation], ["fake"], context)
            return Result(data=request, notes=(NOTE,), seconds=_since(started))
        render = FakeRender.of(request, context, self._settings)
        self._play(script, render.types, render.models, context)
        files = render.files()
        return Result(
            files=files,
            seeds=render.seeds,
            notes=(NOTE, *render.notes),
            stages=render.reports(time.monotonic() - started),
            recipe=render.recipe,
            data={
                **(context.planned.to_data() if context.planned else {}),
                **({"check": checks} if (checks := render.checks()) else {}),
            },
            seconds=_since(started),
        )

    def _thought(self, wish: PlanWish) -> PlannedConditioning:
        """A plan that no other one is like, so that it can be told which was rendered."""
        thought = f"fake: thought {self._jobs} of {os.getpid()}"
        done = msgspec.structs.replace(
            wish.conditioning, bpm=wish.conditioning.bpm or 101.0, cot_text=thought, thinking=False
        )
        return PlannedConditioning(conditioning=done, model=FAKE)

    def _play(self, script: Script, stages: list[str], models: list[str], context: JobContext) -> None:
        ballast = bytearray(script.memory << 20)
        if script.chatter:
            print("x" * script.chatter, flush=True)
        if script.load:
            time.sleep(script.load)
            context.tick("load", 1, 1, 0.0)
        self._loaded.update({model: max(len(ballast), 1 << 20) for model in models})
        _happen(script, 0)
        total = script.steps * len(stages)
        for done in range(1, total + 1):
            stage, step = stages[(done - 1) // script.steps], (done - 1) % script.steps + 1
            time.sleep(script.delay)
            context.tick(stage, step, script.steps, done / (total + 1))
            _happen(script, done)

    def _play_in_sittings(self, script: Script, operation: str, context: JobContext) -> None:
        """Go on from the place that was saved, and make way when another job waits. Accidents happen at steps of the sitting."""
        place = Path(self._settings["home"]) / f"fake-{context.job}.place"
        begun = int(place.read_text()) if place.is_file() else 0
        for done in range(begun + 1, script.steps + 1):
            time.sleep(script.delay)
            context.tick(operation, done, script.steps, done / (script.steps + 1))
            if script.save_every and done % script.save_every == 0:
                place.write_text(str(done))
                context.saved()
            _happen(script, done - begun)
            if context.makes_way():
                place.write_text(str(done))
                context.make_way()


def gone_marker(home: Path, device: str) -> Path:
    """While this file stands in the daemon's home, the device is not there for a worker that starts."""
    return home / f"gone-{device.replace(':', '-')}"


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def _happen(script: Script, step: int) -> None:
    """The accidents that the script has for this step."""
    if script.hang_at == step:
        threading.Event().wait()
    if script.crash_at == step:
        os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        threading.Event().wait()
    if script.fail_at == step:
        raise ERRORS[script.fail](f"the script of this fake job ends in {script.fail} after step {step}")
