"""What the transformer is trained on: every task's example is built as the engine builds its input."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from acestep.training.dit.dit_model import HIDDEN, NanoModel
from acestep.training.dit.hearing import NOTES, NoteHead, draw_excerpts, hearing_loss, sounding_notes
from acestep.training.dit.reading import ANSWERS, SLOWEST, TEMPI, TEMPO_STEP, Lesson, Reader
from acestep.training.dit.records import FRAMES, RecordStore
from acestep.training.dit.tasks import CROP, MAKERS, TASKS, ExampleInputs
from acestep.training.dit.time_draws import draw_times
from acestep.training.dit.train_dit import Batcher, example_losses, reading_loss
from acestep.training.dit.words import END, train_tokenizer
from acestep.training.evaluation.trained_model import shifted_times
from acestep.training.songs import Note, Part
from acestep.training.songs.song_harmony import scale
from acestep.training.songs.song_tracks import TRACKS


@pytest.fixture
def inputs(record) -> ExampleInputs:
    return ExampleInputs(record, torch.zeros(CROP, 64), random.Random(4))


def test_a_record_holds_what_the_tasks_need(record):
    """Mix, every stem, two mixes without a stem and both guides, 300 frames each."""
    names = set(record.latents)
    assert {"mix", "guide/beat", "guide/chords"} <= names
    assert {f"stem/{track}" for track in record.song.tracks} <= names
    assert sum(name.startswith("without/") for name in names) == min(2, len(record.song.tracks))
    assert all(latents.shape == (FRAMES, 64) for latents in record.latents.values())


@pytest.mark.parametrize("name", MAKERS)
def test_examples_have_the_models_shapes(inputs, name):
    """Source and target [256, 64], mask 0 or 1, prompt by the published template."""
    example = MAKERS[name][0](inputs)
    assert example.source.shape == example.target.shape == (CROP, 64)
    assert set(example.mask.unique().tolist()) <= {0.0, 1.0}
    assert example.prompt.startswith("# Instruction\n") and example.prompt.endswith("<|endoftext|>\n")
    assert example.lyrics.startswith("# Languages\nunknown\n\n# Lyric\n")


def test_repaint_keeps_the_outside_and_hides_the_region(inputs):
    """Outside the mask the source is the target; inside it is silence or the guide, never the answer."""
    for _ in range(20):
        example = MAKERS["repaint"][0](inputs)
        inside = example.mask.bool()
        assert torch.equal(example.source[~inside], example.target[~inside])
        assert not torch.equal(example.source[inside], example.target[inside])
        assert 20 <= int(inside.sum()) < 160


def test_an_absent_instrument_gives_silence(inputs):
    """Some extract examples ask for a class that the song lacks, and their target is silence."""
    examples = [MAKERS["extract"][0](inputs) for _ in range(80)]
    silent = [example for example in examples if torch.equal(example.target, inputs.silence)]
    tracks = {track.upper() for track in inputs.record.song.tracks}
    assert 0 < len(silent) < 40
    assert all(example.prompt.split("the ")[1].split(" track")[0] not in tracks for example in silent)


def test_shares_add_up_and_times_lie_between_noise_and_data():
    """The task mix is a distribution; times are inside (0, 1), reach both ends, and a stem's lie as its steps do."""
    assert sum(share for _, share in MAKERS.values()) == pytest.approx(1.0)
    extracts = torch.arange(8000) % 2 == 0
    times = draw_times(extracts, shift=3.0)
    stems, others = times[extracts], times[~extracts]
    for drawn in (stems, others):
        assert 0 < drawn.min() < 0.05 and 0.95 < drawn.max() < 1
    steps = shifted_times(8, 3.0).flip(0)
    assert stems.quantile(torch.linspace(0, 1, 9)).sub(steps).abs().max() < 0.05
    assert (stems > 0.9).float().mean() > 2 * (others > 0.9).float().mean()


