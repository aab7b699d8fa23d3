"""`python -m bridge.cli`: the same as the console script."""

import sys

from bridge.cli import main

if __name__ == "__main__":
    sys.exit(main())
