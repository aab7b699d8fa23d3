"""SuperCollider's language as a client, over UDP and TCP, against a real daemon."""

from __future__ import annotations

import os
import subprocess

import pytest

SCRIPT = """
(
var net = NetAddr("127.0.0.1", %PORT%);
%CONNECT%
["accepted", "rejected", "progress", "result", "done", "cancelled", "job/cancel"].do { |word|
    OSCdef(word.asSymbol, { |msg|
        ("HEARD " ++ word ++ " " ++ msg[1]).postln;
        if((word == "done") and: { msg[1] == 'quick' }) {
            net.sendMsg("/ace/op/generate", "slow", "caption", "fake: steps=60 delay=0.05", "duration", 1.0)
        };
        if((word == "progress") and: { msg[1] == 'slow' }) { net.sendMsg("/ace/job/cancel", "slow") };
        if(word == "cancelled") { 0.exit };
    }, ("/ace/" ++ word).asSymbol);
};
net.sendBundle(0.2, ["/ace/op/generate", "quick", "caption", "fake: steps=3 delay=0.12", "duration", 1.0]);
SystemClock.sched(20, { 3.exit });
)
"""


@pytest.mark.foreign
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_submit_progress_result_and_cancel(daemon, foreign, tmp_path, transport):
    """A job in a bundle dated ahead runs to its end; another is cancelled at its first progress."""
    sclang = foreign("sclang")
    port = daemon().connection["osc"][transport]
    connect = "net.connect;" if transport == "tcp" else ""
    script = tmp_path / "client.scd"
    script.write_text(SCRIPT.replace("%PORT%", str(port)).replace("%CONNECT%", connect))
    quiet = {"QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1", "XDG_RUNTIME_DIR": str(tmp_path)}
    environment = {**os.environ, **quiet, "HOME": str(tmp_path)}
    done = subprocess.run([sclang, str(script)], env=environment, capture_output=True, text=True, timeout=60)
    heard = [tuple(line.split()[1:3]) for line in done.stdout.splitlines() if line.startswith("HEARD")]
    for word in ("accepted", "progress", "result", "done"):
        assert (word, "quick") in heard, done.stdout[-2000:]
    assert done.returncode == 0 and ("cancelled", "slow") in heard and ("done", "slow") not in heard