def test_a_shelf_is_reread_without_encoding_again(tmp_path, codec, sine_bank, monkeypatch):
    """After an interruption the records on disk are used as they are; a half-written one does not count."""
    store = RecordStore(tmp_path, range(2, 5), sine_bank, codec)
    store.grow()
    (tmp_path / "3.partial").write_bytes(b"half")
    monkeypatch.setattr("acestep.training.dit.records.make_record", None)
    again = RecordStore(tmp_path, range(2, 5), sine_bank, codec)
    assert [record.song.seed for record in again.records] == [2] and not again.full
    assert torch.allclose(again.records[0].latents["mix"], store.records[0].latents["mix"], atol=2e-3, rtol=2e-3)


def test_tokenizer_knows_every_byte_and_pads_right():
    """No unknown tokens for any text, the end token is one token, padding stands on the right."""
    words = train_tokenizer(songs=40)
    text = f"Größe ♯♭ 東京 fast JAZZ{END}"
    assert words.decode(words(text)["input_ids"]) == f"größe ♯♭ 東京 fast jazz{END}"
    batch = words(["a", "a much longer caption"], padding=True)
    assert batch["attention_mask"][0][0] == 1 and batch["attention_mask"][0][-1] == 0


def test_padding_changes_nothing_and_every_weight_learns(record, tmp_path):
    """An example's loss does not depend on a longer neighbour, and one mixed batch reaches every trained parameter."""
    torch.manual_seed(1)
    model = NanoModel()
    torch.nn.init.normal_(model.transformer.proj_out_conv.weight, std=0.02)
    train_tokenizer(songs=40).save_pretrained(tmp_path / "tokenizer")
    batcher = Batcher(tmp_path, torch.zeros(64))
    examples = [
        MAKERS[name][0](ExampleInputs(record, torch.zeros(CROP, 64), random.Random(2))) for name in ("extract", "cover")
    ]
    prompts = [batcher.tokens([example.prompt for example in chosen], 256) for chosen in (examples, examples[:1])]
    lyrics = [batcher.tokens([example.lyrics for example in chosen], 256) for chosen in (examples, examples[:1])]
    reference, x = torch.zeros(1, 129, 64), torch.randn(2, CROP, 64)
    made = []
    for rows, text, lyric in zip((2, 1), prompts, lyrics, strict=True):
        hidden, known = model.condition(text, lyric, reference, torch.zeros(rows, dtype=torch.long))
        made.append(model.velocity(x[:rows], torch.full((rows,), 0.5), hidden, known, torch.zeros(rows, CROP, 128)))
    assert torch.allclose(made[0][0], made[1][0], atol=1e-5)
    example_losses(model, batcher, examples, random.Random(0)).mean().backward()
    idle = [name for name, value in model.named_parameters() if value.grad is None]
    assert all("special_token" in name or "null_condition_emb" in name for name in idle), idle


def test_reading_asks_for_what_the_prompt_tells(record):
    """The seven notes of the key, its tonic, every instrument, the tempo, the task and its track; nothing else."""
    song, lesson = record.song, Lesson(record.song, "extract", "drums")
    wanted, sizes = lesson.facts(), [12, 12, len(TRACKS), TEMPI, len(TASKS), len(TRACKS)]
    assert wanted.shape == (ANSWERS,) and set(wanted.tolist()) == {0.0, 1.0}
    key, tonic, tracks, tempo, task, track = (part.nonzero().flatten().tolist() for part in wanted.split(sizes))
    assert key == sorted(scale(song.tonic, song.minor)) and tonic == [song.tonic]
    assert [list(TRACKS)[index] for index in tracks] == [name for name in TRACKS if name in song.tracks]
    assert 0 <= song.bpm - (SLOWEST + TEMPO_STEP * tempo[0]) < TEMPO_STEP
    assert (TASKS[task[0]], list(TRACKS)[track[0]]) == ("extract", "drums")
    assert Lesson(song, "cover", "drums").facts()[-len(TRACKS) :].sum() == 0, "its sentence names no track"
    silent = Lesson(song, "extract", "drums", key=False, tempo=False, instruments=False)
    unasked = silent.facts().isnan()
    assert unasked[: -len(TASKS) - len(TRACKS)].all() and not unasked[-len(TASKS) - len(TRACKS) :].any()
    assert "- bpm: N/A\n" in silent.prompt(random.Random(1)) and song.key not in silent.prompt(random.Random(1))
    prompt = lesson.prompt(random.Random(1))
    assert f"- bpm: {song.bpm}\n" in prompt and song.key.split()[1] in prompt and "DRUMS" in prompt


