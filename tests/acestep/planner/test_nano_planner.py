"""The nano planner: its language, what of its readings is taken, the shipped weights, the flag, and its training."""

from __future__ import annotations

import random
import re

import pytest

from acestep.api.errors import FeatureDisabled
from acestep.api.features import NANO_PLANNER
from acestep.api.planning import PlannerSettings
from acestep.api.registry import Registry
from acestep.planner.nano import nano_planner
from acestep.planner.nano.language import ASK, LISTS, TOKENS, Answer, allowed, read_answer
from acestep.planner.nano.nano_planner import MADE_BY, NanoPlanner, further_reader
from acestep.planner.nano.network import WEIGHTS, NanoReader, NanoReading
from acestep.planner.plan_inputs import PlanInputs
from acestep.planner.rules.reading import read_sentence
from acestep.training.planner import wordings
from acestep.training.planner.examine import examine, held_out, report
from acestep.training.planner.examine import test_songs as songs_of_the_test_split
from acestep.training.planner.sentences import example
from acestep.training.planner.train_planner import (
    ReaderTraining,
    batches,
    born,
    learn_tokenizer,
    loss_of,
    train_planner,
)

# Its language


def test_every_answer_is_written_under_its_grammar() -> None:
    """Forth and back for the answers of training; after the last token nothing may follow."""
    for index in range(300):
        answer = example("train", index).answer
        tokens = answer.tokens()
        assert all(token in allowed(tokens[:place]) for place, token in enumerate(tokens))
        assert allowed(tokens) == () and max(tokens) < TOKENS
        assert set(read_answer(tokens).instruments) == set(answer.instruments)
        assert read_answer(tokens).tokens() == tokens


def test_whatever_the_network_writes_is_an_answer() -> None:
    """The grammar ends, and its end can always be read."""
    chance = random.Random(7)
    for _ in range(200):
        tokens: list[int] = []
        while options := allowed(tokens):
            tokens.append(chance.choice(options))
        assert read_answer(tokens).tokens()[:LISTS][0:5] == tokens[0:5]


# What is taken of a reading


class Scripted:
    """A reader that hears what it is told, whatever word stands there but those that ``speak`` for it."""

    def __init__(self, answer: Answer, speak: tuple[str, ...], sure: float = 0.99) -> None:
        self.answer, self.speak, self.sure = answer, speak, sure

    def read(self, sentence: str) -> NanoReading:
        tokens = tuple(self.answer.tokens())
        names = [*nano_planner.PLACES, *map(nano_planner.word_of, tokens[LISTS:])]
        return NanoReading(read_answer(tokens), tokens, dict.fromkeys(names, self.sure))

    def likelihoods(self, sentences: list[str], answer: tuple[int, ...]) -> list[list[float]]:
        return [[1.0 if all(word in one for word in self.speak) else 0.1] * len(answer) for one in sentences]


def read(sentence: str, reader: Scripted):
    """The rules' reading with this reader's help."""
    return read_sentence(sentence, lambda text, reading: nano_planner._read_further(reader, text, reading))


def test_a_value_is_taken_where_a_word_that_rules_left_speaks_for_it() -> None:
    """And that word is no longer part of the caption; a note says what was read."""
    reading = read("jazz zzyx, qwop", Scripted(Answer(bpm=118), speak=("zzyx",)))
    assert (reading.figures.bpm, reading.rest) == (118.0, "qwop")
    assert "read by the nano planner: 118 bpm" in reading.notes


@pytest.mark.parametrize(
    ("sentence", "reader"),
    [
        ("jazz, zzyx", Scripted(Answer(bpm=118), speak=())),  # no word speaks for it
        ("jazz, zzyx", Scripted(Answer(bpm=118), speak=("zzyx",), sure=0.5)),
        ("jazz at 90 bpm, zzyx", Scripted(Answer(bpm=118), speak=("zzyx",))),
        ("jazz", Scripted(Answer(bpm=118), speak=("jazz",))),  # nothing is left for it
        ("jazz, zzyx", Scripted(Answer(bpm=999), speak=("zzyx",))),
    ],
    ids=["no word", "not sure", "said in figures", "nothing left", "no tempo"],
)
def test_a_tempo_is_not_taken(sentence: str, reader: Scripted) -> None:
    """Nothing is guessed, and no figure of the sentence is overruled."""
    alone = read_sentence(sentence)
    assert read(sentence, reader).figures.bpm == alone.figures.bpm


def test_a_key_agrees_with_what_rules_found_of_it() -> None:
    """A mode that is said holds; a tonic beside it may be added."""
    assert read("in a minor key, zzyx", Scripted(Answer(key="F# minor"), speak=("zzyx",))).figures.key == "F# minor"
    assert read("in a minor key, zzyx", Scripted(Answer(key="F# major"), speak=("zzyx",))).figures.key == ""
    assert read("in F minor, zzyx", Scripted(Answer(key="G minor"), speak=("zzyx",))).figures.key == "F minor"


def test_a_length_in_digits_is_never_overruled() -> None:
    """One in words is, where the rules have read half of it."""
    reader = Scripted(Answer(length=110, unit="seconds"), speak=("zzyx",))
    assert read("jazz, 45 seconds, zzyx", reader).figures.seconds == 45
    assert read("jazz, one minute zzyx", reader).figures.seconds == 110
    assert read("jazz, 8 bars, zzyx", reader).figures.bars == 8


def test_what_should_not_play_is_taken_out() -> None:
    """A refusal that only the network understands, and one of the rules that the network forgets."""
    reading = read("rock with drums, zzyx", Scripted(Answer(refused=("drums",)), speak=("zzyx",)))
    assert (reading.refused, reading.instruments) == (["drums"], [])
    kept = read("rock, no drums, zzyx", Scripted(Answer(instruments=("drums",)), speak=("zzyx",)))
    assert (kept.refused, kept.instruments) == (["drums"], [])


