"""Every command against a real daemon with the fake backend."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile

from acestep.api.errors import Unavailable
from acestep.api.registry import RESERVED
from bridge.cli import main
from bridge.cli.app import COMMANDS, command_first
from bridge.cli.commands.studio import page_address
from bridge.cli.exits import MEANINGS, Exit
from bridge.cli.plugins import load_registry
from bridge.launch import FREE_PORTS, DaemonProcess

SLOW = "fake: steps=200 delay=0.05"
"""A job that takes ten seconds, so that there is time to stop it."""


def test_an_operation_runs_and_its_file_is_where_it_was_asked_for(cli: Callable[..., Any], tmp_path: Path) -> None:
    """Generate at a tempo: the file has exactly eight bars and lies where --out says."""
    target = tmp_path / "new.wav"
    answer = cli("generate", "fake: steps=3", "--duration", "8bars", "--bpm", "120", "--out", str(target))
    assert answer.code == Exit.OK
    assert str(target) in answer.out
    assert soundfile.info(target).frames == 8 * 96_000


def test_progress_goes_to_standard_error_in_plain_lines(cli: Callable[..., Any]) -> None:
    """Without a terminal: lines with percent and stage, and standard output holds nothing but the table."""
    answer = cli("generate", "fake: steps=10 delay=0.02", "--duration", "1")
    assert "%" in answer.err and "generate" in answer.err
    assert answer.out.splitlines()[0].split() == ["role", "start", "length", "rate", "seed", "file"]


def test_json_is_all_that_scripts_get(cli: Callable[..., Any], source: str) -> None:
    """--json: one JSON value on standard output, no progress."""
    answer = cli("repaint", source, "--start", "24000", "--end", "1s", "--json")
    assert answer.json["state"] == "done" and answer.err == ""
    assert answer.json["request"]["source"]["start"] == 24_000
    assert answer.json["request"]["source"]["length"] == 24_000


def test_a_bad_setting_of_the_last_step_is_refused_before_the_first(cli: Callable[..., Any], tmp_path: Path) -> None:
    """`train FOLDER` scans and prepares for hours, perhaps: what it would refuse after that it refuses at once."""
    (tmp_path / "my-own-songs").mkdir()
    soundfile.write(tmp_path / "my-own-songs" / "a.wav", [[0.1], [0.2]] * 24_000, 48_000)
    for option, value, words in (("--rank", "0", "rank"), ("--max-seconds", "0", "max_seconds")):
        answer = cli("train", str(tmp_path / "my-own-songs"), option, value)
        assert answer.code == Exit.REFUSED and words in answer.err
    assert "my-own-songs" not in cli("dataset-list").out


def test_detach_prints_the_id_and_job_waits(cli: Callable[..., Any]) -> None:
    """The id is all that --detach prints; `job --wait` takes it up; a repeat of the same submit does no harm."""
    line = ("generate", "fake: steps=5 delay=0.05", "--duration", "1", "--seed", "1", "--id", "take-1", "--detach")
    assert cli(*line).out.strip() == "take-1"
    assert cli(*line).out.strip() == "take-1"
    assert cli("job", "take-1", "--wait").code == Exit.OK
    assert cli("job", "take-1", "--json").json["state"] == "done"
    assert sum(view["id"] == "take-1" for view in cli("jobs", "--json", "--limit", "100").json) == 1


def test_a_recipe_runs_again_to_the_same_samples(cli: Callable[..., Any], tmp_path: Path) -> None:
    """`job --recipe` gives a request that `render --request` takes."""
    first, second = tmp_path / "a.wav", tmp_path / "b.wav"
    made = cli("generate", "fake: steps=1", "--duration", "1", "--out", str(first), "--json")
    recipe = tmp_path / "recipe.json"
    recipe.write_text(cli("job", made.json["id"], "--recipe").out)
    assert cli("render", "--request", str(recipe), "--out", str(second)).code == Exit.OK
    assert first.read_bytes()[-4000:] == second.read_bytes()[-4000:]


def test_a_job_is_run_once_more(cli: Callable[..., Any], tmp_path: Path) -> None:
    """The same samples without further words; with --vary another seed, everything else the same."""
    made = cli("generate", "fake: steps=1", "--duration", "1", "--seed", "5", "--json").json
    again = cli("rerun", made["id"], "--json").json
    other = cli("rerun", made["id"], "--vary", "--id", "another", "--json").json
    assert again["state"] == other["state"] == "done" and other["id"] == "another"
    sums = [view["result"]["files"][0]["sha256"] for view in (made, again)]
    assert sums[0] == sums[1]
    stages = [view["result"]["recipe"]["request"]["stages"][0] for view in (made, other)]
    assert stages[0]["seed"] == 5 and stages[1]["seed"] != 5
    assert {**stages[0], "seed": 0, "seeds": []} == {**stages[1], "seed": 0, "seeds": []}
    assert cli("rerun", "no-such-job").code == Exit.UNKNOWN_JOB


def test_a_job_is_named_where_a_file_is_wanted(cli: Callable[..., Any], tmp_path: Path, monkeypatch) -> None:
    """By its id alone, from any folder."""
    monkeypatch.chdir(tmp_path)
    made = cli("generate", "fake: steps=1", "--duration", "1", "--id", "basis", "--json").json
    edit = cli("repaint", "basis", "--start", "1000", "--end", "9000", "--json").json
    assert edit["state"] == "done" and edit["request"]["source"]["path"] == made["result"]["files"][0]["path"]


def test_results_in_a_folder_never_replace_each_other(cli: Callable[..., Any], tmp_path: Path) -> None:
    """The second take of one name gets a number."""
    for _ in range(3):
        assert cli("generate", "fake: steps=1", "--duration", "1", "--out", str(tmp_path / "takes")).code == Exit.OK
    assert len(list((tmp_path / "takes").iterdir())) == 3


def test_result_copies_the_files_of_an_old_job(cli: Callable[..., Any], source: str, tmp_path: Path) -> None:
    """Stem and residual come into one folder."""
    made = cli("extract", source, "--track", "drums", "--returns", "stem,residual", "--json").json["id"]
    answer = cli("result", made, "--out", str(tmp_path / "stems"), "--json")
    assert len(answer.json["saved"]) == 2 and all(Path(path).is_file() for path in answer.json["saved"])
    refused = cli("result", made, "--out", str(tmp_path / "one.wav"))
    assert refused.code == Exit.REFUSED and "2 files" in refused.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["generate", "x", "--bpm", "900"], Exit.REFUSED, ["bad_request", "field:   bpm", "max 300"]),
        (["generate", "x", "--sampler", "nonsense"], Exit.REFUSED, ["unknown_name", "sampler", "allowed:"]),
        (["repaint", "missing.wav"], Exit.REFUSED, ["not_found", "field:   source"]),
        (["repaint", "x.wav", "--start", "bar5"], Exit.REFUSED, ["--start", "need --bpm"]),
        (["generate", "a", "--caption", "b"], Exit.REFUSED, ["given twice"]),
        (["repant"], Exit.REFUSED, ["did you mean 'repaint'?"]),
        (["job", "no-such-job"], Exit.UNKNOWN_JOB, ["unknown_job"]),
        (["cancel", "no-such-job"], Exit.UNKNOWN_JOB, ["unknown_job"]),
        (["generate", "fake: crash_at=2 steps=4"], Exit.FAILED, ["worker_died"]),
        (["generate", "x", "--variants", "two"], Exit.REFUSED, ["--variants", "is not a whole number"]),
        (["render", "--request", "nowhere.json"], Exit.REFUSED, ["cannot be read as a request"]),
        (["models", "info"], Exit.REFUSED, ["needs the name of a model"]),
    ],
)
def test_what_is_wrong_is_said_once(
    cli: Callable[..., Any],
    arguments: list[str],
    code: Exit,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sentence, the field and what is allowed, on standard error; a documented exit code; never a traceback."""
    monkeypatch.chdir(tmp_path)
    answer = cli(*arguments)
    assert (answer.code, answer.out) == (code, "")
    assert all(word in answer.err for word in words) and "Traceback" not in answer.err


