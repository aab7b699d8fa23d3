"""Pages of weight files go when nobody needs them, and nothing is lost."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from acestep.checkpoints.memory import free_ram, own_memory
from acestep.engine.model_pool import DevicePlacement
from acestep.runtime import pages
from acestep.runtime.pages import give_back_pages
from acestep.runtime.tiers import Offload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a page holds")

NUMBERS = 8 * 2**20
BYTES = 2 * NUMBERS


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """Two tensors of 16 MiB, read from a file as checkpoints are."""
    monkeypatch.setattr(pages, "WORTH", BYTES)
    file = tmp_path / "weights.safetensors"
    save_file({name: torch.full((NUMBERS,), value).bfloat16() for name, value in (("a", 1.0), ("b", 2.0))}, file)
    with safe_open(file, "pt") as opened:
        return [opened.get_tensor(name) for name in ("a", "b")]


def of_files() -> int:
    """Bytes of file pages that this process holds."""
    with open("/proc/self/status") as table:
        return next(int(line.split()[1]) * 1024 for line in table if line.startswith("RssFile"))


def test_pages_of_files_go_and_come_again(mapped):
    """Out of the process's memory; the numbers are there when they are read."""
    first, second = mapped
    assert first.sum() + second.sum() == 3 * NUMBERS
    before = of_files()
    assert give_back_pages([first]) == BYTES
    assert before - of_files() > 0.9 * BYTES
    assert first.sum() == NUMBERS and second.sum() == 2 * NUMBERS


def test_what_is_in_no_file_stays(mapped):
    """Memory of the process's own, and a file's pages that were written to (adapters merge into copies, but who knows)."""
    own = torch.ones(NUMBERS, dtype=torch.bfloat16)
    assert give_back_pages([own]) == 0 and own.sum() == NUMBERS
    mapped[0][7] = 5.0
    assert give_back_pages(mapped) == 0 and mapped[0][7] == 5.0


def test_small_weights_are_not_worth_the_trouble(mapped, monkeypatch):
    """The embedded model would only lose time."""
    monkeypatch.setattr(pages, "WORTH", 3 * BYTES)
    assert give_back_pages(mapped) == 0


def test_a_network_keeps_its_pages_while_work_around_needs_it(mapped, monkeypatch):
    """Words are encoded inside nothing, the codec may preview inside denoising: only what is done with goes."""
    networks = {name: torch.nn.Module() for name in ("text_encoder", "transformer")}
    for network, tensor in zip(networks.values(), mapped, strict=True):
        network.weight = torch.nn.Parameter(tensor, requires_grad=False)
    work = {"words": ("text_encoder",), "denoise": ("transformer", "text_encoder"), "codec": ("codec",)}
    model = SimpleNamespace(networks=lambda: networks, work=work, offloadable=())
    given: list[int] = []
    monkeypatch.setattr(
        "acestep.engine.model_pool.give_back_pages", lambda tensors: given.append(give_back_pages(tensors))
    )
    placement = DevicePlacement(torch.device("cpu"), Offload.NONE, lambda device: None)
    with placement.on_device(model, "denoise"):
        with placement.on_device(model, "words"), placement.on_device(model, "codec"):
            pass
        assert given == [0, 0]
    assert given == [0, 0, 2 * BYTES]


def test_a_processor_can_be_made_to_look_smaller(monkeypatch):
    """`MAX_CPU_RAM` in GB, less what the process holds itself."""
    monkeypatch.setenv("MAX_CPU_RAM", "1000000")
    usual = free_ram()
    held = own_memory()
    monkeypatch.setenv("MAX_CPU_RAM", str(held / 2**30 + 0.5))
    assert abs(free_ram() - 2**29) < 2**27 and usual != free_ram()
    monkeypatch.setenv("MAX_CPU_RAM", "0.001")
    assert free_ram() == 0
