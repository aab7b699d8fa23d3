"""What the commands that only tell import: a start is as long as that list."""

from __future__ import annotations

import json
import os
import subprocess
import sys

LISTED = """
import json, runpy, sys
sys.argv = ["acestep-bridge", "--help"]
try:
    runpy.run_module("bridge.cli", run_name="__main__")
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

NOT_FOR_HELP = ("asyncio", "sqlite3", "ssl", "numpy", "soundfile", "subprocess", "acestep.admission", "acestep.audio",
                "acestep.latents", "acestep.worker", "bridge.core", "bridge.doors", "bridge.client", "bridge.cli.operations",
                "bridge.cli.commands")  # fmt: skip
"""What the list of operations and commands can be told without."""

OURS = ("acestep.", "bridge.")


def test_the_help_imports_the_plugins_and_little_else(tmp_path):
    """No door, no core, no admission; and of ours no more than fifty modules beside the plug-ins."""
    environment = {**os.environ, "ACESTEP_BRIDGE_HOME": str(tmp_path)}
    line = [sys.executable, "-P", "-c", LISTED]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=True, timeout=120)
    modules = json.loads(done.stderr.splitlines()[-1])
    assert "repaint" in done.stdout
    assert [name for name in modules if any(name == one or name.startswith(f"{one}.") for one in NOT_FOR_HELP)] == []
    assert len([name for name in modules if name.startswith(OURS)]) <= 55
