"""The command line plays too, from the same table of verbs."""

from __future__ import annotations

import json

from bridge.cli import main


def run(capsys, *arguments) -> tuple[int, str]:
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def test_a_mapping_file_is_checked_without_a_daemon(capsys, tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('[[trigger]]\non = "note"\naction = "tap"\n')
    bad.write_text('[[trigger]]\non = "sneeze"\naction = "tap"\n')
    assert run(capsys, "midi", "check", good) == (0, f"{good}: 1 triggers, all valid\n")
    code, text = run(capsys, "--json", "midi", "check", bad)
    assert code != 0
    assert json.loads(text)["error"]["limits"]["line"] == 2


def test_slots_are_loaded_and_launched(capsys, daemon, sound_file, monkeypatch):
    home = daemon(performance=True, performance_output="null", midi=False).paths.home
    sound = sound_file(frames=4_800)
    monkeypatch.chdir(sound.parent)
    assert run(capsys, "--home", home, "slot", "load", "3", sound.name, "--choke", "1")[0] == 0
    code, text = run(capsys, "--home", home, "--json", "slot", "launch", "3", "--quantise", "beat")
    assert code == 0 and 0 <= json.loads(text)["in"] <= 0.6
    code, text = run(capsys, "--home", home, "--json", "tempo", "host", "96.5")
    assert (code, json.loads(text)["source"]) == (0, "host")


def test_a_recording_and_the_clock_are_commands(capsys, daemon):
    home = daemon(performance=True, performance_output="null", performance_input="null", midi=False).paths.home
    assert run(capsys, "--home", home, "tempo", "host", "300")[0] == 0
    code, text = run(capsys, "--home", home, "--json", "capture", "record", "--bars", "1", "--quantise", "beat")
    assert (code, json.loads(text)["state"]) == (0, "waiting")
    code, text = run(capsys, "--home", home, "--json", "capture", "wait")
    assert (code, json.loads(text)["frames"]) == (0, 38_400)
    code, text = run(capsys, "--home", home, "--json", "midi", "clock")
    assert (code, json.loads(text)["clock"]["on"]) == (0, True)
    assert "feedback" in json.loads(text)["problem"]
