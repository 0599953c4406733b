"""Reading: one query for each partition, side by side, its rows as Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from pyspark.sql.datasource import (
    DataSourceReader,
    EqualNullSafe,
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    InputPartition,
    LessThan,
    LessThanOrEqual,
    Not,
)
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from riacho.connectors.jdbc import databases, partitions, sqlite
from riacho.connectors.jdbc.errors import DriverError, task_failed
from riacho.connectors.jdbc.filters import condition
from riacho.connectors.jdbc.options import JdbcOptions
from riacho.connectors.jdbc.url import POSTGRES, SQLITE
from riacho.errors import SparkGeneralError

_STATEMENT: Final = {
    POSTGRES: {"adbc.postgresql.batch_size_hint_bytes": str(4 << 20)},
    SQLITE: {"adbc.sqlite.query.batch_rows": "65536"},
}
"""Batches that are large enough to be quick, and small enough that reading and passing on overlap."""
_COMPARISONS: Final = (EqualTo, EqualNullSafe, In, GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual)


@dataclass
class QueryPartition(InputPartition):
    """A partition: the query that gives its rows, and what its columns are made of."""

    query: str
    columns: Sequence[databases.ReadColumn]


class JdbcReader(DataSourceReader):
    """Reads a relation. `schema`: the columns that Spark knows.

    Columns and filters that riacho tells before `partitions` become part of the queries.
    """

    def __init__(self, options: JdbcOptions, schema: StructType) -> None:
        self._options = options
        self._address = databases.address_of(options)
        self._schema = schema
        self._wanted: list[str] = schema.fieldNames()
        self._columns: Sequence[databases.ReadColumn] | None = None
        self._condition: str | None = None
        self._limit: int | None = None

    def pruneColumns(self, names: Sequence[str]) -> None:  # noqa: N802 - what riacho calls
        """Only these columns are read."""
        self._wanted = list(names)

    def pushLimit(self, rows: int) -> None:  # noqa: N802 - what riacho calls
        """So many rows of each partition will do."""
        if self._options.given.flag("pushDownLimit"):
            self._limit = rows

    def pushFilters(self, filters: list[Filter]) -> Iterable[Filter]:  # noqa: N802 - Spark's name
        """Rows that no filter lets through need not be sent. What is given back is filtered again."""
        if not self._options.given.flag("pushDownPredicate") or not filters:
            yield from filters
            return
        known = {column.name: column for column in self._known()}
        self._condition = condition(filters, known.get)
        for each in filters:
            compared = each.child if isinstance(each, Not) else each
            path: tuple[str, ...] = getattr(compared, "attribute", ())
            column = known.get(path[0]) if len(path) == 1 else None
            padded = column is not None and column.is_padded and isinstance(compared, _COMPARISONS)
            if not padded or condition([each], known.get) is None:
                yield each

    def partitions(self) -> Sequence[InputPartition]:
        known = self._known()
        clauses = partitions.where_clauses(self._options, databases.schema_of(known))
        by_name = {column.name: column for column in known}
        wanted = [by_name[name] for name in self._wanted]
        asked = [expression for column in wanted for expression in column.selected] or ["1"]
        select = f"{self._options.before_select}SELECT {', '.join(asked)} FROM {self._options.relation}"
        queries = [select + self._where(clause) for clause in clauses]
        if self._address.kind == SQLITE:
            queries = [sqlite.query_of([column.kind for column in wanted], query) for query in queries]
        if self._limit is not None:
            ours = 1 if self._address.kind == SQLITE else 0
            queries = [f"{query} LIMIT {self._limit + ours}" for query in queries]
        return [QueryPartition(query, wanted) for query in queries]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, QueryPartition)
        try:
            yield from self._rows(partition)
        except DriverError as error:
            raise task_failed(error) from None

    def _rows(self, partition: QueryPartition) -> Iterator[pa.RecordBatch]:
        fetch = int(self._options.given.text("fetchsize"))
        if fetch < 0:
            raise SparkGeneralError("Fetch size must be a value greater than or equal to 0.")
        fields = [self._schema[column.name] for column in partition.columns]
        schema = to_arrow_schema(StructType(fields), timezone="UTC")
        with databases.opened(self._options, self._address) as connection:
            if statement := self._options.given.text("sessionInitStatement"):
                connection.run(statement)
            for batch in connection.batches(partition.query, _STATEMENT[connection.kind]):
                kept = sqlite.without_ours(batch) if connection.kind == SQLITE else batch
                yield _made(kept, partition.columns, schema)

    def _where(self, clause: str | None) -> str:
        conditions = [f"({part})" for part in (self._condition, clause) if part]
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def _known(self) -> Sequence[databases.ReadColumn]:
        """All columns of the relation, asked once."""
        if self._columns is None:
            with databases.opened(self._options, self._address) as connection:
                self._columns = databases.columns(connection, self._options)
        return self._columns


def _made(batch: pa.RecordBatch, columns: Sequence[databases.ReadColumn], schema: pa.Schema) -> pa.RecordBatch:
    """The rows of a batch as Spark has them."""
    if not columns:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * batch.num_rows, pa.struct([])))
    given = iter(batch.columns)
    made = []
    for position, (column, field) in enumerate(zip(columns, schema, strict=True)):
        taken = [next(given) for _ in column.selected]
        made.append(column.made(taken, field.type, position))
    return pa.RecordBatch.from_arrays(made, schema=schema)
