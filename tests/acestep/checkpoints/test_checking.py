"""`models check`: headers only, part by part, on the published sizes as sparse files and on everything that can be wrong."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import foreign_files as foreign
import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.checkpoints import architecture
from acestep.checkpoints.checking import check_place
from acestep.checkpoints.expected import expected_tensors
from acestep.checkpoints.inferred import infer_config, read_config
from acestep.checkpoints.layout import Parts, encoder_config
from acestep.checkpoints.tiny import build_tiny
from acestep.checkpoints.weights import CODEC, NETWORKS, TEXT, read_contents
from bridge.cli import main
from bridge.cli.exits import Exit

_spec = importlib.util.spec_from_file_location("full_size_files", Path(__file__).with_name("full_size.py"))
full_size = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(full_size)

PUBLISHED_BYTES = {
    "acestep-v15-turbo/model.safetensors": 4_787_825_604,
    "vae/diffusion_pytorch_model.safetensors": 337_431_388,
    "Qwen3-Embedding-0.6B/model.safetensors": 1_191_586_416,
}
"""Lengths of the published files, which names, shapes and types fix together."""


@pytest.fixture(scope="module", params=[False, True], ids=["2B", "XL"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DiT folder of a full-size bundle of sparse files."""
    return full_size.write_full_size(tmp_path_factory.mktemp("full"), xl=request.param)


def test_the_tables_are_those_of_the_networks(bundle: Path) -> None:
    """What is counted without building a network is what the installed libraries build, name by name and shape by shape.

    This fails when a newer diffusers or transformers calls a tensor something else; their versions are bounded for that reason.
    """
    places = dict.fromkeys((*NETWORKS, "text_tokenizer"), bundle)
    vae, text = bundle.parent / "vae", bundle.parent / "Qwen3-Embedding-0.6B"
    parts = Parts(diffusers=False, silence=None, vae=vae, text_encoder=text, **places)
    config = read_config(bundle, "transformer")
    for part in NETWORKS:
        sizes = config if part == "transformer" else encoder_config(config)
        built = architecture.build_component(part, parts).state_dict()
        assert expected_tensors(part, sizes) == {name: tuple(tensor.shape) for name, tensor in built.items()}, part
    builders = ((CODEC, vae, architecture.build_codec), (TEXT, text, architecture.build_text_encoder))
    for part, place, build in builders:
        built = {name: tuple(tensor.shape) for name, tensor in build(place).state_dict().items()}
        assert expected_tensors(part, read_config(place, part)) == built, part