def test_errors_as_json(cli: Callable[..., Any]) -> None:
    """For scripts the error is the map of the wire, on standard output."""
    answer = cli("generate", "x", "--bpm", "900", "--json")
    assert answer.json["error"]["code"] == "bad_request" and answer.json["error"]["limits"]["max"] == 300


def test_the_queue_can_be_paused_cleared_and_resumed(cli: Callable[..., Any]) -> None:
    """What waits while paused is cancelled by clear, and cancel of an ended job changes nothing."""
    assert cli("queue", "pause").code == Exit.OK
    job = cli("generate", "x", "--duration", "1", "--detach").out.strip()
    assert cli("status", "--json").json["queue"]["paused"] is True
    assert cli("queue", "clear", "--json").json == {"cancelled": 1}
    assert cli("queue", "resume").code == Exit.OK
    assert cli("job", job, "--wait").code == Exit.CANCELLED
    assert cli("cancel", job).out.split() == [job, "cancelled"]


def test_any_method_can_be_called_by_its_name(cli: Callable[..., Any]) -> None:
    """What has no command of its own, with its answer for people or as JSON; a wrong name is said at once."""
    assert cli("call", "ping", "--n", "5").out.split() == ["n", "5"]
    assert cli("call", "features.set", "autogen", "--no-on", "--json").json == {"features": []}
    assert cli("features", "set", "autogen", "--json").json == {"features": ["autogen"]}
    rows = {row["name"]: row for row in cli("features", "list", "--json").json}
    assert {name: (row["on"], row["default"]) for name, row in rows.items()} == {
        "autogen": (True, True),
        "nano_planner": (False, False),
    }
    assert all(row["reason"] for row in rows.values())
    refused = cli("features", "set", "autogem")
    assert refused.code != Exit.OK and "did you mean 'autogen'?" in refused.err
    assert (
        cli("call", "job.submit", "generate", "--params", '{"caption": "fake: steps=1"}', "--field-id", "c").code == 0
    )
    assert cli("call", "job.wait", "c", "--json").json["state"] in ("queued", "running", "done")
    assert cli("call", "job.status", "missing").code == Exit.UNKNOWN_JOB
    assert cli("call", "hello").code == Exit.REFUSED


