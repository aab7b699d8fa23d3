"""Prompts are the texts the model was trained on, to the letter."""

from __future__ import annotations

import msgspec
import pytest

from acestep.conditioning.prompts import Prompt, caption_text, lyric_text, metas


def test_caption_template():
    """Instruction, caption and metas, with the newline after the end marker."""
    prompt = Prompt(instruction="Extract the DRUMS track from the audio", caption="warm lofi", bpm=92.0, key="A minor",
                    time_signature="4/4", seconds=31.9)  # fmt: skip
    assert caption_text(prompt) == (
        "# Instruction\nExtract the DRUMS track from the audio:\n\n# Caption\nwarm lofi\n\n# Metas\n"
        "- bpm: 92\n- timesignature: 4\n- keyscale: A minor\n- duration: 31 seconds\n<|endoftext|>\n"
    )


def test_captions_of_models_tuned_on_stems():
    """The whole song, the part and the mask, each in its line; no other model ever sees the song's caption."""
    prompt = Prompt(
        instruction="Generate the BASS track", caption="slap bass", global_caption="funk", stem_captions=True
    )
    block = caption_text(prompt).split("# Caption\n")[1].split("\n\n# Metas")[0]
    assert block == "Global: funk\nLocal: slap bass\nMask Control: true"
    assert "funk" not in caption_text(msgspec.structs.replace(prompt, stem_captions=False))


def test_about_a_segment_the_whole_song_is_not_told():
    """The line is left out where the instruction says so, whatever its case."""
    prompt = Prompt(instruction="Generate A Segment of bass", caption="slap", global_caption="funk", stem_captions=True)
    assert "# Caption\nLocal: slap\nMask Control: true\n\n" in caption_text(prompt)


def test_metas_without_facts():
    """What nobody said is N/A; a length of 0 is stated as 30 seconds."""
    assert metas(Prompt(seconds=0)) == "- bpm: N/A\n- timesignature: N/A\n- keyscale: N/A\n- duration: 30 seconds\n"


@pytest.mark.parametrize(("bpm", "line"), [(92.4, "92"), (92.5, "93"), (0, "N/A"), (-3, "N/A"), (None, "N/A")])
def test_tempo_is_a_whole_number(bpm, line):
    """The model knows whole tempi only; none and nonsense are N/A."""
    assert metas(Prompt(bpm=bpm)).startswith(f"- bpm: {line}\n")


def test_lyric_template():
    """Language and lyrics; no newline after the end marker."""
    prompt = Prompt(lyrics="[Verse]\nla la", language="ja")
    assert lyric_text(prompt) == "# Languages\nja\n\n# Lyric\n[Verse]\nla la<|endoftext|>"


@pytest.mark.parametrize("lyrics", ["", "  ", "[inst]", "[Instrumental]", "instrumental"])
def test_no_lyrics_is_the_instrumental_tag(lyrics):
    """Every way to say "no singing" is the one tag the model knows."""
    assert lyric_text(Prompt(lyrics=lyrics)).endswith("# Lyric\n[Instrumental]<|endoftext|>")


def test_instrumental_wins_over_lyrics():
    """Asked for instrumental music, given lyrics are left out."""
    assert "la la" not in lyric_text(Prompt(lyrics="la la", instrumental=True))
