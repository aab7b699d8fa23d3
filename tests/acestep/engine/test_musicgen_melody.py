"""Melody models follow what the library's own would follow: its chroma, its ``generate``, window by window."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from tokenizers import Tokenizer

from acestep.api.errors import ModelUnsuited
from acestep.families.musicgen.chroma import CLASSES, HOP, WINDOW, chroma
from acestep.families.musicgen.tiny import MELODY_FOLDER, build_tiny

RATE = 32_000
C, A = 261.626, 440.0
QUICK = {"model": MELODY_FOLDER, "seed": 4, "caption": "soft piano"}


def tones(*pitches: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """One tone after the other, [samples, 2]."""
    time = np.arange(round(seconds * rate)) / rate
    line = np.concatenate([0.4 * np.sin(2 * np.pi * pitch * time) for pitch in pitches])
    return np.stack([line, line], 1).astype(np.float32)


def library_chroma(sound: torch.Tensor) -> torch.Tensor:
    """What the library's extractor makes of sound [N]. Its torchaudio is not here; the spectrum in its place is the one that
    torchaudio documents: a periodic Hann window, reflected edges, power 2, divided by the window's energy."""
    from transformers.audio_utils import chroma_filter_bank
    from transformers.models.musicgen_melody.feature_extraction_musicgen_melody import MusicgenMelodyFeatureExtractor

    def spectrogram(waves: torch.Tensor) -> torch.Tensor:
        window = torch.hann_window(WINDOW)
        found = torch.stft(waves, WINDOW, HOP, window=window, pad_mode="reflect", return_complex=True)
        return (found / window.square().sum().sqrt()).abs().square()

    bank = chroma_filter_bank(sampling_rate=RATE, num_frequency_bins=WINDOW, tuning=0, num_chroma=CLASSES)
    own = SimpleNamespace(n_fft=WINDOW, spectrogram=spectrogram, chroma_filters=torch.from_numpy(bank).float())
    return MusicgenMelodyFeatureExtractor._torch_extract_fbank_features(own, sound[None])[0]


@pytest.mark.parametrize("length", [700, 16_383, 16_384, 40_001, 960_000])
def test_chroma_is_the_librarys(length):
    sound = torch.randn(2, length, generator=torch.Generator().manual_seed(length))
    expected = library_chroma(sound.mean(0))
    assert torch.equal(chroma(sound, RATE), expected)
    assert len(expected) == max(length, WINDOW) // HOP + 1


def test_chroma_knows_the_notes():
    """A scale of whole seconds: C, D, E, G, A, and C an octave up is C again."""
    pitches = [C * 2 ** (step / 12) for step in (0, 2, 4, 7, 9, 12)]
    found = chroma(torch.from_numpy(tones(*pitches).T.copy()), RATE).argmax(1)
    middles = [round((second + 0.5) * RATE / HOP) for second in range(6)]
    assert found[middles].tolist() == [0, 2, 4, 7, 9, 0]


@pytest.fixture(scope="module", autouse=True)
def tiny(runner) -> Path:
    """Tiny checkpoints among the runner's."""
    build_tiny(runner.home / "checkpoints")
    return build_tiny(runner.home / "checkpoints", melody=True)


@pytest.fixture(scope="module")
def melody(tmp_path_factory) -> Path:
    """Two seconds of C and two of A at 48 kHz."""
    path = tmp_path_factory.mktemp("melody") / "melody.wav"
    soundfile.write(path, tones(C, A, seconds=2.0, rate=48_000), 48_000, subtype="FLOAT")
    return path


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def library_sound(tiny: Path, features: torch.Tensor | None, frames: int) -> np.ndarray:
    """What the library's ``generate`` makes of a melody [frames, 12], seed 4."""
    from transformers import MusicgenMelodyForConditionalGeneration

    ids = torch.tensor([Tokenizer.from_file(str(tiny / "tokenizer.json")).encode("soft piano").ids])
    library = MusicgenMelodyForConditionalGeneration.from_pretrained(tiny)
    given = {} if features is None else {"input_features": features[None]}
    torch.manual_seed(4)
    made = library.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=frames + 3, guidance_scale=3.0, top_k=250,
        **given,
    )  # fmt: skip
    return made[0, 0].numpy()


