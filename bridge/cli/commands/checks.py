"""`doctor` looks at the machine; `demo` runs the whole loop once."""

from __future__ import annotations

import argparse
from pathlib import Path

from bridge.cli.exits import Exit
from bridge.cli.show import show_json, tell
from bridge.plain import plain

MARKS = {"ok": "ok      ", "note": "note    ", "warning": "WARNING ", "problem": "PROBLEM "}


def doctor(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""
    parser.description = "Check Python, names, folders, ports, plug-ins, models, devices and sound, and say what to do."
    parser.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    import msgspec

    from bridge.doctor import Severity, examine

    findings = examine(options.home)
    if options.json:
        show_json(msgspec.to_builtins(findings))
    else:
        for one in findings:
            print(plain(f"{MARKS[one.level]} {one.subject}: {one.text}"))
            if one.advice:
                print(plain(f"{' ' * 9} -> {one.advice}"))
        bad = sum(one.level in (Severity.WARNING, Severity.PROBLEM) for one in findings)
        tell("everything is fine" if not bad else f"{bad} problem{'s' if bad > 1 else ''} found")
    return Exit.FAILED if any(one.level is Severity.PROBLEM for one in findings) else Exit.OK


def demo(parser: argparse.ArgumentParser) -> None:
    """Where the results go."""
    parser.description = (
        "Start a separate daemon. From a second process that speaks only OSC, repaint bars 5 to 8 of the example "
        "loop, extract its drums, generate an 8-bar part, and cancel a fourth job halfway. Write audio, a "
        "picture and a table of times, and check lengths and untouched samples."
    )
    parser.add_argument("--out", metavar="FOLDER", default="demo-out", help="folder for the files [default: demo-out]")
    parser.add_argument("--model", default="", help="model to use; empty: the default one")
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    from bridge.demo import run_demo

    return run_demo(Path(options.out).expanduser().absolute(), model=options.model, as_json=options.json)
