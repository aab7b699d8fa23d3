"""Plans by rules: what a sentence says stands in the plan, the rest is told as assumed, and the same seed gives the same plan."""

from __future__ import annotations

import subprocess
import sys

import pytest

from acestep.api.errors import BadRequest, ModelMissing
from acestep.api.limits import BPM_RANGE, MAX_DURATION
from acestep.api.metadata import Metadata, parse_block, split_answer
from acestep.api.music import KEYS, LANGUAGES
from acestep.api.planning import PlannerSettings
from acestep.planner.plan_inputs import PlanInputs, Sample, given_metadata
from acestep.planner.rules.figures import read_figures
from acestep.planner.rules.matching import find_words, lowered, spaced
from acestep.planner.rules.rules_planner import RulesPlanner
from acestep.planner.rules.vocabulary import FEELS, GENRES, INSTRUMENTS, MOODS, SOUNDS, SURPRISES, TEMPO_WORDS, VOICES


def compose(query: str, seed: int = 1, **inputs) -> Sample:
    """What becomes of a sentence."""
    return RulesPlanner().compose(query, PlanInputs(**inputs), PlannerSettings(), seed, lambda done, total: None)


def notes(sample: Sample) -> str:
    """Everything that is told, as one text."""
    return "\n".join(sample.notes)


SENTENCES = [
    # sentence, tempo or its range, key or its mode, metre, seconds, words of the caption, words that are not in it
    ("dark techno at 130 in F minor", 130, "F minor", "4", 32 * 4 * 60 / 130,
     "dark techno, four on the floor", "no "),
    ("a slow piano ballad in Eb major, two minutes", (45, 84), "Eb major", "4", 120, "slow ballad, piano", "techno"),
    ("solo piano, melancholic, 60 bpm", 60, "minor", "4", None, "solo piano", "drum, bass, guitar"),
    ("8 bars of funk in E minor with slap bass at 104 bpm", 104, "E minor", "4", 8 * 4 * 60 / 104,
     "funk, bass guitar", "synth bass"),
    ("happy ukulele song without drums or bass, 1:30", None, "major", "4", 90,
     "happy, no drums, no bass", "drum machine"),
    ("waltz for strings and harp, 90 seconds", (84, 150), "", "3", 90, "waltz, strings, harp", "four on the floor"),
    ("fast punk, no vocals", (170, 190), "", "4", None, "fast punk, instrumental, overdriven guitar", "vocal"),
    ("80s synthwave with a saxophone solo", (84, 116), "", "4", None, "synthwave, saxophone, eighties style", "solo"),
    ("lo-fi hip hop to study to, rhodes, vinyl crackle, 75 bpm, 2 min", 75, "", "4", 120,
     "lo-fi hip hop, electric piano, lo-fi", ""),
    ("drum and bass, 174, half a minute", 174, "", "4", 30, "drum and bass, breakbeat", "four on the floor"),
    ("jazz house with saxophone", (118, 128), "", "4", None, "jazz, house, four on the floor, saxophone", ""),
    ("epic orchestral trailer in C minor, 6/8", (70, 116), "C minor", "6", None,
     "epic, orchestral, strings, brass", "drum"),
    ("ein langsamer, trauriger Blues in a-Moll, eine Minute", (50, 84), "A minor", "4", 60, "sad, blues", ""),
    ("Marsch für Bläser in B-Dur", (100, 120), "Bb major", "2", None, "march, brass", ""),
    ("悲しいピアノのバラード、2分、ヘ短調", (60, 84), "F minor", "4", 120, "sad ballad, piano", "の"),
    ("一首欢快的流行歌曲，120拍，有钢琴和吉他，C大调", 120, "C major", "4", None, "happy pop, piano, guitar", "歌"),
    ("chanson pop joyeuse en do majeur, 3 minutes", (96, 124), "C major", "4", 180, "happy pop", ""),
    ("reggae in three four, 3/4, F# minor", (70, 84), "F# minor", "3", None, "reggae, off-beat", ""),
    ("ambient drone without a beat, five minutes", (60, 90), "", "4", 300, "ambient, synth pad", "backbeat"),
    ("a melancholic synth ballad about leaving the city at night", (60, 84), "minor", "4", None,
     "melancholic ballad, synth lead", "city"),
]  # fmt: skip
"""Twenty plain sentences."""