def test_full_size_files_are_counted_without_memory(bundle: Path) -> None:
    """Every tensor of the published sizes, in bytes as published; no torch is loaded for it, and no weights."""
    for name, size in PUBLISHED_BYTES.items():
        path = bundle.parent / name
        assert not path.exists() or path.stat().st_size == size, name
    code = (
        "import json, sys; from pathlib import Path; from acestep.checkpoints.checking import check_place; "
        f"found = check_place(Path({str(bundle.parent)!r})); "
        "most = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]; "
        "print(json.dumps([[model.name, model.usable, {part.part: [part.matched, part.total] for part in model.parts}] "
        "for model in found])); print('torch' in sys.modules, most)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    [[name, usable, parts]] = json.loads(first)
    xl = "xl" in bundle.name
    assert (name, usable) == ("xl-turbo" if xl else "turbo", True)
    assert all(matched == total for matched, total in parts.values())
    assert sum(parts[part][1] for part in NETWORKS) == (829 if xl else 677)
    assert (parts[CODEC][1], parts[TEXT][1]) == (365, 310)
    torch_loaded, kilobytes = second.split()
    assert torch_loaded == "False" and int(kilobytes) < 300_000


def test_what_shapes_tell_is_what_the_config_said(bundle: Path) -> None:
    """A file without a config (ComfyUI's) builds the same networks as the folder with one."""
    for part, place in (
        ("transformer", bundle),
        (CODEC, bundle.parent / "vae"),
        (TEXT, bundle.parent / "Qwen3-Embedding-0.6B"),
    ):
        config, found = read_config(place, part), infer_config(read_contents(place, part).parts, part)
        told = {key: value for key, value in config.items() if key in found and value is not None}
        assert told == {key: found[key] for key in told} and len(told) > 6, part


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A DiT folder of a tiny bundle that a test may damage."""
    return build_tiny(
        tmp_path / "b", config={"model_version": "base"}, name="acestep-v15-base", codec="AutoencoderOobleck"
    )


def test_missing_extra_and_misshapen_tensors_are_named(small: Path) -> None:
    """With the first names of each, and the model is not called usable."""
    tensors = load_file(small / "model.safetensors")
    tensors.pop("decoder.norm_out.weight")
    tensors["decoder.proj_in.1.bias"] = torch.zeros(3)
    tensors["alien"] = torch.zeros(1)
    save_file(tensors, small / "model.safetensors")
    [check] = check_place(small)
    part = next(part for part in check.parts if part.part == "transformer")
    assert (part.missing, part.extra) == (["norm_out.weight"], ["alien"]) and not check.usable
    assert part.misshapen == ["proj_in_conv.bias [3], not [64]"] and part.matched == part.total - 2


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and messages of ``models check``."""
    capsys.readouterr()
    return main(["models", "check", *arguments]), *capsys.readouterr()


def test_the_command_says_it_in_words_and_as_json(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of parts, what it does and whether it opens; the exit code follows."""
    home = ("--home", str(tmp_path / "home"))
    code, out, _ = run(capsys, str(small.parent), *home)
    assert code == Exit.OK and "can be opened" in out and "does: text2music, repaint, cover, extract" in out
    assert "audio detokenizer" in out and "F32" in out
    code, out, _ = run(capsys, str(small.parent), "--json", *home)
    [row] = json.loads(out)
    assert code == Exit.OK and row["usable"] and {part["part"] for part in row["parts"]} == {*NETWORKS, CODEC, TEXT}
    weights = small / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    code, out, _ = run(capsys, str(small), *home)
    assert code == Exit.FAILED and "cut short" in out and "cannot be opened" in out
    code, _, err = run(capsys, str(tmp_path / "nowhere"), *home)
    assert code != Exit.OK and "no folder or file" in err
    code, out, _ = run(capsys, "nano", *home)
    assert code == Exit.OK and "not compared" in out, "a model by its name; the small codec has no table"
    code, _, err = run(capsys, "nothing-of-that-name", *home)
    assert code != Exit.OK and "no model 'nothing-of-that-name'" in err


def test_single_files_are_checked_too(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ComfyUI's: with what they lack, or as the part that they are; another family's by its name."""
    file = foreign.comfy_files(small, tmp_path / "models")
    home = ("--home", str(tmp_path / "home"))
    code, out, _ = run(capsys, str(file), *home)
    assert code == Exit.FAILED and "models download companions" in out and "transformer" in out
    [codec] = check_place(tmp_path / "models" / "vae" / "ace_1.5_vae.safetensors")
    assert codec.usable and codec.kind == "part of a model" and codec.parts[0].matched == 365
    (tmp_path / "home" / "checkpoints" / "companions" / "Qwen3-Embedding-0.6B").mkdir(parents=True)
    lent = tmp_path / "home" / "checkpoints" / "companions"
    shutil.copy(small / "silence_latent.pt", lent)
    shutil.copy(small.parent / "Qwen3-Embedding-0.6B" / "tokenizer.json", lent / "Qwen3-Embedding-0.6B")
    code, out, _ = run(capsys, str(file), *home)
    assert code == Exit.OK and "borrowed from" in out and "ComfyUI" in out
    save_file({"double_blocks.0.weight": torch.zeros(1)}, tmp_path / "flux.safetensors")
    code, out, _ = run(capsys, str(tmp_path / "flux.safetensors"), *home)
    assert code == Exit.FAILED and "another model family (Flux)" in out


def test_the_strict_loaders_libraries_are_bounded() -> None:
    """A newer major may rename tensors; what is asked for says how far it was tried, and the installed ones are within."""
    import tomllib
    from importlib.metadata import version

    from packaging.requirements import Requirement

    root = Path(__file__).resolve().parents[3]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    asked = map(Requirement, project["optional-dependencies"]["engine"])
    bounded = {one.name: one.specifier for one in asked if one.name in ("diffusers", "transformers")}
    for name, specifier in bounded.items():
        assert any(clause.operator == "<" for clause in specifier), name
        assert specifier.contains(version(name)), f"{name} {version(name)} was not tried"
    assert set(bounded) == {"diffusers", "transformers"}