def test_reading_is_free_of_padding_and_teaches_the_text_encoder(record, tmp_path):
    """Tokens behind the end do not count, a right answer costs little, what is untold nothing; the gradient reaches the encoder."""
    torch.manual_seed(1)
    lesson = Lesson(record.song, "lego", "bass")
    reader, hidden, mask = Reader(), torch.randn(1, 5, HIDDEN), torch.tensor([[1, 1, 1, 0, 0]])
    other = hidden.clone()
    other[:, 3:] += 1.0
    assert reader.loss(hidden, mask, [lesson]).item() == reader.loss(other, mask, [lesson]).item()
    with torch.no_grad():
        reader.answers.weight.zero_()
        reader.answers.bias.copy_(20.0 * lesson.facts() - 10.0)
    assert reader.loss(hidden, mask, [lesson]).item() < 1e-3
    assert reader.loss(hidden, mask, [replace(lesson, key=False)]).item() < 1e-3
    train_tokenizer(songs=40).save_pretrained(tmp_path / "tokenizer")
    model = NanoModel()
    reading_loss(model, Reader(), Batcher(tmp_path, torch.zeros(64)), [record], random.Random(0)).backward()
    assert all(value.grad.abs().sum() > 0 for value in model.text_encoder.layers.parameters())


def test_sounding_notes_are_the_score_in_seconds(record):
    """A note of the score stands in the frames it is held for, by pitch class; drums stand nowhere; bass twice."""
    song = record.song
    bass = Part("bass", 33, (Note(0.0, 1.0, 36, 90), Note(2.0, 0.5, 43, 90)), 0.0, 0.0)
    drums = Part("drums", 0, (Note(1.0, 1.0, 38, 90),), 0.0, 0.0, unpitched=True)
    lead = Part("synth", 80, (Note(1.0, 1.0, 76, 90),), 0.0, 0.0)
    found = sounding_notes(replace(song, bpm=60, parts=(bass, drums, lead)), frames=100)
    held = {(0, 0): (0, 25), (0, 12): (0, 25), (7, 0): (50, 63), (7, 12): (50, 63), (4, 0): (25, 50)}
    wanted = torch.zeros(100, NOTES)
    for (pitch_class, offset), (first, last) in held.items():
        wanted[first:last, pitch_class + offset] = 1.0
    assert torch.equal(found, wanted)


def test_hearing_teaches_the_tokenizer_pair_and_nothing_else(record):
    """Excerpts are whole codes of the mix; the loss falls with right answers; the gradient reaches tokenizer and detokenizer."""
    torch.manual_seed(1)
    rng = random.Random(1)
    latents, sounding = draw_excerpts([record], 2, rng)
    assert latents.shape == (2, 255, 64) and sounding.shape == (2, 255, NOTES) and 0 < sounding.mean() < 0.5
    listener, model = NoteHead(), NanoModel()
    honest = listener.loss(latents, latents, sounding)
    with torch.no_grad():
        listener.notes[-1].weight.zero_()
        listener.notes[-1].bias.fill_(20.0)
    assert listener.loss(latents, latents, torch.ones_like(sounding)).item() < 1e-3 < honest.item()
    hearing_loss(model, NoteHead(), [record], 1, rng).backward()
    taught = {name.partition(".")[0] for name, value in model.named_parameters() if value.grad is not None}
    assert taught == {"tokenizer", "detokenizer"}