@pytest.mark.parametrize("case", SENTENCES, ids=[case[0][:32] for case in SENTENCES])
def test_a_sentence_stands_in_its_plan(case) -> None:
    """Tempo, key, metre, length and words are those of the sentence, whatever the seed."""
    sentence, tempo, key, metre, seconds, words, absent = case
    for seed in (1, 2, 3):
        sample = compose(sentence, seed)
        found, caption = sample.metadata, sample.metadata.caption
        least, most = tempo if isinstance(tempo, tuple) else (tempo or BPM_RANGE[0], tempo or BPM_RANGE[1])
        assert least <= found.bpm <= most
        assert found.keyscale == key if " " in key else found.keyscale.endswith(key)
        assert found.keyscale in KEYS and found.timesignature == metre
        assert found.duration == pytest.approx(seconds or found.duration, abs=1e-5)
        assert all(word in caption for word in words.split(", ")), caption
        assert not [word for word in filter(None, absent.split(", ")) if word in caption], caption


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    """Nothing is drawn but from the seed."""
    assert compose("techno", 5) == compose("techno", 5)
    assert len({compose("techno", seed).metadata.keyscale for seed in range(12)}) > 3


@pytest.mark.parametrize(
    "sentence", ["", " ", "???", "hello", "Ω", "🎵", "a", "the", "\n", "0", "12345678901234567890", "((((", "é" * 40]
)
def test_next_to_nothing_is_a_plan_that_says_what_it_assumed(sentence: str) -> None:
    """One word, signs, nothing: a style is drawn, and told."""
    sample = compose(sentence)
    assert sample.metadata.caption and sample.metadata.bpm and sample.metadata.duration <= MAX_DURATION
    assert "not said, so chosen: the style" in notes(sample)


def test_five_thousand_characters_are_read_and_what_is_left_out_is_told() -> None:
    """A story is no caption: what the rules know is taken, the rest is counted."""
    sample = compose("dark techno at 130. " + "Once upon a midnight dreary ravens came tapping gently. " * 90)
    assert sample.metadata.bpm == 130 and "techno" in sample.metadata.caption and len(sample.metadata.caption) < 400
    assert "words are not in the rules' vocabulary and were left out" in notes(sample)


CONTRADICTIONS = [
    ("slow fast techno", "slow and fast contradict each other; neither was followed"),
    ("slow ballad at 180 bpm", "slow and 180 bpm pull apart; 180 was taken"),
    ("techno at 120 bpm and 140 bpm", "the sentence names several tempi (120, 140); the first was taken"),
    ("rock in C major and F minor", "several keys (C major, F minor); the first was taken"),
    ("dark happy pop", "dark and happy pull apart"),
    ("piano piece without piano", "piano is asked for and refused"),
    ("instrumental pop with female vocals", "without a voice and for singing; it was read as without"),
    ("heavy metal at 1000 bpm", "1000 bpm is outside 30 to 300; 300 was taken"),
    ("ambient for two hours", "7200 s is longer than the models make at once; 600 s were taken"),
    ("7/8 rock", "7/8 is planned as 6/8"),
    ("rock, 120-130 bpm", "of 120 to 130 bpm the middle was taken"),
    ("pop, two minutes, 16 bars", "names a time and bars; 120 s were taken"),
]


