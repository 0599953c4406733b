"""`foreach_batch_sink`: a sink that is a function, which gets each batch as a DataFrame."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import TypeVar, overload

from pyspark.errors import PySparkException, PySparkNotImplementedError
from pyspark.pipelines import create_sink
from pyspark.serializers import CloudPickleSerializer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.connect.utils import get_python_ver

FORMAT = "foreachBatch"
FUNCTION, PYTHON = "riacho.function", "riacho.python"
"""The options that hold the pickled function, as base64, and the version of the Python that pickled it."""
_ONLY_RIACHO = "riacho.pushdown.enabled"
"""A conf that every riacho has and no other server."""

Function = TypeVar("Function", bound=Callable[[DataFrame, int], None])


@overload
def foreach_batch_sink(name: Function) -> Function: ...
@overload
def foreach_batch_sink(name: str | None = None) -> Callable[[Function], Function]: ...
def foreach_batch_sink(name: Function | str | None = None) -> Function | Callable[[Function], Function]:
    """A decorator for a function `(df, batch_id) -> None` that becomes a sink: flows append to it by its name.

    `name`: the sink's, the function's own if it is left out. The function gets each batch of each flow at least once: a
    batch that was cut off comes again under its number, and each flow counts its own. It runs where the server runs, as
    with `DataStreamWriter.foreachBatch`, and so do the modules that it imports.

    Only riacho has such sinks: to Spark 4.2 a sink is a format and options. Raises PySparkNotImplementedError there.
    """
    if callable(name):
        return _define(name, name.__name__)

    def decorate(function: Function) -> Function:
        return _define(function, name or function.__name__)

    return decorate


def _define(function: Function, name: str) -> Function:
    if not _is_riacho():
        raise PySparkNotImplementedError(
            errorClass="NOT_IMPLEMENTED",
            messageParameters={
                "feature": f"The foreach_batch_sink '{name}' (on Spark 4.2 a sink is a format with options: use "
                "create_sink, or foreachBatch in a query of its own; riacho has it)"
            },
        )
    pickled = b64encode(CloudPickleSerializer().dumps(function)).decode()  # type: ignore[no-untyped-call]
    create_sink(name, FORMAT, {FUNCTION: pickled, PYTHON: get_python_ver()})
    return function


def _is_riacho() -> bool:
    session = SparkSession.getActiveSession()
    try:
        return session is not None and session.conf.get(_ONLY_RIACHO) is not None
    except PySparkException:
        return False