def test_a_standing_order_makes_its_batches_and_ends(cli: Callable[..., Any]) -> None:
    """Started, asked after and stopped by commands; each batch is an ordinary job with a seed of its own."""
    params = '{"caption": "fake: steps=1", "duration": 0.1}'
    order = cli("autogen", "start", "generate", "--params", params, "--batches", "2", "--json").json
    assert (order["state"], order["batches"]) == ("running", 2)
    for _ in range(600):
        if (order := cli("autogen", "status", "--json").json)["state"] == "ended":
            break
        time.sleep(0.1)
    assert (order["state"], order["done"]) == ("ended", 2)
    assert cli("autogen", "stop", "--json").json["state"] == "ended"


def test_a_standing_order_can_be_for_one_device(cli: Callable[..., Any]) -> None:
    """Every batch asks for it; one that is not there is refused with those that are, and no order begins."""
    assert (
        cli("generate", "fake: steps=1", "--duration", "0.1").code == 0
    )  # its worker has told by then what it runs on
    (device,) = [row["device"] for row in cli("status", "--json").json["devices"]]
    given = (
        "autogen",
        "start",
        "generate",
        "--params",
        '{"caption": "fake: steps=1", "duration": 0.1}',
        "--batches",
        "1",
    )
    refused = cli(*given, "--device", "cuda:7")
    assert refused.code == Exit.REFUSED and "cuda:7" in refused.err and device in refused.err
    order = cli(*given, "--device", device, "--json").json
    assert (order["state"], order["device"]) == ("running", device)
    assert cli("job", order["jobs"][0], "--wait", "--quiet").code == 0
    assert cli("job", order["jobs"][0], "--json").json["device"] == device
    cli("autogen", "stop")


def test_models_plugins_describe_config_doctor(cli: Callable[..., Any]) -> None:
    """The commands that only look give their facts as text and as JSON."""
    assert any(row["default"] for row in cli("models", "--json").json)
    assert "default" in cli("models").out
    assert cli("models", "info", "tiny", "--json").json["trained"] is False
    assert {row["state"] for row in cli("plugins", "--json").json} == {"enabled"}
    fields = cli("describe", "repaint", "--json").json[0]["fields"]
    assert next(field for field in fields if field["name"] == "sampler")["choices"][0] == "auto"
    assert "Regenerate a region" in cli("describe").out
    rows = {row["name"]: row for row in cli("config", "show", "--json").json["settings"]}
    assert rows["home"]["origin"] == "flag" and rows["osc_port"]["value"] == 9700
    assert cli("config", "path").out.strip().endswith("config.toml")
    findings = cli("doctor", "--json").json
    assert {"program", "names", "folders", "daemon", "plug-ins", "models", "devices"} <= {
        one["subject"] for one in findings
    }
    assert next(one for one in findings if one["subject"] == "daemon")["text"].startswith("running as process")


