"""Makes a checkout's own environment and starts a command in it: what `run.py` does. Standard library only.

The environment is ``.venv`` beside this checkout. A stamp in it remembers what was installed from which files, so a second
run starts at once and a change of the declared dependencies installs again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / ".venv.lock"
"""Held while the environment is set up; the system frees it however that ends."""

STAMP = VENV / "acestep-bridge.json"

TORCH = "torch==2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
WINDOWS_GPU_INDEX = "https://download.pytorch.org/whl/cu130"
"""On Windows the registry's torch is the CPU build; CUDA builds live on PyTorch's own index."""

NEEDED_SPACE = {"cpu": 2_500_000_000, "gpu": 9_000_000_000, "light": 300_000_000}
"""Bytes that the environment takes, roughly, with each build."""

EXTRAS = {"test": ("engine", "pictures", "test")}
"""Extras that a command cannot do without; every other command gets `DEFAULT_EXTRAS`."""

DEFAULT_EXTRAS = ("engine", "pictures")

ENGINE_COMMANDS = frozenset({"demo", "test"})
"""Commands that compute on this machine, so that a light environment is not enough."""

OPTIONAL_EXTRAS = {"test": ("cluster", "midi", "quantisation")}
"""Extras without which the command still works: one that does not install here is named and left out."""

DEFAULT_OPTIONAL = ("midi",)

USAGE = """usage: python3 run.py [--cpu | --gpu | --light] COMMAND [...]

  demo [--out FOLDER]   hear and see the whole loop: daemon, repaint, extract, generate, cancel
  test [PYTEST OPTIONS] run the tests
  setup                 make .venv and install, nothing else
  serve, doctor, ...    any command of acestep-bridge; `python3 run.py help` lists them all

  --cpu   install the CPU build of PyTorch (the default)
  --gpu   install the platform's GPU build (CUDA on Linux and Windows, MPS on macOS); remembered for later runs
  --light leave the engine out: 200 MB, for a machine that uses another one's models; remembered for later runs"""

Build = Literal["cpu", "gpu", "light"]


class Invocation(NamedTuple):
    """What the command line asks for."""

    build: Build | None
    """Named build: of torch, or without it; none: the one that is installed, else the CPU build."""
    command: list[str]


class Stamp(NamedTuple):
    """What an environment holds: build, extras, and a digest of the files that declared them."""

    build: Build
    extras: frozenset[str]
    digest: str


def main(arguments: Sequence[str]) -> int:
    """Prepare the environment, then run the command in it; the exit code is the command's."""
    invocation = parse(arguments)
    if invocation == Invocation(None, []) or invocation.command[:1] in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    word = invocation.command[0] if invocation.command else "setup"
    try:
        with one_at_a_time():
            prepare(invocation.build, word)
    except SetupFailed as failure:
        print(f"run.py: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nrun.py: stopped; run the same command again to continue", file=sys.stderr)
        return 130
    if word == "setup":
        print(f"ready: {venv_python(VENV)} has everything; try `python3 run.py demo`")
        return 0
    return start(command_line(invocation.command))


class SetupFailed(Exception):
    """The environment could not be made; the message says what to do."""


FLAGS: dict[str, Build] = {"--cpu": "cpu", "--gpu": "gpu", "--light": "light"}


def parse(arguments: Sequence[str]) -> Invocation:
    """Take our own flags out of the arguments, wherever they stand before a ``--``."""
    build: Build | None = None
    command: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            command += arguments[index:]
            break
        if argument in FLAGS:
            build = FLAGS[argument]
        else:
            command.append(argument)
    return Invocation(build, command)


SIDE_BY_SIDE = (f"--numprocesses={(os.cpu_count() or 1) + 1}", "--dist=loadfile")
"""Tests run in one process more than there are cores, since many wait for others; a file of tests stays together (a later ``-n 0``
runs them in one)."""


def command_line(command: list[str]) -> list[str]:
    """The arguments of the environment's Python for a command of this file's usage."""
    if command[0] == "test":
        return ["-m", "pytest", *SIDE_BY_SIDE, *command[1:]]
    if command[0] == "help":
        return ["-P", "-m", "bridge.cli", "--help"]
    return ["-P", "-m", "bridge.cli", *command]


