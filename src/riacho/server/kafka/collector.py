"""Python's garbage collector, out of the way while many objects are made that are in no cycle.

It looks at all objects again and again as messages arrive by the ten thousand, which costs several times what reading
them does. They go by their reference counts alone.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_changing = threading.Lock()
_quiet = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Collect no cycles inside; for short work. May be nested, and used by several threads at once."""
    global _quiet  # noqa: PLW0603 - there is one collector
    with _changing:
        _quiet += 1
        if _quiet == 1:
            gc.disable()
    try:
        yield
    finally:
        with _changing:
            _quiet -= 1
            if _quiet == 0:
                gc.enable()
