"""On a CPU the codec uses its memory again while it works and gives it back afterwards."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
from contextlib import nullcontext
import psutil
import torch
from acestep.codec.tile_memory import freed_memory_kept

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    for _ in range(8):
        block = torch.ones(64 * 2**20, dtype=torch.uint8)
        del block

def memory():
    return psutil.Process().memory_info().rss

with CONTEXT:
    work()
    before = faults()
    work()
    print(faults() - before)
    held = memory()
print(held - memory())
before = faults()
work()
print(faults() - before)
"""


def measured(context: str) -> tuple[int, int, int]:
    """Pages fetched from the system by work that was done before, bytes given back at the end, pages fetched after it."""
    command = [sys.executable, "-c", SCRIPT.replace("CONTEXT", context)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    repeated, returned, after = map(int, done.stdout.split())
    return repeated, returned, after


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the switches")
@pytest.mark.long
def test_freed_memory_is_used_again_and_then_returned():
    """Inside, the second pass over blocks of 64 MiB asks the system for a quarter at most; afterwards the memory is the system's
    again, and must be asked for anew."""
    usual, _, _ = measured("nullcontext()")
    inside, returned, after = measured("freed_memory_kept()")
    assert 4 * inside < usual
    assert returned > 32 * 2**20
    assert after > usual / 10
