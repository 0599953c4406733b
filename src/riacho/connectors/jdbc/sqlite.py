"""SQLite's types as Spark's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import types as spark
from pyspark.sql.datasource import Filter

from riacho.connectors.jdbc.connection import Connection
from riacho.connectors.jdbc.options import JdbcOptions
from riacho.connectors.jdbc.targets import Target
from riacho.errors import UnsupportedOperationError


@dataclass(frozen=True)
class SqliteColumn:
    name: str
    kind: spark.DataType
    selected: list[str]
    presence: str = ""
    exact: str | None = None
    quick: str | None = None
    is_padded: bool = False

    def literal(self, value: Any) -> str | None: ...

    def matches(self, kind: type[Filter], value: str) -> str | None: ...

    def made(self, columns: list[pa.Array], arrow: pa.DataType, position: int) -> pa.Array: ...


def describe(connection: Connection, options: JdbcOptions, query: str) -> Sequence[SqliteColumn]:  # noqa: ARG001 - not yet
    raise UnsupportedOperationError("SQLite is not read yet")


def custom(column: SqliteColumn, kind: spark.DataType) -> SqliteColumn:  # noqa: ARG001 - not yet
    return column


def targets(names: Sequence[str], schema: spark.StructType) -> list[Target]:  # noqa: ARG001 - not yet
    raise UnsupportedOperationError("SQLite is not written yet")
