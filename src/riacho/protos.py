"""Spark Connect's protobuf messages, without the rest of PySpark.

`import pyspark.sql.connect.proto` runs the packages above it first, and those import pandas and the
whole client: half a second and 60 MB that a server does not need. The messages themselves depend on
nothing above them, so unless PySpark is loaded already, they are imported with empty stand-ins for
their parent packages, which are taken away again afterwards. A later `import pyspark` in the same
process finds nothing changed.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING

_PARENTS = ("pyspark", "pyspark.sql", "pyspark.sql.connect")
_PROTO = "pyspark.sql.connect.proto"


def _import_alone() -> ModuleType:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("riacho needs Spark's client: pip install 'pyspark-client>=4.2,<4.3'")
    root = spec.submodule_search_locations[0]
    placed = [name for name in _PARENTS if name not in sys.modules]
    for name in placed:
        stand_in = ModuleType(name)
        stand_in.__path__ = [root + name.removeprefix("pyspark").replace(".", "/")]
        sys.modules[name] = stand_in
    try:
        return importlib.import_module(_PROTO)
    finally:
        for name in placed:
            del sys.modules[name]


if TYPE_CHECKING:
    from pyspark.sql.connect import proto as pb
else:
    pb = sys.modules.get(_PROTO) or (
        importlib.import_module(_PROTO) if "pyspark.sql.connect" in sys.modules else _import_alone()
    )
    """The module `pyspark.sql.connect.proto`: `pb.Relation`, `pb.Command`, `pb.ExecutePlanRequest`, …"""

# Lift the decoder's limit of 100 nested messages: a plan of fifty `withColumn` calls is deeper than that.
# The pure Python messages, used where there is no compiled module, have no such limit.
with contextlib.suppress(ImportError):
    importlib.import_module("google._upb._message").SetAllowOversizeProtos(True)

__all__ = ["pb"]