@pytest.mark.parametrize(("sentence", "told"), CONTRADICTIONS, ids=[case[0] for case in CONTRADICTIONS])
def test_a_contradiction_is_told(sentence: str, told: str) -> None:
    """What was done about it stands in a note; the plan is valid all the same."""
    sample = compose(sentence)
    assert told in notes(sample)
    assert BPM_RANGE[0] <= sample.metadata.bpm <= BPM_RANGE[1] and 0 < sample.metadata.duration <= MAX_DURATION


NO_FIGURES = [
    "80s pop", "90s house", "1980s rock", "a song at 7 am", "for 100 people", "a minor change of mood", "a minor, sad change",
    "rock with a major, sweeping finale", "24/7 radio",
    "take 5", "room 101",
    "c'est la vie", "3 voices", "50% reverb", "12:30 pm", "a big d drop",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_FIGURES)
def test_what_is_no_figure_is_none(text: str) -> None:
    """Decades, hours, articles and counts are neither tempo nor key, metre nor length."""
    found = read_figures(lowered(spaced(text)), spaced(text))
    assert (found.bpm, found.key, found.metre, found.seconds, found.bars) == (None, "", "", None, None)


FIGURES = [
    ("at 92.5 bpm", "bpm", 92.5), ("120BPM", "bpm", 120), ("tempo of 88", "bpm", 88),
    ("@ 174", "bpm", 174), ("♩=66", "bpm", 66),
    ("mit 98 Schlägen pro Minute", "bpm", 98), ("in F", "key", "F"),
    ("f#m", "key", "F# minor"), ("Bbm", "key", "Bb minor"),
    ("G sharp minor", "key", "G# minor"), ("H-Dur", "key", "B major"),
    ("cis-Moll", "key", "C# minor"), ("es-moll", "key", "Eb minor"),
    ("in a minor", "key", "A minor"), ("rock in ab minor", "key", "Ab minor"), ("ab major please", "key", "Ab major"),
    ("the key should be a major", "key", "A major"), ("funk, a minor", "key", "A minor"), ("funk, a minor, slow", "key", "A minor"),
    ("funk a minor 120 bpm", "key", "A minor"), ("rock for 45 seconds in A min", "key", "A minor"),
    ("rock in A min for 45 seconds", "seconds", 45), ("rock for a min", "seconds", 60), ("A min of rock", "seconds", 60),
    ("嬰ハ短調", "key", "C# minor"),
    ("re menor", "key", "D minor"), ("12/8", "metre", "6"),
    ("in three four time", "metre", "3"), ("2:05", "seconds", 125),
    ("three and a half minutes", "seconds", 210), ("a minute and a half", "seconds", 90),
    ("1 min 20 sec", "seconds", 80), ("45s", "seconds", 45),
    ("0,5 Minuten", "seconds", 30), ("30秒", "seconds", 30), ("两分钟", "seconds", 120),
    ("16 bars", "bars", 16), ("four-bar", "bars", 4), ("8小節", "bars", 8),
    ("sixteen measures", "bars", 16), ("zwölf Takte", "bars", 12),
]  # fmt: skip


@pytest.mark.parametrize(("text", "field", "value"), FIGURES, ids=[case[0] for case in FIGURES])
def test_figures_are_read_as_people_write_them(text: str, field: str, value: object) -> None:
    """Tempo, key, metre and length, in several languages."""
    found = read_figures(lowered(spaced(text)), spaced(text))
    assert getattr(found, field) == value


def test_every_word_of_the_vocabulary_is_found_by_its_own_name() -> None:
    """A caption that the rules wrote reads as what it says, and every drawn style is there."""
    assert {genre.word for genre in GENRES} >= set(SURPRISES)
    for row in (*GENRES, *MOODS, *INSTRUMENTS, *VOICES, *FEELS, *SOUNDS, *TEMPO_WORDS):
        text = lowered(spaced(row.word))
        words = {one.row.word for one in find_words(text)}
        assert words, row.word
    for genre in GENRES:
        least, most = genre.tempo
        assert BPM_RANGE[0] <= least < most <= BPM_RANGE[1] and 0 <= genre.minor <= 1
        assert genre.word in {one.row.word for one in find_words(lowered(spaced(genre.word)))}, genre.word


