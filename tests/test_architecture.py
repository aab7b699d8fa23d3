"""The rules that keep the parts apart (DESIGN section 2), checked over every file and in real processes."""

from __future__ import annotations

import ast
import graphlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("acestep", "bridge", "plugins")

HEAVY = ("torch", "diffusers", "transformers", "safetensors.torch")
"""What only the worker process may import."""

NOT_IN_PLUGINS = re.compile(r"acestep(?!\.api(\.|$))(\.|$)")


def sources(package: str) -> list[Path]:
    """The Python files of a top-level package."""
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, at whatever depth, with its line; a ``from`` import names module and attribute."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; absolute names are what these rules read"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def offenders(package: str, forbidden: re.Pattern[str]) -> list[str]:
    """Imports of a package that a rule forbids, as file:line: module."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in sources(package)
        for module, line in imported(path)
        if forbidden.match(module)
    ]


def test_acestep_knows_neither_plugins_nor_bridge() -> None:
    """The engine stands alone."""
    assert offenders("acestep", re.compile(r"(plugins|bridge|daw_scripts)(\.|$)")) == []


def test_plugins_build_on_the_public_surface_only() -> None:
    """A built-in plug-in imports nothing that a third party would not: of acestep only acestep.api, of bridge nothing.

    Tensor code may import torch, in modules that a plug-in names as ``module:attribute`` and only the worker imports.
    """
    assert offenders("plugins", re.compile(r"(bridge|daw_scripts)(\.|$)")) == []
    assert offenders("plugins", NOT_IN_PLUGINS) == []


def test_the_bridge_uses_the_engine_through_its_interfaces_only() -> None:
    """The daemon reaches engine code through acestep.api, admission and the torch-free parts (worker contract, checkpoint
    folders, file headers, where a dataset's songs lie, what a guide says), and no built-in plug-in at all."""
    assert offenders("bridge", re.compile(r"(plugins|daw_scripts)(\.|$)")) == []
    parts = (
        r"api|admission|worker|checkpoints|audio\.(?:sniff|far|write)|latents\.latent_(?:store|index)|dataset\.sounds"
    )
    parts += r"|conditioning\.guide_text|__version__"
    allowed = rf"acestep(?!\.({parts})(\.|$))(\.|$)"
    assert offenders("bridge", re.compile(allowed)) == []


def test_nothing_of_the_bridge_imports_tensor_code() -> None:
    """torch and its kin appear in no import of the bridge, of acestep.api and of admission, lazily or not."""
    heavy = re.compile("(" + "|".join(re.escape(name) for name in HEAVY) + r")(\.|$)")
    assert offenders("bridge", heavy) == []
    light = ("acestep/api/", "acestep/admission/")
    assert [line for line in offenders("acestep", heavy) if line.startswith(light)] == []


ABOVE_ADMISSION = (
    "acestep/admission/",
    "acestep/engine/",
    "acestep/onnx/",
    "acestep/planner/listening",
    "acestep/testing/",
)
"""What may import admission, of acestep; the bridge may too."""


def test_admission_stands_between_the_interfaces_and_whatever_runs_or_hands_in_jobs() -> None:
    """Admission builds on acestep.api, file headers and guide texts; only what runs jobs or hands them in builds on admission.

    It reads no settings: roots, models and uploads are handed in.
    """
    below = re.compile(
        r"acestep(?!\.(api|admission|audio\.(?:sniff|latent_header)|conditioning\.guide_text)(\.|$))(\.|$)"
    )
    assert [line for line in offenders("acestep", below) if line.startswith("acestep/admission/")] == []
    upward = offenders("acestep", re.compile(r"acestep\.admission(\.|$)"))
    assert [line for line in upward if not line.startswith(ABOVE_ADMISSION)] == []


def test_the_interfaces_build_on_nothing_but_themselves() -> None:
    """acestep.api imports nothing of the engine that it describes."""
    others = offenders("acestep", re.compile(r"acestep(?!\.(api|__version__)(\.|$))(\.|$)"))
    assert [line for line in others if line.startswith("acestep/api/")] == []


def test_the_runtime_knows_the_interfaces_only() -> None:
    """Device, memory tier and policy are asked by codec, networks and checkpoints, so they know none of them."""
    assert [line for line in offenders("acestep", OUTSIDE_RUNTIME) if line.startswith("acestep/runtime/")] == []


OUTSIDE_RUNTIME = re.compile(r"acestep\.(?!(api|runtime)(\.|$))")

BELOW_THE_ENGINE = ("api", "admission", "runtime", "audio", "analysis", "networks", "codec", "checkpoints", "conditioning",
                    "denoising", "latents", "worker")  # fmt: skip


def test_nothing_below_the_engine_knows_it() -> None:
    """What the engine is made of can be used, and read, without it."""
    folders = tuple(f"acestep/{name}/" for name in BELOW_THE_ENGINE)
    found = offenders("acestep", re.compile(r"acestep\.engine(\.|$)"))
    assert [line for line in found if line.startswith(folders)] == []


def test_the_engines_modules_form_no_circle() -> None:
    """They can be read from the bottom up, imports for type checkers included."""
    known = {"acestep.engine." + path.stem for path in (ROOT / "acestep" / "engine").glob("*.py")}
    graph = {
        "acestep.engine." + path.stem: {module.rpartition(".")[0] for module, _ in imported(path)} & known
        for path in (ROOT / "acestep" / "engine").glob("*.py")
    }
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def test_no_two_classes_share_a_name() -> None:
    """One name, one meaning, in the whole product. A model family is a house of its own: it may have a codec and call it so."""
    found: dict[str, set[str]] = {}
    for path in (path for package in PACKAGES for path in sources(package)):
        if "families" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found.setdefault(node.name, set()).add(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


UNPICKLERS = re.compile(r"(pickle|_pickle|dill|cloudpickle|shelve|marshal|joblib)\.(load|loads|open|Unpickler)$")

RISKY = {"allow_pickle": True, "trust_remote_code": True, "weights_only": False}
"""Keyword arguments with which a library would run code that came with a file."""


def could_run_code(call: ast.Call) -> bool:
    """Whether a call reads a pickle without restrictions, or lets a file bring code along."""
    name = ast.unparse(call.func)
    given = {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
    unrestricted = name == "torch.load" and given.get("weights_only") is not True
    return (
        bool(UNPICKLERS.match(name)) or unrestricted or any(given.get(word) is value for word, value in RISKY.items())
    )


def test_nothing_that_could_run_code_is_unpickled() -> None:
    """No pickle is read, but the bare tensor of the published layout, by torch's restricted reader; no code comes with weights."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in PACKAGES
        for path in sources(package)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and could_run_code(node)
    ]
    assert found == []


def decisive_strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Strings that code decides or looks up by: in comparisons and match cases, as keys of maps, as positional arguments of calls.

    Examples in documentation and keys of other people's maps are none of these.
    """
    for node in ast.walk(tree):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Call):
            parts = list(node.args)
        for part in parts:
            inner = part.elts if isinstance(part, (ast.Tuple, ast.List, ast.Set)) else [part]
            yield from (item for item in inner if isinstance(item, ast.Constant) and isinstance(item.value, str))


FOREIGN_INTERFACES = tuple(f"bridge/doors/{name}/" for name in ("rest", "chat", "gradio", "lofi"))
"""Doors that translate somebody else's interface, whose tasks are a fixed list, into ours."""


def test_the_bridge_names_no_operation_sampler_or_backend() -> None:
    """Everything that plug-ins register is reached through the registry: core and doors decide by none of its names."""
    from acestep.api.registry import Registry

    registry = Registry.load()
    named = {*registry.stages, *registry.samplers, *registry.backends}
    assert len(named) > 10, "the built-in plug-ins must be installed for this rule to mean anything"
    found = []
    for folder in ("core", "doors", "client"):
        for path in sorted((ROOT / "bridge" / folder).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            names = [node for node in decisive_strings(tree) if node.value in named]
            found += [f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}" for node in names]
    assert [place for place in found if not place.startswith(FOREIGN_INTERFACES)] == []


def modules_after(*statements: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after these statements."""
    script = "; ".join([*statements, "import sys, json; print(json.dumps(sorted(sys.modules)))"])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statements",
    [
        ["import acestep", "import acestep.api", "import plugins", "import bridge"],
        ["from acestep.api import Registry", "Registry.load()"],
        ["import bridge.cli", "import bridge.daemon", "import bridge.core.service"],
        ["import bridge", "bridge.Client"],
        ["import acestep.dataset.scan, acestep.dataset.file, acestep.dataset.label, acestep.dataset.split"],
    ],
    ids=["packages", "registry", "daemon", "client", "dataset"],
)
def test_torch_stays_out_of_the_process(statements: list[str]) -> None:
    """Importing the packages, loading all plug-ins, the daemon's modules: none of it brings torch or numpy's heavier kin in."""
    assert modules_after(*statements) & {"torch", "diffusers", "transformers", "scipy", "matplotlib"} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_code_is_a_package(package: str) -> None:
    """A folder without __init__.py would be left out of nothing, yet found by chance; we name them all."""
    folders = {path.parent for path in sources(package)}
    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is(package: str) -> None:
    """Each module begins with a docstring."""
    silent = [path for path in sources(package) if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert [str(path.relative_to(ROOT)) for path in silent] == []


def test_every_function_is_annotated() -> None:
    """Arguments and results of every function carry types."""
    bare = []
    for package in PACKAGES:
        for path in sources(package):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                    missing = [
                        arg.arg for arg in given if arg.annotation is None and arg.arg not in ("self", "cls", "ctx")
                    ]
                    if missing or node.returns is None:
                        bare.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} {missing}")
    assert bare == []


def project() -> dict:
    """The parsed pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def canonical(name: str) -> str:
    """A distribution name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    """Every distribution that pyproject.toml asks for, in whatever extra."""
    table = project()["project"]
    lines = [*table["dependencies"], *(line for lines in table["optional-dependencies"].values() for line in lines)]
    return {canonical(re.match(r"[A-Za-z0-9._-]+", line).group()) for line in lines} - {"acestep-bridge"}


def test_every_dependency_has_a_pinned_version() -> None:
    """What pyproject.toml asks for, constraints.txt pins; torch without a build, so that CPU and GPU builds both fit."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert declared() - {canonical(name) for name in pins} == set()
    assert "+" not in pins["torch"]


def test_every_third_party_import_is_declared() -> None:
    """What the code imports, pyproject.toml asks for (or it is an optional program of a named package)."""
    from importlib.metadata import packages_distributions

    known = packages_distributions()
    undeclared: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in sources(package):
            for module, line in imported(path):
                top = module.split(".")[0]
                if top in sys.stdlib_module_names or top in (*PACKAGES, "tests"):
                    continue
                if not {canonical(name) for name in known.get(top, [top])} & (declared() | UNDECLARED_ON_PURPOSE):
                    undeclared.setdefault(top, set()).add(f"{path.relative_to(ROOT)}:{line}")
    assert undeclared == {}


UNDECLARED_ON_PURPOSE = {"tinysoundfont"}
"""Only for rendering the training songs; see the note beside the extras in pyproject.toml."""


def test_entry_points_name_packages_that_exist() -> None:
    """Each built-in plug-in of pyproject.toml can be found where it says."""
    points = project()["project"]["entry-points"]["acestep_bridge"]
    assert [name for name in points.values() if not (ROOT / name.replace(".", "/") / "__init__.py").exists()] == []


def test_the_wheel_puts_shipped_files_where_they_are_looked_for() -> None:
    """The folders beside the code have one place in a checkout and one in a wheel, and both sides know the same."""
    from bridge.package_data import CHECKOUT, FOLDERS, PACKAGE

    sources = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["sources"]
    known = {
        str(checkout.relative_to(CHECKOUT)): str(Path("bridge") / wheel.relative_to(PACKAGE))
        for checkout, wheel in FOLDERS.values()
    }
    assert sources == known
    assert all(checkout.is_dir() for checkout, _ in FOLDERS.values())


def test_every_module_of_a_family_imports() -> None:
    """A family builds on names of many parts; one that was moved shows here and not at a musician's."""
    names = [f"{path.with_suffix('').relative_to(ROOT)}".replace("/", ".") for path in sources("acestep/families")]
    subprocess.run([sys.executable, "-c", f"import {', '.join(names)}"], check=True, capture_output=True, cwd=ROOT)


def test_a_method_lives_in_one_file() -> None:
    """What a client can call is made by the decorator in bridge/doors/methods, and its request stands in the same file, or is the
    one empty request or the submission that the core takes."""
    from bridge.doors.methods import METHODS

    shared = {"Nothing", "Submission"}
    for one in METHODS.values():
        assert one.function.__module__.startswith("bridge.doors.methods.")
        assert one.request.__module__ == one.function.__module__ or one.request.__name__ in shared, one.name
