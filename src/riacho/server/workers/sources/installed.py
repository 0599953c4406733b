"""Data sources that come with installed packages, without `spark.dataSource.register`.

Two ways to be found, both by what is installed where the server runs: an entry point of the group `riacho.data_sources`
that names the class, and, as in Spark, a module whose name begins with `pyspark_` and that has a class `DefaultSource`.
Looking for names loads nothing; only a worker loads the classes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any, Final

GROUP: Final = "riacho.data_sources"
_PREFIX: Final = "pyspark_"
_CLASS: Final = "DefaultSource"


def references() -> Sequence[str]:
    """What there may be, as `module:class`."""
    modules = [found.name for found in pkgutil.iter_modules() if found.name.startswith(_PREFIX)]
    return [f"{name}:{_CLASS}" for name in modules] + [entry.value for entry in entry_points(group=GROUP)]


def load(reference: str) -> Any:
    """The class that a reference means; None if its module has none."""
    module, _, name = reference.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
