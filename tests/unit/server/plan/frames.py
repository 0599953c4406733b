"""DataFrames of PySpark's own client, without a server: for tests that need plans as clients really make them."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.dataframe import DataFrame as ConnectDataFrame
from pyspark.sql.connect.plan import Range
from pyspark.sql.connect.streaming.readwriter import DataStreamReader

from riacho.protos import pb
from riacho.server.plan.walk import children, walk

_SESSION: Any = SimpleNamespace(client=None, session_id="none", is_mock_session=True)


def rate() -> DataFrame:
    """A stream of `timestamp` and `value`."""
    return DataStreamReader(_SESSION).format("rate").load()


def files(path: str = "/landing", schema: str = "a INT") -> DataFrame:
    """A stream of JSON files."""
    return DataStreamReader(_SESSION).format("json").schema(schema).load(path)


def static() -> DataFrame:
    """Ten rows of `timestamp` and `value`, no stream."""
    numbers = ConnectDataFrame(Range(0, 10, 1), _SESSION)
    return numbers.select(F.timestamp_seconds("id").alias("timestamp"), F.col("id").alias("value"))


def relation(frame: DataFrame) -> pb.Relation:
    """The plan of a DataFrame."""
    plan: Any = frame._plan
    made: pb.Relation = plan.plan(None)
    return made


def columns(plan: pb.Relation) -> list[str]:
    """The names of a plan's columns, for plans over `rate` and `static` as these tests build them."""
    match plan.WhichOneof("rel_type"):
        case "read":
            return ["timestamp", "value"]
        case "join":
            return columns(plan.join.left) + columns(plan.join.right)
        case "to_df":
            return list(plan.to_df.column_names)
        case "project" if not any(e.HasField("unresolved_star") for e in plan.project.expressions):
            return _names(plan.project.expressions)
        case "aggregate":
            return _names([*plan.aggregate.grouping_expressions, *plan.aggregate.aggregate_expressions])
        case _:
            [child] = children(plan)
            return columns(child)


def _names(expressions: Sequence[pb.Expression]) -> list[str]:
    return [
        e.alias.name[0] if e.HasField("alias") else e.unresolved_attribute.unparsed_identifier.split(".")[-1]
        for e in expressions
    ]


def kinds(plan: pb.Relation) -> list[str]:
    return [node.WhichOneof("rel_type") or "" for node in walk(plan)]
