"""`models try`: ten seconds of music from one model, checked, timed, and ready to be reported."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cli.exits import Exit
from bridge.cli.follow import display_for
from bridge.cli.show import show_json, tell

if TYPE_CHECKING:
    from bridge.trial import Trial


def try_model(options: argparse.Namespace) -> int:
    """Run the trial and show it; 1 when a check failed. Raises an `AceError` when the model cannot be run at all."""
    import msgspec

    from bridge.trial import run_trial

    out = Path(options.out or f"try-{Path(options.name).name}").expanduser().absolute()
    display = display_for(options.name, quiet=options.quiet or options.json)
    try:
        trial = run_trial(options.name, out, options.home, display.progress)
    finally:
        display.close()
    if options.json:
        show_json({**msgspec.to_builtins(trial), "passed": trial.passed})
    else:
        show_trial(trial)
    return Exit.OK if trial.passed else Exit.FAILED


def show_trial(trial: Trial) -> None:
    """Checks, times, digest and place of the sound, for people."""
    for check in trial.checks:
        print(f"{'ok      ' if check.held else 'FAILED  '} {check.rule}: {check.found}")
    times = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in trial.seconds.items())
    print(f"times    {times}")
    engine = ", ".join(str(trial.engine[key]) for key in ("device", "device_name", "dtype") if trial.engine.get(key))
    print(f"on       {engine or 'an unknown device'}")
    print(f"weights  {', '.join(f'{name} {digest}' for name, digest in trial.weights.items())}")
    print(f"digest   {trial.digest}")
    print(f"sound    {trial.file}")
    for note in trial.notes:
        print(f"note     {note}")
    tell(
        "listen to it: it should be a funk band"
        if trial.passed
        else "please report this with report.json beside the sound"
    )
