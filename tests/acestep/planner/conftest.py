"""A tiny language model in the published layout, made once for all tests of the planner."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from acestep.planner.decoding import Decoder, TokenPrompt
from acestep.planner.grammar import TextVocabulary
from acestep.planner.layout import TokenLayout, read_layout
from acestep.planner.model import TransformersPlanner
from acestep.planner.tiny import build_tiny


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny tensors gain nothing from threads, and lose much where they spin."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny planner as a published one would lie on the disk."""
    return build_tiny(tmp_path_factory.mktemp("planners") / "tiny")


@pytest.fixture(scope="session")
def backend(tiny_folder: Path) -> TransformersPlanner:
    """The tiny planner, loaded from its files."""
    return TransformersPlanner(tiny_folder, {"device": "cpu", "dtype": "float32"})


@pytest.fixture(scope="session")
def tokenizer(backend: TransformersPlanner):
    """Its tokenizer."""
    return backend.tokenizer


@pytest.fixture(scope="session")
def layout(tokenizer) -> TokenLayout:
    """Its token ids."""
    return read_layout(tokenizer)


@pytest.fixture(scope="session")
def vocabulary(backend: TransformersPlanner) -> TextVocabulary:
    """Its text tokens, compiled for masks."""
    return backend._vocabulary


@pytest.fixture(scope="session")
def decoder(backend: TransformersPlanner) -> Decoder:
    """Its token loop."""
    return backend.decoder


@pytest.fixture(scope="session")
def prompt(backend: TransformersPlanner) -> TokenPrompt:
    """A guided prompt whose two sides differ in length."""
    return TokenPrompt(
        backend.ids("<|im_start|>user\nwarm lofi house<|im_end|>\n"), backend.ids("<|im_start|>user\nno<|im_end|>\n")
    )
