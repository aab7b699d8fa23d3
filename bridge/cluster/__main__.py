"""``python -m bridge.cluster``: drives one actor. Standard output becomes the frame pipe before anything that might print."""

import sys

from acestep.worker.__main__ import take_pipes

if __name__ == "__main__":
    pipes = take_pipes()
    from bridge.cluster.driver import main

    sys.exit(main(sys.argv[1:], *pipes))
