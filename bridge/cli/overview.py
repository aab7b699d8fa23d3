"""The help of the whole program: operations and commands under the headings where musicians look for them."""

from __future__ import annotations

from acestep.api.operation import Operation
from bridge.cli.app import COMMANDS, PROGRAM, Command
from bridge.cli.exits import MEANINGS
from bridge.cli.plugins import load_registry

MAIN = ("repaint", "song", "generate", "cover", "extend", "extract", "lego", "complete", "refine")
"""What most people come for, shown before everything else."""

HEADINGS = {
    "edit": "edit a clip",
    "create": "create a part",
    "stems": "stems",
    "planner": "words, plans and scores",
    "preset": "ready-made chains of stages",
    "render": "ready-made chains of stages",
    "training": "your own sound",
    "models": "models and adapters",
    "library": "results, presets and sounds",
    "playing": "playing live",
    "daemon": "the daemon",
    "set-up": "set-up and checks",
}
"""Group of an operation or command -> the heading it stands under, in this order; another group is its own heading, last."""

EXAMPLES = f"""examples:
  {PROGRAM} generate "warm lofi house, rhodes" --duration 8bars --bpm 92 --out new-part.wav
  {PROGRAM} repaint song.wav --start bar5 --end bar9 --bpm 120 --caption "half-time drums" --out .
  {PROGRAM} extract song.wav --track drums --out stems/
  {PROGRAM} jobs --json | jq '.[0].id'"""


def overview() -> str:
    """What ``acestep-bridge --help`` says: the main operations, everything else by heading, examples, exit codes."""
    operations = load_registry().visible()
    entries: dict[str, Operation | Command] = {**operations, **COMMANDS}
    main = {name: operations[name].summary for name in MAIN if name in operations}
    sections: dict[str, dict[str, str]] = {heading: {} for heading in HEADINGS.values()}
    for name, entry in entries.items():
        if name not in main:
            sections.setdefault(HEADINGS.get(entry.group, entry.group), {})[name] = entry.summary
    width = max(map(len, entries))
    return "\n\n".join(
        [
            f"usage: {PROGRAM} COMMAND [options]\n\n"
            "Make new takes, stems and parts with ACE-Step 1.5 models. Everything that makes sound is a job; the "
            "daemon\nthat runs jobs starts when it is needed.",
            f"most used:\n{_listed(main, width)}",
            *(f"{heading}:\n{_listed(rows, width)}" for heading, rows in sections.items() if rows),
            EXAMPLES,
            "exit codes:\n" + "\n".join(f"  {int(code):>3}  {text}" for code, text in MEANINGS.items()),
            f"`{PROGRAM} COMMAND --help` explains one command.",
        ]
    )


def _listed(entries: dict[str, str], width: int) -> str:
    return "\n".join(
        f"  {name.ljust(width)}  {text[:1].lower()}{text[1:].rstrip('.')}" for name, text in entries.items()
    )
