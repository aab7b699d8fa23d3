"""`acestep-bridge doctor`: looks at this machine and says, in sentences, what is fine and what to do about the rest.

Each check is a function that returns findings. Whatever might bring a process down (torch, sound and MIDI drivers) is asked in a
process of its own.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError
from acestep.api.registry import PluginState, Registry
from bridge import children
from bridge.core.job_store import set_aside
from bridge.core.models import Models
from bridge.core.packages import ENGINE_ADVICE, missing_packages
from bridge.core.planners import DEFAULT_PLANNER
from bridge.devices import named_devices
from bridge.launch import read_connection
from bridge.name_conflicts import foreign_distributions
from bridge.paths import AllowedRoots, Paths
from bridge.settings import Settings, features, resolve

PROBE_TIMEOUT = 120.0
"""Seconds a probe may take; importing torch from a cold disk takes tens."""

LOW_SPACE = 2_000_000_000
"""Bytes below which a download or a long result is likely to fail."""


class Severity(StrEnum):
    """How good or bad a finding is."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: what it is, what was found and, where it helps, what to do."""

    level: Severity
    subject: str
    text: str
    advice: str = ""


class Patient(msgspec.Struct, frozen=True):
    """What is examined."""

    settings: Settings
    paths: Paths


def examine(home: str = "") -> list[Finding]:
    """All findings, in the order of `CHECKS`. Never raises: settings that cannot be read are themselves a finding."""
    try:
        settings = resolve({"home": home or None}).settings
    except AceError as error:
        advice = "Correct or remove it; `acestep-bridge config path` says where the file is."
        return [Finding(Severity.PROBLEM, "settings", error.message, advice)]
    patient = Patient(settings, Paths.of(settings))
    return [finding for check in CHECKS for finding in check(patient)]


def check_program(patient: Patient) -> list[Finding]:
    """Python, this program, and the libraries that decide what works."""
    python = f"Python {platform.python_version()} on {platform.platform(terse=True)}"
    findings = [
        Finding(Severity.OK, "program", f"acestep-bridge {_version('acestep-bridge') or '(checkout)'}, {python}")
    ]
    if sys.maxsize < 2**32:
        findings.append(Finding(Severity.PROBLEM, "program", "this Python is 32-bit", "Install a 64-bit Python."))
    for name, use in OPTIONAL.items():
        if not _version(name):
            findings.append(Finding(Severity.NOTE, "program", f"{name} is not installed: {use}", f"pip install {name}"))
    return findings


OPTIONAL = {
    "rtmidi2": "no MIDI keyboards, pads and clock",
    "matplotlib": "no pictures from the demo",
    "torchao": "no int8 weights",
}
"""Distribution -> what is missing without it."""


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def check_names(patient: Patient) -> list[Finding]:
    """Other installed packages that carry the name of one of ours: which of them is imported is then chance."""
    findings = []
    for name, other in foreign_distributions():
        text = f"the package {other!r} also installs a module named {name!r}"
        findings.append(
            Finding(Severity.PROBLEM, "names", text, f"pip uninstall {other}, or use an environment of its own")
        )
    return findings or [Finding(Severity.OK, "names", "no other package is in the way")]


def check_folders(patient: Patient) -> list[Finding]:
    """Home, library and roots: there, writable, with room."""
    findings = []
    for name, folder in (("home", patient.paths.home), ("library", patient.paths.library)):
        standing = _nearest(folder)
        if not _writable(standing):
            findings.append(
                Finding(
                    Severity.PROBLEM, "folders", f"the {name} {folder} cannot be written", f"Set {name} to another."
                )
            )
            continue
        free = shutil.disk_usage(standing).free
        low = free < max(LOW_SPACE, patient.settings.free_bytes)
        advice = "Make room, or move the library: a model takes 5 to 20 GB." if low else ""
        text = f"{name}: {folder} ({free / 1e9:.1f} GB free)"
        findings.append(Finding(Severity.WARNING if low else Severity.OK, "folders", text, advice))
    roots = AllowedRoots.of(patient.settings, patient.paths)
    gone = [
        root
        for root in patient.settings.read_roots + patient.settings.write_roots
        if not Path(root).expanduser().is_dir()
    ]
    findings += [Finding(Severity.WARNING, "folders", f"the allowed folder {root} does not exist") for root in gone]
    findings.append(Finding(Severity.OK, "folders", f"sources may be read below {', '.join(map(str, roots.read[:6]))}"))
    return findings


