"""Checkpoints to break: one tiny bundle per session, copied by the tests that change it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.checkpoints import fetching
from acestep.checkpoints.published import MAIN_BUNDLE
from acestep.checkpoints.tiny import XL_SIZES, build_tiny

_files = importlib.util.spec_from_file_location("foreign_files", Path(__file__).with_name("foreign_files.py"))
foreign_files = importlib.util.module_from_spec(_files)
sys.modules[_files.name] = foreign_files
_files.loader.exec_module(foreign_files)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DiT folder of an untouched tiny bundle; read only."""
    return build_tiny(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def bundle(pristine: Path, tmp_path: Path) -> Path:
    """The DiT folder of a tiny bundle that a test may damage."""
    shutil.copytree(pristine.parent, tmp_path / "bundle")
    return tmp_path / "bundle" / pristine.name


@pytest.fixture
def edit_weights() -> Callable[[Path, Callable[[dict[str, torch.Tensor]], None]], None]:
    """Rewrites a safetensors file after a change to its tensors."""

    def edit(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        change(tensors)
        save_file(tensors, path)

    return edit


@pytest.fixture(params=["std", "xl"])
def converted(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint in both layouts: (DiT folder, diffusers root), at both kinds of sizes."""
    config = XL_SIZES if request.param == "xl" else None
    dit = build_tiny(
        tmp_path / "published", config=config, name="acestep-v15-xl-tiny" if config else "acestep-v15-tiny"
    )
    root = tmp_path / "converted"
    root.mkdir()
    return dit, foreign_files.convert(dit, root)


_spec = importlib.util.spec_from_file_location("stand_in_hub", Path(__file__).with_name("hub.py"))
hub_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = hub_module
_spec.loader.exec_module(hub_module)


_files = importlib.util.spec_from_file_location("published_files", Path(__file__).with_name("published_files.py"))
_files_module = importlib.util.module_from_spec(_files)
sys.modules[_files.name] = _files_module
_files.loader.exec_module(_files_module)


@pytest.fixture(scope="session")
def hub_files():
    """The published file lists (`published_files`)."""
    return _files_module


def write_language_model(folder: Path) -> None:
    """What makes a folder a planner: its config, a tokenizer and one whole weight file."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3", "vocab_size": 217_204}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    save_file({"model.embed_tokens.weight": torch.zeros(8, 8)}, folder / "model.safetensors")


@pytest.fixture(scope="session")
def repositories(tmp_path_factory) -> dict[str, Path]:
    """Tiny checkpoints in the shape of the published repositories, with files nobody needs."""
    root = tmp_path_factory.mktemp("hub")
    main = root / "main"
    build_tiny(main, config={"model_version": "turbo", "is_turbo": True}, name="acestep-v15-turbo")
    build_tiny(root / "single", config={"model_version": "base"}, name="acestep-v15-base", salt="base/")
    write_language_model(main / "acestep-5Hz-lm-1.7B")
    (main / "acestep-v15-turbo" / "modeling_acestep_v15_turbo.py").write_text("raise SystemExit")
    (main / "acestep-v15-turbo" / "pytorch_model.bin").write_bytes(b"pickle")
    return {MAIN_BUNDLE: main, "ACE-Step/acestep-v15-base": root / "single" / "acestep-v15-base"}


@pytest.fixture
def hub(repositories, monkeypatch, tmp_path):
    """The hub, and an environment that leads to it; ModelScope cannot be reached."""
    server = hub_module.Hub(dict(repositories))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("ACESTEP_DOWNLOAD_SOURCE", raising=False)
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    yield server
    server.close()


@pytest.fixture
def modelscope(hub, monkeypatch):
    """The same server as ModelScope; the hub cannot be reached."""
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "secret-of-the-hub")
    monkeypatch.setattr(fetching, "ATTEMPTS", 2)
    return hub
