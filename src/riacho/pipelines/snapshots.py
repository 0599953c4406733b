"""`create_auto_cdc_from_snapshot_flow`: changes that are not told, but seen between one state of a table and the next.

The source is a table, whose state at each run is a snapshot, or a function that gives snapshots one by one. Such a
function is called here, in the client, while the pipeline is defined, with the version of the last snapshot that the
target has; the server is asked for that. The DataFrames it gives are plans: their rows are read when the flow runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from copy import copy
from datetime import date, datetime
from functools import reduce
from numbers import Number
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage
from pyspark.errors import (
    AnalysisException,
    PySparkException,
    PySparkNotImplementedError,
    PySparkTypeError,
    PySparkValueError,
)
from pyspark.pipelines.flow import Flow
from pyspark.pipelines.graph_element_registry import get_active_graph_element_registry
from pyspark.pipelines.source_code_location import get_caller_source_code_location
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from riacho.pipelines.changes import comes_of_spark

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

Version = Any
"""Of any type that has an order: a number, text, a date, a time."""
SnapshotSource = Callable[[Version | None], tuple[DataFrame, Version] | None]

HINT: Final = "riacho_snapshots"
VERSION: Final = "__riacho_snapshot_version"
"""The column that says which snapshot a row is of."""
_AUXILIARY: Final = "__spark_autocdc_aux_state_"
_METADATA: Final = "__spark_autocdc_metadata"
_AT_ONCE: Final = 1000
"""So many snapshots a run takes; the next run takes the next ones."""


def create_auto_cdc_from_snapshot_flow(
    target: str,
    source: str | SnapshotSource,
    keys: Sequence[str] | Sequence[Column],
    stored_as_scd_type: int | str = 1,
    track_history_column_list: Sequence[str] | Sequence[Column] | None = None,
    track_history_except_column_list: Sequence[str] | Sequence[Column] | None = None,
    name: str | None = None,
) -> None:
    """Make the streaming table `target` follow snapshots of a source; `create_streaming_table` has to define it.

    Rows that are new are inserted; rows with other values than before are updated (or with SCD type 2 become a new
    version); rows that are gone are deleted (their version ends). `source` is the name of a table or view, of which
    each run takes a snapshot, with the time of the run as its version; or a function of the version of the last
    snapshot (None at first) that returns the next snapshot as a DataFrame and its version, or None if there is none.
    It is called until it returns None; versions must rise. As in Databricks; on stock Spark it raises
    PySparkNotImplementedError.
    """
    if type(target) is not str:
        raise _wrong_type("target", "str", target)
    if track_history_column_list and track_history_except_column_list:
        raise PySparkValueError(
            "Give track_history_column_list or track_history_except_column_list to create_auto_cdc_from_snapshot_flow, "
            "not both."
        )
    if str(stored_as_scd_type) not in {"1", "2"}:
        raise _wrong_type("stored_as_scd_type", "Literal[1, '1', 2, '2']", stored_as_scd_type)
    location = get_caller_source_code_location(stacklevel=1)
    registry: Any = get_active_graph_element_registry()
    spark: SparkSession = registry._spark  # noqa: SLF001 - the session of the pipeline, which need not be the active one
    scd_type = int(stored_as_scd_type)
    given: dict[str, Any] = {"stored_as": scd_type}
    if isinstance(source, str):
        found = [(spark.read.table(source), F.current_timestamp())]
        given["source"] = source
    elif callable(source):
        last = None if _is_refreshed(target) else _last_version(spark, target, keys, scd_type)
        found = _snapshots(source, last)
        if last is not None:
            given["after"] = str(last)
        if not found and last is None:
            raise PySparkValueError(
                f"The source of the snapshots for {target} returned None at its first call (with the version None), so "
                "nothing is known of the table's columns. Let it return the first snapshot, with no rows if need be."
            )
    else:
        raise _wrong_type("source", "str or function", source)
    snapshots = [rows.select("*", version.alias(VERSION)) for rows, version in found] or [spark.range(0)]
    rows = reduce(lambda one, two: one.unionByName(two, allowMissingColumns=True), snapshots)
    tracked = track_history_column_list or track_history_except_column_list or ()
    given |= {"keys": len(keys), "excluded": bool(track_history_except_column_list), "versions": len(found)}
    columns = map(_column, (*keys, *tracked))
    marked = rows.hint(HINT, json.dumps(given), *columns, *(version for _, version in found))
    registry = copy(registry)
    registry._client = _ForRiacho(registry._client)  # noqa: SLF001 - the client has no way of its own to say it
    registry.register_flow(
        Flow(name=name or target, target=target, spark_conf={}, source_code_location=location, func=lambda: marked)
    )


class _ForRiacho:
    """A client of a server: the flow that goes through it travels in a form that Spark refuses."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def execute_command(self, command: Any, *arguments: Any, **options: Any) -> Any:
        flow = command.pipeline_command.define_flow
        inner = type(flow)()
        inner.relation_flow_details.CopyFrom(flow.relation_flow_details)
        packed = AnyMessage()
        packed.Pack(inner)
        flow.extension.CopyFrom(packed)
        try:
            return self._client.execute_command(command, *arguments, **options)
        except PySparkException as error:
            if comes_of_spark(error):
                raise PySparkNotImplementedError(
                    "Spark cannot follow snapshots, only riacho can: create_auto_cdc_from_snapshot_flow."
                ) from error
            raise


