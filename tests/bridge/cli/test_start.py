"""What the commands that only tell import: a start is as long as that list."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from acestep.api.registry import Registry
from bridge.settings import Settings

PACKAGES = ("acestep", "bridge", "plugins")
"""Where our own schemas are."""

LISTED = """
import json, runpy, sys
sys.argv = ["acestep-bridge", *sys.argv[1:]]
try:
    runpy.run_module("bridge.cli", run_name="__main__")
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

STARTED = """
import asyncio, json, sys, pathlib
from bridge.daemon import Daemon
from bridge.paths import Paths
from bridge.settings import resolve

ports = {f"{door}_port": 0 for door in ("osc", "rpc", "jsonrpc", "http")}
settings = resolve({**ports, "backend": "fake", "worker_start": "lazy"}).settings
paths = Paths.of(settings)
paths.create()

async def start():
    daemon = Daemon(settings, paths)
    await daemon.start()
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
    await daemon.stop()

asyncio.run(start())
"""

NOT_FOR_HELP = ("asyncio", "sqlite3", "ssl", "numpy", "soundfile", "subprocess", "acestep.admission", "acestep.audio",
                "acestep.latents", "acestep.worker", "bridge.core", "bridge.doors", "bridge.client", "bridge.cli.operations",
                "bridge.cli.commands")  # fmt: skip
"""What the list of operations and commands can be told without."""

NOT_FOR_STATUS = ("asyncio", "sqlite3", "ssl", "numpy", "soundfile", "importlib.metadata", "pluggy", "acestep.admission",
                  "acestep.audio", "acestep.worker", "plugins", "bridge.core.service", "bridge.doors.http")  # fmt: skip
"""What a question to a daemon needs no plug-in, no door and no event loop for."""

THIRD_PARTIES = {"msgspec", "typing_extensions", "pluggy", "platformdirs", "pythonosc"}
"""Packages that a daemon imports until its doors are open; the HTTP server's come after that."""

NOT_FOR_DAEMON = ("xml", "tomllib", "bridge.doctor", "bridge.demo", "bridge.hosts", "bridge.performance", "bridge.cli",
                  "bridge.client", "bridge.core.dawproject", "bridge.core.arrangement", "acestep.worker", "acestep.engine",
                  "acestep.networks", "acestep.denoising", "acestep.training", "acestep.dataset.store")  # fmt: skip
"""What of ours, and of Python's, it imports when somebody asks for it."""

OURS = ("acestep.", "bridge.")


def imported(tmp_path, script: str, *arguments: str) -> tuple[str, list[str]]:
    """Standard output of a script, and the modules that it had imported at its end."""
    environment = {**os.environ, "ACESTEP_BRIDGE_HOME": str(tmp_path)}
    line = [sys.executable, "-P", "-c", script, *arguments]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=True, timeout=120)
    return done.stdout, json.loads(done.stderr.splitlines()[-1])


def those_of(modules: list[str], packages: tuple[str, ...]) -> list[str]:
    """The modules that belong to one of these packages."""
    return [name for name in modules if any(name == one or name.startswith(f"{one}.") for one in packages)]


def test_schemas_hold_types_and_no_text_to_evaluate():
    """Evaluating written annotations took a sixth of a command's start; see `acestep.api.schema`."""
    registry = Registry.load()
    schemas = [Settings, *[one.schema for one in registry.operations.values()]]
    schemas += [one.Params for one in registry.stages.values()]
    classes = {base for schema in schemas for base in schema.__mro__ if base.__module__.partition(".")[0] in PACKAGES}
    written = {f"{one.__module__}.{one.__name__}": [name for name, hint in vars(one).get("__annotations__", {}).items()
               if isinstance(hint, str)] for one in classes}  # fmt: skip
    assert {name: fields for name, fields in written.items() if fields} == {}


def test_the_help_imports_the_plugins_and_little_else(tmp_path):
    """No door, no core, no admission; and of ours no more than fifty modules beside the plug-ins."""
    told, modules = imported(tmp_path, LISTED, "--help")
    assert "repaint" in told
    assert those_of(modules, NOT_FOR_HELP) == []
    assert len([name for name in modules if name.startswith(OURS)]) <= 55


def test_a_status_imports_no_plugin(tmp_path):
    """Whether or not a daemon answers."""
    _, modules = imported(tmp_path, LISTED, "status", "--no-start-daemon")
    assert those_of(modules, NOT_FOR_STATUS) == []


def test_a_daemon_starts_with_what_its_doors_need(tmp_path):
    """With every door open, and the worker still to come: no numbers, no sound files, no library of models."""
    _, modules = imported(tmp_path, STARTED)
    packages = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"__main__", "__mp_main__"}
    added = {name for name in packages if name.startswith("_") or name == "coverage"}  # an environment's own hooks
    assert packages - added - {"acestep", "bridge", "plugins"} <= THIRD_PARTIES
    assert those_of(modules, NOT_FOR_DAEMON) == []
