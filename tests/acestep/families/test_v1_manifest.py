"""The published files of ACE-Step v1, rebuilt from configs: names, shapes, lengths to the byte, and the configs' own sums."""

from __future__ import annotations

import hashlib
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from acestep.families import ace_step_v1
from acestep.families.ace_step_v1.architecture import (
    build_autoencoder,
    build_text_encoder,
    build_transformer,
    build_vocoder,
)
from acestep.families.ace_step_v1.published import (
    AUTOENCODER,
    CONFIGS,
    FILES,
    STORED_AS,
    TEXT,
    TRANSFORMER,
    VOCODER,
    WEIGHTS,
    bytes_to_fetch,
    config_file,
)
from acestep.families.ace_step_v1.tables import file_length, stored_tensors
from acestep.families.ace_step_v1.unused import is_unused
from acestep.families.ace_step_v1.vocoder import stored_shapes

PARTS = (TRANSFORMER, AUTOENCODER, VOCODER, TEXT)
COUNTS = {
    TRANSFORMER: (874, 3_305_659_264),
    AUTOENCODER: (192, 156_812_426),
    VOCODER: (713, 103_138_386),
    TEXT: (122, 281_861_376),
}
"""Tensors and numbers of the published files."""


@pytest.mark.parametrize("part", PARTS)
def test_a_file_has_the_published_length(part):
    """Names and shapes give the published file to the byte."""
    shapes = stored_tensors(part, CONFIGS[part])
    assert (len(shapes), sum(map(math.prod, shapes.values()))) == COUNTS[part]
    assert file_length(shapes, STORED_AS[part]) == FILES[f"{part}/{WEIGHTS[part]}"].size


@pytest.mark.parametrize("part", (TRANSFORMER, AUTOENCODER, VOCODER))
def test_a_config_is_the_published_file(part):
    """Bytes and sum of the config files."""
    published, written = FILES[f"{part}/config.json"], config_file(part)
    assert len(written) == published.size
    assert hashlib.sha256(written).hexdigest().startswith(published.sha256)


def shapes_of(module):
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def test_the_tables_are_those_of_the_networks():
    """What the networks take is what the files hold, but for the parts that take no part in the maths."""
    table = stored_tensors(TRANSFORMER, CONFIGS[TRANSFORMER])
    live = {name: shape for name, shape in table.items() if not is_unused(name)}
    assert shapes_of(build_transformer(CONFIGS[TRANSFORMER])) == live
    assert sum(map(math.prod, live.values())) == 2_588_427_392
    assert shapes_of(build_autoencoder(CONFIGS[AUTOENCODER])) == stored_tensors(AUTOENCODER, CONFIGS[AUTOENCODER])
    spoken = stored_tensors(VOCODER, CONFIGS[VOCODER])
    mel = {name for name in spoken if name.startswith("mel_transform.")}
    assert stored_shapes(build_vocoder(CONFIGS[VOCODER])) == {name: spoken[name] for name in spoken if name not in mel}
    words = shapes_of(build_text_encoder(CONFIGS[TEXT]))
    assert words.pop("encoder.embed_tokens.weight") == words["shared.weight"]
    assert words == stored_tensors(TEXT, CONFIGS[TEXT])


def test_the_size_is_known_before_fetching():
    assert bytes_to_fetch() == pytest.approx(8_275_790_207, rel=1e-4)


TORCH_FREE = (
    "units",
    "schedule",
    "published",
    "tables",
    "inferred",
    "layout",
    "weights",
    "unused",
    "lyrics",
    "lyric_text",
)
"""Modules that the daemon may ask."""


def test_what_the_daemon_asks_comes_without_torch():
    names = [f"acestep.families.ace_step_v1.{name}" for name in TORCH_FREE]
    script = f"import sys, {', '.join(names)}; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_family_stands_on_the_layers_below():
    """Networks, checkpoints, codec tiles and the loop's parts; nothing of the engine or of another family's conditioning."""
    folder = Path(ace_step_v1.__file__).parent
    above = re.compile(r"acestep\.(engine|conditioning|planner|worker|admission|training)\b")
    assert [path.name for path in sorted(folder.glob("*.py")) if above.search(path.read_text("utf-8"))] == []
