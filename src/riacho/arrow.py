"""pyarrow without pandas, for a process that has no use for it.

pyarrow looks for pandas at its first conversion of a Python value, and loads it if it is installed: a third of a second
and 40 MB that a server does not need. PySpark's client does need it, so it is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

import pyarrow as pa


def leave_pandas_out() -> None:
    """Have pyarrow look for pandas now, once for all, and find none.

    A later `import pandas` finds nothing changed, and pyarrow's own `to_pandas` looks again and works. What changes:
    pandas objects given to pyarrow are any sequence, and odd nanoseconds raise ValueError where they become Python
    values. For the whole process, so a program decides this, not a library.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(finder)


class _NoPandas(MetaPathFinder):
    """Says that there is no pandas. (A None in `sys.modules` says so to Python, but compiled modules take the None.)"""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:  # noqa: ARG002
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is left out of this process", name=fullname)
