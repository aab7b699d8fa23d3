"""Control characters never reach a terminal or a line of the log."""

from __future__ import annotations

import json
import logging

import pytest

from acestep.api.errors import BadRequest
from bridge.cli import show
from bridge.logs import JsonFormat, TextFormat
from bridge.plain import escaped, plain, plain_lines

EVIL = {
    "escape": "\x1b[2J\x1b]0;title\x07",
    "c1": "\x9b31m",
    "line": "a\nforged line",
    "return": "a\rb",
    "delete": "\x7f\x08\x08",
    "direction": "\u202egpj.exe",
    "invisible": "\u200b\u2066x\u2069\ufeff",
    "separator": "\u2028\u2029",
    "surrogate": "\ud800",
    "null": "\0",
}
GOOD = "Größe 12 µs – Schönes Lied 🎵 日本語 naïve"


def shows_nothing_evil(text: str) -> bool:
    return all(character.isprintable() or character in "\n" for character in text)


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
def test_only_visible_characters_are_left(evil):
    """Each other one becomes a blank, or an escape in JSON, which still means the same."""
    assert shows_nothing_evil(plain(evil))
    assert "\n" not in plain(evil)
    assert shows_nothing_evil(plain_lines(evil))
    text = escaped(json.dumps({"a": evil}, ensure_ascii=False))
    assert shows_nothing_evil(text)
    assert json.loads(text) == {"a": evil}


def test_what_can_be_seen_stays():
    """Letters of every script, signs and pictures."""
    assert plain(GOOD) == plain_lines(GOOD) == escaped(GOOD) == GOOD


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
@pytest.mark.parametrize("form", [TextFormat(), JsonFormat()])
def test_a_log_record_is_one_clean_line(form, evil):
    """Also when the text is in an exception."""
    try:
        raise ValueError(evil)
    except ValueError:
        import sys

        record = logging.LogRecord("bridge.x", logging.ERROR, "f", 1, "from %s", (evil,), sys.exc_info())
    line = form.format(record)
    assert shows_nothing_evil(line)
    if isinstance(form, JsonFormat):
        assert "\n" not in line
        assert json.loads(line)["message"] == f"from {evil}"
    else:
        assert "\n" not in line.split("Traceback")[0].strip()


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
def test_the_command_line_shows_none(capfd, evil):
    """Tables, pairs, JSON, sentences and errors, whoever named the thing."""
    show.show_table([[evil, {evil: [evil]}]], ["name", "more"])
    show.show_pairs([("name", evil)])
    show.show_json({"name": evil})
    show.show_error(BadRequest(f"no {evil}", field=evil, limits={"choices": [evil], evil: evil}))
    said = capfd.readouterr()
    assert shows_nothing_evil(said.out + said.err)


async def test_a_clients_name_is_clean_everywhere(tmp_path):
    """What a client calls itself in its hello stands in job lists and logs."""
    from bridge.core.uploads import Uploads
    from bridge.doors.connection import Terms
    from bridge.doors.dispatch import Dispatcher
    from bridge.doors.rpc.connection import RpcConnection
    from bridge.doors.streams import Crowd, StreamGroup, Turns
    from bridge.testing.core import ScriptedCore

    core = ScriptedCore(tmp_path)
    dispatcher = Dispatcher(core, Uploads(tmp_path / "uploads", largest=1, quota=1))
    connection = RpcConnection(dispatcher, Terms(), 1, StreamGroup(Crowd(), Turns()))
    connection._admit("hello", {"client": "me\x1b[31m\nroot"})
    assert connection.name == "rpc:me [31m root"