def venv_python(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def prepare(build: Build | None, command: str) -> None:
    """Make ``.venv`` and install what the command needs, unless the stamp says that it is there already."""
    present = read_stamp()
    chosen: Build = build or (present.build if present else "cpu")
    if chosen == "light" and command in ENGINE_COMMANDS:
        raise SetupFailed(
            f"{command} computes on this machine, and the engine is left out here; `python3 run.py --cpu {command}` adds it"
        )
    needed = frozenset() if chosen == "light" else frozenset(EXTRAS.get(command, DEFAULT_EXTRAS))
    optional = OPTIONAL_EXTRAS.get(command, DEFAULT_OPTIONAL)
    wanted = needed | frozenset(optional)
    digest = inputs_digest()
    if present and present == Stamp(chosen, present.extras | wanted, digest) and venv_python(VENV).exists():
        return
    _warn_of_space(chosen)
    if chosen == "light" and present and present.build != "light":  # nothing of the engine stays behind
        shutil.rmtree(VENV)
        present = None
    make_venv()
    STAMP.unlink(missing_ok=True)
    if (present and present.build not in (chosen, "light")) or (chosen == "gpu" and _torch_version().endswith("+cpu")):
        _pip(["uninstall", "--yes", "--quiet", "torch"])
    kept = present.extras if present else frozenset()
    install(chosen, sorted(needed), [extra for extra in sorted(kept | frozenset(optional)) if extra not in needed])
    STAMP.write_text(json.dumps({"build": chosen, "extras": sorted(kept | wanted), "digest": digest}))


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let no two of us set up the same environment; the second waits, and then finds it made."""
    with LOCK.open("a+b") as file:
        try:
            _lock(file.fileno(), wait=False)
        except OSError:
            print(f"another run.py is setting up {VENV}; waiting for it ...", flush=True)
            _lock(file.fileno(), wait=True)
        yield


def _lock(descriptor: int, *, wait: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return
            except OSError:
                if not wait:
                    raise
                time.sleep(0.5)
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def read_stamp() -> Stamp | None:
    """What the last finished set-up left, or none."""
    try:
        data = json.loads(STAMP.read_text())
        return Stamp(data["build"], frozenset(data["extras"]), data["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def inputs_digest() -> str:
    """A digest of everything that decides what has to be installed."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt", "bridge/bootstrap.py"):
        digest.update((ROOT / name).read_bytes())
    digest.update(str(ROOT).encode())  # an editable install points here; a moved checkout installs again
    return digest.hexdigest()


def make_venv() -> None:
    """Create ``.venv``, or create it anew when its interpreter does not work (say, Python was upgraded under it)."""
    if _works(venv_python(VENV)):
        return
    print(f"setting up {VENV} (once; a few minutes) ...", flush=True)
    made = subprocess.run([sys.executable, "-P", "-m", "venv", "--clear", str(VENV)], check=False)
    if made.returncode != 0 or not _works(venv_python(VENV)):
        raise SetupFailed(
            f"Python could not make the virtual environment {VENV}; on Debian and Ubuntu: sudo apt install python3-venv"
        )


def _works(python: Path) -> bool:
    try:
        return subprocess.run([str(python), "-P", "-c", "import pip"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install(build: Build, needed: Sequence[str], optional: Sequence[str]) -> None:
    """Install torch in the chosen build (light: none), this checkout with the needed extras, and each optional extra that will."""
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    print("installing the pinned versions of constraints.txt ...", flush=True)
    if build != "light":
        _install_torch(build)
    extras = f"[{','.join(needed)}]" if needed else ""
    if _pip(["install", *constraints, "--editable", f"{ROOT}{extras}"]) != 0:
        raise SetupFailed("pip could not install everything; its lines above say why. Running this again continues.")
    for extra in optional:
        if (reason := _try_pip(["install", *constraints, "--editable", f"{ROOT}[{extra}]"])) is not None:
            text = f"run.py: the optional part {extra!r} does not install here ({reason}); everything else works"
            print(text, file=sys.stderr)


def _install_torch(build: Build) -> None:
    """Put the chosen build in first, so that the plain requirement finds it satisfied.

    Where PyTorch's own index cannot be reached, the next step takes the registry's build: the GPU one on Linux, which is
    larger and works without a GPU too.
    """
    index = torch_index(build, platform.system())
    if index is None:
        return
    quick = ["--timeout", "15", "--retries", "1"]
    if _pip(["install", "--no-deps", *quick, "--index-url", index, TORCH]) != 0:
        print(f"run.py: {index} gave no {TORCH}; taking the package registry's build instead", file=sys.stderr)


def torch_index(build: Build, system: str) -> str | None:
    """The index that has the build, or none where the package registry's own wheel is that build."""
    if build == "cpu":
        return CPU_INDEX if system == "Linux" else None
    return WINDOWS_GPU_INDEX if system == "Windows" else None


def _torch_version() -> str:
    """The version of the environment's torch, its build after the plus; empty when there is none."""
    ask = "import importlib.metadata as m; print(m.version('torch'))"
    line = [str(venv_python(VENV)), "-P", "-c", ask]
    return subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()


def _pip(arguments: list[str]) -> int:
    quiet = [] if sys.stdout.isatty() or "--quiet" in arguments else ["--quiet"]
    line = [str(venv_python(VENV)), "-P", "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, *quiet]
    return subprocess.run(line, check=False).returncode


def _try_pip(arguments: list[str]) -> str | None:
    """Why an installation failed, in a few words of pip's own; none when it did not. A compiler's hundred lines stay unread."""
    line = [
        str(venv_python(VENV)),
        "-P",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        *arguments,
    ]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    errors = [text.removeprefix("ERROR: ") for text in done.stderr.splitlines() if text.startswith("ERROR: ")]
    return (errors[-1] if errors else f"pip ended with code {done.returncode}")[:160]


def _warn_of_space(build: Build) -> None:
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_SPACE[build]:
        wanted = NEEDED_SPACE[build] / 1e9
        print(f"run.py: {free / 1e9:.1f} GB free here, about {wanted:.1f} GB are needed", file=sys.stderr)


def start(arguments: list[str]) -> int:
    """Become the command (POSIX), or run it and hand its exit code on (Windows, where exec returns to the shell)."""
    line = [str(venv_python(VENV)), *arguments]
    if arguments[:2] == ["-m", "pytest"]:
        os.chdir(ROOT)
        # Tests run side by side on all cores: further threads in each would only starve the others.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(line[0], line)
    child = subprocess.Popen(line)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # the child got the same Ctrl-C and decides


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
