"""`layout open-stage-control`: every address of the surface is in our tables, and what its buttons send arrives at a daemon."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.cli.exits import Exit
from bridge.doors.methods import ADDRESSES
from bridge.doors.operation_methods import OPERATION_ADDRESS
from bridge.doors.osc.answers import ANSWERS
from bridge.doors.osc.codec import decode
from bridge.hosts.open_stage_control import HEARD

TYPES = {"root", "panel", "tab", "button", "dropdown", "fader", "input", "text", "variable"}
"""Widgets of Open Stage Control that are used."""


def widgets(widget: dict) -> Iterator[dict]:
    yield widget
    for inner in [*widget.get("widgets", []), *widget.get("tabs", [])]:
        yield from widgets(inner)


@pytest.fixture
def surface(cli, tmp_path):
    """The file that the command writes."""
    out = tmp_path / "acestep.json"
    assert cli("layout", "open-stage-control", "--out", str(out)).code == 0
    return out


@pytest.fixture
def press(foreign, surface):
    """``press(button, value...)``: what a button of the surface sends, its fields filled in."""

    def run(button, heard=None, **fields):
        command = [foreign("node"), str(Path(__file__).with_name("press.js")), str(surface), button, json.dumps(fields)]
        done = subprocess.run([*command, json.dumps(heard)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def osc(running):
    """``osc(messages)``: send them to the daemon as Open Stage Control does; then the answers as they come."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.connect(("127.0.0.1", running.connection["osc"]["udp"]))

        def ask(messages):
            for address, arguments in messages:
                builder = OscMessageBuilder(address=address)
                for one in arguments:
                    builder.add_arg(one["value"], one["type"])
                sock.send(builder.build().dgram)
            while True:
                yield decode(sock.recv(65_536))

        yield ask


def test_every_address_is_ours_and_every_id_is_its_own(surface, cli):
    """Of methods, of fields of operations, of the daemon's messages; no widget of a kind that the program does not know."""
    found = list(widgets(json.loads(surface.read_text("utf-8"))["content"]))
    ids = [widget["id"] for widget in found]
    assert len(ids) == len(set(ids))
    assert {widget["type"] for widget in found} <= TYPES
    assert not any("widgets" in widget and "tabs" in widget for widget in found)
    operations = {one["name"]: {f["name"] for f in one["fields"]} for one in cli("describe", "--json").json}
    tabs = [widget["id"] for widget in found if widget["type"] == "tab" and "_more_" not in widget["id"]]
    assert {"generate", "repaint", "cover", "extend", "lego", "complete", "extract", "slots"} <= set(tabs)
    seen: dict[str, set[str]] = {}
    for address in (widget["address"] for widget in found if "address" in widget):
        if address.startswith(OPERATION_ADDRESS):
            operation, _, field = address.removeprefix(OPERATION_ADDRESS).partition("/")
            assert not field or field in operations[operation]
            seen.setdefault(operation, set()).add(field)
        else:
            assert address in ADDRESSES or address in ANSWERS
    assert all(seen[tab] >= operations[tab] - {"samples"} for tab in tabs if tab != "slots")


def test_what_stands_in_the_panel_arrives(press, osc, cli, source):
    """Text, numbers, choices, positions, lists and maps; what was not touched is left to the daemon. And again."""
    fields = {
        "repaint_source": source, "repaint_start": "12000", "repaint_end": "0:01.5", "repaint_caption": "brushes, 123",
        "repaint_strength": 0.75, "repaint_variants": 2, "repaint_mode": "aggressive", "repaint_seeds": "[4294967295, 7]",
        "repaint_tempo_map": '[{"sample": 0, "bpm": 96.5}]', "repaint_returns": "patch,whole", "repaint_preview": 1,
    }  # fmt: skip
    sent = press("repaint_run", **fields)["sent"]
    assert [address for address, _ in sent] == ["/ace/op/repaint"]
    for _ in range(2):
        answers = osc(sent)
        accepted = next(answers)
        assert accepted.address == "/ace/accepted", accepted
        job = accepted.arguments[0]
        last = next(one for one in answers if one.address in ("/ace/done", "/ace/failed"))
        assert last.address == "/ace/done"
        request = cli("job", job, "--json").json["request"]
        stage = request["stages"][0]
        assert request["source"]["path"] == source
        assert (request["source"]["start"], request["source"]["length"]) == (12_000, 60_000)
        assert request["conditioning"]["caption"] == "brushes, 123"
        assert (stage["mode"], stage["seeds"], request["output"]["variants"]) == ("aggressive", [4294967295, 7], 2)
        assert request["conditioning"]["tempo_map"][0]["bpm"] == 96.5
        assert request["output"]["returns"] == ["patch", "whole"]


def test_a_job_is_shown_cancelled_and_asked_after(press, osc):
    """The daemon's own messages fill the panel, and its buttons are about the job that is shown."""
    answers = osc(press("generate_run", generate_caption="slow pad", generate_duration="2")["sent"])
    accepted = next(answers)
    shown = press("heard_ace_accepted", heard=list(accepted.arguments))["values"]
    assert shown["job"] == accepted.arguments[0]
    assert next(one for one in answers if one.address == "/ace/done")
    asked = next(osc(press("ask", job=shown["job"])["sent"]))
    assert asked.address == "/ace/job/status"
    assert press("heard_ace_job_status", heard=list(asked.arguments))["values"]["state"] == "generate done"
    cancelled = next(osc(press("cancel", job=shown["job"])["sent"]))
    assert cancelled.address == "/ace/job/cancel"
    again = osc(press("again", job=shown["job"])["sent"])
    assert next(one for one in again if one.address == "/ace/done").arguments[0] != shown["job"]
    assert press("cancel")["sent"] == []
    assert next(osc(press("daemon")["sent"])).address == "/ace/status"


def test_refusals_are_shown(press, osc):
    """The daemon's sentence, in the surface's own line."""
    answers = osc(press("repaint_run", repaint_caption="no source")["sent"])
    refused = next(answers)
    assert refused.address == "/ace/rejected"
    state = press("heard_ace_rejected", heard=list(refused.arguments))["values"]["state"]
    assert state == f"refused: {refused.arguments[3]}"


def test_slots_start_and_stop(press):
    """Buttons send the slot's number as an integer."""
    assert press("slot_launch_3")["sent"] == [["/ace/slot/launch", [{"type": "i", "value": 3}]]]
    assert press("slots_stop")["sent"] == [["/ace/slot/stop", [{"type": "i", "value": -1}]]]


def test_chosen_operations_and_no_file_lost(cli, surface):
    """Presets on request; a file that is there stays unless --force says otherwise."""
    found = json.loads(cli("layout", "open-stage-control", "--operation", "split-into-stems").out)
    assert [tab["id"] for tab in found["content"]["widgets"][0]["tabs"]] == ["split-into-stems", "slots"]
    refused = cli("layout", "open-stage-control", "--out", str(surface))
    assert (refused.code, "--force" in refused.err) == (Exit.REFUSED, True)
    assert cli("layout", "open-stage-control", "--out", str(surface), "--force").code == 0
    assert cli("layout", "open-stage-control", "--operation", "nothing-like-it").code == Exit.REFUSED


def test_it_listens_to_every_ending():
    """Whatever the daemon says of a job is shown."""
    assert set(HEARD) >= {address for address in ANSWERS} - {"/ace/preview", "/ace/synced"}
