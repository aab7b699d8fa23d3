"""`completion`: what the shell needs to finish commands, options and choices on Tab."""

from __future__ import annotations

import argparse

from acestep.api.schema import describe
from acestep.api.targets import resolve_target
from bridge.cli.app import COMMANDS, PROGRAM, common_options
from bridge.cli.exits import Exit

SHELLS = ("bash", "zsh", "tcsh")


def completion(parser: argparse.ArgumentParser) -> None:
    """For which shell."""
    parser.description = (
        f"Print a script that completes commands, options and choices of {PROGRAM} on Tab, including those of plug-ins.\n\n"
        f"  bash   {PROGRAM} completion bash > ~/.local/share/bash-completion/completions/{PROGRAM}\n"
        f"  zsh    {PROGRAM} completion zsh > ~/.zfunc/_{PROGRAM}     (with ~/.zfunc in fpath)\n"
        f"  tcsh   {PROGRAM} completion tcsh > ~/.{PROGRAM}.completion     (and source it)"
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=_completion)


def _completion(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(whole_parser(), shell=options.shell))
    return Exit.OK


def whole_parser() -> argparse.ArgumentParser:
    """One parser of every command and operation. A single call needs but one of them, so nothing else makes this."""
    import shtab

    from bridge.cli.fields import PREFIX
    from bridge.cli.operations import configure_operation
    from bridge.cli.plugins import load_registry

    registry = load_registry()
    parser = argparse.ArgumentParser(prog=PROGRAM, allow_abbrev=False)
    commands = parser.add_subparsers()
    for name, operation in registry.visible().items():
        added = commands.add_parser(name, parents=[common_options()], allow_abbrev=False, help=operation.summary)
        configure_operation(added, operation, registry)
        fields = {PREFIX + info.name: info for info in describe(operation.schema)}
        for action in added._actions:  # argparse has no public list of them, and shtab reads this one too
            if (info := fields.get(action.dest)) is not None:
                action.choices = action.choices or info.choices or registry.choices(info.choices_from or "") or None
            if action.metavar == "PATH":
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    for name, command in COMMANDS.items():
        added = commands.add_parser(name, parents=[common_options()], allow_abbrev=False, help=command.summary)
        resolve_target(command.target)(added)
    return parser