def test_options_may_stand_before_the_command() -> None:
    """``--json status`` is ``status --json``."""
    assert command_first(["--json", "--home", "x", "status", "a"]) == ["status", "--json", "--home", "x", "a"]
    assert command_first(["--home=x", "jobs"]) == ["jobs", "--home=x"]
    assert command_first(["--help"]) == ["--help"]


def test_the_overview_lists_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """Operations of the plug-ins, commands, exit codes."""
    assert main([]) == Exit.OK
    text = capsys.readouterr().out
    words = [*COMMANDS, *load_registry().visible(), *MEANINGS.values()]
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help works for each, ends well, and describes it."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0 and len(capsys.readouterr().out) > 200


def test_no_plug_in_can_take_the_name_of_a_command() -> None:
    """Every command is a reserved name."""
    assert set(COMMANDS) <= RESERVED


def program(home: Path, *arguments: str) -> list[str]:
    """A command line as a process of its own."""
    return [sys.executable, "-m", "bridge.cli", *arguments, "--home", str(home)]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_cancels_the_job(running: DaemonProcess, cli: Callable[..., Any]) -> None:
    """The daemon is asked to cancel, the command waits for the end and says so by its exit code."""
    line = program(running.paths.home, "generate", SLOW, "--duration", "1", "--id", "stopped")
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "%" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert "cancelling" in err
    assert process.returncode == Exit.STOPPED
    assert cli("job", "stopped", "--json").json["state"] == "cancelled"


def test_without_a_daemon_questions_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands that only ask start nothing; the sentence says what to do, the exit code is its own."""
    assert main(["status", "--home", str(tmp_path)]) == Exit.NO_DAEMON
    assert "acestep-bridge serve" in capsys.readouterr().err
    assert main(["generate", "x", "--no-start-daemon", "--home", str(tmp_path)]) == Exit.NO_DAEMON
    assert list(tmp_path.iterdir()) == []


def test_an_operation_starts_the_daemon_it_needs_and_stop_ends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The started daemon outlives the command and is found by the next one."""
    lines = "backend = 'fake'\nosc_port = 0\nrpc_port = 0\nhttp = false\n"
    (tmp_path / "config.toml").write_text(lines)
    home = ["--home", str(tmp_path)]
    assert main(["generate", "x", "--duration", "1", *home]) == Exit.OK
    assert "started a daemon" in capsys.readouterr().err
    assert main(["jobs", "--json", *home]) == Exit.OK
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert main(["stop", *home]) == Exit.OK
    assert main(["status", *home]) == Exit.NO_DAEMON


