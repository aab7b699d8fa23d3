#!/bin/sh
# macOS: a double click starts the daemon and opens its page. The first time it sets everything up, which takes some minutes.
cd "$(dirname "$0")" || exit 1
for python in python3.13 python3.12 python3.11 python3; do
  command -v "$python" >/dev/null && exec "$python" run.py studio --start-daemon
done
echo "Python 3.11 or newer is needed: https://www.python.org/downloads/"
