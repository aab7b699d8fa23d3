"""Songs and labels -> latents and conditions, each made once.

Three passes, each with one network in memory: sounds through the codec, words through the text encoder, both packed by the
condition encoder. Every tensor is named by what it follows from, so a pass that was interrupted continues, a changed label redoes
its words only, and another model redoes what it makes differently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import torch

from acestep.api import limits
from acestep.api.errors import AceError, BadRequest, CorruptAudio, SourceChanged
from acestep.api.rounding import samples
from acestep.api.variants import ModelInfo
from acestep.audio.read import read_window
from acestep.audio.resample import resample, to_channels
from acestep.audio.sniff import fingerprint
from acestep.checkpoints.info import part_paths
from acestep.checkpoints.layout import Parts
from acestep.checkpoints.load import Target
from acestep.codec.latent_codec import Codec
from acestep.conditioning.prompts import Prompt, caption_text, lyric_text
from acestep.dataset.digest import content_key, dataset_digest, file_digest
from acestep.dataset.prompt import trained_prompt
from acestep.dataset.sample import Dataset, TrainingSample, duration_text
from acestep.dataset.scan import measured_layout
from acestep.dataset.split import validation_ids
from acestep.runtime.devices import Choice, choose
from acestep.training.adapters.encoders import float32_on, model_facts, opened_codec, opened_packer, opened_reader
from acestep.training.adapters.pace import Pace, Report
from acestep.training.adapters.store import (
    LATENTS,
    STATES,
    VERSION,
    WORDS,
    Manifest,
    ModelFacts,
    PreparedFolder,
    Row,
    Store,
    finite,
    write_manifest,
)

MAX_SECONDS = 240.0
"""Of a song that are learned from, from its beginning: the original's limit."""

SOUNDS_STAGE, WORDS_STAGE, STATES_STAGE = "sounds", "words", "conditions"


class PrepareOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to prepare: device and number format (``auto``), and the seconds of each song that are learned from."""

    device: str = "auto"
    dtype: str = "auto"
    max_seconds: float = MAX_SECONDS

    def __post_init__(self) -> None:
        if not 1.0 <= self.max_seconds <= limits.MAX_DURATION:
            raise BadRequest(
                f"max_seconds is 1 to {limits.MAX_DURATION:g}, not {self.max_seconds:g}",
                field="max_seconds",
                limits={"min": 1.0, "max": limits.MAX_DURATION},
            )


@dataclass
class _Plan:
    """A sample on its way: what it will be trained with, and where its tensors lie."""

    sample: TrainingSample
    sound: str
    mark: str
    """The file's fingerprint when its hash was taken."""
    seconds: float
    prompt: Prompt
    latents: str
    words: str
    states: str

    @property
    def frames(self) -> int:
        return -(-self.codec_samples // limits.HOP)

    @property
    def codec_samples(self) -> int:
        return int(self.seconds * limits.CODEC_RATE + 0.5)


@dataclass
class _Run:
    """One preparing: its parts, where it writes, and what it has to tell."""

    dataset: Dataset
    info: ModelInfo
    options: PrepareOptions
    store: Store
    report: Report
    choice: Choice
    parts: Parts
    facts: ModelFacts
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prepare(
    dataset: Dataset, info: ModelInfo, folder: Path, options: PrepareOptions, report: Report = lambda progress: None
) -> PreparedFolder:
    """Prepare a dataset for a model, in a folder that may hold what was prepared before.

    Songs that cannot be used are left out with a sentence in the manifest. Raises `BadRequest` when none is left, `DiskFull`,
    `OutputUnwritable`, `OutOfMemory`, what opening the model raises, and what ``report`` raises.
    """
    choice = choose(options.device, options.dtype)
    run = _Run(dataset, info, options, Store(folder), report, choice, part_paths(info), model_facts(info))
    run.notes += choice.notes
    plans = _plans(run)
    plans = _encode_sounds(run, plans)
    if not plans:
        first = run.left_out[0] if run.left_out else "it has no samples"
        raise BadRequest(f"nothing of the dataset {dataset.name} can be learned from: {first}", field="dataset")
    _read_words(run, plans)
    _pack_conditions(run, plans)
    write_manifest(folder, _manifest(run, plans))
    return PreparedFolder(folder)


def _plans(run: _Run) -> list[_Plan]:
    """Every sample with its hashes; those that cannot be read are left out."""
    plans = []
    pace = Pace("hashes", len(run.dataset.samples), run.report)
    for sample in run.dataset.samples:
        try:
            plans.append(_plan(run, sample))
        except AceError as failure:
            run.left_out.append(f"{sample.filename}: {failure.message}")
        pace.advance()
    return plans


def _plan(run: _Run, sample: TrainingSample) -> _Plan:
    _, length = measured_layout(sample.path, sample.own.window)
    seconds = min(length, run.options.max_seconds)
    if seconds < length:
        run.notes.append(
            f"{sample.filename} is {duration_text(length)} long; its first {duration_text(seconds)} are learned from"
        )
    mark, sound = fingerprint(sample.path), file_digest(sample.path)
    prompt = trained_prompt(run.dataset, sample, seconds)
    window = [sample.own.window.start, sample.own.window.length]
    dtype = str(run.choice.dtype)
    words = content_key({"version": VERSION, "text": caption_text(prompt), "lyrics": lyric_text(prompt),
                         "encoder": run.facts.text, "dtype": dtype})  # fmt: skip
    return _Plan(
        sample, sound, mark, seconds, prompt, words=words,
        latents=content_key({"version": VERSION, "sound": sound, "window": window, "seconds": seconds,
                             "codec": run.facts.codec}),
        states=content_key({"version": VERSION, "words": words, "encoder": run.facts.condition}),
    )  # fmt: skip


def _encode_sounds(run: _Run, plans: list[_Plan]) -> list[_Plan]:
    """All sounds that are not there yet; returns the samples that have latents."""
    missing = {plan.latents for plan in plans if not run.store.has(LATENTS, plan.latents)}
    pace = Pace(SOUNDS_STAGE, len(plans), run.report)
    if not missing:
        pace.skip(len(plans))
        return plans
    done = []
    with opened_codec(run.parts, float32_on(run.choice.device)) as codec:
        for plan in plans:
            if run.store.has(LATENTS, plan.latents):
                pace.skip()
            else:
                try:
                    _encode_sound(run, plan, codec)
                except (CorruptAudio, SourceChanged, BadRequest) as failure:
                    run.left_out.append(f"{plan.sample.filename}: {failure.message}")
                    pace.skip()
                    continue
                pace.advance()
            done.append(plan)
        run.notes += codec.notes
    return done


def _encode_sound(run: _Run, plan: _Plan, codec: Codec) -> None:
    """One sound, read no further than it is learned from. Raises `SourceChanged` when somebody wrote the file meanwhile."""
    layout, _ = measured_layout(plan.sample.path, plan.sample.own.window)
    length = samples(plan.seconds, layout.rate)
    audio = read_window(plan.sample.path, layout, plan.sample.own.window.start, length)
    if fingerprint(plan.sample.path) != plan.mark:
        raise SourceChanged("the file was changed while it was prepared; prepare it again when it is finished")
    if not audio.any():
        raise BadRequest("it holds nothing but silence")
    stereo = np.clip(resample(to_channels(audio, 2), layout.rate, limits.CODEC_RATE, plan.codec_samples), -1.0, 1.0)
    mean, std = codec.encode_posterior(torch.from_numpy(stereo), lambda done, tiles: None)
    if not finite(mean):
        raise CorruptAudio("the codec makes no numbers of it")
    run.store.put(LATENTS, plan.latents, {"mean": mean[0]} | ({} if std is None else {"std": std[0]}))


def _read_words(run: _Run, plans: list[_Plan]) -> None:
    """What the text encoder makes of the prompts whose conditions are not there yet."""
    missing = _missing(plans, lambda plan: run.store.has(STATES, plan.states) or run.store.has(WORDS, plan.words))
    pace = Pace(WORDS_STAGE, len(plans), run.report)
    pace.skip(len(plans) - len(missing))
    if missing:
        with opened_reader(run.parts, _target(run)) as reader:
            for plan in missing:
                run.store.put(WORDS, plan.words, reader.read(plan.prompt))
                pace.advance()


def _pack_conditions(run: _Run, plans: list[_Plan]) -> None:
    missing = _missing(plans, lambda plan: run.store.has(STATES, plan.states))
    pace = Pace(STATES_STAGE, len(plans), run.report)
    pace.skip(len(plans) - len(missing))
    if missing:
        with opened_packer(run.parts, _target(run)) as packer:
            for plan in missing:
                run.store.put(STATES, plan.states, {"states": packer.pack(run.store.get(WORDS, plan.words))})
                pace.advance()


def _missing(plans: list[_Plan], there: Callable[[_Plan], bool]) -> list[_Plan]:
    return [plan for plan in plans if not there(plan)]


def _target(run: _Run) -> Target:
    return Target(run.choice.device, run.choice.dtype, lambda: None)


def _manifest(run: _Run, plans: list[_Plan]) -> Manifest:
    listening = validation_ids(run.dataset)
    texts = {plan.sample.id: f"{caption_text(plan.prompt)}\0{lyric_text(plan.prompt)}" for plan in plans}
    rows = [
        Row(
            id=plan.sample.id,
            name=plan.sample.filename,
            frames=plan.frames,
            latents=plan.latents,
            states=plan.states,
            sound=plan.sound,
            text=plan.prompt.caption,
            validation=plan.sample.id in listening,
        )
        for plan in plans
    ]
    return Manifest(
        rows=tuple(rows),
        model=run.facts,
        name=run.dataset.name,
        dataset=dataset_digest(run.dataset, texts, {plan.sample.id: plan.latents for plan in plans}),
        trigger=run.dataset.custom_tag,
        tag_position=run.dataset.tag_position,
        max_seconds=run.options.max_seconds,
        left_out=tuple(run.left_out),
        notes=tuple(run.notes),
    )
