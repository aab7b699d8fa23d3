"""docs/front-ends.md: every row that names an operation is run as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bridge.cli.app import COMMANDS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "front-ends.md"
TABLE = PAGE.read_text("utf-8").partition("\n## ")[0]
"""The first table; those behind it name a test in each row (tests/test_front_ends.py)."""

ROWS = [line.strip("| \n").split(" | ", 1) for line in TABLE.splitlines() if line.startswith("| ")][2:]
CALL = re.compile(r"^`([a-z-]+) (\{.*\})`$")
SHORT = {"steps": 1, "length": 4_800, "rate": 48_000, "seed": 3}
"""What a row leaves open about size, so that the whole table runs in seconds."""

FORMS = {"wav": ("WAV", "PCM_16"), "mp3": ("MP3", "MPEG_LAYER_III"), "ogg": ("OGG", "VORBIS")}


def test_the_page_is_a_table_of_two_columns():
    """So that no row is overlooked."""
    assert len(ROWS) > 30 and all(len(row) == 2 for row in ROWS)
    commands = [name for _, here in ROWS for name in re.findall(r"`(preset|config|job) ", here)]
    assert set(commands) <= set(COMMANDS) and commands


@pytest.mark.parametrize(("there", "here"), [row for row in ROWS if CALL.match(row[1])], ids=lambda text: text[:40])
def test_a_row_does_what_it_says(runner, song, there, here):
    """The operation takes these very fields and answers with files or data."""
    operation, text = CALL.match(here).groups()
    for ending, form in FORMS.items():
        text = text.replace(f"SONG.{ending}", str(song(*form, seconds=1.5)))
    params = json.loads(text)
    if runner.registry.operation(operation).stage:
        open_length = {"duration", "thinking"} & set(params)
        free = {"length"} if open_length or "source" in params else set()
        free |= {"steps"} if "timesteps" in params else set()
        free |= {"seed"} if "seeds" in params else set()
        free |= {"rate"} if "source" in params else set()
        result, folder = runner.run(operation, **{**{k: v for k, v in SHORT.items() if k not in free}, **params})
        assert result.files and all((folder / file.name).is_file() for file in result.files)
        assert len({file.variant for file in result.files}) == params.get("variants", 1)
    else:
        runner.count += 1
        context = runner.context(runner.library / f"front-{runner.count}")
        assert runner.engine.run(operation, params, context).data
