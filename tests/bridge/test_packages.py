"""A setting whose package is missing is refused when the daemon starts, not in the middle of the first job."""

from __future__ import annotations

import importlib.metadata
import importlib.util

import pytest

from acestep.api.errors import Unavailable
from bridge.daemon import Daemon
from bridge.paths import Paths
from bridge.settings import Settings


async def test_int8_without_its_package_does_not_start(tmp_path, monkeypatch):
    """One sentence with the setting and what to install; no door was opened."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "torchao" else found(name, *more)
    )
    wish = Settings(home=str(tmp_path), backend="fake", device="cuda", int8="on")
    paths = Paths.of(wish)
    paths.create()
    daemon = Daemon(wish, paths)
    with pytest.raises(Unavailable, match=r"on a GPU .* need the package torchao") as caught:
        await daemon.start()
    assert caught.value.field == "int8" and daemon.doors == {}


@pytest.mark.parametrize(
    ("device", "build", "needed"), [("cpu", "2.13.0", False), ("auto", "2.13.0+cpu", False), ("auto", "2.13.0", True)]
)
def test_int8_on_a_cpu_needs_no_package(tmp_path, monkeypatch, device, build, needed):
    """torch's own arithmetic does it; where torch may find a GPU, the package is asked for."""
    from bridge.daemon import require_packages

    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: build)
    wish = Settings(home=str(tmp_path), device=device, int8="on")
    if needed:
        with pytest.raises(Unavailable, match=r"on a CPU .* no package"):
            require_packages(wish)
    else:
        require_packages(wish)


@pytest.mark.parametrize(("devices", "needed"), [(["cpu", "cpu"], False), (["cpu", "cuda"], True)])
def test_int8_on_several_devices(tmp_path, monkeypatch, devices, needed):
    """Two workers on the processor are a CPU as well, whatever torch is built for."""
    from bridge.daemon import require_packages

    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.13.0")
    wish = Settings(home=str(tmp_path), devices=devices, int8="on")
    if needed:
        with pytest.raises(Unavailable, match="need the package torchao"):
            require_packages(wish)
    else:
        require_packages(wish)


@pytest.mark.parametrize("int8", ["auto", "off"])
def test_other_settings_need_no_package(tmp_path, monkeypatch, int8):
    from bridge.daemon import require_packages

    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    require_packages(Settings(home=str(tmp_path), int8=int8))
