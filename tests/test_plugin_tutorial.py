"""docs/plugin-tutorial.md, run as it stands: every command and the file between them, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

PAGE = Path(__file__).resolve().parent.parent / "docs" / "plugin-tutorial.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FREE_PORTS = {f"ACESTEP_BRIDGE_{door}_PORT": "0" for door in ("OSC", "RPC", "HTTP", "JSONRPC")}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial_leads_from_an_empty_folder_to_a_sound(tmp_path: Path) -> None:
    """In one shell; the song differs from the result between two and four seconds (and 50 ms beside them), and nowhere else."""
    page = PAGE.read_text("utf-8")
    file = re.search(r"Write `(plugins/\w+\.py)`", page)
    assert file is not None
    script = [f"cat > {file[1]} <<'END'\n{text}END" if kind == "python" else text for kind, text in BLOCK.findall(page)]
    assert len(script) == 4
    environment = {
        **os.environ,
        **FREE_PORTS,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ACESTEP_BRIDGE_HOME": str(tmp_path / "home"),
    }
    lines = "\n".join(["set -e", *script, "acestep-bridge stop"])
    done = subprocess.run(
        ["sh", "-c", lines], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"soften +enabled", done.stdout) and "--depth" in done.stdout
    assert "refused, as it should be" in done.stdout and "depth" in done.stderr
    before, rate = soundfile.read(tmp_path / "my-plugin" / "song.wav", dtype="int32")
    after, _ = soundfile.read(tmp_path / "my-plugin" / "softer.wav", dtype="int32")
    assert len(before) == len(after) == 8 * rate
    changed = np.flatnonzero((before != after).any(axis=1))
    assert changed.size and changed.min() >= 1.94 * rate and changed.max() <= 4.06 * rate
