"""Practice first, then flow matching on latents: v = noise - data, time logit-normal, all tasks in every batch, one EMA.

Whoever cannot read sees one task in all of them: before the text encoder tells a `DRUMS` from a `BASS`, the transformer
learns to do without it, and unlearning that takes longer than some minutes of reading.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from acestep.api.variants import VARIANTS
from acestep.conditioning.prompts import CAPTION_TOKENS, LYRIC_TOKENS
from acestep.networks.nano_codec import NanoCodec
from acestep.training.dit.dit_model import TIMBRE_REACH, NanoModel
from acestep.training.dit.hearing import NoteHead, hearing_loss
from acestep.training.dit.reading import Reader, draw_lesson
from acestep.training.dit.records import Record, RecordStore, silence_frame
from acestep.training.dit.tasks import CODED_CROP, CROP, TrainingExample, draw_example
from acestep.training.dit.time_draws import draw_times
from acestep.training.dit.words import open_tokenizer
from acestep.training.parallel import ProcessGroup, mixed_precision
from acestep.training.run import TrainingRun, decay, plot_history
from acestep.training.songs import song_seed
from acestep.training.songs.bank import open_bank
from acestep.training.start import START_SHARE, start_model
from acestep.training.weights import open_codec

NULL_SHARE = 0.08  # examples whose whole condition is the null embedding, for classifier-free guidance
PRACTICE_EVERY = 6  # steps, once the music has begun
HEARING_BATCH, HEARING_WEIGHT = 32, 0.6
READING_BATCH, READING_RATE = 24, 2e-3
LATER_READING = 0.1  # of that rate: sound tells so little about words that at full rate it makes them unreadable again
ATTENTION_KERNELS = {"cpu": [SDPBackend.MATH]}
"""By kind of device. The fused kernel's backward pass is slower on a CPU at these lengths than plain matrix products."""
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


@dataclass(frozen=True, slots=True)
class DitSettings:
    """`songs` records per process, `first_songs` of them before the first step, then one every `grow_every` steps.

    The first `practice` seconds, a tenth of the time at most, go to reading and hearing alone.
    """

    seconds: float
    songs: int = 160
    first_songs: int = 40
    practice: float = 300.0
    grow_every: int = 8
    batch: int = 16
    learning_rate: float = 1.2e-3
    ema: float = 0.99
    seed: int = 0
    device: str = "cpu"
    start: Path | None = None


