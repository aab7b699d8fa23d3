"""JavaScript programs that tests use: installed once into the user's cache, as their lock file says."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

INSTALL_SECONDS = 180


@pytest.fixture(scope="session")
def npm_modules(foreign: Callable[[str], str]) -> Callable[[Path], Path]:
    """``npm_modules(folder)``: the packages of the lock file in a folder, as a ``node_modules`` folder."""

    def install(source: Path) -> Path:
        npm = foreign("npm")
        lock = (source / "package-lock.json").read_bytes()
        cache = Path(platformdirs.user_cache_dir("acestep-bridge-tests", appauthor=False))
        folder = cache / f"{source.name}-{hashlib.sha256(lock).hexdigest()[:12]}"
        if not (folder / "installed").exists():
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, folder / name)
            command = [npm, "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
            if done.returncode:
                reason = f"npm could not install what {source.name} needs: {done.stderr[-300:]}"
                (pytest.fail if os.environ.get("CI_REQUIRE_FOREIGN") else pytest.skip)(reason)
            (folder / "installed").touch()
        return folder / "node_modules"

    return install
