"""Every line of the codecs is run by the tests: a branch that no test takes is a branch that nobody knows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

WATCHED = """
import dis, inspect, importlib, json, sys, types
import pytest

NAMES = ("bridge.doors.osc.codec", "bridge.doors.osc.framing", "bridge.doors.rpc.codec", "bridge.doors.jsonrpc.codec")


def lines_of(code):  # of functions: what stands outside them is run by the import
    inside = code.co_flags & inspect.CO_OPTIMIZED
    own = {line for _, line in dis.findlinestarts(code) if line and inside} - {code.co_firstlineno}
    return own.union(*(lines_of(inner) for inner in code.co_consts if isinstance(inner, types.CodeType)), set())


run = {}


def watch(frame, event, argument):
    lines = run.get(frame.f_code.co_filename)
    if lines is None:
        return None
    lines.add(frame.f_lineno)
    return watch


files = {}
for name in NAMES:
    path = importlib.util.find_spec(name).origin
    run[path] = set()
    files[path] = lines_of(compile(open(path).read(), path, "exec"))


sys.settrace(watch)  # tables are made while a module is imported
for name in NAMES:
    importlib.import_module(name)
sys.settrace(None)


class Tracing:
    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self):
        sys.settrace(watch)
        try:
            return (yield)
        finally:
            sys.settrace(None)


options = ["-q", "-p", "no:cacheprovider", "-k", "not (mutated or random or python_osc or shortest or typed or messages_come)"]
status = pytest.main([*sys.argv[1:], *options], plugins=[Tracing()])
missed = {path: sorted(files[path] - run[path]) for path in files}
print("\\n" + json.dumps({"status": int(status), "missed": missed}))
"""


def test_every_line_of_the_codecs_is_run():
    """The tests of the codecs, traced, without the longest of those that try random input: they leave no line out."""
    tests = [
        str(HERE / name)
        for name in ("test_osc_codec.py", "test_osc_framing.py", "test_rpc_codec.py", "test_jsonrpc_codec.py")
    ]
    program = [sys.executable, "-c", "import importlib.util\n" + WATCHED, *tests]
    done = subprocess.run(program, capture_output=True, text=True, cwd=HERE.parents[2])
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["status"] == 0, done.stdout
    assert {path: lines for path, lines in found["missed"].items() if lines} == {}
