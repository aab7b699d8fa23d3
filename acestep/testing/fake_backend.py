"""A backend without a model: real files of the right length and place, made of quiet tones, on a script.

For tests of daemons, clients and DAW scripts. The caption carries the script, ``fake: steps=8 delay=0.1 crash_at=3`` (see
`acestep.testing.script.Script`), or the environment variable ``ACESTEP_FAKE_SCRIPT`` does so for every job. Every result says
that it is a fake.
"""

from __future__ import annotations

import hashlib
import math
import os
import signal
import threading
import time
import wave
from pathlib import Path
from typing import Any

from acestep.api.errors import ERRORS
from acestep.api.request import samples
from acestep.api.result import Result, ResultFile, StageReport
from acestep.testing.script import Script, parse_script
from acestep.worker.backend import JobContext

SCRIPT_VARIABLE = "ACESTEP_FAKE_SCRIPT"
NOTE = "made by the fake backend: tones for testing, no music"
BLOCK = 48_000


class FakeBackend:
    """Runs any render; other operations answer with their own request in ``data``."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._loaded: dict[str, int] = {}
        self._jobs = 0

    def info(self) -> dict[str, Any]:
        """What a status shows; the word fake is in it."""
        return {
            "backend": "fake",
            "device": "fake",
            "dtype": "float32",
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
        caption = str((request.get("conditioning") or {}).get("caption", ""))
        script = parse_script(caption if "fake:" in caption else os.environ.get(SCRIPT_VARIABLE, ""))
        started = time.monotonic()
        self._jobs += 1
        stages = [str(stage.get("type", "stage")) for stage in request.get("stages", [])] or [operation]
        models = [str(stage.get("model", "")) or "fake" for stage in request.get("stages", [])] or ["fake"]
        self._play(script, stages, models, context)
        if "stages" not in request:
            return Result(data=request, notes=(NOTE,), seconds=time.monotonic() - started)
        files = _write_files(request, stages[-1], context)
        seconds = time.monotonic() - started
        return Result(
            files=files,
            seeds=tuple(_seeds(request)),
            notes=(NOTE,),
            stages=tuple(
                StageReport(type=stage, model=model, seconds={"denoise": seconds / len(stages)})
                for stage, model in zip(stages, models, strict=True)
            ),
            recipe=request,
            seconds=seconds,
        )

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


def _happen(script: Script, step: int) -> None:
    """The accidents that the script has for this step."""
    if script.hang_at == step:
        threading.Event().wait()
    if script.crash_at == step:
        os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        threading.Event().wait()
    if script.fail_at == step:
        raise ERRORS[script.fail](f"the script of this fake job ends in {script.fail} after step {step}")


def _seeds(request: dict[str, Any]) -> list[int]:
    stage = request["stages"][-1]
    variants = int(request["output"].get("variants") or 1)
    given = list(stage.get("seeds") or [stage.get("seed", 0)])
    return [given[index] if index < len(given) else index for index in range(variants)]


def _write_files(request: dict[str, Any], stage: str, context: JobContext) -> tuple[ResultFile, ...]:
    """One WAV of 24 bit per variant and role, of exactly the length the request asks for."""
    output = request["output"]
    files = []
    seeds = _seeds(request)
    for variant, seed in enumerate(seeds):
        for role in output.get("returns") or ["part"]:
            suffix = f"-{variant + 1}" if len(seeds) > 1 else ""
            name = f"{output.get('name') or stage}{suffix}-{role}.wav"
            place = _place(request, role)
            path = context.staging / name
            digest = _write_tone(path, place["rate"], place["channels"], place["length"], seed)
            files.append(
                ResultFile(role=role, name=name, variant=variant, seed=seed, subtype="PCM_24", sha256=digest, **place)
            )
            context.check()
    return tuple(files)


def _place(request: dict[str, Any], role: str) -> dict[str, int]:
    """Rate, channels, start, length and handles of a file, as the real engine would give them."""
    output, source = request["output"], request.get("source")
    rate, channels = int(output.get("rate") or 48_000), int(output.get("channels") or 2)
    if source is None or output.get("length"):
        length = int(output.get("length") or rate)
        return {"rate": rate, "channels": channels, "start": 0, "length": length}
    start, length = int(source.get("start") or 0), int(source.get("length") or rate)
    fade = samples(float(output.get("crossfade") or 0.0) / 1000, rate)
    if role == "patch":
        lead = min(fade, max(start, 0))
        extra = {"lead_in": lead, "lead_out": fade, "crossfade": fade}
        return {"rate": rate, "channels": channels, "start": start - lead, "length": length + lead + fade, **extra}
    if role == "span":
        first, last = int(output["span_start"]), int(output["span_end"])
        extra = {"lead_in": start - first, "lead_out": last - start - length, "crossfade": fade}
        return {"rate": rate, "channels": channels, "start": first, "length": last - first, **extra}
    return {"rate": rate, "channels": channels, "start": start, "length": length}


def _write_tone(path: Path, rate: int, channels: int, length: int, seed: int) -> str:
    """A quiet tone whose pitch follows the seed. Returns the file's sha256."""
    period = max(2, round(rate / (220.0 * 2 ** ((seed % 12) / 12))))
    cycle = b"".join(
        round(0.1 * 0x7FFFFF * math.sin(2 * math.pi * index / period)).to_bytes(3, "little", signed=True) * channels
        for index in range(period)
    )
    frame = 3 * channels
    with path.open("wb") as file:
        with wave.open(file, "wb") as tone:
            tone.setnchannels(channels)
            tone.setsampwidth(3)
            tone.setframerate(rate)
            tone.setnframes(length)
            block = cycle * (BLOCK // period + 1)
            left = length * frame
            while left > 0:
                part = block[: min(left, len(block))]
                tone.writeframesraw(part)
                left -= len(part)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(path.read_bytes()).hexdigest()
