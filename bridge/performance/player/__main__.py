"""Runs the player: commands on standard input, reports on standard output, ends when its input closes."""

from __future__ import annotations

import os
import threading

REPORT_EVERY = 0.2
"""Seconds between level reports."""


def main() -> None:
    """Serve one parent process until it closes the pipe."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints must not land between the frames
    from acestep.api.frames import FrameReader, encode
    from bridge.performance.player.messages import CARD_LOST, Command, Report
    from bridge.performance.player.player import Player

    writing = threading.Lock()

    def report(message: Report) -> None:
        with writing:
            out.write(encode(message))

    player = Player(report)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(REPORT_EVERY):
            player.watch()
            if player.lost:  # the sound system may hang or abort on anything but an exit
                os._exit(CARD_LOST)

    threading.Thread(target=watch, name="levels", daemon=True).start()
    reader = FrameReader(Command)
    try:
        while data := os.read(0, 65_536):
            for command in reader.feed(data):
                player.do(command)
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    finally:
        done.set()
        player.close()


if __name__ == "__main__":
    main()
