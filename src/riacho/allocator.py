"""The C library's allocator, told that large arrays come again and again.

Decoding makes arrays of a few megabytes for each block of a file. The allocator takes such ones from the kernel, gives
them back at once, and takes them anew, and each page of them is cleared on the way: a third of the time of the first
gigabytes that a server reads. In time it would find out by itself.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGEST_BYTES: Final = 32 << 20
"""What is larger is still given back at once; glibc takes no higher bound."""
_KEPT_BYTES: Final = 128 << 20
"""Free memory beyond this is given back."""


def keep_large_blocks() -> None:
    """Have the process keep what it frees, within bounds, for its next arrays. Where there is no glibc, do nothing.

    For the whole process, so a program decides this, not a library. Source: `mallopt(3)`.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