def test_a_cover_is_what_the_library_makes_of_the_melody(runner, tiny, melody):
    """Sample for sample at the codec's rate, with the chroma of the source's own sound; another melody, another piece."""
    heard = tones(C, A, seconds=2.0)
    low = melody.with_name("low.wav")
    soundfile.write(low, heard, RATE, subtype="FLOAT")
    expected = library_sound(tiny, library_chroma(torch.from_numpy(heard.mean(1))), 200)
    result, folder = runner.run("cover", source=str(low), returns=["part"], format="wav32f", **QUICK)
    made = samples(folder / result.files[0].name)
    np.testing.assert_allclose(made, np.stack([expected] * 2, 1), atol=1e-6)
    assert not np.allclose(made[:, 0], library_sound(tiny, None, 200), atol=1e-3), "the melody counts"


def test_a_cover_of_a_region_leaves_the_rest_and_its_recipe_makes_it_again(runner, melody):
    asked = {**QUICK, "source": str(melody), "start": 50_001, "end": 120_003, "crossfade": 5.0}
    result, folder = runner.run("cover", returns=["whole"], **asked)
    before, made = samples(melody), samples(folder / result.files[0].name)
    assert np.array_equal(made[:49_761], before[:49_761]) and np.array_equal(made[120_243:], before[120_243:])
    assert not np.array_equal(made[50_001:120_003], before[50_001:120_003])
    again, folder = runner.run_recipe(result.recipe["request"])
    assert np.array_equal(samples(folder / again.files[0].name), made)


def test_beyond_thirty_seconds_every_window_hears_its_own_part_of_the_melody(runner, melody, monkeypatch):
    """Windows made small for the test, 1.5 s at most of which 0.5 s are shown: C at first, C into A, A at last."""
    from acestep.families.musicgen import runtime

    heard: list[list[int]] = []
    plain = runtime.continued

    def continued(model, told, *rest):
        heard.append(sorted(set(told.melody.argmax(1).tolist())))
        return plain(model, told, *rest)

    monkeypatch.setattr(runtime, "continued", continued)
    monkeypatch.setattr(runtime, "WINDOW_SECONDS", 1.5)
    runner.run("cover", source=str(melody), options=["stride=1"], **QUICK)
    assert heard == [[0], [0, 9], [9], [9]]


def test_a_cover_of_an_earlier_stage_follows_what_that_made(runner):
    """Nothing lies in a file: the melody is heard in the codes as they sound. The earlier stage has its preview."""
    stages = [{"type": "generate", "model": MELODY_FOLDER, "preview": True}, {"type": "cover", "model": MELODY_FOLDER}]
    result, folder = runner.run("render", stages=stages, conditioning={"duration": 1.0, "caption": "rain"})
    assert samples(folder / result.files[0].name).shape == (48_000, 2)
    (heard,) = runner.previews
    assert samples(folder / heard["name"]).shape == (48_000, 2)


def test_silence_has_no_melody_and_the_result_says_so(runner, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros((48_000, 2)), 48_000)
    result, _ = runner.run("cover", source=str(tmp_path / "silence.wav"), **QUICK)
    assert any("no melody to follow" in note for note in result.notes)


def test_bfloat16_follows_too(runner, melody):
    engine = runner.fresh_engine(dtype="bfloat16")
    result, folder = runner.run("cover", engine, source=str(melody), start=0, end=48_000, returns=["part"], **QUICK)
    assert samples(folder / result.files[0].name).shape == (48_000, 2)


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"model": "musicgen-tiny"}, "model", "MusicGen can (musicgen-melody, musicgen-melody-large, musicgen-stereo-melody"),
        ({"strength": 0.5}, "strength", "does not follow strength"),
        ({"noise_strength": 0.5}, "noise_strength", "does not follow noise_strength; ACE-Step 1.5"),
        ({"bottleneck": False}, "bottleneck", "does not follow bottleneck"),
    ],
)  # fmt: skip
def test_what_a_cover_cannot_do_is_refused_by_name(runner, melody, asked, field, words):
    with pytest.raises(ModelUnsuited) as failure:
        runner.run("cover", source=str(melody), **{**QUICK, **asked})
    assert failure.value.field == field and words in failure.value.message
