"""Freed memory is used again, in a process of its own: this one's allocator is for the whole process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told")

SCRIPT = """
import resource
import numpy as np
from riacho.allocator import keep_large_blocks

keep_large_blocks()

def use(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        arrays = [np.ones(4 << 20, np.uint8) for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

use(2)
print(use(20) * resource.getpagesize())
"""


def test_pages_are_not_cleared_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True, env=os.environ
    )
    assert int(done.stdout) < 4 << 20, "20 rounds of 12 MB took fresh pages"
