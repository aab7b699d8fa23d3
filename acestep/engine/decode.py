"""Operation ``decode``: a stored latent, or a stored step's estimate, as sound of its exact length."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from acestep.api import limits
from acestep.api.errors import ModelMissing
from acestep.api.result import Result, ResultFile, StageReport
from acestep.api.rounding import rescaled
from acestep.api.schema import convert
from acestep.api.variants import ModelInfo
from acestep.audio.chunks import Tags
from acestep.audio.copies import copy_notes, with_copies
from acestep.audio.latent_header import LatentFacts, read_latent_facts
from acestep.audio.latent_store import find_latent
from acestep.audio.resample import resample, to_channels
from acestep.audio.write import Shape, form_of, write_audio
from acestep.codec.codec import Codec
from acestep.engine.geometry import FRAMES_PER_SECOND
from acestep.engine.latents import load_latent
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
    path = find_latent(Path(engine.settings["library"]), asked.latent)
    facts = read_latent_facts(path)
    model = engine.models.open(_model_for(engine, asked.model, facts), context.check)
    context.tick("load", 1, 1, SHARES["load"])
    latent, facts, _ = load_latent(path, model.info.latent_family)
    last = min(facts.frames, -(-facts.samples * FRAMES_PER_SECOND // facts.rate) + 1)
    codec = Codec(model.codec)

    def tick(done: int, of: int) -> None:
        context.tick("decode", done, of, SHARES["load"] + (SHARES["decode"] - SHARES["load"]) * done / of)

    rate = asked.rate or facts.rate
    length = max(1, rescaled(facts.samples, facts.rate, rate))
    with engine.models.placement.on_device(model, "codec"):
        decoded = codec.decode(latent, 0, last, tick).numpy()
    sound = resample(decoded, limits.CODEC_RATE, rate, length)
    sound, form = to_channels(sound, facts.channels), form_of(asked.format)
    target = context.staging / f"{path.stem}-decoded{form.suffix}"
    start = rescaled(facts.start, facts.rate, rate)
    tags = Tags(position=start, description="decoded by acestep-bridge", recipe=facts.recipe)
    written = write_audio(target, [sound], Shape(rate, facts.channels, length), form, tags)
    file = ResultFile(
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
    notes = (
        [*codec.notes] if facts.trained else [f"made by {facts.model}, which has random weights: noise", *codec.notes]
    )
    seconds = round(time.monotonic() - begun, 3)
    report = StageReport(type="decode", model=model.info.name, seconds={"decode": seconds})
    if facts.codec != model.codec_digest:
        notes.append(f"decoded by the codec of {model.info.name}, which is not the one that {facts.model} made it with")
    request = msgspec.to_builtins(msgspec.structs.replace(asked, model=model.info.name))
    recipe = {"operation": "decode", "request": request, "weights": {model.info.name: model.digest}}
    files = with_copies([file], context.staging, asked.format)
    notes += copy_notes(files)
    return Result(files=tuple(files), notes=tuple(notes), stages=(report,), recipe=recipe, seconds=seconds)
