"""Neovim as a MessagePack-RPC client: sockconnect and rpcrequest against a real daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys

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


TRANSCRIPT = """
let g:heard = []
let g:code = -1
function! Heard(channel, lines, name)
  " a plug-in that takes every item for a whole line, as lofi.nvim does
  for line in a:lines
    if line !=# ''
      call add(g:heard, json_decode(line))
    endif
  endfor
endfunction
function! Ended(channel, code, name)
  let g:code = a:code
endfunction
function! Names()
  return map(copy(g:heard), {{_, one -> get(one, 'method', '')}})
endfunction
let ch = jobstart({command}, {{'on_stdout': 'Heard', 'on_exit': 'Ended'}})
call chansend(ch, [json_encode({{'jsonrpc': '2.0', 'id': 1, 'method': 'generate', 'params': {{'prompt': '{prompt}',
  \\ 'duration_sec': 5, 'seed': 42, 'priority': 'normal', 'backend': 'ace_step'}}}}), ''])
call wait(60000, {{-> index(Names(), 'generation_complete') >= 0}}, 20)
call chansend(ch, [json_encode({{'jsonrpc': '2.0', 'id': 2, 'method': 'get_backends', 'params': []}}), ''])
call wait(60000, {{-> !empty(filter(copy(g:heard), {{_, one -> get(one, 'id', 0) == 2}}))}}, 20)
call chanclose(ch, 'stdin')
call wait(60000, {{-> g:code >= 0}}, 20)
call writefile([json_encode({{'heard': g:heard, 'code': g:code}})], '{out}')
qall!
"""


def neovim(foreign, script, text, environment=None):
    """Run a script in a headless Neovim."""
    script.write_text(text)
    command = [foreign("nvim"), "--headless", "-u", "NONE", "-i", "NONE", "-n", "-S", str(script)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, env=environment
    )


def test_lofis_transcript_through_neovims_channels(daemon, foreign, tmp_path):
    """jobstart, chansend and chanclose as lofi.nvim uses them: every line whole, the answer first, the end at end of input."""
    home = daemon().paths.home
    lofi = [sys.executable, "-c", "import sys; from bridge.cli.commands.lofi import main; sys.exit(main())", "--daemon"]
    environment = {**os.environ, "ACESTEP_BRIDGE_HOME": str(home), "LOFI_CACHE_PATH": str(tmp_path / "cache")}
    out = tmp_path / "out.json"
    prompt = "fake: steps=8 delay=0.02"
    text = TRANSCRIPT.format(command=json.dumps(lofi), prompt=prompt, out=out)
    done = neovim(foreign, tmp_path / "lofi.vim", text, environment)
    assert out.exists(), done.stderr
    seen = json.loads(out.read_text())
    first, *middle, complete, backends = seen["heard"]
    assert (first["id"], first["result"]["status"], first["result"]["seed"]) == (1, "generating", 42)
    assert {one["method"] for one in middle} == {"generation_progress"}
    assert complete["method"] == "generation_complete"
    assert complete["params"]["track_id"] == first["result"]["track_id"]
    assert complete["params"]["path"] == str(tmp_path / "cache" / f"{first['result']['track_id']}.wav")
    assert backends["result"]["default_backend"] == "ace_step"
    assert seen["code"] == 0


LINES = """
let g:heard = []
function! Heard(channel, lines, name)
  for line in a:lines
    if line !=# ''
      call add(g:heard, json_decode(line))
    endif
  endfor
endfunction
function! Has(name, value)
  return !empty(filter(copy(g:heard), {{_, one -> get(get(one, 'params', {{}}), a:name, '') ==# a:value}}))
endfunction
let ch = {open}
call chansend(ch, json_encode({{'jsonrpc': '2.0', 'id': 1, 'method': 'version', 'params': []}}) . "\\n")
call chansend(ch, json_encode({{'jsonrpc': '2.0', 'id': 2, 'method': 'op.generate', 'params':
  \\ {{'id': '{job}', 'caption': 'fake: steps=3 delay=0.02', 'duration': 1.0}}}}) . "\\n")
call wait(60000, {{-> Has('kind', 'done')}}, 20)
call writefile([json_encode(g:heard)], '{out}')
qall!
"""


def test_json_rpc_lines_through_neovims_channels(daemon, foreign, tmp_path):
    """On the local socket, and with `acestep-bridge json-rpc` as a process."""
    house = daemon()
    command = [sys.executable, "-m", "bridge.cli", "json-rpc", "--home", str(house.paths.home)]
    opened = {
        "socket": f"sockconnect('pipe', '{house.connection['jsonrpc']['socket']}', {{'on_data': 'Heard'}})",
        "process": f"jobstart({json.dumps(command)}, {{'on_stdout': 'Heard'}})",
    }
    for kind, opening in opened.items():
        out = tmp_path / f"{kind}.json"
        done = neovim(foreign, tmp_path / f"{kind}.vim", LINES.format(open=opening, job=kind, out=out))
        assert out.exists(), done.stderr
        heard = json.loads(out.read_text())
        assert [one["id"] for one in heard if "id" in one] == [1, 2]
        kinds = [one["params"]["kind"] for one in heard if one.get("method") == "event"]
        assert kinds[-1] == "done"
        assert "result" in kinds
