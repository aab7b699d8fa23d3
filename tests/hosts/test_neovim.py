"""Neovim as a MessagePack-RPC client: sockconnect and rpcrequest against a real daemon."""

from __future__ import annotations

import json
import subprocess

import pytest

pytestmark = pytest.mark.foreign

SCRIPT = """
let g:out = []
let ch = sockconnect('{mode}', '{address}', {{'rpc': v:true}})
call add(g:out, rpcrequest(ch, 'version'))
call rpcrequest(ch, 'hello', {{'client': 'neovim', 'events': v:false}})
call add(g:out, rpcrequest(ch, 'job.submit', {{'operation': 'generate', 'id': 'quick',
  \\ 'params': {{'caption': 'fake: steps=3 delay=0.12', 'duration': 1.0}}}}))
let seen = []
let after = -1
let ended = v:false
while !ended
  let answer = rpcrequest(ch, 'job.wait', {{'id': 'quick', 'after': after}})
  for event in answer.events
    call add(seen, event.kind)
    let after = event.seq
  endfor
  let ended = answer.terminal && empty(answer.events)
endwhile
call add(g:out, seen)
call rpcrequest(ch, 'op.generate', {{'id': 'slow', 'caption': 'fake: steps=60 delay=0.05', 'duration': 1.0}})
call rpcrequest(ch, 'job.wait', {{'id': 'slow', 'after': 0}})
call rpcrequest(ch, 'job.cancel', {{'id': 'slow'}})
while !rpcrequest(ch, 'job.wait', {{'id': 'slow', 'after': 0}}).terminal
endwhile
call add(g:out, rpcrequest(ch, 'job.status', {{'id': 'slow'}}).state)
call add(g:out, rpcrequest(ch, 'job.result', {{'id': 'quick'}}).result.files[0].length)
try
  call rpcrequest(ch, 'job.status', {{'id': 'missing'}})
catch
  call add(g:out, v:exception)
endtry
call writefile([json_encode(g:out)], '{out}')
qall!
"""


@pytest.mark.parametrize("mode", ["tcp", "pipe"])
def test_submit_progress_result_and_cancel(daemon, foreign, tmp_path, mode):
    """Only requests are made; events are waited for; an error reaches the script."""
    rpc = daemon().connection["rpc"]
    address = f"{rpc['host']}:{rpc['port']}" if mode == "tcp" else rpc["socket"]
    script, out = tmp_path / "client.vim", tmp_path / "out.json"
    script.write_text(SCRIPT.format(mode=mode, address=address, out=out))
    command = [foreign("nvim"), "--headless", "-u", "NONE", "-i", "NONE", "-n", "-S", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert out.exists(), done.stderr
    version, accepted, seen, state, length, error = json.loads(out.read_text())
    assert version["program"] == "acestep-bridge"
    assert accepted["id"] == "quick"
    assert seen[0] == "accepted"
    assert {"progress", "result"} <= set(seen)
    assert seen[-1] == "done"
    assert state == "cancelled"
    assert length == 48_000
    assert error


def test_unasked_events_do_not_disturb_it(daemon, foreign, tmp_path):
    """Without the hello, events come as notifications it has no handler for; requests go on."""
    rpc = daemon().connection["rpc"]
    out = tmp_path / "out.json"
    script = tmp_path / "client.vim"
    script.write_text(
        f"let ch = sockconnect('pipe', '{rpc['socket']}', {{'rpc': v:true}})\n"
        "call rpcrequest(ch, 'op.generate', {'id': 'a', 'duration': 1.0, 'caption': 'fake: steps=5 delay=0.05'})\n"
        "let state = ''\n"
        "while state !=# 'done'\n"
        "  let state = rpcrequest(ch, 'job.status', {'id': 'a'}).state\n"
        "  sleep 50m\n"
        "endwhile\n"
        f"call writefile([state], '{out}')\nqall!\n"
    )
    command = [foreign("nvim"), "--headless", "-u", "NONE", "-i", "NONE", "-n", "-S", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert out.read_text().strip() == "done", done.stderr
