"""Every prompt, character by character, as the model was trained to read it."""

from __future__ import annotations

import pytest

from acestep.api.errors import BadCheckpoint, BadRequest
from acestep.api.planning import refuse_control_text
from acestep.planner import prompts

GENERATE = "# Instruction\nGenerate audio semantic tokens based on the given conditions:\n\n"
UNDERSTAND = "# Instruction\nUnderstand the given musical conditions and describe the audio semantics accordingly:\n\n"
INSPIRE = "# Instruction\nExpand the user's input into a more detailed and specific musical description:\n\n"
FORMAT = "# Instruction\nFormat the user's input into a more detailed and specific musical description:\n\n"


def golden(system: str, user: str, answer: str = "") -> str:
    """A rendered chat with its assistant turn open."""
    return (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n{answer}"
    )


LYRICS = "[Verse]\nLast car\n\n[Chorus]\nCarry me"
WISH = f"# Caption\nwarm lofi\n\n# Lyric\n{LYRICS}\n"
BLOCK = "bpm: 120\nkeyscale: A minor"

CASES = {
    "thought": (lambda t: prompts.thought_prompt(t, "warm lofi", LYRICS), golden(GENERATE, WISH)),
    "thought, nothing to avoid": (
        lambda t: prompts.thought_negative(t, LYRICS),
        golden(GENERATE, f"# Lyric\n{LYRICS}\n"),
    ),
    "thought, neutral negative": (
        lambda t: prompts.thought_negative(t, LYRICS, "NO USER INPUT"),
        golden(GENERATE, f"# Lyric\n{LYRICS}\n"),
    ),
    "thought, real negative": (
        lambda t: prompts.thought_negative(t, LYRICS, "noise"),
        golden(GENERATE, f"# Caption\nnoise\n\n# Lyric\n{LYRICS}\n"),
    ),
    "codes": (
        lambda t: prompts.codes_prompt(t, "warm lofi", LYRICS, BLOCK),
        golden(GENERATE, WISH, "<think>\nbpm: 120\nkeyscale: A minor\n</think>\n\n"),
    ),
    "codes, neutral negative": (
        lambda t: prompts.codes_negative(t),
        golden(GENERATE, "NO USER INPUT", "<think>\n\n</think>\n\n"),
    ),
    "codes, real negative": (
        lambda t: prompts.codes_negative(t, "noise"),
        golden(GENERATE, "noise", "<think>\n\n</think>\n\n"),
    ),
    "understand": (
        lambda t: prompts.understand_prompt(t, [0, 17, 63999]),
        golden(UNDERSTAND, "<|audio_code_0|><|audio_code_17|><|audio_code_63999|>"),
    ),
    "understand nothing": (lambda t: prompts.understand_prompt(t, []), golden(UNDERSTAND, "NO USER INPUT")),
    "inspire": (
        lambda t: prompts.inspire_prompt(t, "a sad song", False),
        golden(INSPIRE, "a sad song\n\ninstrumental: false"),
    ),
    "inspire by nothing": (
        lambda t: prompts.inspire_prompt(t, " ", True),
        golden(INSPIRE, "NO USER INPUT\n\ninstrumental: true"),
    ),
    "format": (
        lambda t: prompts.format_prompt(t, "lofi", LYRICS),
        golden(FORMAT, f"# Caption\nlofi\n\n# Lyric\n{LYRICS}"),
    ),
    "format nothing": (
        lambda t: prompts.format_prompt(t, "", ""),
        golden(FORMAT, "# Caption\nNO USER INPUT\n\n# Lyric\n[Instrumental]"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_prompt_is_the_trained_text(tokenizer, case: str) -> None:
    """Each use renders to exactly its template; codes follow in the still open turn, after a blank line."""
    render, expected = CASES[case]
    assert render(tokenizer) == expected


def test_special_tokens_of_a_prompt_are_single_ids(tokenizer, layout) -> None:
    """Turn marks, think tags and codes are one token each, at the published ids, and no end of turn lies before the codes."""
    text = prompts.codes_prompt(tokenizer, "a", "b", "bpm: 120") + "<|audio_code_5|>"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids[-1] == 151_669 + 5
    assert ids.count(151_667) == ids.count(151_668) == 1
    assert 151_645 not in ids[ids.index(151_667) :]
    assert (layout.first_code, layout.end, layout.pad) == (151_669, 151_645, 151_643)


def test_template_that_appends_a_thought_is_refused(tokenizer) -> None:
    """A chat template that closes the thought by itself would derail every phase, so it is an error, not a surprise."""

    class Closing:
        def apply_chat_template(self, *args: object, **kwargs: object) -> str:
            return tokenizer.apply_chat_template(*args, **kwargs, enable_thinking=False)

    with pytest.raises(BadCheckpoint):
        prompts.thought_prompt(Closing(), "a", "b")


@pytest.mark.parametrize("text", ["<|im_end|>", "a <|audio_code_3|>", "</think>", "x<think>y", "<|im_start|>system"])
def test_texts_that_spell_control_tokens_are_refused(text: str) -> None:
    """A user's text cannot end or forge a turn; the error names the field."""
    with pytest.raises(BadRequest) as caught:
        refuse_control_text(text, "lyrics")
    assert caught.value.field == "lyrics"


@pytest.mark.parametrize("text", ["I <3 you", "a < b > c", "<thinking aloud>", "50 | 50", ""])
def test_harmless_texts_pass_unchanged(text: str) -> None:
    """Angle brackets and bars alone are not control tokens."""
    assert refuse_control_text(text, "caption") == text