@pytest.mark.parametrize("sentence", ["切ない曲 zzyx", "word " * 100], ids=["another script", "a story"])
def test_what_it_cannot_read_it_is_not_asked(sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules answer alone."""
    monkeypatch.setattr(nano_planner, "_read_further", lambda *arguments: pytest.fail("asked"))
    assert read_sentence(sentence, further_reader()).notes == read_sentence(sentence).notes


# The shipped weights


def compose(query: str):
    """The plan of a sentence."""
    return NanoPlanner().compose(query, PlanInputs(), PlannerSettings(), 1, lambda done, total: None)


def test_it_reads_what_rules_cannot() -> None:
    """A tempo in words, and a typing slip; the caption keeps none of these words."""
    plan = compose("saxaphone ballad, one hundred and eighteen beats every minute")
    assert plan.metadata.bpm == 118
    assert "saxophone" in plan.metadata.caption
    assert not re.search("hundred|eighteen|saxaphone", plan.metadata.caption)
    assert any(note.startswith("read by the nano planner: ") for note in plan.notes)


def test_the_same_sentence_gives_the_same_plan() -> None:
    """With the same seed."""
    assert compose("quick jaz, ninety nine a minute") == compose("quick jaz, ninety nine a minute")


def test_it_reads_held_out_wordings_better_than_rules_alone() -> None:
    """By hand, in words that neither training nor the vocabulary has: clearly more right, hardly more made up. docs/nano.md has
    the figures; these bounds leave room for a processor that computes otherwise.
    """
    alone, helped = (examine(held_out(), further) for further in (None, further_reader()))
    right = [sum(marks.right for marks in one.values()) for one in (alone, helped)]
    made_up = [sum(marks.made_up for marks in one.values()) for one in (alone, helped)]
    assert right[1] >= right[0] + 25
    assert made_up[1] <= made_up[0] + 8
    assert all(helped[value].right >= alone[value].right for value in alone)


def test_no_held_out_sentence_has_a_wording_of_training() -> None:
    """Of two words or more, whatever the value."""
    forms = [*wordings.TEMPO, *wordings.KEY, *wordings.KEY_PARTS, *wordings.LENGTH, *wordings.WITH, *wordings.REFUSING]
    joining = {"the", "of", "a", "in", "at", "with", "for", "to", "and", "it", "is", "on"}
    words = {form: re.sub(r"\{\w*\}", "", form).split() for form in forms}
    frames = [form for form in forms if len(words[form]) >= 2 and set(words[form]) - joining]
    gaps = [re.sub(r"\\\{\w*\\\}", r"[\\w# -]{1,30}?", re.escape(form)) for form in frames]
    patterns = [re.compile(rf"(?<!\w){gap}(?!\w)", re.IGNORECASE) for gap in gaps]
    assert {one.sentence: [p.pattern for p in patterns if p.search(one.sentence)] for one in held_out()
            if any(p.search(one.sentence) for p in patterns)} == {}  # fmt: skip


# The flag


@pytest.fixture(scope="module")
def registry() -> Registry:
    """All plug-ins of this program."""
    return Registry.load()


def test_the_flag_decides_who_plans_without_a_language_model(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off: rules, and forms offer nothing else. On: the nano planner."""
    monkeypatch.setattr(registry, "features", frozenset())
    without = registry.planner_without_model()
    assert without is not None and without.name == "rules" and "nano" not in registry.choices("planners")
    monkeypatch.setattr(registry, "features", frozenset({NANO_PLANNER}))
    without = registry.planner_without_model()
    assert without is not None and without.name == "nano" and "nano" in registry.choices("planners")


# Training and examination


def test_training_learns_to_answer(tmp_path) -> None:
    """A few steps on the same sentences, from the same first weights: their loss falls by half."""
    import torch

    tokenizer = learn_tokenizer(sentences=300)
    ids, targets = next(batches(tokenizer, "train", 8))
    assert (ids == ASK).any(1).all()
    network = born()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = loss_of(network, ids, targets)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_a_trained_planner_can_be_opened(tmp_path) -> None:
    """Whatever it has learned in no time; a folder of another language is refused with a sentence."""
    train_planner(tmp_path, ReaderTraining(seconds=0.0, tokenizer_sentences=300))
    heard = NanoReader(tmp_path).read("jazz at one hundred")
    assert 0 <= min(heard.sure.values()) <= max(heard.sure.values()) <= 1
    config = tmp_path / "config.json"
    config.write_text(config.read_text("utf-8").replace(str(TOKENS), "7"), "utf-8")
    with pytest.raises(ValueError, match="has 7 tokens"):
        NanoReader(tmp_path)


def test_marks_are_counted() -> None:
    """Right, made up and silent, and a table with both readers."""
    songs = list(songs_of_the_test_split(20))
    marks = examine(songs, None)["bpm"]
    assert marks.said + marks.silent == 20 and 0 < marks.right <= marks.said
    lines = list(report({"songs": songs}, {"rules": None, "both": further_reader(WEIGHTS)}))
    assert len(lines) == 2 + 8 and lines[-1].startswith("| songs | all | ")


def test_a_backend_that_is_switched_off_is_refused(registry: Registry) -> None:
    """With the command that switches it on."""
    from acestep.api.features import require_on

    with pytest.raises(FeatureDisabled, match="features set nano_planner") as refused:
        require_on(NANO_PLANNER, (), field="backend")
    assert refused.value.field == "backend" and MADE_BY