def check_store(patient: Patient) -> list[Finding]:
    """Job stores that were damaged and set aside."""
    return [
        Finding(
            Severity.WARNING,
            "job store",
            f"a damaged job store was renamed to {path}: its history and waiting jobs are gone, the results are not",
            "Look at the disk; `sqlite3 FILE .recover` may read it. Remove the file when you no longer need it.",
        )
        for path in set_aside(patient.paths.database)
    ]


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest parent that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder


def _writable(folder: Path) -> bool:
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def check_daemon(patient: Patient) -> list[Finding]:
    """Whether a daemon runs with this home, and whether the ports it wants are free if not."""
    try:
        connection = read_connection(patient.paths)
    except AceError:
        return _check_ports(patient.settings)
    version = _version("acestep-bridge")
    running = str(connection.get("version", ""))
    text = f"running as process {connection['pid']}, version {running}"
    if running and version and running != version:
        return [Finding(Severity.WARNING, "daemon", text, f"Version {version} is installed; restart it to use that.")]
    return [Finding(Severity.OK, "daemon", text)]


def _check_ports(settings: Settings) -> list[Finding]:
    wanted = (
        ("osc_port", settings.osc_port, (socket.SOCK_DGRAM, socket.SOCK_STREAM), settings.osc),
        ("rpc_port", settings.rpc_port, (socket.SOCK_STREAM,), settings.rpc),
        ("jsonrpc_port", settings.jsonrpc_port, (socket.SOCK_STREAM,), settings.jsonrpc and bool(settings.token)),
        ("http_port", settings.http_port, (socket.SOCK_STREAM,), settings.http),
        *(("http_ports", port, (socket.SOCK_STREAM,), settings.http) for port in settings.http_ports),
    )
    findings = []
    for name, port, kinds, used in wanted:
        if used and port and not all(_free(settings.listen, port, kind) for kind in kinds):
            text = f"port {port} ({name}) is taken by another program"
            findings.append(
                Finding(Severity.PROBLEM, "ports", text, f"End that program, or set {name} to another port.")
            )
    return findings or [Finding(Severity.OK, "ports", "no daemon is running; its ports are free")]