class Averager:
    """Exponential moving average of a module's parameters, quick at first."""

    def __init__(self, module: nn.Module, rate: float) -> None:
        self.rate = rate
        self.module = module
        self.values = {name: value.detach().clone() for name, value in module.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        share = 1.0 - min(self.rate, step / (step + 20.0))
        torch._foreach_lerp_(list(self.values.values()), [value for _, value in self.module.named_parameters()], share)


class Batcher:
    """Examples to tensors, prompts to tokens."""

    def __init__(self, folder: Path, silence: Tensor) -> None:
        self.words = open_tokenizer(folder / "tokenizer")
        self.silence = silence.expand(CROP, -1)

    def tokens(self, prompts: list[str], longest: int, device: torch.device | str = "cpu") -> dict[str, Tensor]:
        return dict(self.words(prompts, return_tensors="pt", padding=True, truncation=True, max_length=longest,
                               return_token_type_ids=False).to(device))  # fmt: skip

    def condition(self, model: NanoModel, examples: list[TrainingExample], rng: random.Random) -> tuple[Tensor, Tensor]:
        device, references, rows = model.device, [self.silence[:TIMBRE_REACH]], []
        for example in examples:
            rows.append(0 if example.reference is None else len(references))
            if example.reference is not None:
                references.append(example.reference[:TIMBRE_REACH])
        hidden, mask = model.condition(self.tokens([e.prompt for e in examples], CAPTION_TOKENS, device),
                                       self.tokens([e.lyrics for e in examples], LYRIC_TOKENS, device),
                                       torch.stack(references).to(device), torch.tensor(rows, device=device))  # fmt: skip
        dropped = torch.tensor([rng.random() < NULL_SHARE for _ in examples], device=device)
        null = model.condition_encoder.null_condition_emb.expand_as(hidden)
        return torch.where(dropped[:, None, None], null, hidden), mask


def sources(model: NanoModel, examples: list[TrainingExample]) -> Tensor:
    """Context sources [B, T, 64], some of them through the bottleneck."""
    stacked = torch.stack([example.source for example in examples]).to(model.device)
    chosen = [index for index, example in enumerate(examples) if example.bottleneck]
    if not chosen:
        return stacked
    coarse, rest = model.through_bottleneck(stacked[chosen, :CODED_CROP]).float(), stacked[chosen, CODED_CROP:]
    return stacked.index_copy(0, torch.tensor(chosen, device=model.device), torch.cat([coarse, rest], 1))


def example_losses(model: NanoModel, batcher: Batcher, examples: list[TrainingExample], rng: random.Random) -> Tensor:
    """Weighted squared velocity error per example [B]."""
    source = sources(model, examples)
    mask = torch.stack([example.mask for example in examples]).to(source)[..., None].expand(-1, -1, 64)
    target = torch.stack([example.target for example in examples]).to(source)
    weight = torch.stack([example.weight for example in examples]).to(source)[..., None]
    extracts = torch.tensor([example.task == "extract" for example in examples])
    noise, time = torch.randn_like(target), draw_times(extracts, VARIANTS["nano"].shift).to(source)
    at = time[:, None, None]
    with mixed_precision(model.device), sdpa_kernel(ATTENTION_KERNELS.get(model.device.type, FUSED)):
        hidden, known = batcher.condition(model, examples, rng)
        made = model.velocity(
            at * noise + (1 - at) * target, time, hidden, known, torch.cat([source, mask], -1)
        ).float()
    return ((made - (noise - target)).square() * weight).sum((1, 2)) / (weight.sum((1, 2)) * 64)


def reading_loss(
    model: NanoModel, reader: Reader, batcher: Batcher, records: list[Record], rng: random.Random
) -> Tensor:
    """How badly prompts of some of the songs are read."""
    lessons = [draw_lesson(record.song, rng) for record in rng.choices(records, k=READING_BATCH)]
    text = batcher.tokens([lesson.prompt(rng) for lesson in lessons], CAPTION_TOKENS, model.device)
    with mixed_precision(model.device):
        hidden = model.read(text)
    return reader.loss(hidden.float(), text["attention_mask"], lessons)


class Learner(nn.Module):
    """All that is trained: the model, and the two heads that only training needs."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.reader, self.listener = NanoModel(), Reader(), NoteHead()


def playing_and_reading(learner: Learner) -> list[dict[str, Any]]:
    """Two groups of parameters, which learn at rates of their own: what makes sound, and what reads."""
    model = learner.model
    parts = (model.text_encoder, model.condition_encoder.text_projector, learner.reader)
    reading = [value for part in parts for value in part.parameters()]
    ids = {id(value) for value in reading}
    return [{"params": [value for value in learner.parameters() if id(value) not in ids]}, {"params": reading}]


def practice_loss(
    learner: Learner, batcher: Batcher, records: list[Record], rng: random.Random, track: Callable[..., None]
) -> Tensor:
    """How badly prompts are read and notes are heard in some of the songs."""
    reading = reading_loss(learner.model, learner.reader, batcher, records, rng)
    hearing = hearing_loss(learner.model, learner.listener, records, HEARING_BATCH, rng)
    track(reading=reading.item(), hearing=hearing.item())
    return reading + HEARING_WEIGHT * hearing


def first_records(group: ProcessGroup, folder: Path, codec: NanoCodec, settings: DitSettings) -> RecordStore:
    """This process's share of the songs, as many as the first step needs already made; returns when all processes have theirs."""
    first = song_seed("train", 0)
    seeds = range(first + group.rank, first + settings.songs * group.size, group.size)
    store = RecordStore(folder / "latents", seeds, open_bank(), codec)
    while len(store.records) < min(settings.first_songs, len(seeds)):
        store.grow()
    group.wait()
    return store


def train_dit(group: ProcessGroup, folder: Path, codec_folder: Path, settings: DitSettings) -> None:
    """Train (or go on training) in `folder` for the given time; leaves `state.pt` (with EMA) and `loss.png`.

    A fresh run with `settings.start` begins from that checkpoint's weights.
    """
    torch.manual_seed(settings.seed)
    learner = Learner().to(settings.device)
    model = learner.model
    torch.manual_seed(settings.seed + group.rank + 1)
    rng = random.Random(settings.seed + group.rank)
    codec = nn.Module.to(open_codec(codec_folder), settings.device)
    optimizer = torch.optim.AdamW(playing_and_reading(learner), betas=(0.9, 0.98), weight_decay=0.01, foreach=True)
    average = Averager(model, settings.ema)
    run = TrainingRun(folder, settings.seconds, leads=group.leads)
    state = run.resume()
    if state:
        for name, part in learner.named_children():
            part.load_state_dict(state[name])
        optimizer.load_state_dict(state["optimizer"])
        average.values = state["ema"]
    elif settings.start:
        start_model(model, settings.start, folder)
        average = Averager(model, settings.ema)
    batcher = Batcher(folder, silence_frame(codec))
    learning_rate = settings.learning_rate * (START_SHARE if settings.start else 1.0)
    store = first_records(group, folder, codec, settings)

    def snapshot() -> dict:
        parts = {name: part.state_dict() for name, part in learner.named_children()}
        return parts | {"optimizer": optimizer.state_dict(), "ema": average.values}

    for step in run.steps(snapshot):
        if step % settings.grow_every == 0:
            store.grow()
        practises = run.elapsed < min(settings.practice, settings.seconds / 10)
        rates = (learning_rate, READING_RATE * (1.0 if practises else LATER_READING))
        for parameters, rate in zip(optimizer.param_groups, rates, strict=True):
            parameters["lr"] = rate * decay(run.fraction, step, warmup=100, hold=0.5)
        loss = torch.zeros((), device=model.device)
        if practises or step % PRACTICE_EVERY == 0:
            loss = loss + practice_loss(learner, batcher, store.records, rng, run.track)
        if not practises:
            drawn = [draw_example(store.records, batcher.silence, rng) for _ in range(settings.batch)]
            losses = example_losses(model, batcher, [example for _, example in drawn], rng)
            loss = loss + losses.mean()
            for (name, _), value in zip(drawn, losses.tolist(), strict=True):
                run.track(**{name: value})
        optimizer.zero_grad()
        loss.backward()
        run.elapsed = group.average_gradients(learner, run.clock())
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        average.update(step)
        run.report()
    if group.leads:
        plot_history(run.history, folder / "loss.png", "diffusion transformer")
