"""Operation ``decode``: a stored latent, or a stored step's estimate, as sound of its exact length."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from acestep.api.errors import ModelMissing
from acestep.api.family import OpenModel
from acestep.api.result import Result, ResultFile, StageReport
from acestep.api.rounding import rescaled
from acestep.api.schema import convert
from acestep.api.variants import ModelInfo
from acestep.audio.chunks import Tags
from acestep.audio.copies import copy_notes, with_copies
from acestep.audio.latent_header import LatentFacts, read_latent_facts
from acestep.audio.resample import resample, to_channels
from acestep.audio.write import Shape, form_of, write_audio
from acestep.codec.width import told_width
from acestep.latents.latent_file import load_latent
from acestep.latents.latent_store import find_latent
from acestep.worker.backend import JobContext

SHARES = {"load": 0.2, "decode": 0.9}


def _model_for(engine: Any, asked: str, facts: LatentFacts) -> str:
    """The model whose codec decodes a latent: the named one, else the one that made it, else the default where it is of its family.

    Raises `ModelMissing`.
    """
    if asked:
        return asked
    for name in (facts.model, ""):
        try:
            info: ModelInfo = engine.models.info(name)
        except ModelMissing:
            continue
        if info.latent_family == facts.family:
            return info.name
    raise ModelMissing(
        f"the latent was made by {facts.model}, which is not here, and no default model decodes the family {facts.family}; "
        "name a model that does",
        field="model",
        limits={"family": facts.family},
    )


def run(request: dict[str, Any], context: JobContext) -> Result:
    """Raises `NotFound`, `BadLatent`, `ModelMissing`, `OutOfMemory`."""
    begun = time.monotonic()
    asked: Any = convert(dict(request), context.registry.operation("decode").schema)
    engine: Any = context.backend

    # 1. Find the latent and open a model with its codec.
    path = find_latent(Path(engine.settings["library"]), asked.latent)
    facts = read_latent_facts(path)
    model = engine.models.open(_model_for(engine, asked.model, facts), context.check)
    context.tick("load", 1, 1, SHARES["load"])
    latent, facts, _ = load_latent(path, model.info.latent_family)

    # 2. Decode, one frame more than the sound has, so that the resampler's filter sees sound at the end.
    grid, runtime = model.info.grid, engine.models.runtime(model.info)
    last = min(facts.frames, grid.covering(facts.samples, facts.rate) + 1)

    def tick(done: int, of: int) -> None:
        context.tick("decode", done, of, SHARES["load"] + (SHARES["decode"] - SHARES["load"]) * done / of)

    with engine.models.placement.on_device(model, "codec"):
        decoded, remarks = runtime.decode(model, latent, (0, last), tick)
    width = told_width(facts.recipe.get("width")) if model.info.defaults.narrow else None
    played = decoded.numpy() if width is None else width.apply(decoded.numpy())

    # 3. Write it at the asked rate, where the latent lies on its timeline.
    rate = asked.rate or facts.rate
    length = max(1, rescaled(facts.samples, facts.rate, rate))
    sound = to_channels(resample(played, grid.rate, rate, length), facts.channels)
    file = _write(context.staging / f"{path.stem}-decoded", sound, rate, asked.format, facts)
    files = with_copies([file], context.staging, asked.format)

    seconds = round(time.monotonic() - begun, 3)
    report = StageReport(type="decode", model=model.info.name, seconds={"decode": seconds})
    named = msgspec.to_builtins(msgspec.structs.replace(asked, model=model.info.name))
    recipe = {"operation": "decode", "request": named, "weights": {model.info.name: model.digest}}
    notes = (*_notes(facts, model), *remarks, *copy_notes(files))
    return Result(files=tuple(files), notes=notes, stages=(report,), recipe=recipe, seconds=seconds)


def _write(stem: Path, sound: NDArray[np.float32], rate: int, form_name: str, facts: LatentFacts) -> ResultFile:
    form = form_of(form_name)
    target = stem.with_name(stem.name + form.suffix)
    start, length = rescaled(facts.start, facts.rate, rate), sound.shape[1]
    tags = Tags(position=start, description="decoded by acestep-bridge", recipe=facts.recipe)
    written = write_audio(target, [sound], Shape(rate, facts.channels, length), form, tags)
    return ResultFile(
        role="part",
        name=target.name,
        rate=rate,
        channels=facts.channels,
        start=start,
        length=length,
        seed=facts.seed,
        clipped=written.clipped,
        subtype=form.subtype,
        sha256=written.sha256,
    )


def _notes(facts: LatentFacts, model: OpenModel) -> list[str]:
    """What the user should know of the sound."""
    notes = [] if facts.trained else [f"made by {facts.model}, which has random weights: noise"]
    if facts.codec != model.codec_digest:
        notes.append(f"decoded by the codec of {model.info.name}, which is not the one that {facts.model} made it with")
    return notes
