"""``python -m acestep.worker``: standard output becomes the frame pipe before anything that might print is imported."""

import os
import sys


def take_pipes() -> tuple[int, int]:
    """Keep standard input and output for frames; a library that reads gets nothing, one that prints gets the log."""
    inlet, outlet = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(inlet, os.O_BINARY)
        msvcrt.setmode(outlet, os.O_BINARY)
    return inlet, outlet


if __name__ == "__main__":
    pipes = take_pipes()
    from acestep.worker.process import main

    sys.exit(main(sys.argv[1:], *pipes))
