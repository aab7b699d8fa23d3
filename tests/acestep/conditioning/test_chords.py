"""Chord lines as musicians type them: the same pitch classes whatever the spelling, or one refusal that quotes the symbol."""

from __future__ import annotations

import pytest

from acestep.api.errors import BadRequest
from acestep.conditioning.chords import parse_chord, read_chord_line


def chords(line: str) -> list[list[tuple[int, frozenset[int]]]]:
    """Bass and pitch classes of every chord, by bar."""
    return [[(chord.bass, frozenset(chord.tones)) for chord in bar] for bar in read_chord_line(line)[0]]


@pytest.mark.parametrize(
    "line",
    [
        "Am F C G",
        "am f c g",
        "Am, F, C, G",
        "Am,F,C,G",
        "Am - F - C - G",
        "Am-F-C-G",
        "Am – F – C – G",
        "Am → F → C → G",
        "Am->F->C->G",
        "Am > F > C > G",
        "Am; F; C; G",
        "Am / F / C / G",
        "Am\nF\nC\nG",
        "| Am | F | C | G |",
        "|: Am | F | C | G :|",
        "Am || F | C | G ||",
        "Am|F|C|G",
        "Amin Fmaj CM G",
        "A- F C G",
        "Lam Fa Do Sol",
        "lam fa do sol",
        "| Am / / / | F / / / | C / / / | G |",
    ],
)
def test_separators_and_spellings_do_not_matter(line):
    """Four chords, one a bar: no separator is a rest and none is a chord."""
    assert chords(line) == chords("Am F C G")


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("Am Hm", "Am Bm"),
        ("H7 B", "B7 Bb"),
        ("Fis Cis Es As Des", "F# C# Eb Ab Db"),
        ("Es7 Asus4", "Eb7 Asus4"),
        ("Es B F", "Eb Bb F"),
        ("as des b", "Ab Db Bb"),
        ("C^7 D∆", "Cmaj7 Dmaj7"),
        ("C/H", "C/B"),
        ("hm", "Bm"),
        ("b bb", "B Bb"),
        ("c/e am", "C/E Am"),
        ("Do Re Mi Si", "C D E B"),
        ("Bb7 Eb9", "B♭7 E♭9"),
    ],
)
def test_other_note_names(line, same):
    """German H and B, -is and -es, do re mi, lower case."""
    assert chords(line) == chords(same)


@pytest.mark.parametrize("line", ["am f c g", "Am Hm", "Es B F", "Do Sol Lam Fa"])
def test_an_unusual_spelling_is_told(line):
    """The user reads what was understood; the usual spelling needs no word."""
    assert read_chord_line(line)[1][0].startswith("the chords were read as ")
    assert read_chord_line("Am F#m7b5 | N.C. G/B")[1] == ()


@pytest.mark.parametrize(
    ("symbol", "steps"),
    [
        ("C6/9", {0, 4, 7, 9, 2}),
        ("Cmaj9", {0, 4, 7, 11, 2}),
        ("CΔ", {0, 4, 7, 11}),
        ("C△7", {0, 4, 7, 11}),
        ("CMaj7", {0, 4, 7, 11}),
        ("CM7", {0, 4, 7, 11}),
        ("Cm7", {0, 3, 7, 10}),
        ("C-7", {0, 3, 7, 10}),
        ("Cmi7", {0, 3, 7, 10}),
        ("Cm(maj7)", {0, 3, 7, 11}),
        ("CmMaj7", {0, 3, 7, 11}),
        ("C7(b9,#11)", {0, 4, 7, 10, 1, 6}),
        ("Cm7(b5)", {0, 3, 6, 10}),
        ("Cm7-5", {0, 3, 6, 10}),
        ("Cø", {0, 3, 6, 10}),
        ("C°7", {0, 3, 6, 9}),
        ("Co7", {0, 3, 6, 9}),
        ("Cdim", {0, 3, 6}),
        ("C+", {0, 4, 8}),
        ("C7#5", {0, 4, 8, 10}),
        ("C11", {0, 4, 7, 10, 2, 5}),
        ("C13", {0, 4, 7, 10, 2, 9}),
        ("Csus", {0, 5, 7}),
        ("C9sus4", {0, 5, 7, 10, 2}),
        ("Cadd9", {0, 4, 7, 2}),
        ("Cmadd9", {0, 3, 7, 2}),
        ("C5", {0, 7}),
        ("C2", {0, 4, 7, 2}),
        ("Cno3", {0, 7}),
        ("Cmaj7#11", {0, 4, 7, 11, 6}),
    ],
)
def test_qualities(symbol, steps):
    """Semitones above C."""
    assert set(parse_chord(symbol).tones) == steps


def test_slashes_hold_a_chord_for_another_beat():
    """Rhythm slashes inside bar lines share the bar as they stand."""
    bar = read_chord_line("| F / C / |")[0][0]
    assert [(chord.bass, chord.share) for chord in bar] == [(5, 0.5), (0, 0.5)]


@pytest.mark.parametrize(
    "line",
    [
        "I V vi IV",
        "1 5 6 4",
        "Am x F",
        "Am ~ F",
        "Am F x2",
        "Am | | C",
        "",
        "|",
        "% Am",
        "/ Am | F",
        "Zm",
        "Cm7b",
        "C/9",
    ],
)
def test_what_is_no_chord_is_refused(line):
    """One `bad_request` on the field guide."""
    with pytest.raises(BadRequest) as caught:
        read_chord_line(line)
    assert caught.value.field == "guide"
