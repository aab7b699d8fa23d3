"""The table of commands, and what turns a command line into one call of one of them.

Only the command that was asked for is imported, and only operations load the plug-ins: that is what keeps the start short.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from acestep import __version__
from acestep.api.errors import AceError, BadRequest
from acestep.api.targets import resolve_target
from bridge.cli.exits import Exit, exit_for
from bridge.cli.show import show_error, tell

PROGRAM = "acestep-bridge"


class Command(NamedTuple):
    """One command: its line in the help, and ``module:function`` that adds its arguments to a parser and sets ``run``."""

    summary: str
    target: str
    group: str = "daemon"
    """Heading of the help under which it stands."""


COMMANDS = {
    "serve": Command("run the daemon in this terminal", "bridge.cli.commands.serve:serve"),
    "stop": Command("stop the daemon; waiting jobs stay in the queue", "bridge.cli.commands.serve:stop"),
    "status": Command("show what the daemon is doing", "bridge.cli.commands.state:status"),
    "jobs": Command("list jobs, newest first", "bridge.cli.commands.jobs:jobs", "library"),
    "job": Command("show one job in full; --wait follows it", "bridge.cli.commands.jobs:job", "library"),
    "rerun": Command("run a job once more; --vary: make another take", "bridge.cli.commands.jobs:rerun", "library"),
    "cancel": Command("cancel jobs", "bridge.cli.commands.jobs:cancel"),
    "result": Command(
        "list the files of a finished job; --out copies them", "bridge.cli.commands.jobs:result", "library"
    ),
    "export": Command(
        "export a finished job as a project for Bitwig, Studio One, Cubase (.dawproject)",
        "bridge.cli.commands.export:export",
        "library",
    ),
    "studio": Command(
        "open the page in the browser: create, edit, compare, manage jobs", "bridge.cli.commands.studio:studio"
    ),
    "audition": Command(
        "open the newest results in the browser: hear, drag or save them",
        "bridge.cli.commands.studio:audition",
        "library",
    ),
    "queue": Command("pause, resume or clear the queue", "bridge.cli.commands.jobs:queue"),
    "models": Command(
        "list, inspect, download, verify, remove or unload models", "bridge.cli.commands.models:models", "models"
    ),
    "preset": Command(
        "save a job as a preset; list, show, import, export", "bridge.cli.commands.presets:preset", "library"
    ),
    "sound": Command(
        "save how a job sounds, for every operation's --sound; list, show",
        "bridge.cli.commands.sounds:sound",
        "library",
    ),
    "plugins": Command("list plug-ins, and why any did not load", "bridge.cli.commands.state:plugins", "set-up"),
    "describe": Command(
        "show the fields of an operation, or list all operations", "bridge.cli.commands.state:describe", "set-up"
    ),
    "slot": Command(
        "use slots: load, fill, launch, stop parts on the bar", "bridge.cli.commands.playing:slot", "playing"
    ),
    "capture": Command("keep the last bars of a live input", "bridge.cli.commands.playing:capture", "playing"),
    "tempo": Command(
        "show or set the current tempo: get, host, tap, free", "bridge.cli.commands.playing:tempo", "playing"
    ),
    "midi": Command("learn a pad or pedal; check a mapping file", "bridge.cli.commands.playing:midi", "playing"),
    "autogen": Command("make one batch after another while you listen", "bridge.cli.commands.orders:autogen"),
    "mcp": Command("serve assistants over the Model Context Protocol", "bridge.cli.commands.mcp:mcp"),
    "call": Command("call any method of the daemon by name, for scripts", "bridge.cli.commands.call:call"),
    "json-rpc": Command(
        "speak JSON-RPC on standard input and output, for editors and scripts", "bridge.cli.commands.json_rpc:json_rpc"
    ),
    "lofi": Command("act as the daemon that lofi.nvim starts (also: lofi-daemon)", "bridge.cli.commands.lofi:lofi"),
    "features": Command("list or set feature flags", "bridge.cli.commands.orders:features", "set-up"),
    "config": Command("show settings, and where each comes from", "bridge.cli.commands.state:config", "set-up"),
    "doctor": Command("check this machine and say what to do", "bridge.cli.commands.checks:doctor", "set-up"),
    "demo": Command("run the whole loop once and check it", "bridge.cli.commands.checks:demo", "set-up"),
    "layout": Command("write a control surface for Open Stage Control", "bridge.cli.commands.layout:layout", "set-up"),
    "completion": Command(
        "print Tab completion for bash, zsh, tcsh", "bridge.cli.commands.completion:completion", "set-up"
    ),
    "install-scripts": Command(
        "install the scripts for REAPER, Ableton Live or Ardour", "bridge.cli.commands.scripts:install", "set-up"
    ),
}
"""Every command that is not an operation, in the order of the help."""

FIRST_FLAGS = {
    "--json": 0,
    "--quiet": 0,
    "-q": 0,
    "--start-daemon": 0,
    "--no-start-daemon": 0,
    "--home": 1,
    "--connect": 1,
}
"""Options that may also stand before the command, and how many values each takes."""


def run(arguments: Sequence[str] | None) -> int:
    """Run a command line and return the exit code. Nothing but `SystemExit` of a wrong command line leaves it."""
    given = command_first(list(sys.argv[1:] if arguments is None else arguments))
    as_json = "--json" in given
    try:
        check_text(given)
        return int(_dispatch(given))
    except AceError as error:
        show_error(error, as_json=as_json)
        return int(exit_for(error))
    except KeyboardInterrupt:
        tell("stopped")
        return int(Exit.STOPPED)
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        sys.stderr.close()
        return int(Exit.OK)


def check_text(arguments: Sequence[str]) -> None:
    """Refuse a word that is not text, such as the name of a file from a system with another encoding. Raises `BadRequest`."""
    for word in arguments:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError:
            shown = word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            raise BadRequest(
                f"the name {shown} is not valid UTF-8; rename the file, or make a link to it with another name"
            ) from None


def command_first(arguments: list[str]) -> list[str]:
    """The command line with options that stand before the command moved behind it: ``--json status`` is ``status --json``."""
    leading: list[str] = []
    rest = list(arguments)
    while rest and rest[0].split("=")[0] in FIRST_FLAGS:
        values = 0 if "=" in rest[0] else FIRST_FLAGS[rest[0]]
        leading += rest[: 1 + values]
        rest = rest[1 + values :]
    return [*rest[:1], *leading, *rest[1:]]


def _dispatch(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        from bridge.cli.overview import overview

        print(overview())
        return Exit.OK
    if given[0] in ("--version", "-V", "version"):
        print(f"{PROGRAM} {__version__}")
        return Exit.OK
    name, rest = given[0], given[1:]
    if name.startswith("-"):
        _refuse(f"unknown option {name}; a command comes first")
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {name}",
        parents=[common_options()],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if name != "serve":
        logging.getLogger().addHandler(logging.NullHandler())  # what matters to the person is printed, not logged
    configure = _configure(name)
    configure(parser)
    options = parser.parse_args(rest)
    return int(options.run(options))


def _configure(name: str) -> Callable[[argparse.ArgumentParser], None]:
    if name in COMMANDS:
        found: Callable[[argparse.ArgumentParser], None] = resolve_target(COMMANDS[name].target)
        return found
    from bridge.cli.operations import operation_command

    return operation_command(name, COMMANDS)


def common_options(*, below: bool = False) -> argparse.ArgumentParser:
    """The options that every command has; ``below``: for a command of a command, where what is not given stays as it was."""

    def default(value: Any) -> Any:
        return argparse.SUPPRESS if below else value

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    section = parser.add_argument_group("daemon and output")
    section.add_argument(
        "--json", action="store_true", default=default(False), help="print JSON on standard output, errors too"
    )
    section.add_argument("-q", "--quiet", action="store_true", default=default(False), help="no progress")
    section.add_argument(
        "--home", default=default(""), metavar="FOLDER", help="home of the daemon (also ACESTEP_BRIDGE_HOME)"
    )
    section.add_argument("--connect", default=default(""), metavar="HOST:PORT", help="a daemon on another machine")
    section.add_argument("--token", default=default(""), help="token of that daemon")
    section.add_argument(
        "--start-daemon",
        action=argparse.BooleanOptionalAction,
        default=default(None),
        help="start a daemon in the background if none is running (operations do this anyway)",
    )
    return parser


def _refuse(sentence: str) -> NoReturn:
    tell(f"{PROGRAM}: {sentence} (`{PROGRAM} --help` lists them)")
    raise SystemExit(int(Exit.REFUSED))