def test_given_values_stand_above_the_sentence() -> None:
    """The request holds, and a difference is told."""
    sample = compose("techno at 130 in F minor, 2 minutes", given=given_metadata(bpm=120, key="A minor", duration=30))
    found = sample.metadata
    assert (found.bpm, found.keyscale, found.duration) == (120, "A minor", 30)
    assert "the sentence says the tempo 130, the request 120; the request holds" in notes(sample)


def test_quoted_words_are_the_lyrics_and_a_title_is_none() -> None:
    """They come with a tag, in their language; without any the plan says that rules write none."""
    sung = compose('a German folk song called "Heimweh", singing "ich geh nach Haus / der Weg ist weit"')
    assert sung.lyrics == "[Verse]\nich geh nach Haus\nder Weg ist weit" and sung.metadata.language == "de"
    assert "“Heimweh” was read as a title" in notes(sung) and "Heimweh" not in sung.metadata.caption
    silent = compose("pop with a female singer")
    assert silent.lyrics == "[Instrumental]" and "rules cannot write lyrics" in notes(silent)
    assert "female vocal" in silent.metadata.caption
    assert "rules cannot write lyrics" not in notes(compose("instrumental pop"))


def format_words(caption: str, lyrics: str = "", **given) -> Sample:
    """What `format` makes of words."""
    inputs = PlanInputs(caption=caption, lyrics=lyrics, given=given_metadata(**given))
    return RulesPlanner().format(inputs, PlannerSettings(), 1, lambda done, total: None)


def test_format_keeps_the_words_and_moves_the_figures() -> None:
    """The caption is the writer's, without its figures, and with what the style has; lyrics get tags."""
    found = format_words("a brooding techno tune at 130 bpm in F minor", "hello\nworld\n\nChorus:\nla la")
    caption = found.metadata.caption
    assert caption.startswith("a brooding techno tune") and "four on the floor" in caption
    assert "130" not in caption and "minor" not in caption
    assert (found.metadata.bpm, found.metadata.keyscale) == (130, "F minor")
    assert found.lyrics == "hello\nworld\n\n[Chorus]\nla la" and "“Chorus:” was read as the tag [Chorus]" in found.notes
    assert format_words("pop", "one line\n\nanother").lyrics == "[Verse]\none line\n\n[Verse]\nanother"


def test_a_thought_is_written_as_a_language_model_would() -> None:
    """It can be sent on: whole beats and seconds, at least the ten that a language model plans."""
    sample = compose("techno at 127.5 bpm, 4 bars")
    said = parse_block(split_answer(sample.text)[0])
    assert (said.bpm, said.duration, sample.metadata.bpm) == (128, 10, 127.5)
    assert sample.metadata.duration == pytest.approx(16 * 60 / 127.5)
    assert isinstance(sample.metadata, Metadata) and sample.metadata.language in LANGUAGES


def test_what_rules_cannot_do_is_refused_with_the_way_to_a_planner() -> None:
    """Codes and listening; control tokens as everywhere."""
    planner = RulesPlanner()
    with pytest.raises(ModelMissing, match=r"models download lm-0\.6B"):
        planner.sketch(PlanInputs(), Metadata(), PlannerSettings(), [1], lambda done, total: None)
    with pytest.raises(ModelMissing, match=r"models download lm-0\.6B"):
        planner.understand([1], PlannerSettings(), 1, lambda done, total: None)
    with pytest.raises(BadRequest, match="control token"):
        compose("<|im_end|>")


def test_rules_need_no_torch() -> None:
    """They can plan where no engine is installed."""
    code = (
        "import sys; from acestep.planner.rules.rules_planner import RulesPlanner; "
        "from acestep.planner.rules.reading import read_sentence; read_sentence('dark techno'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
