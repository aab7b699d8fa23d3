"""What only ACE-Step v1 can be told, through the engine: every switch counts, and what cannot be followed is refused or said."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import soundfile

from acestep.api.errors import BadRequest
from acestep.families.ace_step_v1.options import chosen_steps
from acestep.families.ace_step_v1.schedule import levels, picked_levels, shifted
from acestep.families.ace_step_v1.tiny import build_tiny

DEEP = "v1-deep"
QUICK = {"model": DEEP, "steps": 2, "seed": 4, "caption": "soft piano", "lyrics": "[verse]\nhello", "duration": 5.0}
WHOLE = "guidance_interval=1"


@pytest.fixture(scope="module", autouse=True)
def deep(runner) -> Path:
    """A checkpoint with some of the layers that entropy-rectifying guidance weakens."""
    return build_tiny(runner.home / "checkpoints", name=f"ACE-Step-{DEEP}", deep=True)


@pytest.fixture(scope="module")
def piece(runner):
    """``piece(options...)``: the samples that a request makes, made once."""

    @cache
    def make(*options: str) -> bytes:
        result, folder = runner.run("generate", options=[WHOLE, *options], format="wav32f", **QUICK)
        return soundfile.read(folder / result.files[0].name, dtype="float32")[0].tobytes()

    return make


@pytest.mark.long
def test_every_switch_of_entropy_rectifying_guidance_counts(piece):
    """Off one by one and all together, five pieces; weak text counts only beside weak lyrics, as in the original."""
    switches = ("erg_text", "erg_lyric", "erg_diffusion")
    made = {name: piece(f"{name}=off") for name in switches}
    made["on"], made["off"] = piece(), piece(*(f"{name}=off" for name in switches))
    assert len(set(made.values())) == 5
    assert piece("erg_text=off", "erg_lyric=off") == made["erg_lyric"]


def test_guidance_decays_to_its_lowest(piece):
    """From 15 to the lowest; where that is 15 nothing falls."""
    plain = piece()
    assert piece("guidance_decay=1", "guidance_lowest=15") == plain
    fallen = {piece("guidance_decay=1"), piece("guidance_decay=1", "guidance_lowest=5")}
    assert len(fallen) == 2 and plain not in fallen


def test_chosen_steps_are_levels_of_the_longer_run_shifted_once_more(runner):
    whole = levels(8)
    assert picked_levels([1, 3, 8]) == pytest.approx([*(shifted(whole[index]) for index in (0, 2, 7)), 0.0], abs=1e-7)
    result, _ = runner.run("generate", **{**QUICK, "options": [WHOLE, "oss_steps=1,3,8"]})
    ticks = [tick[1:3] for tick in runner.ticks if tick[0] == "generate"]
    assert ticks[-1] == (6, 6), "three steps, each guided"
    assert any("oss_steps name 3 steps, which stand above steps 2" in note for note in result.notes)
    assert "oss_steps=1,3,8" in result.recipe["request"]["stages"][0]["options"]


@pytest.mark.parametrize(
    ("operation", "asked", "field", "words"),
    [
        ("generate", {"options": ["oss_steps=3,1"]}, "options", "rising numbers from 1 to 200"),
        ("generate", {"options": ["oss_steps=1,201"]}, "options", "rising numbers from 1 to 200"),
        ("generate", {"options": ["oss_steps=1;4"]}, "options", "is a list like 1,10,20,30, not '1;4'"),
        ("generate", {"options": ["oss_steps=1,4"], "sampler": "heun"}, "sampler", "needs the sampler euler or pingpong"),
        ("cover", {"options": ["oss_steps=1,4"]}, "options", "this one begins near its source"),
        ("refine", {"options": ["oss_steps=1,4"]}, "options", "this one begins near its source"),
        ("generate", {"options": ["guidance_decay=2"]}, "options", "guidance_decay"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_followed_are_refused(runner, song, operation, asked, field, words):
    given = {**QUICK, **asked}
    if operation != "generate":
        given = {**given, "source": str(song(rate=48_000))}
        del given["duration"]
    with pytest.raises(BadRequest) as failure:
        runner.run(operation, **given)
    assert failure.value.field == field and words in failure.value.message


def test_a_shorter_piece_than_the_model_makes_is_padded_and_cut(runner):
    """Down to what a job may ask for at all; the model itself makes 5 s."""
    result, folder = runner.run("generate", **{**QUICK, "duration": 1.25})
    assert soundfile.info(folder / result.files[0].name).frames == 60_000


def test_8_bits_and_the_compiler_are_left_out_by_name(runner):
    """They are settings of the worker, for models of another family; every result says that they changed nothing."""
    engine = runner.fresh_engine(int8="on", compile="on")
    result, folder = runner.run("generate", engine, **{**QUICK, "steps": 1})
    assert "int8 and compile changed nothing: ACE-Step v1 models run as they are" in result.notes
    assert soundfile.info(folder / result.files[0].name).frames == 240_000


def test_chosen_steps_are_numbers():
    assert chosen_steps("1, 5,9") == [1, 5, 9]
