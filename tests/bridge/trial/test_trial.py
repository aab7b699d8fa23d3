"""`models try`: anybody can make ten seconds of music, see that it is music, and send what came of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from bridge.cli import main
from bridge.cli.exits import Exit
from bridge.trial.measures import MeasuredSound, judge, measure

RATE = 48_000


def stereo(mono: np.ndarray) -> np.ndarray:
    return np.stack([mono, mono], 1).astype(np.float32)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(10 * RATE)


def failed(audio: np.ndarray, random: MeasuredSound | None = None) -> set[str]:
    other = random or measure(stereo(0.1 * noise(1)), RATE)
    words = ("finite", "lasts", "silent", "loud", "moves")
    rules = [check.rule for check in judge(measure(audio, RATE), other, 10.0) if not check.held]
    return {word for word in words if any(word in rule for rule in rules)}


def melody(level: float) -> np.ndarray:
    """Notes of a quarter of a second with overtones."""
    time = np.arange(10 * RATE) / RATE
    pitch = 220 * 2 ** (np.random.default_rng(3).integers(0, 13, 40)[(time * 4).astype(int)] / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    return level * sum(np.sin(phase * n) / n for n in range(1, 8))


BROKEN = {
    "noise": (stereo(0.1 * noise()), {"moves"}),
    "a drone": (stereo(0.2 * np.sin(2 * np.pi * 110 * np.arange(10 * RATE) / RATE)), {"moves"}),
    "silence": (stereo(np.zeros(10 * RATE)), {"silent", "loud", "moves"}),
    "whisper": (stereo(melody(0.004)), {"loud"}),
    "NaN": (stereo(np.where(np.arange(10 * RATE) == 5, np.nan, melody(0.2))), {"finite"}),
    "too short": (stereo(melody(0.2)[:-100]), {"lasts"}),
    "music": (stereo(melody(0.2)), set()),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_checks_tell_music_from_what_broken_weights_make(name):
    """Noise, a drone, silence and numbers that are none fail the check that is meant for them, and music none."""
    audio, wanted = BROKEN[name]
    assert failed(audio) == wanted


@pytest.fixture(scope="module")
def tried(tmp_path_factory) -> tuple[int, str, Path]:
    """One real trial of the embedded model: exit code, what was printed, where the files lie."""
    from contextlib import redirect_stdout
    from io import StringIO

    place, printed = tmp_path_factory.mktemp("try"), StringIO()
    with redirect_stdout(printed):
        code = main(["models", "try", "nano", "--home", str(place / "home"), "--out", str(place / "out"), "--quiet"])
    return code, printed.getvalue(), place / "out"


def test_the_embedded_model_passes(tried):
    """Every check in words, the times of each part, the digest, and where the sound lies."""
    code, text, out = tried
    assert code == Exit.OK, text
    lines = dict(line.split(None, 1) for line in text.splitlines() if not line.startswith(("ok", "note")))
    assert text.count("ok      ") == 5 and "FAILED" not in text
    assert all(part in lines["times"] for part in ("load", "denoise", "decode", "total"))
    assert "cpu" in lines["on"] and "float32" in lines["on"]
    audio, rate = soundfile.read(lines["sound"], dtype="float32", always_2d=True)
    assert Path(lines["sound"]).parent == out and audio.shape == (10 * RATE, 2) and rate == RATE
    assert lines["digest"] == hashlib.sha256(audio.tobytes()).hexdigest()


def test_the_report_is_complete(tried):
    """What a maintainer needs: recipe with licences and versions, weights, engine, system; and it judges random weights as such."""
    report = json.loads((tried[2] / "report.json").read_text())
    assert report["weights"]["nano"] and report["recipe"]["licenses"]["nano"] and report["engine"]["dtype"] == "float32"
    assert report["recipe"]["versions"]["torch"] and report["system"]["platform"]
    random = msgspec.convert(report["random"], MeasuredSound)
    assert [check.held for check in judge(random, random, 10.0)][-1] is False


@pytest.mark.parametrize(
    ("name", "said"), [("lm-1.7B", "not sound"), ("gpt", "no model 'gpt'"), ("turbo", "download turbo")]
)
def test_what_cannot_be_tried_is_said_at_once(tmp_path, capsys, name, said):
    """Before a daemon is started, and nothing is written."""
    code = main(["models", "try", name, "--home", str(tmp_path / "home"), "--out", str(tmp_path / "out")])
    assert code != Exit.OK and said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