def _snapshots(source: SnapshotSource, last: Version | None) -> list[tuple[DataFrame, Column]]:
    """The snapshots after the one of version `last`. Raises PySparkValueError if a version does not rise."""
    found: list[tuple[DataFrame, Column]] = []
    while len(found) < _AT_ONCE:
        snapshot = source(last)
        if snapshot is None:
            break
        rows, version = _taken_apart(snapshot)
        if last is not None and not _is_after(version, last):
            raise PySparkValueError(
                f"The source of snapshots returned version {version!r} after {last!r}: versions must rise. "
                "Return None when there is no newer snapshot."
            )
        found.append((rows, _literal(version)))
        last = version
    return found


def _taken_apart(snapshot: Any) -> tuple[DataFrame, Version]:
    """A snapshot and its version. Raises PySparkTypeError for what is none."""
    if isinstance(snapshot, tuple) and len(snapshot) == 2 and isinstance(snapshot[0], DataFrame):
        rows, version = snapshot
        if isinstance(version, datetime) and version.tzinfo is not None:
            # Versions come back as Spark gives times: local ones without a zone.
            version = version.astimezone().replace(tzinfo=None)
        if isinstance(version, Number | date | str | bytes):
            return rows, version
    raise PySparkTypeError(
        f"The source of snapshots returned {snapshot!r:.200}. Return a DataFrame and its version (a number, a date, a "
        "time or text), as in `return rows, version`, or None when there is no newer snapshot."
    )


def _is_after(version: Version, last: Version) -> bool:
    """Raises PySparkTypeError for versions of different kinds."""
    try:
        return bool(version > last)
    except TypeError as error:
        raise PySparkTypeError(
            f"The source of snapshots returned version {version!r} after {last!r}, which cannot be compared: return "
            "versions of one type. To begin with others, refresh the table in full."
        ) from error


def _literal(version: Version) -> Column:
    """A version as a column; all integers are of one type, however small."""
    return F.lit(version).cast("bigint") if type(version) is int else F.lit(version)


def _last_version(spark: SparkSession, target: str, keys: Sequence[Any], scd_type: int) -> Version | None:
    """The version of the last snapshot that the target has; None before the first."""
    *database, table = _parts(target)
    state = ".".join(f"`{part}`" for part in (*database, _AUXILIARY + table))
    at = "__START_AT" if scd_type == 2 else f"{_METADATA}.deleteSequence"
    try:
        rows = spark.read.table(state).where(_column(keys[0]).isNull()).select(at).collect()
    except AnalysisException as error:
        if error.getCondition() in ("TABLE_OR_VIEW_NOT_FOUND", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "FIELD_NOT_FOUND"):
            return None  # never run, or another flow's state, which the run will refuse
        raise
    return rows[0][0] if rows else None


def _is_refreshed(target: str) -> bool:
    """Whether this program was called to refresh the target in full: then all snapshots are wanted."""
    names: list[str] = []
    arguments = sys.argv[1:]
    for place, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option == "--full-refresh-all":
            return True
        if option == "--full-refresh":
            names += (value or "".join(arguments[place + 1 : place + 2])).split(",")
    wanted = _parts(target)
    return any(name == "all" or _parts(name)[-len(wanted) :] == wanted[-len(_parts(name)) :] for name in names)


def _parts(name: str) -> list[str]:
    return [part.strip().strip("`") for part in name.split(".")]


def _column(name: str | Column) -> Column:
    return F.col(name) if isinstance(name, str) else name


def _wrong_type(name: str, expected: str, given: object) -> PySparkTypeError:
    return PySparkTypeError(
        errorClass="NOT_EXPECTED_TYPE",
        messageParameters={"arg_name": name, "expected_type": expected, "arg_type": type(given).__name__},
    )
