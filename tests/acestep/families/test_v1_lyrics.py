"""Lyrics as v1 reads them: one line after the other, marks of parts as single tokens, languages by their letters."""

from __future__ import annotations

import sys

import pytest

from acestep.api.errors import BadCheckpoint, BadRequest, ModelMissing, Unavailable
from acestep.families.ace_step_v1 import romanise
from acestep.families.ace_step_v1.lyric_text import clean
from acestep.families.ace_step_v1.lyrics import LyricTokenizer, instrumental, language_of, structure_of
from acestep.families.ace_step_v1.romanise import pinyin, romanised_korean


@pytest.fixture(scope="module")
def tokenizer(tiny_v1):
    return LyricTokenizer.load(tiny_v1 / "vocab.json", 300)


@pytest.fixture
def words(tokenizer):
    """``words(lyrics, language)``: the tokens by name."""

    def read(lyrics, language=""):
        return [tokenizer._tokenizer.id_to_token(token) for token in tokenizer.encode(lyrics, language).ids]

    return read


@pytest.fixture
def without(monkeypatch):
    """``without(module)``: as if a package were not installed."""
    romanise._cutlet.cache_clear()
    return lambda name: monkeypatch.setitem(sys.modules, name, None)


def test_lines_begin_with_their_language_and_end_with_a_space(words):
    """The sequence that the encoder was trained on: start, then each line behind its language, an empty line as its end alone."""
    assert words("[Verse]\nHi you\n\nla") == [
        "[START]", "[en]", "[verse]", "[SPACE]", "[en]", "h", "i", "[SPACE]", "y", "o", "u", "[SPACE]", "[SPACE]",
        "[en]", "l", "a", "[SPACE]",
    ]  # fmt: skip


def test_a_line_may_name_its_language(words):
    assert words("[de] ja\n[fr-FR]oui", "es")[1:3] == ["[de]", "j"]
    assert "[fr]" in words("[fr-FR]oui")
    assert words("si", "es")[1] == "[es]"


def test_no_lyrics_need_no_vocabulary(tokenizer):
    assert tokenizer.encode("  \n ").silent
    assert instrumental().ids == [0]


def test_lyrics_without_the_vocabulary_are_refused_in_words():
    with pytest.raises(
        ModelMissing, match=r"lyrics need the model's vocabulary, vocab.json, .* instrumental music works"
    ):
        LyricTokenizer.load(None, 6693)


def test_another_vocabulary_is_refused(tiny_v1, tmp_path):
    with pytest.raises(BadCheckpoint, match="the model knows 20"):
        LyricTokenizer.load(tiny_v1 / "vocab.json", 20)
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(BadCheckpoint, match="not a lyric vocabulary"):
        LyricTokenizer.load(tmp_path / "vocab.json", 300)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Verse", "[verse]"), ("CHORUS 2", "[chorus]"), ("Verse: softly", "[verse]"), ("Verse II", "[verse]"),
        ("Instrumental", "[inst]"), ("Pre Chorus", "[pre-chorus]"), ("guitar solo", "[solo]"), ("end", "[end]"),
        ("Bridge (whispered)", "[bridge]"), ("hook", "[hook]"), ("drop", None), ("laughter", None),
    ],
)  # fmt: skip
def test_marks_of_parts_are_found_under_their_names(name, part):
    assert structure_of(name) == part


def test_an_unknown_mark_is_left_out_and_told(tokenizer, words):
    found = tokenizer.encode("[Drop]\nlet it go")
    assert len(found.notes) == 1 and "[Drop]" in found.notes[0] and "[chorus]" in found.notes[0]
    assert "[UNK]" not in words("[Drop]\nlet it go")


@pytest.mark.parametrize(
    ("line", "spoken", "language"),
    [
        ("hello", "en", "en"), ("hallo", "de", "de"), ("ありがとう", "en", "ja"), ("花見", "en", "zh"), ("花見", "ja", "ja"),
        ("사랑", "en", "ko"), ("привет", "en", "ru"), ("مرحبا", "en", "ar"), ("नमस्ते", "en", "hi"), ("hello", "ja", "en"),
    ],
)  # fmt: skip
def test_languages_are_known_by_their_letters(line, spoken, language):
    assert language_of(line, spoken) == language


def test_a_language_that_the_model_lacks_is_told(tokenizer, words):
    assert words("hej", "sv")[1] == "[en]"
    assert any("'sv'" in note for note in tokenizer.encode("hej", "sv").notes)


@pytest.mark.parametrize(
    ("line", "language", "text"),
    [
        ('Say "Yes"  &  go', "en", "say yes and go"),
        ("Mr. Blue & Dr. No", "en", "mister blue and doctor no"),
        ("Rock & Roll", "de", "rock und roll"),
        ("İSTANBUL IŞIK", "tr", "istanbul ışık"),
        ("사랑해 너를", "ko", "salanghae neoleul"),
        ("नमस्ते", "hi", "नमस्ते"),
    ],
)
def test_a_line_is_cleaned_in_its_language(line, language, text):
    assert clean(line, language)[0] == text


@pytest.mark.parametrize(
    ("hangul", "letters"),
    [("아까", "a-kka"), ("안가", "anga"), ("앙아", "ang-a"), ("값이", "gabs-i"), ("독립문", "doglibmun")],
)
def test_korean_is_written_letter_by_letter(hangul, letters):
    """Revised Romanization for letters; a hyphen where the border of two syllables could be read elsewhere."""
    assert romanised_korean(hangul) == letters


def test_chinese_becomes_pinyin():
    pytest.importorskip("pypinyin", reason="pip install pypinyin")
    assert pinyin("你好") == "ni3hao3"
    assert clean("我爱你 30 天", "zh")[0] == "wo3ai4ni3 san1shi2 tian1"


@pytest.mark.parametrize(
    ("line", "language", "text"),
    [
        ("99 balloons, $5 on the 1st, 3.5", "en", "ninety-nine balloons, five dollars on the first, three point five"),
        ("1,000 miles", "en", "one thousand miles"),
        ("99 Luftballons, 5€", "de", "neunundneunzig luftballons, fünf euro"),
        ("7 jours 20€", "fr", "sept jours vingt euros"),
    ],
)
def test_numbers_are_spelt_where_their_speller_is_installed(line, language, text):
    pytest.importorskip("num2words", reason="pip install 'acestep-bridge[lyrics]'")
    assert clean(line, language) == (text, False)


def test_japanese_becomes_romaji():
    for package in ("unidic_lite", "cutlet"):
        pytest.importorskip(package, reason="pip install 'acestep-bridge[lyrics]'")
    assert clean("君の名は。ありがとう", "ja")[0] == "kimi no na wa. arigatou"


def test_a_language_without_its_package_is_refused_in_words(tokenizer, without):
    without("pypinyin")
    with pytest.raises(
        Unavailable, match=r"Chinese lyrics need the package pypinyin: pip install 'acestep-bridge\[lyrics\]'"
    ):
        tokenizer.encode("你好")
    without("unidic_lite")
    with pytest.raises(Unavailable, match="Japanese lyrics need the package unidic-lite"):
        tokenizer.encode("ありがとう")


def test_numbers_stay_figures_without_their_speller(tokenizer, without):
    without("num2words")
    found = tokenizer.encode("99 bottles")
    assert any("num2words" in note for note in found.notes)


def test_lyrics_beyond_the_model_are_refused(tokenizer):
    with pytest.raises(BadRequest, match="the model knows up to 4096"):
        tokenizer.encode("la la la la\n" * 600)
