"""A backend without a model: real files of the right length and place, made of quiet tones, on a script.

For tests of daemons, clients and DAW scripts. The caption carries the script, ``fake: steps=8 delay=0.1 crash_at=3`` (see
`acestep.testing.script.Script`), or the environment variable ``ACESTEP_FAKE_SCRIPT`` does so for every job. Every result says
that it is a fake.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from acestep.api.errors import ERRORS
from acestep.api.request import Conditioning, Output, samples
from acestep.api.result import Result, ResultFile, StageReport
from acestep.api.schema import convert
from acestep.audio.sniff import sniff
from acestep.audio.splice import Handles, clamp_handles
from acestep.engine.deliver import Delivery, Order, Take
from acestep.testing.script import Script, parse_script
from acestep.worker.backend import JobContext

SCRIPT_VARIABLE = "ACESTEP_FAKE_SCRIPT"
NOTE = "made by the fake backend: tones for testing, no music"


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
        files = tuple(_write_stages(request, stages, self._settings, context))
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


def _write_stages(
    request: dict[str, Any], stages: list[str], settings: dict[str, Any], context: JobContext
) -> list[ResultFile]:
    """The files of every stage that returns some, each from the source it names; the last returns what the output says."""
    files: list[ResultFile] = []
    returning = [bool(stage.get("returns")) for stage in request["stages"][:-1]]
    for index, stage in enumerate(request["stages"]):
        last = index == len(stages) - 1
        if not last and not returning[index]:
            continue
        roles = request["output"].get("returns") if last else stage["returns"]
        source = stage.get("source") or request.get("source") or {}
        before = next((file.name for file in reversed(files) if file.stage == source.get("stage")), None)
        if before is not None:
            source = {**source, "path": str(context.staging / before)}
        name = request["output"].get("name", "")
        name = f"{index + 1}-{name or stages[index]}" if any(returning) else name
        output = {**request["output"], "returns": roles, "name": name}
        if source.get("path") or source.get("upload"):
            output["length"] = None if "stage" in source or "source" in stage else output.get("length")
        asked = {**request, "stages": [stage], "source": source, "output": output}
        made = _write_files(asked, stages[index], settings, context)
        files += [msgspec.structs.replace(file, stage=index + 1) for file in made]
    return files


def _write_files(
    request: dict[str, Any], stage: str, settings: dict[str, Any], context: JobContext
) -> list[ResultFile]:
    """Tones in place of the model's sound, written, placed and spliced by the engine's own code."""
    output = convert({**request["output"], "returns": request["output"].get("returns") or ["part"]}, Output)
    order = _order(request, stage, output, settings, context)
    files: list[ResultFile] = []
    for variant, seed in enumerate(_seeds(request)):
        length = order.handles.before + order.length + order.handles.after
        channels = order.layout.channels if order.layout is not None else output.channels or 2
        sound = _tone(order.rate, channels, length, seed)
        files += Delivery(order, context.check).write(Take(variant=variant, seed=seed, sound=sound))
    return files


def _order(request: dict[str, Any], stage: str, output: Output, settings: dict[str, Any], context: JobContext) -> Order:
    """Where the files of a request lie: on the source's timeline, or on one of their own."""
    shared: dict[str, Any] = {
        "folder": context.staging,
        "stage": stage,
        "output": output,
        "conditioning": convert(request.get("conditioning") or {}, Conditioning),
        "recipe": request,
    }
    source = request.get("source") or {}
    path = Path(source["path"]) if source.get("path") else Path(settings["uploads"]) / f"{source.get('upload')}.audio"
    if not (source.get("path") or source.get("upload")) or output.length:
        length = output.length or output.rate or 48_000
        return Order(rate=output.rate or 48_000, start=0, length=length, handles=Handles(0, 0), **shared)
    layout = sniff(path)
    start = int(source.get("start") or 0)
    length = int(source.get("length") or layout.frames - start)
    handles = Handles(0, 0)
    if {"patch", "span", "whole"} & set(output.returns or []):
        handles = clamp_handles(start, length, layout.frames, samples(output.crossfade / 1000, layout.rate))
    place = {"rate": layout.rate, "start": start, "length": length, "handles": handles}
    return Order(path=path, layout=layout, **place, **shared)


def _tone(rate: int, channels: int, length: int, seed: int) -> np.ndarray:
    """A quiet tone whose pitch follows the seed, [channels, length]."""
    hertz = 220.0 * 2 ** ((seed % 12) / 12)
    wave = 0.1 * np.sin(2 * np.pi * hertz / rate * np.arange(length))
    return np.repeat(wave[None].astype(np.float32), channels, axis=0)