def test_serve_says_ready_and_stops_on_a_signal(tmp_path: Path) -> None:
    """The line names the doors; a wrong setting is refused before anything starts."""
    ports = [f"--{name.replace('_', '-')}={value}" for name, value in FREE_PORTS.items()]
    process = subprocess.Popen(program(tmp_path, "serve", "--backend=fake", *ports), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    word, facts = process.stdout.readline().split(" ", 1)
    assert word == "ready" and json.loads(facts)["osc"]["udp"] > 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    refused = subprocess.run(program(tmp_path, "serve", "--osc-port=many"), capture_output=True, text=True, check=False)
    assert refused.returncode == Exit.REFUSED and "osc_port takes a whole number, not 'many'" in refused.stderr


def test_a_daemon_elsewhere_gets_uploads_and_gives_downloads(
    running: DaemonProcess, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--connect: the source travels there, the files travel back, no path of this machine is sent."""
    rpc = running.connection["rpc"]
    where = ["--connect", f"{rpc['host']}:{rpc['port']}"]
    line = ["repaint", source, "--start", "24000", "--end", "48000", "--out", str(tmp_path / "back"), "--json", *where]
    assert main(line) == Exit.OK
    view = json.loads(capsys.readouterr().out)
    assert view["request"]["source"]["path"] == "" and view["request"]["source"]["upload"]
    assert [Path(path).is_file() for path in view["saved"]] == [True]


def test_the_audition_page_is_found_wherever_the_daemon_listens() -> None:
    """Loopback for a door that listens everywhere, the other machine's name over the network, brackets around IPv6."""
    assert page_address({"host": "127.0.0.1", "port": 9702}) == "http://127.0.0.1:9702/studio"
    assert page_address({"host": "0.0.0.0", "port": 1}) == "http://127.0.0.1:1/studio"
    assert page_address({"host": "0.0.0.0", "port": 1}, "studio.local") == "http://studio.local:1/studio"
    assert page_address({"host": "::1", "port": 1}) == "http://[::1]:1/studio"
    with pytest.raises(Unavailable):
        page_address(None)


def test_a_result_can_be_heard_on_the_audition_page(cli: Callable[..., Any]) -> None:
    """Of a real daemon: the address that is printed leads to the page, its list to the result's own bytes."""
    made = cli("generate", "fake: steps=1", "--duration", "1", "--json").json
    address = cli("audition", "--no-browser").out.strip()
    assert address == cli("studio", "--no-browser").out.strip() + "#library"
    assert httpx.get(address).headers["content-type"].startswith("text/html")
    newest = cli("call", "history.list", "--json").json["rows"][0]
    assert (newest["id"], newest["caption"]) == (made["id"], "fake: steps=1")
    sound = httpx.get(httpx.URL(address).join(f"/studio/sounds/{newest['id']}/0/{newest['files'][0]['name']}")).content
    assert sound == Path(made["result"]["files"][0]["path"]).read_bytes()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["repaint"], ["source", "needs a source"]),
        (["repaint", "gone.wav"], ["there is no file"]),
        (["extract", "--track", "drums"], ["source"]),
        (["generate", "x", "--bpm", "9000"], ["bpm"]),
        (["generate", "x", "--key", "H flat"], ["key"]),
        (["repaint", "words.wav"], ["words.wav", "not_audio"]),
        (["generate", "x", "--out", "x.txt"], [".txt"]),
        (["generate", "x", "--guide", "Am Q"], ["'Q'", "guide"]),
        (["generate", "x", "--guide", "words.mid"], ["words.mid", "not a MIDI file"]),
        (["render", "--request", "nowhere.json"], ["cannot be read as a request"]),
        (["generate", "x", "--reference", "a\udcff.wav"], ["UTF-8"]),
    ],
)
def test_what_can_be_refused_here_starts_no_daemon(
    line: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`nothing was started` is true: the home is not even made."""
    monkeypatch.chdir(tmp_path)
    for name in ("words.wav", "words.mid"):
        (tmp_path / name).write_text("no sound at all, only words")
    home = tmp_path / "home"
    try:
        assert main([*line, "--home", str(home)]) == Exit.REFUSED
        err = capsys.readouterr().err
        assert all(word in err for word in words) and not home.exists()
    finally:
        if home.exists():  # a daemon that should not have been started outlives no test
            main(["stop", "--home", str(home)])


def test_a_proxy_of_the_environment_is_not_asked(
    cli: Callable[..., Any], source: str, monkeypatch: pytest.MonkeyPatch, running: DaemonProcess
) -> None:
    """What talks to this machine's own daemon goes there, whatever http_proxy says."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert cli("status", "--json").code == Exit.OK
    rpc = running.connection["rpc"]
    line = ["repaint", source, "--end", "2000", "--connect", f"{rpc['host']}:{rpc['port']}", "--json"]
    assert main(line) == Exit.OK
    assert cli("doctor", "--json").code in (Exit.OK, Exit.FAILED)


def test_a_language_in_capitals_is_that_language(cli: Callable[..., Any]) -> None:
    """`--language EN`, written into the request as the model spells it."""
    made = cli("generate", "fake: steps=1", "--duration", "0.1", "--language", "EN", "--json").json
    assert made["request"]["conditioning"]["language"] == "en"
    assert "did you mean" in cli("generate", "x", "--language", "englsh").err


@pytest.mark.foreign
def test_the_shell_completes_commands_options_and_choices(
    foreign: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """bash itself, with the printed script, finishes a command, a field of an operation and one of its choices."""
    assert main(["completion", "bash"]) == Exit.OK
    (tmp_path / "completion").write_text(capsys.readouterr().out)
    asked = ("rep", "repaint --cap", "repaint --time-signature ", "models down")
    lines = [
        f"COMP_WORDS=(acestep-bridge {' '.join(words[:-1])} '{words[-1]}'); COMP_CWORD={len(words)}; COMPREPLY=(); "
        '_shtab_acestep_bridge; echo "${COMPREPLY[*]}"'
        for words in (question.split(" ") for question in asked)
    ]
    script = "\n".join([f"source {tmp_path / 'completion'}", *lines])
    told = subprocess.run(
        [foreign("bash"), "-c", script], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert told[0].split() == ["repaint"] and "--caption" in told[1].split() and "4" in told[2].split()
    assert told[3].split() == ["download"]
