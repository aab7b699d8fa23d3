"""The first command of a checkout: `python3 run.py demo`, `python3 run.py test`, `python3 run.py serve` ...

Only the version check stands here, in words that every Python since 2.7 can read; the work is in `bridge/bootstrap.py`.
"""

import os
import runpy
import sys

OLDEST = (3, 11)

if sys.version_info < OLDEST:
    sys.exit(
        "acestep-bridge needs Python 3.11 or newer, and this is Python {}.{}. Install a newer one (python.org, your package "
        "manager) and run this again with it, for example: python3.12 run.py demo".format(*sys.version_info[:2])
    )

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    runpy.run_path(os.path.join(here, "bridge", "bootstrap.py"), run_name="__main__")