def _free(host: str, port: int, kind: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if sys.platform != "win32" and kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def check_plugins(patient: Patient) -> list[Finding]:
    """Whether every plug-in loads."""
    settings = patient.settings
    folder = patient.paths.plugins
    registry = Registry.load(folder=folder, disabled=settings.plugins_disabled, features=features(settings))
    failed = [one for one in registry.plugins if one.state is PluginState.LOAD_ERROR]
    findings = [
        Finding(
            Severity.PROBLEM,
            "plug-ins",
            f"{one.name} ({one.origin}) did not load: {one.reason}",
            "Update or remove it.",
        )
        for one in failed
    ]
    loaded = [one.name for one in registry.plugins if one.state is PluginState.ENABLED]
    return [*findings, Finding(Severity.OK, "plug-ins", f"{len(loaded)} loaded: {', '.join(loaded)}")]


def check_models(patient: Patient) -> list[Finding]:
    """Which checkpoints are there, and which are damaged."""
    from acestep.checkpoints.info import EMBEDDED

    models = Models.of(patient.settings, patient.paths)
    problems = models.problems()
    findings = [
        Finding(Severity.WARNING, "models", f"{path}: {reason}", "Download it again, or remove the folder.")
        for path, reason in problems.items()
    ]
    found = [
        f"{info.name} ({info.family_title})"
        for info in models.all().values()
        if info.path and Path(info.path) != EMBEDDED
    ]
    embedded = "nano, a sketch model" if EMBEDDED.is_dir() else "random weights that sound like noise"
    if found:
        findings.append(Finding(Severity.OK, "models", f"found: {', '.join(found)}"))
    else:
        text = f"no checkpoint is installed; the embedded model ({embedded}) is used"
        findings.append(Finding(Severity.NOTE, "models", text, "`acestep-bridge models` lists what can be downloaded."))
    return findings


def check_planner(patient: Patient) -> list[Finding]:
    """Whether the planner can run: the packages of each backend, and a language model."""
    if missing_packages(["torch"]):
        return []
    models = Models.of(patient.settings, patient.paths)
    registry = Registry.load(entry_points=True)
    missing = missing_packages(registry.planner(DEFAULT_PLANNER).packages)
    if missing:
        text = f"the planner cannot run: {', '.join(missing)} is not installed; only generating without thinking works"
        return [Finding(Severity.WARNING, "planner", text, "python3 run.py setup installs it again.")]
    found = [model.name for model in models.language_models()]
    if not found:
        text = "no language model is installed; plan, compose and thinking need one"
        return [
            Finding(Severity.NOTE, "planner", text, "`acestep-bridge models download lm-0.6B` fetches the smallest.")
        ]
    return [Finding(Severity.OK, "planner", f"language models: {', '.join(found)}")]


TORCH_PROBE = """
import json, torch
devices = ["cpu"]
if torch.cuda.is_available():
    devices += [f"{torch.cuda.get_device_name(i)}, {torch.cuda.get_device_properties(i).total_memory / 2**30:.0f} GiB"
                for i in range(torch.cuda.device_count())]
if torch.backends.mps.is_available():
    devices.append("Apple GPU (mps)")
if hasattr(torch, "xpu") and torch.xpu.is_available():
    devices += [torch.xpu.get_device_name(i) for i in range(torch.xpu.device_count())]
print(json.dumps({"version": torch.__version__, "devices": devices, "threads": torch.get_num_threads()}))
"""

SOUND_PROBE = "import json, sounddevice; print(json.dumps([d['name'] for d in sounddevice.query_devices()]))"

MIDI_PROBE = (
    "import json; from bridge.performance.midi_backend import client; "
    "print(json.dumps({kind + 's': list(client(kind).ports) for kind in ('input', 'output')}))"
)


POLICY_PROBE = """
import json, sys
from acestep.api.errors import AceError
from acestep.runtime.policy import Policy

found, wanted = [], json.loads(sys.argv[1])
for settings in wanted:
    try:
        facts = Policy.of(settings).facts()
    except AceError as error:
        facts = {"device": settings["device"], "problem": error.message}
    found.append(facts)
    if settings["device"] == "auto":
        wanted += [{**settings, "device": name, "insist": True} for name in facts.get("devices", [])[1:]]
print(json.dumps(found))
"""
"""What each of several workers' settings comes to; where no device is named, what every device there is does."""


def probe(script: str, *arguments: str) -> tuple[Any, str]:
    """Run a script in a Python of its own: the JSON it prints, or none and the last line of its complaint."""
    try:
        line = children.python("-c", script, *arguments)
        done = subprocess.run(
            line, capture_output=True, text=True, timeout=PROBE_TIMEOUT, check=False, env=children.environment()
        )
    except subprocess.TimeoutExpired:
        return None, f"no answer within {PROBE_TIMEOUT:.0f} s"
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        complaint = done.stderr.strip().splitlines()
        return None, complaint[-1] if complaint else f"ended with code {done.returncode}"
    return json.loads(lines[-1]), ""


def check_devices(patient: Patient) -> list[Finding]:
    """torch and what it can compute on."""
    if missing_packages(["torch"]):
        text = "this installation comes without the engine; it uses the models of other machines (--connect HOST:PORT)"
        return [Finding(Severity.NOTE, "devices", text, f"{ENGINE_ADVICE}.")]
    answer, complaint = probe(TORCH_PROBE)
    if answer is None:
        advice = "python3 run.py setup installs it again."
        return [Finding(Severity.PROBLEM, "devices", f"torch does not work: {complaint}", advice)]
    text = f"torch {answer['version']}: {'; '.join(answer['devices'])} ({answer['threads']} threads)"
    if len(answer["devices"]) == 1 and shutil.which("nvidia-smi"):
        advice = "python3 run.py --gpu setup installs the GPU build; if it is installed, update the NVIDIA driver."
        return [
            Finding(Severity.WARNING, "devices", f"{text}; there is an NVIDIA driver, but torch sees no GPU", advice)
        ]
    return [Finding(Severity.OK, "devices", text)]


def check_worker(patient: Patient) -> list[Finding]:
    """How the worker of each device will compute: what settings, environment and device come to."""
    if missing_packages(["torch"]):
        return []
    names = ("dtype", "int8", "offload", "attention", "compile")
    settings = {name: getattr(patient.settings, name) for name in names}
    devices = named_devices(patient.settings.devices, patient.settings.device)
    wanted = [{**settings, "device": device.option, "insist": device.insist} for device in devices]
    answer, complaint = probe(POLICY_PROBE, json.dumps(wanted))
    if answer is None:
        return [Finding(Severity.PROBLEM, "worker", complaint, CORRECT)]
    named = [device.name for device in devices] if len(devices) > 1 else [str(facts["device"]) for facts in answer]
    heads = [f"{name}: " if len(answer) > 1 else "" for name in named]
    return [one for head, facts in zip(heads, answer, strict=True) for one in _worker_findings(head, facts)]


CORRECT = "Correct that setting or environment variable."


def _worker_findings(head: str, facts: dict[str, Any]) -> list[Finding]:
    """What one worker's facts say; ``head`` names its device where there are several."""
    if "problem" in facts:
        return [Finding(Severity.PROBLEM, "worker", f"{head}{facts['problem']}", CORRECT)]
    memory = "" if facts["memory_gb"] is None else f" with {facts['memory_gb']:.0f} GB ({_tier_text(facts)})"
    shown = f"offload {facts['offload']}, 8-bit weights {'on' if facts['int8'] else 'off'}"
    shown += ", codec on the CPU" if facts["codec_on_cpu"] else ""
    shown += f", attention {facts['attention']}, compile {facts['compile']}"
    findings = [Finding(Severity.OK, "worker", f"{head}{facts['device_name']}{memory} in {facts['dtype']}; {shown}")]
    findings += [Finding(Severity.WARNING, "worker", f"{head}{note}") for note in facts["notes"]]
    if facts["compile"] == "on" and facts["device"] == "cpu" and not any(map(shutil.which, ("c++", "g++", "cl"))):
        text = "compile is on, but there is no C++ compiler; the model will run as it is"
        findings.append(Finding(Severity.WARNING, "worker", text, "Install one, or set compile to off."))
    return findings


def _tier_text(facts: dict[str, Any]) -> str:
    return f"tier {facts['tier']}: at most {facts['minutes']:g} minutes, variants at once {facts['items']}"


def check_sound(patient: Patient) -> list[Finding]:
    """Sound output (for playing takes) and MIDI ports; the daemon and the DAW scripts do without both."""
    devices, complaint = probe(SOUND_PROBE)
    if devices:
        findings = [Finding(Severity.OK, "sound", f"{len(devices)} devices: {', '.join(devices[:4])}")]
    else:
        text = "no sound device" + (f" ({complaint})" if complaint else "")
        advice = "Only the performance mode plays sound itself; on Debian and Ubuntu it needs libportaudio2."
        findings = [Finding(Severity.NOTE, "sound", text, advice)]
    if not _version("rtmidi2"):
        return findings
    ports, complaint = probe(MIDI_PROBE)
    if ports is None:
        findings.append(Finding(Severity.NOTE, "MIDI", f"no MIDI system ({complaint})"))
    else:
        names = ", ".join([*ports["inputs"], *ports["outputs"]][:6]) or "no ports"
        findings.append(Finding(Severity.OK, "MIDI", names))
    return findings


CHECKS: Sequence[Callable[[Patient], list[Finding]]] = (
    check_program,
    check_names,
    check_folders,
    check_store,
    check_daemon,
    check_plugins,
    check_models,
    check_planner,
    check_devices,
    check_worker,
    check_sound,
)
"""What is looked at, in order: from what everything needs to what only some use."""
