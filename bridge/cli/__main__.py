"""`python -m bridge.cli`: the same as the console script, whatever lies in the current folder."""

import os
import sys

if not sys.flags.safe_path and sys.path and sys.path[0] == os.getcwd():
    del sys.path[0]  # a file there that is called like a module of ours or of Python's would be run

from bridge.cli import main

if __name__ == "__main__":
    sys.exit(main())
